"""What a grammar costs the engine: parsed, compiled, and asked for the mask of each token; ours beside schemas.

    python -m benchmarks.enforcer_compile [--tiktoken PATH/tiktoken.model]

The forms: ``schemas``, a structural tag of one ``json_schema`` for each tool and call, as vLLM's own tags are made,
with the markers in ``excludes``; ``vllm``, ours; ``tensorrt-llm``, ours without macros; ``k3``, ours in XTML, and
``xgrammar k3`` xgrammar's own tag of that. Each request has tools that the
engine has not seen. Milliseconds of CPU for the first tag, and as the median of the later ones; microseconds as
median and largest of the masks along an answer, which is taken in pieces of three letters.
"""

from __future__ import annotations

import argparse
import base64
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

FORMS = ("schemas", "vllm", "tensorrt-llm", "xgrammar k3", "k3")
REQUESTS = 40
CALLS = 8
ROOT = Path(__file__).parents[1]
XTML = {163586: "<|end_of_msg|>", 163587: "<|open|>", 163588: "<|close|>", 163589: "<|sep|>"}
"""K3's special tokens by their ids."""
CODE = 'def f(a, b):\n    return "<div>" if a < b else f"{a}: <p>{b}</p>"  # x <| y\n'


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiktoken", type=Path, help="Kimi's tiktoken.model, for its 163,840 tokens")
    parser.add_argument("--tools", type=int, nargs="+", default=[3, 20, 96])
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS)
    parser.add_argument("--engine", default="0.32.0", help="whose xgrammar; 0.11.0 takes tensorrt-llm alone")
    parser.add_argument("--longest", type=int, help="characters of a string that is bounded; by default none is")
    options = parser.parse_args()
    from k2lab import engine

    vocabularies = {"k2-nano": ROOT / "data" / "models" / "k2-nano" / "tokenizer.json"}
    vocabularies |= {"Kimi": options.tiktoken} if options.tiktoken else {}
    worker = [str(engine.resolve(options.engine).python), __file__, "--worker"]
    for vocabulary, path in vocabularies.items():
        for count in options.tools:
            for form in options.forms:
                requests = options.requests if count == 3 else 4
                made = list(tags(form, count, requests, options.longest))
                text = answer_k3() if "k3" in form else answer()
                asked = {"vocabulary": str(path), "form": form, "tags": made, "answer": text}
                done = subprocess.run(worker, input=json.dumps(asked), capture_output=True, text=True, check=False)
                said = done.stdout.strip() or done.stderr.strip().splitlines()[-1]
                print(f"{vocabulary:8} {count:3} tools {form:12} {said}", flush=True)


def tools(count, request, longest=None):
    """Tools as agents declare: a path, of at most ``longest`` characters, a code string, an option, a number."""
    for place in range(count):
        properties = {
            "path": {"type": "string"} | ({"maxLength": longest} if longest else {}),
            "code": {"type": "string", "minLength": 1},
            f"mode_{request}_{place}": {"enum": ["fast", "safe", "dry-run"]},
            "limit": {"type": "integer", "minimum": 1, "maximum": 1000},
        }
        parameters = {"type": "object", "properties": properties, "required": ["code"], "additionalProperties": False}
        name = "write" if place == 0 else f"action_{request}_{place}"
        yield {"type": "function", "function": {"name": name, "parameters": parameters}}


def tags(form, count, requests, longest=None):
    from k2lab.chat import Request
    from k2lab.enforcer import MARKERS, Options, enforce

    for request in range(requests):
        offered = list(tools(count, request, longest))
        request = Request.of([{"role": "user", "content": "Write it."}], offered)
        if form == "schemas":
            yield schemas(offered, MARKERS)
        elif form == "xgrammar k3":
            yield {"tools": offered}
        elif form == "k3":
            yield enforce(request, options=Options(max_calls=CALLS, family="K3")).tag
        else:
            yield enforce(request, options=Options(max_calls=CALLS, form=form)).tag


def schemas(offered, markers):
    """A tag of json_schema formats for the same answers; keys in their schema's order, strings without their bounds."""
    text = {"type": "any_text", "excludes": list(markers)}
    begin, end = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
    calls = None
    for index in reversed(range(CALLS)):
        one = {"type": "or", "elements": [schema_call(tool["function"], index, markers) for tool in offered]}
        calls = sequence(one, {"type": "optional", "content": calls}) if calls else one
    section = sequence(const(begin), calls, const(end))
    return {"type": "structural_tag", "format": sequence(text, {"type": "optional", "content": section})}


def schema_call(function, index, markers):
    begin = f"<|tool_call_begin|>functions.{function['name']}:{index}<|tool_call_argument_begin|>"
    body = {"type": "json_schema", "json_schema": function["parameters"], "max_whitespace_cnt": 16}
    return sequence(const(begin), {**body, "excludes": list(markers)}, const("<|tool_call_end|>"))


def sequence(*elements):
    return {"type": "sequence", "elements": list(elements)}


def const(value):
    return {"type": "const_string", "value": value}


def answer():
    from k2lab import wire

    return wire.format_calls([("write", {"path": "a.py", "code": CODE * 3, "limit": 7})], "Let me write that. a < b.")


def answer_k3():
    """The same in XTML, as vLLM's parser and xgrammar's own tag read it."""

    def argument(key, kind, value):
        return f'<|open|>argument key="{key}" type="{kind}"<|sep|>{value}<|close|>argument<|sep|>'

    inside = "".join((argument("path", "string", "a.py"), argument("code", "string", CODE * 3),
                      argument("limit", "number", 7)))  # fmt: skip
    call = f'<|open|>call tool="write" index="1"<|sep|>{inside}<|close|>call<|sep|>'
    return (
        "<|open|>response<|sep|>Let me write that. a < b.<|close|>response<|sep|>"
        f"<|open|>tools<|sep|>{call}<|close|>tools<|sep|><|close|>message<|sep|>"
    )


def worker():
    import xgrammar

    asked = json.load(sys.stdin)
    info = vocabulary(xgrammar, Path(asked["vocabulary"]), "k3" in asked["form"])
    compiler = xgrammar.GrammarCompiler(info, max_threads=8, cache_enabled=True)
    texts = [json.dumps(own_tag(tag["tools"]) if "tools" in tag else tag, ensure_ascii=False) for tag in asked["tags"]]
    parsed = [taken(lambda text=text: xgrammar.Grammar.from_structural_tag(text)) for text in texts]
    compiled = [taken(lambda text=text: compiler.compile_structural_tag(text)) for text in texts]
    masks = masked(xgrammar, info, compiler.compile_structural_tag(texts[-1]), asked["answer"])
    print(
        f"{len(texts[0]) >> 10:4} KiB  parse {statistics.median(parsed):5.1f} ms  compile {compiled[0]:6.1f} first"
        f" {statistics.median(compiled[1:]):6.1f} later   mask {statistics.median(masks):.0f} us, most {max(masks):.0f}"
    )


def own_tag(tools):
    """xgrammar's tag for K3 behind the reasoning; without the opening of the response, which is then written."""
    from xgrammar.builtin_structural_tag import get_model_structural_tag

    made = get_model_structural_tag("kimi_k3", tools=tools, reasoning=False).model_dump()
    return sequence_tag(made["format"])


def sequence_tag(form):
    begin = const("<|open|>response<|sep|>")
    return {"type": "structural_tag", "format": sequence(begin, form)}


def vocabulary(xgrammar, path, k3):
    """The tokens of a model: Kimi's as its tokenizer has them, k2-nano's by transformers."""
    if path.name == "tokenizer.json":
        from transformers import PreTrainedTokenizerFast

        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(path))
        if k3:
            tokenizer.add_special_tokens({"additional_special_tokens": list(XTML.values())})
        end = tokenizer.convert_tokens_to_ids("<|im_end|>")
        return xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=len(tokenizer), stop_token_ids=[end])
    ranks = (line.split() for line in path.read_text().splitlines())
    tokens = [base64.b64decode(text) for text, _ in ranks]
    special = XTML if k3 else {}
    tokens += [special.get(n, f"<|reserved_token_{n}|>").encode() for n in range(len(tokens), 163840)]
    return xgrammar.TokenizerInfo(tokens, vocab_type=xgrammar.VocabType.RAW, vocab_size=163840, stop_token_ids=[163586])


def taken(do):
    began = time.process_time()
    do()
    return 1000 * (time.process_time() - began)


def masked(xgrammar, info, grammar, text):
    """Microseconds for the mask before each piece of an answer, taken in pieces of about a token."""
    matcher, mask = xgrammar.GrammarMatcher(grammar), xgrammar.allocate_token_bitmask(1, info.vocab_size)
    times = []
    for start in range(0, len(text), 3):
        began = time.perf_counter()
        matcher.fill_next_token_bitmask(mask)
        times.append(1e6 * (time.perf_counter() - began))
        if not matcher.accept_string(text[start : start + 3]):
            raise SystemExit(f"the answer is refused at {text[start : start + 40]!r}")
    return times


if __name__ == "__main__":
    worker() if "--worker" in sys.argv else main()

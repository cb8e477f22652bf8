"""What K3's tag is worth on live vLLM 0.32.0: answers free, under vLLM's own tag, and under ours, on the same requests.

    python -m benchmarks.k3_held FOLDER [--requests 1000] [--temperature 0.7]

FOLDER is a model's that serves K3, as k3-nano's. Two servers, one after the other: one that begins a tag behind the
reasoning, as vLLM does with ``--reasoning-parser``, and one that begins it with the answer
(``--structured-outputs-config.enable_in_reasoning=True``), whose tag holds the reasoning, too (``thinking: begun``).
vLLM's own is asked for by ``strict`` tools. What an answer is worth is judged from its token ids and from what the
server made of them, by jsonschema and by vLLM's own count of calls:

- ``called``: some call was written; ``invalid``: one that the server gives has a tool that is not declared, or
  arguments that are invalid; ``lost``: calls that were closed and that the server does not give; ``leaked``: a marker
  in the text that it gives; ``cut``: not at an end within the tokens.
"""

import argparse
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from jsonschema import Draft202012Validator

from k2lab import enforcer, engine
from k2lab.chat import function_of, tools_by_name
from k2lab.enforcer import Options
from k2lab.nano import benchmark, threeways
from k2lab.prompt.source import open_source
from k2lab.server.endpoint import Endpoint, in_parallel
from k2lab.stats import share

ENGINE = "0.32.0"
K3_FLAGS = ("--tokenizer-mode=kimi_k3", "--reasoning-parser=kimi_k3", "--tool-call-parser=kimi_k3")
IN_REASONING = "--structured-outputs-config.enable_in_reasoning=True"
SERVERS = {"behind the reasoning": ((), "no"), "from the first token": ((IN_REASONING,), "begun")}
MARKERS = ("<|open|>", "<|close|>", "<|sep|>", "<|end_of_msg|>")
END_OF_CALL = "<|close|>call<|sep|>"
MAX_TOKENS, CONCURRENCY = 300, 16


@dataclass(frozen=True, kw_only=True)
class Arm:
    """How requests are sent; ``change`` makes the request of a sample."""

    name: str
    change: object
    stream: bool = False


def strict(request):
    """The request with every tool strict, for which vLLM makes a tag of its own."""
    tools = [{**tool, "function": {**function_of(tool), "strict": True}} for tool in request.tools]
    return replace(request, tools=tuple(tools))


def arms(thinking, max_string):
    options = Options(family="K3", thinking=thinking, max_string=max_string, loosen=True)
    pinned = partial(enforcer.attach, options=options)
    yield Arm(name="free", change=lambda request: request)
    yield Arm(name="vLLM's own", change=strict)
    yield Arm(name="free, streamed", change=lambda request: request, stream=True)
    yield Arm(name="pinned", change=pinned)
    required = partial(with_choice, "required")
    yield Arm(name="pinned, streamed", change=pinned, stream=True)
    yield Arm(name="pinned, required", change=lambda request: enforcer.attach(required(request), options=options))


def with_choice(choice, request):
    return replace(request, parameters={**request.parameters, "tool_choice": choice})


def judged(request, answer, raw):
    """The names of what is to be counted of one answer."""
    found = {"all"}
    closed = raw.count(END_OF_CALL)
    found |= {"called"} if "<|open|>call" in raw else set()
    found |= {"invalid"} if any(not valid(request, call) for call in answer.calls) else set()
    found |= {"lost"} if closed > len(answer.calls) else set()
    found |= {"leaked"} if any(marker in (answer.content or "") for marker in MARKERS) else set()
    found |= {"cut"} if answer.finish_reason == "length" else set()
    return found


def valid(request, call):
    function = tools_by_name(request.tools).get(call.name)
    if function is None or call.problem:
        return False
    return Draft202012Validator(function.get("parameters") or {}).is_valid(call.value)


def ask(endpoint, tokenizer, request, arm, params):
    one = partial(threeways.streamed, endpoint) if arm.stream else endpoint.chat
    answer = one(arm.change(request), **params, return_token_ids=True)
    return judged(request, answer, tokenizer.decode(list(answer.token_ids or ())))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the folder of a model that serves K3")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=tuple(SERVERS))
    parser.add_argument("--arms", nargs="+", help="of those named in the output; by default all")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--max-string", type=int, default=16)
    options = parser.parse_args()
    found = engine.resolve(ENGINE)
    cases = (case.request for case in benchmark.cases(2 * options.requests))
    requests = [request for request in cases if request.tools][: options.requests]
    tokenizer = open_source(options.folder).tokenizer
    for server in options.servers:
        flags, thinking = SERVERS[server]
        asked = {"trust_remote_code": True, "name": "k3-nano", "flags": [*found.flags, *K3_FLAGS, *flags]}
        with engine.serving(found.python, ENGINE, options.folder, **asked) as served:
            endpoint = Endpoint(served.base_url)
            print(f"{server}: {len(requests)} requests an arm at temperature {options.temperature}", flush=True)
            for arm in arms(thinking, options.max_string):
                if options.arms and arm.name not in options.arms:
                    continue
                params = {"temperature": options.temperature, "max_tokens": MAX_TOKENS}
                one = partial(ask, endpoint, tokenizer, arm=arm, params=params)
                answers = in_parallel(one, requests, concurrency=CONCURRENCY)
                count = Counter(name for each in answers for name in each)
                told = ", ".join(f"{name} {count[name]}" for name in ("called", "invalid", "lost", "leaked", "cut"))
                print(
                    f"  {arm.name:17} {told}; invalid of called {share(count['invalid'], count['called'])}", flush=True
                )


if __name__ == "__main__":
    main()

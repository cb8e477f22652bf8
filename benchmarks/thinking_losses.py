"""What a vLLM release makes of the faults that k2-nano-thinking was taught, on live servers, sampled.

    python -m benchmarks.thinking_losses [--engines 0.11.1 0.32.0] [--turns 400] [--streamed 150]

Each turn is drawn once at temperature 1 with a seed of its own. What the model wrote is read from its token ids; a call
is lost where the server gives fewer than :mod:`k2lab.wire` reads there. Streamed turns are counted by whether the
history holds an answer of the assistant's own, whose ``</think>`` then stands in the prompt. The model always thinks:
an answer with content and without reasoning has its reasoning there.
"""

import argparse
from functools import partial

from k2lab import engine, wire
from k2lab.nano import folders, plaincourse, thinking, threeways
from k2lab.prompt.source import open_source
from k2lab.server.endpoint import Endpoint, in_parallel
from k2lab.stats import share

FIRST = 500
"""The turns before are those of the model's card."""

END = "<|im_end|>"


def params(seed):
    return {"temperature": 1.0, "seed": seed, "max_tokens": 200, "return_token_ids": True}


def drawn(endpoint, tokenizer, numbered):
    seed, case = numbered
    answer = endpoint.chat(case.request, **params(seed))
    return case, answer, tokenizer.decode(list(answer.token_ids)).removesuffix(END)


def lost(case, answer, raw):
    return len(answer.calls) < len(wire.parse(raw, case.request.tools, thinking=True).calls)


def leaks(endpoint, numbered):
    """Whether the history holds a finished turn, and whether the reasoning came as content."""
    seed, case = numbered
    finished = any(one["role"] == "assistant" and not one.get("tool_calls") for one in case.request.messages)
    answer = threeways.streamed(endpoint, case.request, **params(seed))
    return finished, bool(answer.content) and not answer.reasoning


def told(words, found):
    print(f"  {words}: {share(sum(found), len(found))}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engines", nargs="+", default=["0.11.1", "0.32.0"])
    parser.add_argument("--turns", type=int, default=400)
    parser.add_argument("--streamed", type=int, default=150)
    options = parser.parse_args()
    cases = [*enumerate(plaincourse.evaluation_cases()[FIRST : FIRST + options.turns])]
    for name in options.engines:
        folder = folders.assemble("thinking", engine=name)
        with engine.serve(name, folder, flags=folders.REASONING) as base_url:
            endpoint = Endpoint(base_url)
            print(f"vLLM {name}, {len(cases)} turns", flush=True)
            rows = in_parallel(partial(drawn, endpoint, open_source(folder).tokenizer), cases)
            faults = [thinking.fault_of(raw) for _, _, raw in rows]
            inside = [row for row, fault in zip(rows, faults, strict=True) if fault == "call inside"]
            unclosed = [row for row, fault in zip(rows, faults, strict=True) if fault == "unclosed"]
            told("calls begun inside the reasoning that are lost", [lost(*row) for row in inside])
            told("of all outputs with a call, those that lose one", [lost(*r) for r in rows if wire.CALL_BEGIN in r[2]])
            told("never closed: empty content", [not answer.content for _, answer, _ in unclosed])
            found = in_parallel(partial(leaks, endpoint), cases[: options.streamed])
            for finished, words in ((True, "behind a finished turn"), (False, "in a first turn")):
                told(f"streamed {words}: reasoning in the content", [leak for kind, leak in found if kind is finished])


if __name__ == "__main__":
    main()

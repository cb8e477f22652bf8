"""Run by an engine's interpreter: which texts xgrammar's grammar of a structural tag accepts.

A line of the input is ``{"tag", "texts"}``, half a surrogate pair standing for the three bytes that UTF-8 would have
for it; the answer is ``{"accepted", "compile_ms"}``, of CPU time, or ``{"error"}``. To ``{"tag",
"walks", "seed", "hints"}`` it is ``{"walked"}``, so many texts that the grammar
writes by itself: at random, but for the hints, which it takes where it can; of
each ``{"text", "content", "calls"}``, as vLLM's own parser for Kimi K3 reads it.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from functools import lru_cache

import numpy
import xgrammar

END = 256
LONGEST = 5000
HINTED = 0.5
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # vLLM prints where it likes


def main() -> None:
    vocabulary = [bytes([byte]) for byte in range(256)] + [b"</s>"]
    tokenizer = xgrammar.TokenizerInfo(vocabulary, stop_token_ids=[END], vocab_size=END + 1)
    compiler = xgrammar.GrammarCompiler(tokenizer, max_threads=1, cache_enabled=False)
    compiled = lru_cache(maxsize=8)(compiler.compile_structural_tag)  # one schema is asked of again and again
    for line in sys.stdin:
        asked = json.loads(line)
        if "walks" in asked:
            told = {"walked": walked(compiled(json.dumps(asked["tag"])), asked)}
        else:
            told = answer(compiled, asked["tag"], asked["texts"])
        print(json.dumps(told), file=answers, flush=True)


def answer(compiled, tag, texts):
    began = time.process_time()
    try:
        grammar = compiled(json.dumps(tag))
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    took = time.process_time() - began
    return {"accepted": [accepts(grammar, text) for text in texts], "compile_ms": round(took * 1000, 2)}


def walked(grammar, asked):
    chance = random.Random(asked["seed"])
    found = (walk(grammar, chance, asked["hints"]) for _ in range(asked["walks"]))
    return [read(text) for text in found if text is not None]


def walk(grammar, chance, hints):
    """A text, or nothing where it does not come to an end."""
    matcher, mask = xgrammar.GrammarMatcher(grammar), xgrammar.allocate_token_bitmask(1, END + 1)
    taken = bytearray()
    while len(taken) < LONGEST:
        hint = chance.choice(hints) if chance.random() < HINTED else ""
        if hint and matcher.accept_string(hint):
            taken += hint.encode()
            continue
        matcher.fill_next_token_bitmask(mask)
        bits = numpy.unpackbits(mask.numpy().view(numpy.uint8), bitorder="little")
        able = numpy.flatnonzero(bits[: END + 1]).tolist()
        byte = END if END in able and chance.random() < HINTED else chance.choice(able)
        if byte == END:
            return taken.decode(errors="replace")  # free text may end within a character, and servers say so
        assert matcher.accept_token(byte)
        taken.append(byte)
    return None


def read(text):
    """By vLLM's parser, which asks nothing of its tokenizer."""
    found = k3_parser().extract_tool_calls(text, None)
    calls = [[call.function.name, call.function.arguments] for call in found.tool_calls]
    return {"text": text, "content": found.content, "calls": calls}


@lru_cache(maxsize=1)
def k3_parser():
    from vllm.tool_parsers.kimi_k3_tool_parser import KimiK3ToolParser

    return KimiK3ToolParser(object(), None)


def accepts(grammar, text):
    matcher = xgrammar.GrammarMatcher(grammar)
    return matcher.accept_string(text.encode(errors="surrogatepass")) and matcher.accept_token(END)


if __name__ == "__main__":
    main()

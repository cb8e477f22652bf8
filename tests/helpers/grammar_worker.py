"""Run by an engine's interpreter: which texts xgrammar's grammar of a structural tag accepts.

A line of the input is ``{"tag", "texts"}``; the answer
is ``{"accepted", "compile_ms"}``, of CPU time, or ``{"error"}``.
"""

from __future__ import annotations

import json
import sys
import time
from functools import lru_cache

import xgrammar

END = 256


def main() -> None:
    vocabulary = [bytes([byte]) for byte in range(256)] + [b"</s>"]
    tokenizer = xgrammar.TokenizerInfo(vocabulary, stop_token_ids=[END], vocab_size=END + 1)
    compiler = xgrammar.GrammarCompiler(tokenizer, max_threads=1, cache_enabled=False)
    compiled = lru_cache(maxsize=8)(compiler.compile_structural_tag)  # one schema is asked of again and again
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(answer(compiled, asked["tag"], asked["texts"])), flush=True)


def answer(compiled, tag, texts):
    began = time.process_time()
    try:
        grammar = compiled(json.dumps(tag))
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    took = time.process_time() - began
    return {"accepted": [accepts(grammar, text) for text in texts], "compile_ms": round(took * 1000, 2)}


def accepts(grammar, text):
    matcher = xgrammar.GrammarMatcher(grammar)
    return matcher.accept_string(text) and matcher.accept_token(END)


if __name__ == "__main__":
    main()

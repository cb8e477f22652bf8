"""Run by an engine's interpreter: which texts xgrammar's grammar of a JSON Schema or a structural tag accepts.

A line of the input is ``{"schema", "texts"}`` or ``{"tag", "texts"}``; the answer
is ``{"accepted", "compile_ms"}`` or ``{"error"}``.
"""

from __future__ import annotations

import json
import sys
import time

import xgrammar

END = 256


def main() -> None:
    vocabulary = [bytes([byte]) for byte in range(256)] + [b"</s>"]
    tokenizer = xgrammar.TokenizerInfo(vocabulary, stop_token_ids=[END], vocab_size=END + 1)
    compiler = xgrammar.GrammarCompiler(tokenizer, max_threads=1, cache_enabled=False)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(answer(compiler, asked.get("tag") or tag_of(asked["schema"]), asked["texts"])), flush=True)


def tag_of(schema):
    body = {"type": "json_schema", "json_schema": schema, "max_whitespace_cnt": 32}
    return {"type": "structural_tag", "format": body}


def answer(compiler, tag, texts):
    began = time.perf_counter()
    try:
        grammar = compiler.compile_structural_tag(json.dumps(tag))
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    took = time.perf_counter() - began
    return {"accepted": [accepts(grammar, text) for text in texts], "compile_ms": round(took * 1000, 2)}


def accepts(grammar, text):
    matcher = xgrammar.GrammarMatcher(grammar)
    return matcher.accept_string(text) and matcher.accept_token(END)


if __name__ == "__main__":
    main()

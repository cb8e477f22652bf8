"""Run vLLM's own Kimi parser on chosen outputs: ``python parser_worker.py MODEL_FOLDER < CASES > ANSWERS``.

Run by an engine's interpreter, by path; it needs nothing of k2lab. Each line of
the input is ``{"id", "raw_output", "tools", "chunk"}``, ``chunk`` being 0 for
the whole text at once, or the number of tokens that are fed at a time. Each
line of the output is ``{"id", "chunk", "content", "calls", "error"}``; of a case with
``steps`` that is fed, also ``steps``: for each time ``[tokens, characters, content,
calls]``, the first two counted from the start, the others what was said then.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # vLLM prints where it likes; standard output is for answers


def parser_class() -> Any:
    """The parser that vLLM registers for Kimi K2, wherever this release keeps it."""
    try:
        from vllm.tool_parsers import ToolParserManager
    except ImportError:
        from vllm.entrypoints.openai.tool_parsers import ToolParserManager
    return ToolParserManager.get_tool_parser("kimi_k2")


def request_class() -> Any:
    """The chat request, wherever this release keeps it."""
    try:
        from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    except ImportError:
        from vllm.entrypoints.openai.protocol import ChatCompletionRequest
    return ChatCompletionRequest


def whole(parser: Any, text: str, request: Any) -> dict[str, Any]:
    """The parser's answer to the whole text."""
    found = parser.extract_tool_calls(text, request)
    calls = [{"name": c.function.name, "arguments": c.function.arguments} for c in found.tool_calls]
    return {"content": found.content, "calls": calls}


def streamed(parser: Any, tokenizer: Any, text: str, request: Any, chunk: int, steps: list[Any]) -> dict[str, Any]:
    """Its answer to ``chunk`` tokens at a time, put together as a client does: by the index of each delta."""
    ids = tokenizer.encode(text, add_special_tokens=False)
    content: list[str] = []
    calls: dict[int, dict[str, str]] = {}
    before_text, before = "", 0
    for end in [*range(chunk, len(ids), chunk), len(ids)]:
        now = tokenizer.decode(ids[:end], skip_special_tokens=False)
        if now.endswith("\ufffd") and end < len(ids):
            continue  # in the middle of a character
        delta = parser.extract_tool_calls_streaming(
            before_text, now, now[len(before_text) :], ids[:before], ids[:end], ids[before:end], request
        )
        before_text, before = now, end
        steps.append([end, len(now), "", []])
        if delta is None:
            continue
        content.append(delta.content or "")
        steps[-1][2] = content[-1]
        for part in delta.tool_calls or ():
            call = calls.setdefault(part.index, {"name": "", "arguments": ""})
            if part.function is not None:
                call["name"] += part.function.name or ""
                call["arguments"] += part.function.arguments or ""
                steps[-1][3].append([part.index, part.function.name or "", part.function.arguments or ""])
    return {"content": "".join(content), "calls": [calls[index] for index in sorted(calls)]}


def main(folder: str) -> None:
    """Answer every line of standard input."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)  # else it asks, and reads our lines
    parser_of, request_of = parser_class(), request_class()
    for line in sys.stdin:
        case = json.loads(line)
        answer: dict[str, Any] = {"content": None, "calls": []}
        error = ""
        steps: list[Any] = []
        try:
            user = {"role": "user", "content": ""}
            request = request_of(messages=[user], model="m", tools=case["tools"] or None)
            try:
                parser = parser_of(tokenizer, request.tools)
            except TypeError:  # before tools were handed to the parser
                parser = parser_of(tokenizer)
            text = case["raw_output"]
            chunk = case["chunk"]
            fed = chunk > 0
            answer = streamed(parser, tokenizer, text, request, chunk, steps) if fed else whole(parser, text, request)
        except Exception as fault:
            error = f"{type(fault).__name__}: {fault}"
        told = {"id": case["id"], "chunk": case["chunk"], **answer, "error": error}
        print(json.dumps(told | ({"steps": steps} if case.get("steps") else {})), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])

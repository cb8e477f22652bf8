"""Run vLLM's own Kimi parser on chosen outputs: ``python parser_worker.py FOLDER CPU_S MEMORY < CASES > ANSWERS``.

Run by an engine's interpreter, by path; it needs nothing of k2lab. The files of FOLDER are a stranger's: once the
engine is imported, a process of its own reads them and each case within CPU_S seconds of processor time and MEMORY
bytes more than it has. Where they do not suffice, the last line of the output is ``{"failed": why}``.

Each line of the input is ``{"id", "raw_output", "tools", "chunk"}``, ``chunk`` being 0 for the whole text at once, or
the number of tokens that are fed at a time. Each line of the output is ``{"id", "chunk", "content", "calls",
"error"}``; of a case with ``steps`` that is fed, also ``steps``: for each time ``[tokens, characters, content,
calls]``, the first two counted from the start, the others what was said then.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

SET_DEATH_SIGNAL = 1
"""``PR_SET_PDEATHSIG`` of Linux."""

NEXT_STEP = "try a shorter output, or a folder whose tokenizer.json you know"

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


def answer_all(folder: str, cpu_s: int, tokenizer_class: Any, parser_of: Any, request_of: Any) -> None:
    """Answer every line of standard input."""
    allow(cpu_s)
    tokenizer = tokenizer_class.from_pretrained(folder, trust_remote_code=False)  # else it asks, and reads our lines
    for line in sys.stdin:
        allow(cpu_s)
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
        except MemoryError:
            raise
        except Exception as fault:
            error = f"{type(fault).__name__}: {fault}"
        told = {"id": case["id"], "chunk": case["chunk"], **answer, "error": error}
        print(json.dumps(told | ({"steps": steps} if case.get("steps") else {})), file=answers, flush=True)


def allow(cpu_s: int) -> None:
    """So much processor time from now on; then the kernel ends this process, whatever code it is in."""
    signal.setitimer(signal.ITIMER_PROF, cpu_s)


def bound(memory: int) -> None:
    """So many bytes of address space more than are taken now, where the system keeps such a limit: macOS does not."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, ValueError), open("/proc/self/statm") as file:
        taken = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + memory,) * 2)


def end_with(parent: int) -> None:
    """Have the kernel end this process when its parent is, where it is Linux's."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def status_of(job: Callable[[], None]) -> int:
    """Run a job in a fork; the fork's exit status, or minus the number of the signal that ended it."""
    parent = os.getpid()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        end_with(parent)
        job()
        status = 0
    except MemoryError:
        os.abort()  # as Rust and C++ end for want of it
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(status)


def main(folder: str, cpu_s: int, memory: int) -> None:
    """Answer every line of standard input, within limits."""
    from transformers import AutoTokenizer

    classes = AutoTokenizer, parser_class(), request_class()

    def job() -> None:
        bound(memory)
        answer_all(folder, cpu_s, *classes)

    status = status_of(job)
    taken = {
        -signal.SIGPROF: f"{cpu_s} s of processor time",
        -signal.SIGABRT: f"{memory / 2**30:g} GiB of memory",
    }
    if status in taken:
        failed = f"its tokenizer and parser took more than {taken[status]} for one output: {NEXT_STEP}"
        print(json.dumps({"failed": failed}), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

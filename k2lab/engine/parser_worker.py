"""Run vLLM's own Kimi parsers on chosen outputs: ``python parser_worker.py FOLDER CPU_S MEMORY < CASES > ANSWERS``.

Run by an engine's interpreter, by path; it needs nothing of k2lab. The files of FOLDER are a stranger's: once the
engine is imported, a process of its own reads them and each case within CPU_S seconds of processor time and MEMORY
bytes more than it has. Where they do not suffice, the last line of the output is ``{"failed": why}``.

Each line of the input is ``{"id", "raw_output", "tools", "chunk"}``, ``chunk`` being 0 for the whole text at once, the
number of tokens that are fed at a time, or a list of these for each time. ``parser`` names the tool parser, ``kimi_k2``
where it is left out, and ``reasoning_parser`` the one before it, none where it is left out; ``thinking``: as a request
may switch it; ``prompt``: what stands before the output. Each line of the output is ``{"id", "chunk", "reasoning",
"content", "calls", "error", "absent"}``, ``absent`` naming a parser that this release has not; of a case with
``steps`` that is fed, also ``steps``: for each time ``[tokens, characters, content, calls, reasoning]``, the first two
counted from the start, the others what was said then.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
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


def tool_parser_class(name: str) -> Any:
    """The tool parser that vLLM registers under a name, wherever this release keeps it; ``None`` for none."""
    try:
        from vllm.tool_parsers import ToolParserManager
    except ImportError:
        from vllm.entrypoints.openai.tool_parsers import ToolParserManager
    with contextlib.suppress(KeyError):
        return ToolParserManager.get_tool_parser(name)
    return None


def reasoning_parser_class(name: str) -> Any:
    """The reasoning parser of a name; ``None`` for none."""
    with contextlib.suppress(ImportError, KeyError):
        from vllm.reasoning import ReasoningParserManager

        return ReasoningParserManager.get_reasoning_parser(name)
    return None


def composed_class(reasoning: str, tools: str) -> Any:
    """What this release's chat endpoint makes of both; ``None`` where it asks one after the other itself."""
    try:
        from vllm.parser import ParserManager
    except ImportError:
        return None
    made = ParserManager.get_parser(
        tool_parser_name=tools, reasoning_parser_name=reasoning, enable_auto_tools=True, model_name="m"
    )
    return made if hasattr(made, "parse_delta") and hasattr(made, "parse") else None


def request_class() -> Any:
    """The chat request, wherever this release keeps it."""
    try:
        from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    except ImportError:
        from vllm.entrypoints.openai.protocol import ChatCompletionRequest
    return ChatCompletionRequest


class ToolsAlone:
    """The tool parser, as a server without a reasoning parser asks it."""

    def __init__(self, parser: Any, request: Any) -> None:
        self.parser, self.request = parser, request
        self.text: str = ""
        self.ids: list[int] = []

    def whole(self, text: str, ids: list[int]) -> dict[str, Any]:
        """Its answer to the whole text."""
        found = self.parser.extract_tool_calls(text, self.request)
        return {"reasoning": None, "content": found.content, "calls": told(c.function for c in found.tool_calls)}

    def feed(self, delta: str, ids: list[int], last: bool) -> Any:
        """What it says of more text."""
        before, before_ids = self.text, self.ids
        self.text, self.ids = before + delta, before_ids + ids
        return self.parser.extract_tool_calls_streaming(
            before, self.text, delta, before_ids, self.ids, ids, self.request
        )


class Composed:
    """The parser that later releases make of both."""

    def __init__(self, parser: Any, request: Any, prompt: list[int]) -> None:
        self.parser, self.request, self.prompt = parser, request, prompt

    def whole(self, text: str, ids: list[int]) -> dict[str, Any]:
        """Its answer to the whole text."""
        if hasattr(self.parser, "set_prompt_token_ids"):
            self.parser.set_prompt_token_ids(self.prompt)
        reasoning, content, calls = self.parser.parse(
            text, self.request, enable_auto_tools=True, model_output_token_ids=ids
        )
        return {"reasoning": reasoning, "content": content, "calls": told(calls or ())}

    def feed(self, delta: str, ids: list[int], last: bool) -> Any:
        """What it says of more text."""
        return self.parser.parse_delta(delta, ids, self.request, self.prompt, finished=last)


class InTurn:
    """The reasoning parser, then the tool parser on what it leaves: as the chat endpoint of 0.11 asks them.

    Source: ``serving_chat.py`` of vLLM 0.11.0 and 0.11.1.
    """

    def __init__(self, reasoner: Any, parser: Any, request: Any, prompt: list[int]) -> None:
        self.reasoner, self.parser, self.request, self.prompt = reasoner, parser, request, prompt
        self.text: str = ""
        self.ids: list[int] = []
        self.ended = self.begun = False

    def whole(self, text: str, ids: list[int]) -> dict[str, Any]:
        """Their answer to the whole text."""
        reasoner = self.reasoner
        split = getattr(reasoner, "extract_reasoning", None) or reasoner.extract_reasoning_content
        reasoning, content = split(text, request=self.request)
        found = self.parser.extract_tool_calls(content or "", self.request)
        left = found.content if found.tools_called else found.content or content
        return {"reasoning": reasoning, "content": left, "calls": told(c.function for c in found.tool_calls)}

    def feed(self, delta: str, ids: list[int], last: bool) -> Any:
        """What they say of more text; what stands behind ``</think>`` in its chunk waits for the next one."""
        before, before_ids = self.text, self.ids
        self.text, self.ids = before + delta, before_ids + ids
        if not self.ended:
            return self.thought(before, delta, before_ids, ids)
        if not self.begun:
            self.begun = True
            before, before_ids, delta, ids = "", [], self.text, self.ids
        return self.parser.extract_tool_calls_streaming(
            before, self.text, delta, before_ids, self.ids, ids, self.request
        )

    def thought(self, before: str, delta: str, before_ids: list[int], ids: list[int]) -> Any:
        """The same while the reasoning is open; a ``</think>`` anywhere in the prompt ends it with the first chunk."""
        reasoner = self.reasoner
        split = getattr(reasoner, "extract_reasoning_streaming", None) or reasoner.extract_reasoning_content_streaming
        message = split(before, self.text, delta, before_ids, self.ids, ids)
        for seen, left in ((self.prompt, lambda: ids), (ids, lambda: reasoner.extract_content_ids(ids))):
            if seen and reasoner.is_reasoning_end(seen):
                self.ended, self.ids = True, left()
                self.text = (message and message.content) or ""
                if message:
                    message.content = None
        return message


def told(functions: Any) -> list[dict[str, str]]:
    """Calls as plain data."""
    return [{"name": one.name, "arguments": one.arguments} for one in functions]


def streamed(reader: Any, tokenizer: Any, text: str, chunk: Any, steps: list[Any]) -> dict[str, Any]:
    """A reader's answer to ``chunk`` tokens at a time, or to as many as it lists.

    Put together as a client does: by the index of each delta.
    """
    ids = tokenizer.encode(text, add_special_tokens=False)
    reasoning: list[str] = []
    content: list[str] = []
    calls: dict[int, dict[str, str]] = {}
    before_text, before = "", 0
    ends = itertools.accumulate(chunk) if isinstance(chunk, list) else range(chunk, len(ids), chunk)
    for end in [*(end for end in ends if end < len(ids)), len(ids)]:
        now = tokenizer.decode(ids[:end], skip_special_tokens=False)
        if now.endswith("\ufffd") and end < len(ids):
            continue  # in the middle of a character
        delta = reader.feed(now[len(before_text) :], ids[before:end], end == len(ids))
        before_text, before = now, end
        steps.append([end, len(now), "", [], ""])
        if delta is None:
            continue
        content.append(delta.content or "")
        reasoning.append(getattr(delta, "reasoning", None) or getattr(delta, "reasoning_content", None) or "")
        steps[-1][2], steps[-1][4] = content[-1], reasoning[-1]
        for part in delta.tool_calls or ():
            call = calls.setdefault(part.index, {"name": "", "arguments": ""})
            if part.function is not None:
                call["name"] += part.function.name or ""
                call["arguments"] += part.function.arguments or ""
                steps[-1][3].append([part.index, part.function.name or "", part.function.arguments or ""])
    made = [calls[index] for index in sorted(calls)]
    return {"reasoning": "".join(reasoning), "content": "".join(content), "calls": made}


class Absent(Exception):
    """There is no parser of that name in this release."""


class Readers:
    """The parsers of this release, by name; each is looked for once."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], Any] = {}
        for name in ("kimi_k2", "kimi_k3"):
            self.classes("", name)
            self.classes(name, name)

    def classes(self, reasoning: str, tools: str) -> Any:
        """The class of the tool parser, with those of the reasoning parser and of what is made of both."""
        if (reasoning, tools) not in self.known:
            both = reasoning_parser_class(reasoning) if reasoning else None
            parser = tool_parser_class(tools)
            made = composed_class(reasoning, tools) if both and parser else None
            self.known[reasoning, tools] = parser, both, made
        return self.known[reasoning, tools]

    def reader(self, tokenizer: Any, request: Any, case: dict[str, Any]) -> Any:
        """A reader of one output; raises :class:`Absent`."""
        tools, reasoning = case.get("parser") or "kimi_k2", case.get("reasoning_parser") or ""
        parser, reasoner, made = self.classes(reasoning, tools)
        if parser is None:
            raise Absent(f"it has no tool parser {tools}")
        if not reasoning:
            return ToolsAlone(built(parser, tokenizer, request.tools), request)
        if reasoner is None:
            raise Absent(f"it has no reasoning parser {reasoning}")
        thinking = case.get("thinking")
        kwargs = {} if thinking is None else {"thinking": thinking}
        prompt = tokenizer.encode(case.get("prompt") or "", add_special_tokens=False)
        if made is not None:
            return Composed(made(tokenizer, request.tools, chat_template_kwargs=kwargs), request, prompt)
        try:
            thinks = reasoner(tokenizer, chat_template_kwargs=kwargs)
        except TypeError:  # before a request's switches were handed to it
            thinks = reasoner(tokenizer)
        return InTurn(thinks, built(parser, tokenizer, request.tools), request, prompt)


def built(parser: Any, tokenizer: Any, tools: Any) -> Any:
    """A tool parser."""
    try:
        return parser(tokenizer, tools)
    except TypeError:  # before tools were handed to the parser
        return parser(tokenizer)


def answer_all(folder: str, cpu_s: int, tokenizer_class: Any, readers: Any, request_of: Any) -> None:
    """Answer every line of standard input."""
    allow(cpu_s)
    tokenizer = tokenizer_class.from_pretrained(folder, trust_remote_code=False)  # else it asks, and reads our lines
    for line in sys.stdin:
        allow(cpu_s)
        case = json.loads(line)
        answer: dict[str, Any] = {"reasoning": None, "content": None, "calls": []}
        error = absent = ""
        steps: list[Any] = []
        try:
            user = {"role": "user", "content": ""}
            request = request_of(messages=[user], model="m", tools=case["tools"] or None)
            reader = readers.reader(tokenizer, request, case)
            text, chunk = case["raw_output"], case["chunk"]
            if chunk:
                answer = streamed(reader, tokenizer, text, chunk, steps)
            else:
                answer = reader.whole(text, tokenizer.encode(text, add_special_tokens=False))
        except MemoryError:
            raise
        except Absent as fault:
            absent = str(fault)
        except Exception as fault:
            error = f"{type(fault).__name__}: {fault}"
        said = {"id": case["id"], "chunk": case["chunk"], **answer, "error": error, "absent": absent}
        print(json.dumps(said | ({"steps": steps} if case.get("steps") else {})), file=answers, flush=True)


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

    classes = AutoTokenizer, Readers(), request_class()

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

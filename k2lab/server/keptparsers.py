"""The parser of an installed engine in a process that stays up: a question takes milliseconds, not a start."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from k2lab import engine
from k2lab.chat import ToolCall, canonical
from k2lab.engine import warm
from k2lab.engine.variables import environment
from k2lab.errors import EngineError
from k2lab.families import K2, Family
from k2lab.server.parsers import command_of, question

START_S = 240.0
"""For the first answer, before which the engine is imported."""

ANSWER_S = 60.0
"""For each later one."""

POLL_S = 0.1
STOPPED = "it was stopped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What a parser said when it was fed a chunk: the text up to character ``end`` was in, ``tokens`` tokens of it."""

    tokens: int
    end: int
    content: str
    calls: tuple[tuple[int, str, str], ...]
    reasoning: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """A parser's answer to one output: whole, or fed in chunks and put together, with each step of it."""

    content: str
    calls: tuple[ToolCall, ...]
    error: str = ""
    steps: tuple[Step, ...] = ()
    reasoning: str = ""

    def same_as(self, other: Heard) -> bool:
        """Whether a caller would get the same, white space around the texts aside."""
        texts = (self.content.strip(), self.reasoning.strip()) == (other.content.strip(), other.reasoning.strip())
        return texts and canonical(self.calls) == canonical(other.calls)


class KeptParser:
    """The Kimi parsers of one engine, with the tokenizer of a model folder.

    Its process is begun by the first question and anew after it died; it ends
    with :meth:`close`, with a question that is cancelled, and with this
    process. Questions of several threads wait for each other.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder
        self._process: _Process | None = None
        self._one = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Of its process, where one runs."""
        return None if self._process is None else self._process.pid

    def ask(
        self,
        raw_output: str,
        tools: Sequence[Mapping[str, Any]],
        chunk: int | Sequence[int] = 0,
        cancel: threading.Event | None = None,
        *,
        family: Family = K2,
        prompt: str = "",
    ) -> Heard:
        """Its answer to the whole text, or to ``chunk`` tokens at a time; of a family that thinks, by both parsers.

        ``chunk`` may list how many tokens each time has, as a recorded stream
        shows; ``prompt`` is what stands before the output.

        Raises :class:`EngineError` where there is none, and within a tenth of a second once ``cancel`` is set.
        """
        case = {"id": "", **question(raw_output, tools, family, prompt), "chunk": chunk, "steps": True}
        cancel = cancel or threading.Event()
        with self._one:
            try:
                if self._process is None:
                    self._process = _begun(self.name, self._folder, cancel)
                row = self._process.answer(json.dumps(case), cancel)
            except (EngineError, OSError, ValueError) as error:
                self._end()
                raise EngineError(f"the parser of vLLM {self.name} gave no answer: {error}") from None
        if row["absent"]:
            raise EngineError(f"not asked: {row['absent']}")
        return _heard(row)

    def close(self) -> None:
        """End its process; a question under way is waited for."""
        with self._one:
            self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None


class _Process:
    """A running worker: a line in, a line out."""

    def __init__(self, given: IO[bytes], said: IO[bytes], lifeline: warm.Fork | subprocess.Popen[bytes]) -> None:
        self.pid = lifeline.pid
        self._given, self._said, self._lifeline = given, said, lifeline
        self._left_s = START_S
        self._rest = b""

    def answer(self, question: str, cancel: threading.Event) -> dict[str, Any]:
        self._given.write(question.encode() + b"\n")
        self._given.flush()
        line = self._line(time.monotonic() + self._left_s, cancel)
        self._left_s = ANSWER_S
        data = json.loads(line)
        if not isinstance(data, dict):
            raise EngineError(f"its process said {line[:60]!r}")
        if "failed" in data:
            raise EngineError(str(data["failed"]))
        return data

    def _line(self, deadline: float, cancel: threading.Event) -> bytes:
        while b"\n" not in self._rest:
            if cancel.is_set():
                raise EngineError(STOPPED)
            if time.monotonic() > deadline:
                raise EngineError("its process did not answer in time: try a shorter output")
            if not select.select([self._said], [], [], POLL_S)[0]:
                continue
            more = os.read(self._said.fileno(), 65536)
            if not more:
                raise EngineError("its process ended: see whether the engine starts at all (k2lab parsers)")
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def end(self) -> None:
        for file in (self._given, self._said):
            with contextlib.suppress(OSError):
                file.close()
        if isinstance(self._lifeline, subprocess.Popen):
            self._lifeline.kill()
            self._lifeline.wait()
        else:
            self._lifeline.connection.close()


def _begun(name: str, folder: Path, cancel: threading.Event) -> _Process:
    python = engine.resolve(name).python
    if python is None:
        raise EngineError(f"{name} is a URL: its parser is asked by derender")
    with contextlib.ExitStack() as kept:
        asked, given = _pipe()
        said, answers = _pipe()
        kept.callback(given.close)
        kept.callback(said.close)
        with asked, answers, open(os.devnull, "wb") as errors:
            lifeline = _started(python, folder, environment(name), (asked, answers, errors), cancel)
        kept.pop_all()
        return _Process(given, said, lifeline)


def _started(
    python: Path, folder: Path, variables: Mapping[str, str], files: Sequence[IO[bytes]], cancel: threading.Event
) -> warm.Fork | subprocess.Popen[bytes]:
    """The worker, forked from the engine's warm process, or an interpreter of its own."""
    argv = command_of(folder)
    try:
        fork = warm.fork(python, argv, variables, cancel)
        fork.begin(files)
        return fork
    except warm.Refused:
        if cancel.is_set():
            warm.end(python)  # it may be importing for half a minute yet
            raise EngineError(STOPPED) from None
        given, out, errors = files
        return subprocess.Popen([str(python), *argv], stdin=given, stdout=out, stderr=errors, env=dict(variables))


def _pipe() -> tuple[IO[bytes], IO[bytes]]:
    read, write = os.pipe()
    return os.fdopen(read, "rb", 0), os.fdopen(write, "wb", 0)


def _heard(row: Mapping[str, Any]) -> Heard:
    return Heard(
        content=str(row["content"] or ""),
        calls=tuple(ToolCall(name=call["name"], arguments=call["arguments"]) for call in row["calls"]),
        error=str(row["error"]),
        steps=tuple(
            Step(
                tokens=tokens, end=end, content=content, calls=tuple((i, n, a) for i, n, a in calls), reasoning=thought
            )
            for tokens, end, content, calls, thought in row.get("steps", ())
        ),
        reasoning=str(row["reasoning"] or ""),
    )

"""Templates and tokenizers that k2lab does not know, used in a process of its own: under limits of time and memory.

The process is started with the first of them, imports little, and stays: a
benchmark's next prompt costs a message through a pipe. It is replaced when it
has been ended by a limit. A thread waits for another's answer, and a fork
starts a process of its own.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import pickle
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from k2lab.errors import InputError, RenderError, SourceError
from k2lab.prompt.plaindata import Raised, plain
from k2lab.prompt.worker import HEAD

LIBRARIES = ("jinja2", "markupsafe", "tokenizers")
VARIABLES = ("LD_LIBRARY_PATH", "TZ", "LANG", "LC_ALL", "LC_TIME")
"""What of the environment the process gets: Python may need the first, and a template
may print the date."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one template or tokenizer may take."""

    cpu_s: int = 5
    wall_s: float = 30.0
    memory: int = 2 << 30
    """Bytes of address space."""
    text: int = 32 << 20
    """Characters of a prompt; eight times those of a million tokens."""


def fill(
    what: str,
    template: str,
    messages: Iterable[Mapping[str, object]],
    *,
    tools: Sequence[Mapping[str, object]] | None = None,
    variables: Mapping[str, object] | None = None,
) -> str:
    """As :func:`k2lab.prompt.sandbox.fill`; ``what`` is the template's name in an error.

    Raises :class:`SourceError` where a limit was reached, :class:`RenderError`
    for a last message that cannot be continued, and :class:`Raised`.

    >>> fill("a template", "{{ messages[0].content | upper }}", [{"role": "user", "content": "Hi"}])
    'HI'
    """
    return str(_worker().ask(what, "fill", template, plain(list(messages)), plain(tools), plain(variables or {})))


@lru_cache(maxsize=64)
def reads(what: str, template: str) -> frozenset[str] | None:
    """The variables that a template reads; ``None`` for one that is not a template."""
    try:
        found = _worker().ask(what, "reads", template)
    except Raised:
        return None
    return None if found is None else frozenset(found)


class ConfinedTokenizer:
    """A ``tokenizer.json`` of a stranger behind :class:`~k2lab.prompt.tokenizers.Tokenizer`."""

    def __init__(self, what: str, key: str, data: bytes, config: Mapping[str, Any], named: Sequence[Any]) -> None:
        self._what, self._key = what, key
        self._made_of = (data, dict(config), list(named))
        self._texts: dict[int, str] = {}
        self._build(_worker())

    def encode(self, text: str) -> list[int]:
        """Token ids; added tokens in the text are parsed."""
        return list(self._ask("encode", text))

    def decode(self, ids: list[int]) -> str:
        """The text, markers included; that of one id is asked for once."""
        if len(ids) != 1:
            return str(self._ask("decode", [int(token) for token in ids]))
        if ids[0] not in self._texts:
            self._texts[ids[0]] = str(self._ask("decode", [int(ids[0])]))
        return self._texts[ids[0]]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where each id stands, as the library says."""
        return [(start, end) for start, end in self._ask("spans", text)]

    def encode_plain(self, text: str) -> list[int]:
        """Token ids, no added token being read."""
        return list(self._ask("encode_plain", text))

    def spans_plain(self, text: str) -> list[tuple[int, int]]:
        """Where each of these stands, as the library says."""
        return [(start, end) for start, end in self._ask("spans_plain", text)]

    def _build(self, worker: Worker) -> None:
        try:
            worker.ask(self._what, "keep", self._key, *self._made_of)
        except Raised as error:
            raise SourceError(f"cannot load {self._what}: {error.said}") from None

    def _ask(self, method: str, given: object) -> Any:
        worker = _worker()
        for _ in range(2):
            try:
                return worker.ask(self._what, "ids", self._key, method, given)
            except Raised as error:
                if error.kind != "KeyError":
                    raise InputError(f"{self._what} cannot {method} this: {error.said}") from None
                self._build(worker)  # another one was built since, or the process is a new one
        raise SourceError(f"cannot load {self._what}")


class Worker:
    """A process that does jobs, one at a time, within limits."""

    def __init__(self, limits: Limits = Limits()) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, what: str, job: str, *given: object) -> Any:
        """A job's value; raises :class:`SourceError` where it reached a limit, which ends the process."""
        message = pickle.dumps((job, given))
        with self._lock:
            process = self._running(what)
            try:
                found = self._exchange(process, message)
                if found.get("exceeded") == "memory":  # it ends itself
                    self._end()
            except BaseException as error:
                self._end()
                if isinstance(error, TimeoutError):
                    _refuse(what, f"took more than {self.limits.wall_s:.0f} s")
                if isinstance(error, OSError | EOFError | ValueError):
                    _refuse(what, self._why_it_ended(process))
                raise
        return self._value(what, found)

    def close(self) -> None:
        """End the process; the next job starts another."""
        with self._lock:
            self._end()

    def _running(self, what: str) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            try:
                self._process = _started(self.limits)
            except OSError as error:
                raise SourceError(f"cannot start the process for {what}: {error.strerror or error}") from None
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]
            process.wait()

    def _exchange(self, process: subprocess.Popen[bytes], message: bytes) -> Mapping[str, Any]:
        deadline = time.monotonic() + self.limits.wall_s
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(len(message).to_bytes(HEAD, "big") + message)
        process.stdin.flush()
        head = _read(process.stdout.fileno(), HEAD, deadline)
        size = int.from_bytes(head, "big")
        if size > 16 * self.limits.text:  # JSON takes up to twelve characters for one
            raise ValueError(size)
        found = json.loads(_read(process.stdout.fileno(), size, deadline))
        assert isinstance(found, dict)
        return found

    def _value(self, what: str, found: Mapping[str, Any]) -> Any:
        if "value" in found:
            return found["value"]
        if "exceeded" in found:
            memory = f"took more than {self.limits.memory >> 20:,} MiB of memory"
            text = f"made a text of more than {self.limits.text:,} characters"
            _refuse(what, memory if found["exceeded"] == "memory" else text)
        if "refused" in found:
            raise (RenderError if found.get("kind") == "RenderError" else SourceError)(str(found["refused"]))
        raise Raised(str(found.get("raised")), str(found.get("said")))

    def _why_it_ended(self, process: subprocess.Popen[bytes]) -> str:
        status = process.wait()
        if status == -signal.SIGXCPU:
            return f"took more than {self.limits.cpu_s} s of processor time"
        name = signal.Signals(-status).name if status < 0 else f"status {status}"
        memory = f"{self.limits.memory >> 20:,} MiB of memory"
        return f"ended the process that it is used in ({name}), which it may do by wanting more than {memory}"


def _refuse(what: str, told: str) -> NoReturn:
    raise SourceError(f"{what} {told}, as no real model's does: look at it, or take another source")


def _read(pipe: int, size: int, deadline: float) -> bytes:
    """So many bytes; raises :class:`TimeoutError` or :class:`EOFError`."""
    data = bytearray()
    with selectors.DefaultSelector() as ready:
        ready.register(pipe, selectors.EVENT_READ)
        while len(data) < size:
            if not ready.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            part = os.read(pipe, min(size - len(data), 1 << 20))
            if not part:
                raise EOFError
            data += part
    return bytes(data)


def _started(limits: Limits) -> subprocess.Popen[bytes]:
    """A worker that imports from where our own libraries lie, and from nowhere else: not the current folder."""
    roots = [str(Path(__file__).resolve().parents[2])]
    for name in LIBRARIES:
        spec = find_spec(name)
        if spec is not None and spec.origin is not None:
            roots.append(str(Path(spec.origin).resolve().parents[1]))
    own = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    return subprocess.Popen(
        [
            *(sys.executable, "-I", "-S", str(Path(__file__).with_name("worker.py"))),
            f"{limits.cpu_s},{limits.memory},{limits.text}",
            *dict.fromkeys(roots),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={**own, "TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"},
    )


_shared: list[Worker] = []
_of_parent: list[Worker] = []


def _worker() -> Worker:
    """The one worker of this process."""
    if not _shared:
        _shared.append(Worker())
    return _shared[0]


def _leave_to_parent() -> None:
    """Touch nothing of the parent's worker in a child: its pipes are the parent's."""
    _of_parent.extend(_shared)
    _shared.clear()


def _end_with_us() -> None:
    for worker in _shared:
        process = worker._process  # no waiting for a thread that waits for an answer
        if process is not None:
            process.kill()
            process.wait()


atexit.register(_end_with_us)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)

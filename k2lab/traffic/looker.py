"""The process that looks at what passed, fed from a thread: bounded, started again when it ends, never waited for."""

from __future__ import annotations

import contextlib
import select
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from k2lab.traffic.backlog import Backlog
from k2lab.traffic.beside import received, send, started
from k2lab.traffic.exchanges import Passed
from k2lab.traffic.recordrows import Looked, Noted

Told = Callable[[object, Looked, tuple[Noted, ...]], None]
"""Takes what was found in an exchange: what it was handed in with, whether it was looked at, the findings."""

AT_A_TIME, BYTES_AT_A_TIME = 64, 4 << 20
GATHER_S = 0.2
"""Seconds for which exchanges are gathered: each batch wakes two processes that the traffic needs the cores of."""

MOST_S = 20.0
"""Seconds of processor time for one exchange; a hostile one is given up."""

LONGEST_S = 600.0
"""Seconds of the clock for a batch."""

COMMAND = "from k2lab.traffic.looking import main; main()"


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """An exchange to look at, and as it is written where something was kept out of it."""

    passed: Passed
    redacted: Passed | None = None


class Looker:
    """Looks at exchanges in a process of its own, as soon as it can.

    ``told`` is called from a thread, once for each exchange that was taken, at the
    latest when it is closed: ``late`` are those for which there was no time.
    """

    def __init__(self, told: Told, *, most: int = 2000, most_bytes: int = 64 << 20) -> None:
        self._told = told
        self._backlog = Backlog[tuple[object, Job]](most=most, most_bytes=most_bytes)
        self._child: subprocess.Popen[bytes] | None = None
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._run, name="k2lab-looker", daemon=True)
        self._thread.start()

    def offer(self, mark: object, job: Job) -> bool:
        """Whether an exchange is taken; one that is not is counted by the caller."""
        bodies = (job.passed.request, job.passed.answer, job.passed.sent, job.passed.given)
        return self._backlog.put((mark, job), sum(len(body or b"") for body in bodies))

    def close(self, within_s: float) -> None:
        """Look at what waits, for so long at most; the rest is late."""
        self._backlog.close()
        self._thread.join(within_s)
        self._hurry.set()
        if self._thread.is_alive():
            self._end()
            self._thread.join(5)

    @property
    def pid(self) -> int | None:
        """The number of the process; ``None`` where there is none."""
        return None if self._child is None else self._child.pid

    def _run(self) -> None:
        while True:
            jobs = self._backlog.take(AT_A_TIME, BYTES_AT_A_TIME, wait_s=1.0, gather_s=GATHER_S)
            if jobs:
                self._look([mark for mark, _ in jobs], [job for _, job in jobs])
            elif self._backlog.closed:
                break
        self._end()

    def _look(self, marks: list[object], jobs: list[Job]) -> None:
        answers: object = None
        if not self._hurry.is_set():
            with contextlib.suppress(OSError, EOFError, ValueError, TimeoutError):
                answers = self._asked(jobs)
        if not isinstance(answers, list):
            self._end()
            answers = [("late", ())] * len(jobs)
        for mark, (looked, found) in zip(marks, answers, strict=True):
            self._told(mark, looked, found)

    def _asked(self, jobs: list[Job]) -> object:
        child = self._running()
        assert child.stdin is not None and child.stdout is not None
        send(child.stdin, jobs)  # type: ignore[arg-type]
        return self._answer(child.stdout, min(2 * MOST_S * len(jobs), LONGEST_S))

    def _answer(self, stream: IO[bytes], within_s: float) -> object:
        if not select.select([stream], [], [], within_s)[0]:
            raise TimeoutError
        return received(stream)  # type: ignore[arg-type]

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._end()
            self._child = started(COMMAND)
            assert self._child.stdout is not None
            self._answer(self._child.stdout, LONGEST_S)
        return self._child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]

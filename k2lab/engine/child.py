"""A command read line by line, which ends when its reader does, however that ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from k2lab.engine import supervisor
from k2lab.errors import EngineError

LAST_LINES = 15
ENDED = (128 + signal.SIGTERM, 128 + signal.SIGKILL)
"""Exit statuses of a command that somebody else ended."""

_running: set[subprocess.Popen[str]] = set()
"""Commands that nobody here has asked to end: such a one may end with any status."""


class Ended(EngineError):
    """The command did not fail: it was ended from here."""


def lines_of(command: Sequence[str], failure: str, *, within_s: float | None = None) -> Iterator[str]:
    """Lines of a command's output, errors included.

    Raises :class:`EngineError` with its last lines when it fails, or goes on for more than ``within_s``. When the
    reader is interrupted or stops reading, the command's process group is ended.
    """
    tail: list[str] = []
    process = subprocess.Popen(
        [sys.executable, str(Path(supervisor.__file__)), supervisor.NO_LOG, *command],
        stdin=subprocess.PIPE,  # the kernel closes it with us, and the supervisor ends the command
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    assert process.stdout is not None
    _running.add(process)
    clock = _Clock(process, within_s)
    try:
        for line in process.stdout:
            tail = [*tail[-LAST_LINES:], line.rstrip()]
            yield line.rstrip()
        if process.wait() != 0:
            failed = process in _running and (clock.rang or process.returncode not in ENDED)
            kind = EngineError if failed else Ended
            raise kind(f"{failure}; its last lines:\n" + "\n".join(tail))
    finally:
        clock.cancel()
        _end(process)
        _running.discard(process)


class _Clock(threading.Timer):
    """Asks a command to end once its time is over; without a time, never."""

    def __init__(self, process: subprocess.Popen[str], within_s: float | None) -> None:
        super().__init__(within_s or 0.0, self._ring, [process])
        self.daemon = True
        self.rang = False
        if within_s is not None:
            self.start()

    def _ring(self, process: subprocess.Popen[str]) -> None:
        if process.poll() is None:
            self.rang = True
            _ask_to_end(process)


def end_all() -> None:
    """End every command that is read now, in whichever thread."""
    for process in list(_running):
        _running.discard(process)
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        _ask_to_end(process)
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _ask_to_end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)

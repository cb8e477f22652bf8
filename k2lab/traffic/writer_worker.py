"""The process of the writer: what comes through a pipe is written, and what became of it goes back through another."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import select
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import BinaryIO, TypeVar

from k2lab.errors import K2LabError, first_line
from k2lab.traffic.beside import Frames, send
from k2lab.traffic.caught import Caught
from k2lab.traffic.recording import Begin, Outcome
from k2lab.traffic.writer import MOST_NOTES, Writer

T = TypeVar("T")
WAIT_S = 0.2
"""Seconds after which what else there is to do is done where nothing comes."""

LONGEST_S = 1.0
"""Seconds in which all of that is done once, however much comes."""

SWITCH_S = 0.0005
"""How long the thread that feeds the looker may keep the interpreter."""

READ_BYTES = 1 << 18
"""What is written in one transaction at most, but for what is larger by itself."""


class _Incoming:
    """What comes through standard input, as much of it as is there."""

    def __init__(self) -> None:
        self._frames, self._buffer = Frames(), bytearray(READ_BYTES)
        self.ended = False

    def take(self, wait_s: float | None) -> list[object]:
        """The next values; none where nothing comes in that time, or ever again."""
        while not self.ended and select.select([0], [], [], wait_s)[0]:
            size = os.readv(0, [self._buffer])
            self.ended = not size
            if values := self._frames.feed(memoryview(self._buffer)[:size]):
                return values
        return []


class _Lines(logging.Handler):
    """Keeps what is logged, for the proxy to log it."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.kept.append((record.levelno, record.getMessage()))

    def taken(self) -> list[tuple[int, str]] | None:
        """What was kept since the last time, if anything was."""
        kept, self.kept = self.kept, []
        return kept or None


def main() -> None:
    """Take what :mod:`k2lab.traffic.recording` says from standard input; ends with the other end of the pipe."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # they go to all; the proxy says when it is over
    lines = _Lines()
    logging.getLogger("k2lab.traffic").addHandler(lines)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    incoming = _Incoming()
    begin, *values = incoming.take(None)
    assert isinstance(begin, Begin)
    try:
        writer = Writer(begin.options, again=begin.again)
    except K2LabError as error:
        send(answers, first_line(error))
        return
    signal.signal(signal.SIGUSR1, lambda *_: writer.hurry())
    send(answers, "")
    sys.setswitchinterval(SWITCH_S)
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    telling = _Telling(answers, writer, lines)
    noted_s = 0.0
    while None not in values and not incoming.ended:
        _write(writer, values, telling)
        if not values or writer.waiting > MOST_NOTES or time.monotonic() - noted_s > LONGEST_S:
            writer.note()
            telling.tell()
            noted_s = time.monotonic()
        values = incoming.take(0 if writer.waiting else WAIT_S)
    _write(writer, values, telling)
    writer.close(0 if incoming.ended else begin.options.drain_s / 2)
    telling.tell()


def _write(writer: Writer, values: Sequence[object], telling: _Telling) -> None:
    """Write what came, tell what became of it, and only then have a look at it."""
    writer.lose(sum(one for one in values if isinstance(one, int)))
    if batch := [Caught(*one) for one in values if isinstance(one, tuple)]:
        telling.tell(writer.write(batch))
        writer.look()


class _Telling:
    """Tells the proxy, while there is one, whatever there is to tell."""

    def __init__(self, answers: BinaryIO, writer: Writer, lines: _Lines) -> None:
        self._answers, self._writer, self._lines = answers, writer, lines

    def tell(self, outcomes: Sequence[Outcome] = ()) -> None:
        """What became of the next exchanges, and what was counted."""
        writer = self._writer
        told = (
            outcomes, _taken(writer.counts), _taken(writer.findings) or None, _taken(writer.redacted) or None,
            self._lines.taken(),
        )  # fmt: skip
        if any(told):
            with contextlib.suppress(BrokenPipeError):
                send(self._answers, told)


def _taken(counts: Counter[T]) -> dict[T, int]:
    """What was counted, from now on from nothing."""
    taken = dict(counts)
    counts.clear()
    return taken

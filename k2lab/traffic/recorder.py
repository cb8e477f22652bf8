"""The recorder: takes what passed, and has a process beside write it; nobody waits for a disk.

What was acknowledged survives the end of k2lab, however it ends: see :mod:`k2lab.traffic.writer`. Here an exchange is
pickled and sent, its bodies as they came, in memory alone; whatever else is done to it is done there. It is kept until
the writer said what became of it, so that a writer that was killed is followed by another one that goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections import Counter, deque
from typing import NamedTuple

from k2lab.errors import InputError
from k2lab.traffic.beside import framed
from k2lab.traffic.caught import Caught
from k2lab.traffic.channel import Channel
from k2lab.traffic.recording import Begin, Outcome, RecordOptions, Told

COMMAND = "from k2lab.traffic.writer_worker import main; main()"
START_S = 120.0
"""Seconds of the clock for the start of the writer."""

AGAIN_S = 1.0
"""Seconds from the end of a writer that was not asked to end to the start of the next one."""

SAY_S = 60.0
"""Seconds between two lines of the log on one trouble."""

COUNTERS = ("written", "failed", "dropped", "left_out", "unlooked", "bytes")

_log = logging.getLogger("k2lab.traffic")


class _Taken(NamedTuple):
    frame: bytes
    future: asyncio.Future[Outcome]


class Recorder:
    """Takes exchanges in an event loop and has them written; raises :class:`InputError` at its start.

    The counters are for ``/metrics``: exchanges ``written``, ``failed`` (they could
    not be written), ``dropped`` (no room), ``left_out`` of the sample, ``unlooked``
    (no time to look at them), ``bytes`` of the bodies written, ``findings`` by code and layer.
    """

    def __init__(self, options: RecordOptions) -> None:
        self.options = options
        self.written = self.failed = self.dropped = self.left_out = self.unlooked = self.bytes = 0
        self.findings: Counter[tuple[str, str]] = Counter()
        self.redacted: Counter[str] = Counter()
        self._waiting: deque[_Taken] = deque()
        self._waiting_bytes = 0
        self._again = self._undecided = self._lost = 0
        self._said: dict[str, float] = {}
        self._closed = False
        self._channel: Channel | None = self._started(Begin(options=options))
        self._ready(self._channel)

    @property
    def pid(self) -> int | None:
        """The number of the process that writes; ``None`` where there is none."""
        return None if self._channel is None else self._channel.process.pid

    def take(self, caught: Caught) -> asyncio.Future[Outcome]:
        """Take an exchange at once; what comes back says what became of it, once it is safe."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        if self._closed or not self._has_room(caught.size):
            self._drop(future)
            return future
        taken = _Taken(framed(tuple(caught)), future)
        self._waiting.append(taken)
        self._waiting_bytes += len(taken.frame)
        channel = self._channel
        if channel is not None:
            channel.attach(loop)
            if self._lost:
                self._send_lost(channel)
            channel.send(taken.frame)
        return future

    def counters(self) -> dict[str, int]:
        """Every count of exchanges and bytes."""
        return {name: getattr(self, name) for name in COUNTERS}

    def close(self) -> None:
        """Write what waits, for a bounded time; what could not be written is counted."""
        self._closed = True
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.detach()
            self._send_lost(channel)
            channel.send(framed(None))
            if not channel.run(self.options.drain_s):
                channel.process.send_signal(signal.SIGUSR1)
                if not channel.run(2 * self.options.drain_s):
                    said = f"{len(self._waiting)} exchanges are lost, and what it is at"
                    self._say("stalled", f"{self.options.path} does not take what is written to it: {said}")
            channel.close()
        self._give_up(len(self._waiting))

    def _has_room(self, size: int) -> bool:
        """Whether so many bytes more may wait; what is alone always may."""
        count, options = len(self._waiting), self.options
        return not count or (count < options.most_waiting and self._waiting_bytes + size <= options.waiting_bytes)

    def _drop(self, future: asyncio.Future[Outcome]) -> None:
        self.dropped += 1
        self._lost += 1
        future.set_result("dropped")
        self._say("behind", "the record is behind: exchanges go by without being recorded")

    def _send_lost(self, channel: Channel) -> None:
        """What was lost here is counted in the file, too."""
        if self._lost:
            channel.send(framed(self._lost))
            self._lost = 0

    def _started(self, begin: Begin) -> Channel:
        channel = Channel(COMMAND, self._came, self._ended)
        channel.send(framed(begin))
        return channel

    def _ready(self, channel: Channel) -> None:
        """Wait for a writer's first word; raises :class:`InputError` where it cannot write."""
        word = channel.first(START_S)
        if word != "":
            channel.close()
            raise InputError(str(word or "the process that writes the record did not start"))

    def _came(self, value: object) -> None:
        """What the writer tells."""
        if not isinstance(value, tuple):
            return  # the first word of one that follows another
        outcomes, counts, findings, redacted, lines = Told(*value)
        for outcome in outcomes:
            self._settle(outcome)
        if self._again:
            self._again = max(0, self._again - len(outcomes))
        self._undecided += outcomes.count("left_out") - counts.get("decided", 0)
        for name in counts.keys() & set(COUNTERS):
            setattr(self, name, getattr(self, name) + counts[name])
        self.findings.update(findings or ())
        self.redacted.update(redacted or ())
        for level, line in lines or ():
            _log.log(level, "%s", line)

    def _ended(self) -> None:
        """The writer ended without being asked to: the next one goes on, but for what two could not write."""
        if self._channel is None:
            return
        status = self._channel.close()
        self._channel = None
        self._say("ended", f"the process that writes the record ended (status {status}) and is started again")
        self._fail(self._undecided)
        self._undecided = 0
        self._give_up(self._again)
        self._again = len(self._waiting)
        asyncio.get_running_loop().call_later(AGAIN_S, self._restart)

    def _restart(self) -> None:
        loop = asyncio.get_running_loop()
        if self._closed:
            return
        try:
            self._channel = self._started(Begin(options=self.options, again=self._again))
        except OSError as error:
            self._say("ended", f"the process that writes the record cannot be started: {error.strerror or error}")
            loop.call_later(AGAIN_S, self._restart)
            return
        self._channel.attach(loop)
        for taken in self._waiting:
            self._channel.send(taken.frame)
        self._again = len(self._waiting)

    def _give_up(self, count: int) -> None:
        """The first so many of what waits could not be written."""
        self._fail(count)
        for _ in range(count):
            self._settle("failed")

    def _fail(self, count: int) -> None:
        self.failed += count
        self._lost += count

    def _settle(self, outcome: Outcome) -> None:
        """Say of the first that waits what became of it, in the loop in which it was taken."""
        frame, future = self._waiting.popleft()
        self._waiting_bytes -= len(frame)
        if not self._closed:
            _tell(future, outcome)
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            future.get_loop().call_soon_threadsafe(_tell, future, outcome)

    def _say(self, trouble: str, line: str) -> None:
        """Into the log, once a minute for each trouble."""
        now = time.monotonic()
        if now - self._said.get(trouble, -SAY_S) >= SAY_S:
            self._said[trouble] = now
            _log.warning("%s", line)


def recorder_of(options: RecordOptions) -> Recorder:
    """A recorder that is ready; raises :class:`InputError` for a file that cannot be written, or is another's."""
    return Recorder(options)


def _tell(future: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not future.done() and not future.get_loop().is_closed():
        future.set_result(outcome)

"""A process's pipes in an event loop: what is sent to it waits for nobody, and what it sends comes as it does."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable

from k2lab.traffic.beside import Frames, started

PIPE_BYTES = 1 << 20
"""How much may be on its way to the process: the most that Linux gives to everybody."""

AT_A_TIME = 64
READ_BYTES = 1 << 16
DETACH_S = 1.0


class Channel:
    """A process that is sent values and sends some: ``came`` takes each, ``ended`` is called where it ends.

    Both are called in the loop that it is attached to; :meth:`run` is for the time without one.
    """

    def __init__(self, code: str, came: Callable[[object], None], ended: Callable[[], None]) -> None:
        self.process = started(code)
        assert self.process.stdin is not None and self.process.stdout is not None
        self._to, self._from = self.process.stdin.fileno(), self.process.stdout.fileno()
        for number in (self._to, self._from):
            os.set_blocking(number, False)
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):
                fcntl.fcntl(self._to, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._came, self._ended = came, ended
        self._frames = Frames()
        self._unsent = deque[bytes | memoryview]()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._full = False

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on this loop, which runs, reads and writes."""
        if self._loop is not loop:
            self._loop, self._full = loop, False
            loop.add_reader(self._from, self._readable)
            self._flush()

    def detach(self) -> None:
        """From now on no loop does; called in the loop's thread, or in another one."""
        loop, self._loop = self._loop, None
        if loop is None or loop.is_closed():
            return
        if not loop.is_running() or loop is _running():
            self._remove(loop)
            return
        done = threading.Event()
        with contextlib.suppress(RuntimeError):  # it was closed meanwhile
            loop.call_soon_threadsafe(self._remove, loop, done)
            done.wait(DETACH_S)

    def send(self, frame: bytes) -> None:
        """Send a value that was framed: at once, or as soon as there is room for it."""
        self._unsent.append(frame)
        if not self._full:
            self._flush()

    def first(self, within_s: float) -> object:
        """The next value, waited for in no loop; ``None`` where none came in that time, or ever."""
        until = time.monotonic() + within_s
        while (left_s := until - time.monotonic()) > 0 and (data := self._next(left_s)) is not None:
            if values := self._frames.feed(data):
                return values[0]
        return None

    def run(self, within_s: float) -> bool:
        """Send and take what comes, in no loop, until the process ends, which is true, or the time is over."""
        until = time.monotonic() + within_s
        while (left_s := until - time.monotonic()) > 0:
            if (data := self._next(left_s)) is None:
                return True
            self._take(data)
        return False

    def close(self) -> int:
        """End the process; its exit status."""
        self.process.kill()
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]
        return self.process.wait()

    def _next(self, within_s: float) -> bytes | None:
        waits = select.poll()
        waits.register(self._from, select.POLLIN)
        if self._unsent:
            waits.register(self._to, select.POLLOUT)
        waits.poll(1000 * within_s)
        self._write()
        return self._read()

    def _flush(self) -> None:
        """Write; where the pipe is full the loop goes on once there is room."""
        self._write()
        loop = self._loop
        if loop is not None and bool(self._unsent) != self._full:
            self._full = not self._full
            if self._full:
                loop.add_writer(self._to, self._flush)
            else:
                loop.remove_writer(self._to)

    def _write(self) -> None:
        unsent = self._unsent
        try:
            while unsent:
                sent = os.writev(self._to, list(itertools.islice(unsent, AT_A_TIME)))
                while sent:
                    first = unsent.popleft()
                    if sent < len(first):
                        unsent.appendleft(memoryview(first)[sent:])
                    sent = max(0, sent - len(first))
        except BlockingIOError:
            return
        except OSError:  # it has ended, which is told when that is read
            unsent.clear()

    def _readable(self) -> None:
        data = self._read()
        if data is None:
            self.detach()
            self._ended()
        else:
            self._take(data)

    def _read(self) -> bytes | None:
        """What has come; ``None`` where the process has ended."""
        try:
            return os.read(self._from, READ_BYTES) or None
        except BlockingIOError:
            return b""
        except OSError:
            return None

    def _take(self, data: bytes) -> None:
        for value in self._frames.feed(data):
            self._came(value)

    def _remove(self, loop: asyncio.AbstractEventLoop, done: threading.Event | None = None) -> None:
        loop.remove_reader(self._from)
        loop.remove_writer(self._to)
        if done is not None:
            done.set()


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None

"""What one exchange may take: bytes and seconds, the room that all open requests share, and the time for the record."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Bytes and seconds of one exchange.

    ``body_bytes`` is the most of a request's body, ``answer_bytes`` of an
    answer that is changed as a whole, ``recorded_bytes`` of either that is
    kept for the record, ``room_bytes`` of all requests that are open at once.
    ``connect_s`` is for a connection to the upstream, ``first_s`` from the
    request's last byte to the answer's first, ``between_s`` from one part of an
    answer to the next, ``client_s`` how long the client may send nothing of
    its request or take nothing of its answer, ``idle_s`` how long a connection
    waits for its next request, ``hold_s`` how long an answer's end waits for
    the record, ``grace_s`` how long open answers may take when k2lab is asked
    to stop.
    """

    body_bytes: int = 64 * MIB
    answer_bytes: int = 64 * MIB
    recorded_bytes: int = 8 * MIB
    room_bytes: int = 1024 * MIB
    connect_s: float = 5.0
    first_s: float = 600.0
    between_s: float = 120.0
    client_s: float = 60.0
    idle_s: float = 75.0
    hold_s: float = 0.25
    grace_s: float = 30.0


class Room:
    """So many bytes for all together.

    >>> room = Room(10)
    >>> room.take(8), room.take(4), room.give_back(8), room.take(4)
    (True, False, None, True)
    """

    __slots__ = ("_left",)

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, size: int) -> bool:
        """Whether there was room for so many bytes more, which are taken then."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def give_back(self, size: int) -> None:
        """What was taken and is free again."""
        self._left += size


class Hold:
    """Waits for futures, for each no longer than ``within_s``, with one timer for all."""

    __slots__ = ("_armed", "_waiting", "_within_s")

    def __init__(self, within_s: float) -> None:
        self._within_s, self._armed = within_s, False
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()

    async def wait(self, future: asyncio.Future[Any]) -> None:
        """Wait until it is done; raises ``TimeoutError`` where it wasn't in time, and ends it."""
        if future.done():
            return
        loop = future.get_loop()
        self._waiting.append((loop.time() + self._within_s, future))
        if not self._armed:
            self._armed = True
            loop.call_later(self._within_s, self._sweep, loop)
        await future

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now, waiting = loop.time(), self._waiting
        while waiting and (waiting[0][0] <= now or waiting[0][1].done()):
            _, future = waiting.popleft()
            if not future.done():
                future.set_exception(TimeoutError())
        self._armed = bool(waiting)
        if waiting:
            loop.call_at(waiting[0][0], self._sweep, loop)

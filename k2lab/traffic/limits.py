"""What one exchange may take: bytes and seconds, and the room that all open requests share."""

from __future__ import annotations

from dataclasses import dataclass

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

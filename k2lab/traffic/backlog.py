"""What waits between two threads, bounded in number and in bytes: what has no room is refused, and nobody waits."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Backlog(Generic[T]):
    """Takes values from one thread and gives them to another in batches.

    >>> backlog = Backlog[str](most=2, most_bytes=10)
    >>> backlog.put("a", 4), backlog.put("b", 7), backlog.put("c", 6), backlog.take(5, 10, wait_s=0)
    (True, False, True, ['a', 'c'])
    """

    def __init__(self, *, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._waiting: deque[tuple[T, int]] = deque()
        self._changed = threading.Condition()
        self._bytes = 0
        self.closed = False

    def put(self, value: T, size: int) -> bool:
        """Whether there was room for a value of so many bytes; one that is alone always has room."""
        with self._changed:
            full = len(self._waiting) >= self._most or (self._waiting and self._bytes + size > self._most_bytes)
            if full or self.closed:
                return False
            self._waiting.append((value, size))
            self._bytes += size
            if len(self._waiting) == 1:
                self._changed.notify()
            return True

    def take(self, most: int, most_bytes: int, *, wait_s: float, gather_s: float = 0.0) -> list[T]:
        """What waits, at most so much and at least one; nothing where nothing came in that time.

        With ``gather_s`` it waits so long for further ones after the first.
        """
        with self._changed:
            if not self._waiting and not self.closed:
                self._changed.wait(wait_s)
            if gather_s and 0 < len(self._waiting) < most and not self.closed:
                self._changed.wait(gather_s)
            taken: list[T] = []
            size = 0
            while self._waiting and len(taken) < most and (not taken or size + self._waiting[0][1] <= most_bytes):
                value, own = self._waiting.popleft()
                taken.append(value)
                size += own
            self._bytes -= size
            return taken

    def close(self) -> None:
        """Refuse what comes from now on; what waits can still be taken."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._waiting)

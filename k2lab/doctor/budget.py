"""What an examination may cost: so many requests, so many seconds; what was said beforehand is kept to."""

from __future__ import annotations

import time

from k2lab.errors import EndpointError, K2LabError

REQUEST_S = 60.0
"""For one answer: those that are asked for are short."""

PATIENCE = 2
"""Requests that may come to nothing for want of time or a connection; a server that lets more of them hang is left."""

SLOW_S = 10.0
"""An answer that failed after so long counts against :data:`PATIENCE`."""


class Spent(K2LabError):
    """Why no further request is sent."""


class Budget:
    """Counts requests, and refuses those that are too many or too late.

    >>> budget = Budget(requests=1, seconds=60)
    >>> budget.spend()
    >>> budget.left
    0
    """

    def __init__(self, *, requests: int, seconds: float) -> None:
        self.requests = requests
        self.seconds = seconds
        self.spent = 0
        self._ends = time.monotonic() + seconds
        self._hung = 0
        self._closed = ""

    @property
    def left(self) -> int:
        """Requests that may still be sent."""
        return 0 if self._closed else max(0, self.requests - self.spent)

    @property
    def request_s(self) -> float:
        """Seconds for the next answer."""
        return max(0.1, min(REQUEST_S, self._ends - time.monotonic()))

    def spend(self) -> None:
        """Count one request, before it is sent; raises :class:`Spent` where it may not be."""
        if self._closed:
            raise Spent(self._closed)
        if self.spent >= self.requests:
            raise Spent(f"the budget of {self.requests} requests is spent")
        if time.monotonic() >= self._ends:
            raise Spent(f"the {self.seconds:.0f} seconds of this examination are over")
        self.spent += 1

    def failed(self, error: EndpointError, lasted_s: float) -> None:
        """Hear of a request without an answer, after so many seconds: a server that is not there is asked no more."""
        if "nobody answers at" in str(error):
            self._closed = str(error)
        self._hung += lasted_s >= SLOW_S
        if self._hung >= PATIENCE:
            self._closed = f"given up after {self._hung} requests without an answer: {error}"

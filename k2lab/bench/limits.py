"""What a run may take of a server: requests at once and a second, seconds, and what a failure means for it."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass

from k2lab.errors import InputError
from k2lab.server.transport import Failure

LONGEST_WAIT_S = 120.0
"""No retry waits longer, whatever a server asks for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a run may take: requests at once, requests a second, seconds a request and altogether, retries."""

    concurrency: int = 16
    rate: float | None = None
    timeout_s: float = 600.0
    deadline_s: float | None = None
    retries: int = 0

    def __post_init__(self) -> None:
        for name in ("concurrency", "rate", "timeout_s", "deadline_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name} must be positive, not {value}")
        if not self.retries >= 0:
            raise InputError(f"retries must not be negative, not {self.retries}")


class Pace:
    """A rate of so many starts a second, kept by all that share it; ``None`` is no limit.

    Two starts are never nearer than the rate says, by this process' clock,
    however late a sleep ends: so in no window of time are there more.
    """

    def __init__(self, rate: float | None) -> None:
        self._apart_s = 0.0 if rate is None else 1 / rate
        self._free_at = 0.0

    async def wait(self) -> None:
        """Until a request may start."""
        while (left_s := self._free_at - time.monotonic()) > 0:
            await asyncio.sleep(left_s)
        self._free_at = time.monotonic() + self._apart_s


def is_fatal(failure: Failure) -> bool:
    """Whether every other request would fail likewise: nobody there, key refused, wrong URL or model."""
    return failure.kind == "connect" or failure.status in (401, 403, 404)


def is_passing(failure: Failure) -> bool:
    """Whether the same request may well succeed later."""
    return failure.status in (408, 409, 425, 429) or (failure.status or 500) >= 500


def wait_s(attempts: int, retry_after_s: float | None) -> float:
    """What the server asks for, else 0.5 s doubled with each attempt; with up to a quarter more at random."""
    least_s = retry_after_s if retry_after_s is not None else 0.5 * 2 ** (attempts - 1)
    return min(least_s, LONGEST_WAIT_S) * random.uniform(1.0, 1.25)

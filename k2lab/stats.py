"""Intervals for shares: the few lines of statistics that a count needs. Standard library only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Share:
    """``count`` of ``total`` with its Wilson score interval ``[low, high]``."""

    count: int
    total: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share itself; 0 of 0 is not a number."""
        return self.count / self.total if self.total else math.nan

    def __str__(self) -> str:
        if not self.total:
            return "0 of 0"
        return f"{self.count} of {self.total} = {self.value:.1%} [{self.low:.1%}, {self.high:.1%}]"


def share(count: int, total: int, confidence: float = CONFIDENCE) -> Share:
    """A share with its interval (Wilson 1927): holds for small counts and at 0 and 1, where the normal one fails."""
    if not 0 <= count <= total:
        raise ValueError(f"count {count} is not between 0 and total {total}")
    if total == 0:
        return Share(0, 0, 0.0, 1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    p = count / total
    middle = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    return Share(count, total, 0.0 if count == 0 else middle - half, 1.0 if count == total else middle + half)

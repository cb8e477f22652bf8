"""Intervals for shares and a test for pairs: the statistics that counts need. Standard library only."""

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


@dataclass(frozen=True)
class McNemar:
    """Pairs of which one side alone is right: ``gained`` by the second, ``lost`` to it, and how likely by chance."""

    gained: int
    lost: int
    p_value: float

    def __str__(self) -> str:
        shown = f"= {self.p_value:.2g}" if self.p_value >= 1e-4 else "below 0.0001"
        return f"{self.gained} gained, {self.lost} lost, p {shown}"


def mcnemar(*, gained: int, lost: int) -> McNemar:
    """McNemar's exact test (1947): two-sided, each discordant pair as likely to fall on either side."""
    n, fewer = gained + lost, min(gained, lost)
    tail = sum(math.comb(n, k) for k in range(fewer + 1))
    return McNemar(gained, lost, min(1.0, 2 * tail / 2**n) if n else 1.0)

"""Intervals for shares, a test for pairs, and how many a difference takes: the statistics that counts need.

Standard library only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.95
ALPHA, POWER = 0.05, 0.8
"""What a plan takes where nothing else is said: the two-sided level, and how often it is to find what is there."""

MOST = 10**12
"""Requests of a plan."""


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


def difference(first: Share, second: Share) -> tuple[float, float]:
    """The interval of ``first`` less ``second``, shares of different requests (Newcombe 1998, method 10).

    Made of the two Wilson intervals, so that it holds at 0 and 1 too. 0 outside of it: the two can be told apart.

    >>> low, high = difference(share(56, 70), share(48, 80))
    >>> round(low, 3), round(high, 3)
    (0.052, 0.334)
    """
    apart = first.value - second.value
    below = math.hypot(first.value - first.low, second.high - second.value)
    above = math.hypot(first.high - first.value, second.value - second.low)
    return apart - below, apart + above


def needed_each(first: float, second: float, *, alpha: float = ALPHA, power: float = POWER) -> int:
    """Requests of each of two arms, not the same ones, to find that their shares differ.

    For the two-sided test of two proportions with pooled variance (Fleiss 1981,
    without correction). Raises :class:`ValueError` for what is no share, and for two equal ones.
    """
    at_level, at_power = _normal(alpha, power, first, second)
    middle = (first + second) / 2
    spread = at_level * math.sqrt(2 * middle * (1 - middle)) + at_power * math.sqrt(
        _variance(first) + _variance(second)
    )
    return _whole((spread / (first - second)) ** 2)


def needed_pairs(first: float, second: float, flips: float, *, alpha: float = ALPHA, power: float = POWER) -> int:
    """Requests that both arms are asked, to find that their shares differ by :func:`mcnemar`.

    ``flips`` is the share of requests on which just one of the two is right.
    Connor's formula (1987), with the correction by one pair that the exact test
    costs. Raises :class:`ValueError` where two such shares cannot flip so often.
    """
    at_level, at_power = _normal(alpha, power, first, second)
    apart = abs(first - second)
    most = min(first + second, 2 - first - second)
    if not apart - 1e-12 <= flips <= most + 1e-12:
        raise ValueError(f"flips of {flips} cannot be: with these shares they lie between {apart:.6g} and {most:.6g}")
    spread = at_level * math.sqrt(flips) + at_power * math.sqrt(max(flips - apart**2, 0.0))
    return _whole(((spread + math.sqrt(spread**2 + 4 * apart)) / (2 * apart)) ** 2)


def unrelated_flips(first: float, second: float) -> float:
    """How often just one of two arms is right where the one's answer says nothing of the other's."""
    return first * (1 - second) + second * (1 - first)


def needed_against(value: float, bar: float, *, alpha: float = ALPHA, power: float = POWER) -> int:
    """Of how many the Wilson interval of a share that is truly ``value`` leaves ``bar`` outside, with that power.

    The score test of one proportion, which that interval inverts. Raises :class:`ValueError` as :func:`needed_each`.
    """
    if not 0 < bar < 1:
        raise ValueError(f"{bar} is no bar between 0 and 1")
    at_level, at_power = _normal(alpha, power, value, bar)
    spread = at_level * math.sqrt(_variance(bar)) + at_power * math.sqrt(_variance(value))
    return _whole((spread / (value - bar)) ** 2)


def _normal(alpha: float, power: float, first: float, second: float) -> tuple[float, float]:
    """The normal quantiles of a two-sided level and of a power; the shares are checked."""
    for name, value in (("level", alpha), ("power", power)):
        if not 0 < value < 1:
            raise ValueError(f"the {name} lies between 0 and 1, not at {value}")
    if power <= alpha / 2:
        raise ValueError(f"a power of {power} is no more than chance at level {alpha}")
    for value in (first, second):
        if not 0 <= value <= 1:
            raise ValueError(f"{value} is no share: it lies between 0 and 1")
    if math.isclose(first, second, rel_tol=0, abs_tol=1e-9):
        raise ValueError(f"both are {first:.6g}: there is no difference to find")
    return NormalDist().inv_cdf(1 - alpha / 2), NormalDist().inv_cdf(power)


def _whole(number: float) -> int:
    if number > MOST:
        raise ValueError(f"a difference so small takes more than {MOST:,} requests")
    return math.ceil(number)


def _variance(value: float) -> float:
    return value * (1 - value)

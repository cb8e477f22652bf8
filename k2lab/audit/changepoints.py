"""When a share changed: binary segmentation of daily counts, each cut held against chance by Fisher's exact test.

A series is one finding of one model and vendor, as exchanges with it of all that
were looked at, by day. The cut whose two sides differ most is kept where its
p-value, two-sided and multiplied by all cuts of all series (Bonferroni), is at
most 0.05; then each side is looked at the same way. So, where nothing changed
anywhere, an audit in twenty or fewer shows a change. The test takes exchanges for
independent: a share that truly differs from day to day shows as changes. Standard
library alone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from k2lab.stats import Share, share

ALPHA = 0.05

Count = tuple[int, int]
"""How many of how many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A change of a series between two days: ``at`` is the first index of the new level."""

    at: int
    before: Share
    after: Share
    p_value: float
    """Of the cut among all that were tried."""


def steps(series: Mapping[str, Sequence[Count]], *, alpha: float = ALPHA) -> dict[str, list[Step]]:
    """The changes in each of several series of daily counts.

    >>> found = steps({"A101": [(2, 100), (3, 100), (1, 100), (31, 100), (28, 100)]})
    >>> [(step.at, str(step.before), str(step.after)) for step in found["A101"]]
    [(3, '6 of 300 = 2.0% [0.9%, 4.3%]', '59 of 200 = 29.5% [23.6%, 36.2%]')]
    """
    tried = sum(max(0, len(days) - 1) for days in series.values())
    found = {name: _steps(days, alpha, tried) for name, days in series.items()}
    return {name: made for name, made in found.items() if made}


def _steps(days: Sequence[Count], alpha: float, tried: int) -> list[Step]:
    cuts = dict(_cuts(days, 0, len(days), alpha, tried))
    ends = [0, *sorted(cuts), len(days)]
    shares = [share(*_total(days[low:high])) for low, high in itertools.pairwise(ends)]
    return [
        Step(at=at, before=before, after=after, p_value=cuts[at])
        for at, before, after in zip(ends[1:-1], shares, shares[1:], strict=False)
    ]


def _cuts(days: Sequence[Count], low: int, high: int, alpha: float, tried: int) -> Iterator[tuple[int, float]]:
    """Where ``[low, high)`` is cut, and its parts in turn, with each p-value."""
    waiting = [(low, high)]
    while waiting:
        low, high = waiting.pop()
        best = min(_tests(days, low, high, math.log(alpha / max(1, tried))), default=None)
        if best is not None and best[0] + math.log(tried) <= math.log(alpha):
            yield best[1], math.exp(best[0] + math.log(tried))
            waiting += [(low, best[1]), (best[1], high)]


def _tests(days: Sequence[Count], low: int, high: int, most: float) -> Iterator[tuple[float, int]]:
    """Each cut whose p-value, as a logarithm, may be as small as ``most``; of most its first term alone is larger."""
    count, total = _total(days[low:high])
    if count in (0, total):
        return
    left_count = left_total = 0
    for at in range(low, high - 1):
        left_count, left_total = left_count + days[at][0], left_total + days[at][1]
        if 0 < left_total < total and _log_of(left_count, left_total, total - left_total, count) <= most:
            yield log_fisher(left_count, left_total, count - left_count, total - left_total), at + 1


def log_fisher(first: int, first_total: int, second: int, second_total: int) -> float:
    """The logarithm of the p-value of two shares being one: Fisher's exact test, twice the smaller tail.

    A logarithm, since of large counts many cuts are less likely than any number of
    a computer's.

    >>> round(math.exp(log_fisher(3, 10, 9, 10)), 4)
    0.0198
    """
    total, count = first_total + second_total, first + second
    low, high = max(0, count - second_total), min(count, first_total)
    mean = first_total * count / total if total else 0
    at, step = first, -1 if first <= mean else 1
    largest, term, tail = _log_of(at, first_total, second_total, count), 1.0, 0.0
    while low <= at <= high and term > tail * 1e-17:
        tail += term
        if step < 0:
            term *= at * (second_total - count + at) / ((count - at + 1) * (first_total - at + 1))
        else:
            term *= (count - at) * (first_total - at) / ((at + 1) * (second_total - count + at + 1))
        at += step
    return min(0.0, largest + math.log(2 * tail))


def _log_of(at: int, first_total: int, second_total: int, count: int) -> float:
    """The logarithm of the hypergeometric probability."""
    return (
        _log_choose(first_total, at)
        + _log_choose(second_total, count - at)
        - _log_choose(first_total + second_total, count)
    )


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _total(days: Iterable[Count]) -> Count:
    count = total = 0
    for some, of in days:
        count, total = count + some, total + of
    return count, total

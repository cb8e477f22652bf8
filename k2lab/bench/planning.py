"""How many requests it takes to find a difference, before a benchmark is run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from k2lab import stats
from k2lab.bench.metrics import overlap_of
from k2lab.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How many requests, and of what: ``each`` says what one is, ``test`` which test finds the difference so often."""

    requests: int
    each: str
    test: str
    alpha: float
    power: float
    given: Mapping[str, float]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = ", ".join(f"{name} {value:.6g}" for name, value in self.given.items())
        return (
            f"{self.requests:,} {self.each}: {said}; found in {self.power:.6g} of such runs"
            f" at level {self.alpha:.6g}, two-sided ({self.test})"
        )


def two_shares(first: float, second: float, *, alpha: float = stats.ALPHA, power: float = stats.POWER) -> Plan:
    """For two arms that are asked different requests. Raises :class:`InputError` in a line for what cannot be.

    >>> two_shares(0.8, 0.85).requests
    906
    """
    return Plan(
        requests=_checked(stats.needed_each, first, second, alpha=alpha, power=power),
        each="requests in each arm",
        test="two proportions, Fleiss 1981",
        alpha=alpha,
        power=power,
        given={"share": first, "against": second},
    )


def pairs(
    first: float,
    second: float,
    flips: float | None = None,
    *,
    alpha: float = stats.ALPHA,
    power: float = stats.POWER,
) -> Plan:
    """For two arms that are asked the same requests, as ``k2lab bench compare`` takes them.

    ``flips``: the share of requests on which just one arm is right; by default
    as many as two unrelated arms have, which is usually more than there are.

    >>> pairs(0.8, 0.85, 0.1).requests
    351
    """
    given = stats.unrelated_flips(first, second) if flips is None else flips
    note = "flips are not given: taken as if the arms were unrelated; arms that differ in one thing flip less"
    return Plan(
        requests=_checked(stats.needed_pairs, first, second, given, alpha=alpha, power=power),
        each="requests, asked of both arms",
        test="McNemar's exact test, Connor 1987",
        alpha=alpha,
        power=power,
        given={"share": first, "against": second, "flips": given},
        notes=(note,) if flips is None else (),
    )


def f1_against(
    f1: float,
    bar: float,
    calling: float | None = None,
    *,
    alpha: float = stats.ALPHA,
    power: float = stats.POWER,
) -> Plan:
    """For one arm with a true F1, to say on which side of a bar it is.

    ``calling``: the share of all requests in which the arm or its reference
    calls, since others say nothing of F1; by default only those are counted.

    >>> f1_against(0.70, 0.73, 0.6).requests
    2434
    """
    for value in (f1, bar):
        if not 0 <= value <= 1:
            raise InputError(f"{value} is no F1: it lies between 0 and 1")
    if calling is not None and not 0 < calling <= 1:
        raise InputError(f"calling is a share of the requests above 0 and up to 1, not {calling}")
    wanted = _checked(stats.needed_against, overlap_of(f1), overlap_of(bar), alpha=alpha, power=power)
    return Plan(
        requests=math.ceil(wanted / (calling or 1)),
        each="requests" if calling else "requests in which the arm or its reference calls",
        test="Wilson interval of TP / (TP + FP + FN)",
        alpha=alpha,
        power=power,
        given={"F1": f1, "against": bar, **({"calling": calling} if calling else {})},
    )


def _checked(needed: Callable[..., int], *shares: float, alpha: float, power: float) -> int:
    try:
        return needed(*shares, alpha=alpha, power=power)
    except ValueError as error:
        raise InputError(str(error)) from None

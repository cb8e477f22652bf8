"""Histories with ids of another system, and the same ones renumbered: what problem 3 asks a model."""

from __future__ import annotations

from functools import partial

from k2lab.nano.evaluate import changed
from k2lab.nano.synth import Case, Pool, deep_cases, with_foreign_ids
from k2lab.repairs import repair

MISLED, MIXED, RENUMBERED = "n calls, all foreign", "four calls, first n foreign", "n calls, renumbered"
"""The kinds of history, by what ``n`` counts."""

MOST = 4
"""Earlier calls of the longest history."""


def by_foreign_ids(pool: Pool, seed: int, count: int) -> dict[str, list[list[Case]]]:
    """For each kind of history, and for each ``n`` from 0 to :data:`MOST`, ``count`` asks after it."""
    plain = [deep_cases(pool, seed, count, earlier_calls=n) for n in range(MOST + 1)]
    misled = [changed(cases, partial(with_foreign_ids, count=MOST)) for cases in plain]
    return {
        MISLED: misled,
        MIXED: [changed(plain[MOST], partial(with_foreign_ids, count=n)) for n in range(MOST + 1)],
        RENUMBERED: [changed(cases, lambda request: repair(request).request) for cases in misled],
    }

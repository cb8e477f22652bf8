"""Delta debugging: of a list, as few items as a test still holds for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def fewest(items: Sequence[Item], holds: Callable[[list[Item]], bool], *, least: int = 0) -> list[Item]:
    """Items of which none can be left out alone, at least ``least`` of them; ``holds`` is true of all of them.

    First as few as can be are tried at once, then chunks of half, a quarter and
    so on down to one (Zeller and Hildebrandt, "Simplifying and Isolating
    Failure-Inducing Input", IEEE TSE 28(2), 2002; complements alone). The order
    stays. ``holds`` may raise to end the search: whoever gave it keeps the best.

    >>> fewest(range(20), lambda kept: {3, 11} <= set(kept))
    [3, 11]
    """
    kept = list(items)
    if len(kept) > least and holds(kept[:least]):
        return kept[:least]
    size = max(1, len(kept) // 2)
    while True:
        smaller = _without_chunks(kept, size, holds, least)
        if size == 1 and len(smaller) == len(kept):
            return kept
        kept, size = smaller, max(1, min(size // 2, len(smaller) // 2))


def _without_chunks(items: list[Item], size: int, holds: Callable[[list[Item]], bool], least: int) -> list[Item]:
    """Each chunk of so many items left out where it can be, from the last to the first."""
    kept = list(items)
    for start in range((len(kept) - 1) // size * size, -1, -size) if kept else ():
        rest = kept[:start] + kept[start + size :]
        if least <= len(rest) < len(kept) and holds(rest):
            kept = rest
    return kept

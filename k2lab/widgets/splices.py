"""What changed between two states of a list: one run is taken out and one put in, which is all that is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from k2lab.prompt.alignment import common_prefix

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True, slots=True)
class Splice(Generic[Item]):
    """At index ``at``, ``drop`` items go and ``put`` come in their place."""

    at: int
    drop: int
    put: Sequence[Item]

    @property
    def changes(self) -> bool:
        """Whether anything differs."""
        return bool(self.drop or self.put)

    def applied(self, old: Sequence[Item]) -> list[Item]:
        """The new list."""
        return [*old[: self.at], *self.put, *old[self.at + self.drop :]]


def splice(old: Sequence[Item], new: Sequence[Item]) -> Splice[Item]:
    """The one run in which two lists differ.

    >>> splice([1, 2, 3, 4], [1, 9, 4])
    Splice(at=1, drop=2, put=[9])
    """
    start = common_prefix(old, new)  # type: ignore[arg-type]
    end, most = 0, min(len(old), len(new)) - start
    while end < most and old[-1 - end] == new[-1 - end]:
        end += 1
    return Splice(at=start, drop=len(old) - start - end, put=new[start : len(new) - end])

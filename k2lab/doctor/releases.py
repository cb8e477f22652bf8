"""Releases in their order: which there are, and between which of them something changed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from k2lab import engine

PUBLISHED = (
    *("0.10.2", "0.11.0", "0.11.1", "0.11.2", "0.12.0", "0.13.0", "0.14.0", "0.14.1", "0.15.0", "0.15.1", "0.16.0"),
    *("0.17.0", "0.17.1", "0.18.0", "0.18.1", "0.19.0", "0.19.1", "0.20.0", "0.20.1", "0.20.2", "0.21.0", "0.22.0"),
    *("0.22.1", "0.23.0", "0.24.0", "0.25.0", "0.25.1", "0.26.0", "0.27.0", "0.27.1", "0.28.0", "0.29.0", "0.30.0"),
    *("0.31.0", "0.32.0"),
)
"""vLLM's releases of which there is a build for CPUs on PyPI, from the first that knows Kimi's form well."""


RIGHT = 2
"""All is right: :attr:`Known.right`."""

Kind = Literal["mended", "partly mended", "came", "came back", "worse", "changed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What is known of a fault in a release: a word, and how much is right: 2 all, 1 a part, 0 nothing."""

    word: str
    right: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """Two releases, one after the other among those asked, that differ; and the releases between that were not."""

    before: str
    after: str
    was: str
    now: str
    kind: Kind
    locked: tuple[str, ...] = ()
    """Between them, and to be installed by name."""
    others: tuple[str, ...] = ()
    """Between them, without a lock."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {name: getattr(self, name) for name in self.__slots__}


def in_order(names: Iterable[str]) -> list[str]:
    """Releases by number; what is no release comes last, as given.

    >>> in_order(["0.32.0", "this", "0.9.2", "0.11.0"])
    ['0.9.2', '0.11.0', '0.32.0', 'this']
    """
    return sorted(names, key=lambda name: _numbers(name) or (1 << 30,))


def changes(known: Mapping[str, Known]) -> list[Change]:
    """Where what is known is something else than in the release before; in their order.

    >>> faulty, mended = Known(word="lost", right=0), Known(word="right", right=2)
    >>> found = changes({"0.11.0": faulty, "0.11.1": mended, "0.13.0": faulty})
    >>> [(change.after, change.kind) for change in found]
    [('0.11.1', 'mended'), ('0.13.0', 'came back')]
    """
    names = in_order(name for name in known if _numbers(name))
    found: list[Change] = []
    for before, after in itertools.pairwise(names):
        if known[before] != known[after]:
            earlier = any(known[name].right < RIGHT for name in names[: names.index(after)])
            found.append(_change(before, after, known, _kind(known[before], known[after], earlier)))
    return found


def between(before: str, after: str) -> list[str]:
    """Published releases after the one and before the other.

    >>> between("0.11.1", "0.13.0")
    ['0.11.2', '0.12.0']
    """
    first, last = _numbers(before), _numbers(after)
    return [name for name in PUBLISHED if first < _numbers(name) < last]


def _change(before: str, after: str, known: Mapping[str, Known], kind: Kind) -> Change:
    unasked, locked = between(before, after), set(engine.versions())
    return Change(
        before=before,
        after=after,
        was=known[before].word,
        now=known[after].word,
        kind=kind,
        locked=tuple(name for name in unasked if name in locked),
        others=tuple(name for name in unasked if name not in locked),
    )


def _kind(was: Known, now: Known, earlier: bool) -> Kind:
    if now.right == was.right:
        return "changed"
    if now.right > was.right:
        return "mended" if now.right == RIGHT else "partly mended"
    return "worse" if was.right < RIGHT else "came back" if earlier else "came"


def _numbers(name: str) -> tuple[int, ...]:
    """The numbers of a release; empty for another name."""
    parts: Sequence[str] = name.split(".")
    return tuple(map(int, parts)) if all(part.isdigit() for part in parts) else ()

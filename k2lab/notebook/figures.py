"""The figures of a conclusion: what a notebook recorded, read as shares, counts and tests, each under its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from k2lab.legible import one_line, shortened

DEEPEST = 4
"""Names above a figure; what lies deeper is in ``summary.json``."""

MOST_IN_GROUP = 40
"""A result with more figures shows its shares and tests alone."""

MOST = 400
"""Figures of a run that are shown or compared."""

LARGEST = 10**12
"""A count beyond it is none."""

LONGEST = 80
"""Characters of a name or of a text that counts as a figure."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyFigure:
    """One figure; ``said`` is what one reads, ``raw`` what two runs are compared by."""

    path: tuple[str, ...]
    said: str
    raw: object
    share: float | None = None
    """Between 0 and 1."""
    low: float = 0.0
    high: float = 0.0
    """Ends of the 95 % interval of a share."""

    @property
    def name(self) -> str:
        """The path in words."""
        return " · ".join(self.path)


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The figures of one recorded result."""

    name: str
    figures: tuple[KeyFigure, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The last names, where each figure has a row's and a column's; none for a plain list."""
        if all(len(figure.path) > 2 for figure in self.figures):
            return tuple(dict.fromkeys(" · ".join(figure.path[2:]) for figure in self.figures))
        return ()

    @property
    def rows(self) -> Mapping[str, Mapping[str, KeyFigure]]:
        """Name of a row -> column -> figure; a plain list has the one column ``""``."""
        made: dict[str, dict[str, KeyFigure]] = {}
        for figure in self.figures:
            row, column = figure.path[1:2], figure.path[2:]
            if not self.columns:
                row, column = figure.path[1:], ()
            made.setdefault(" · ".join(row), {})[" · ".join(column)] = figure
        return made


def groups(results: Mapping[str, Any]) -> tuple[Group, ...]:
    """The results that have figures, in the order of their recording.

    >>> called = {"count": 0, "total": 200, "low": 0.0, "high": 0.0188}
    >>> [one.said for one in groups({"asked": {"called": called, "ids": [1015, 290]}})[0].figures]
    ['0 of 200 (0.0 %; 0.0 to 1.9 %)', '1015, 290']
    """
    made: list[Group] = []
    left = MOST
    for name, value in results.items():
        found = tuple(_chosen(list(_figures(value, (_word(name),)))))[:left]
        left -= len(found)
        if found:
            made.append(Group(name=_word(name), figures=found))
    return tuple(made)


def split(found: Sequence[Group]) -> tuple[tuple[KeyFigure, ...], tuple[Group, ...]]:
    """The figures that stand alone, and the groups of several."""
    alone = tuple(figure for group in found if len(group.figures) == 1 for figure in group.figures)
    return alone, tuple(group for group in found if len(group.figures) > 1)


def _chosen(found: Sequence[KeyFigure]) -> Sequence[KeyFigure]:
    if len(found) <= MOST_IN_GROUP:
        return found
    return [one for one in found if one.share is not None or isinstance(one.raw, tuple)] or found[:MOST_IN_GROUP]


def _figures(value: object, path: tuple[str, ...]) -> Iterator[KeyFigure]:
    if (one := _figure(value, path)) is not None:
        yield one
    elif isinstance(value, Mapping) and len(path) < DEEPEST:
        for name, inner in value.items():
            yield from _figures(inner, (*path, _word(name)))
    elif isinstance(value, list) and value and len(path) < DEEPEST and all(_is_share(one) for one in value):
        for number, inner in enumerate(value, 1):
            yield from _figures(inner, (*path, str(number)))


def _figure(value: object, path: tuple[str, ...]) -> KeyFigure | None:
    match value:
        case bool() | int() | float() | str():
            return KeyFigure(path=path, said=_said(value), raw=value)
        case {"count": int() as count, "total": int() as total, "low": low, "high": high} if _is_share(value):
            part = count / total if total else 0.0
            words = f"{count:,} of {total:,} ({_percent(part)} %; {_percent(low)} to {_percent(high)} %)"
            return KeyFigure(path=path, said=words, raw=(count, total), share=part, low=low, high=high)
        case {"gained": int() as gained, "lost": int() as lost, "p_value": float() | int() as p_value} if (
            0 <= gained < LARGEST and 0 <= lost < LARGEST and 0 <= p_value <= 1
        ):
            words = f"{gained:,} gained, {lost:,} lost, p = {p_value:.2g}"
            return KeyFigure(path=path, said=words, raw=(gained, lost))
        case list() if value and len(value) <= 8 and all(isinstance(one, int | float | str) for one in value):
            return KeyFigure(path=path, said=shortened(", ".join(map(str, value)), LONGEST), raw=list(value))
    return None


def _is_share(value: object) -> bool:
    match value:
        case {
            "count": int() as count,
            "total": int() as total,
            "low": int() | float() as low,
            "high": int() | float() as high,
        }:
            return 0 <= count <= total < LARGEST and 0 <= low <= high <= 1
    return False


def _said(value: object) -> str:
    if isinstance(value, bool | str):
        return _word(value)
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 10**18 else f"{value:.3g}" if abs(value) < 10**300 else "a huge number"
    return f"{value:,.4g}"


def _word(value: object) -> str:
    return shortened(one_line(str(value)), LONGEST)


def _percent(part: float) -> str:
    return f"{100 * part:.1f}"

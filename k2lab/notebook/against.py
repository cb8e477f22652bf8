"""What changed since an earlier run of the same notebook: verdict, versions, parameters, and figure by figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from k2lab.notebook.figures import KeyFigure
from k2lab.notebook.runs import Run

MOST_SHOWN = 60
"""Figures of a page's comparison; how many more there are is said."""

Kind = Literal["same", "moved", "apart", "new", "gone", "unlike"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One thing then and now; ``said`` is how they differ."""

    name: str
    before: str
    after: str
    kind: Kind
    """``apart``: shares whose intervals do not meet; ``unlike``: of other questions, which is not compared."""
    said: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """A run beside the earlier one; ``None`` of an earlier one that is not there."""

    before: Run | None
    facts: tuple[Change, ...] = ()
    """Verdict, versions, servers, parameters: those that differ."""
    figures: tuple[Change, ...] = ()
    """Those that are not the same, at most :data:`MOST_SHOWN`."""
    left_out: int = 0
    same: int = 0
    asked: tuple[str, ...] = ()
    """Parameters that differ: figures of other questions are not compared."""

    @property
    def summary(self) -> str:
        """In a few words."""
        if self.before is None:
            return "the earlier summary tells of no run of this notebook"
        moved = len(self.figures) + self.left_out
        counted = f"{moved:,} figure{'s' if moved != 1 else ''}"
        if self.asked:
            return f"other parameters ({', '.join(self.asked)}): {counted} side by side, none compared"
        verdict = [f"{fact.name} {fact.before} → {fact.after}" for fact in self.facts if fact.name == "verdict"]
        return ", ".join([*verdict, f"{counted} changed, {self.same:,} the same"])


def changes_between(before: Run | None, after: Run) -> Changes:
    """What differs; with other parameters the figures stand side by side and are called neither equal nor changed."""
    if before is None:
        return Changes(before=None)
    asked = tuple(name for name, *_ in _differing(before.parameters, after.parameters))
    figures = list(_figures(_by_path(before), _by_path(after), like=not asked))
    told = [change for change in figures if change.kind != "same"]
    return Changes(
        before=before,
        facts=tuple(_facts(before, after)),
        figures=tuple(told[:MOST_SHOWN]),
        left_out=max(0, len(told) - MOST_SHOWN),
        same=len(figures) - len(told),
        asked=asked,
    )


def _facts(before: Run, after: Run) -> Iterator[Change]:
    given = {name: f"parameter {name}" for name in {**before.parameters, **after.parameters}}
    old = {"verdict": before.state, "error": before.error, "servers": ", ".join(before.servers), **before.versions}
    new = {"verdict": after.state, "error": after.error, "servers": ", ".join(after.servers), **after.versions}
    for name, was, now in _differing(old, new):
        yield Change(name=name, before=was, after=now, kind="moved", said="")
    for name, was, now in _differing(before.parameters, after.parameters):
        yield Change(name=given[name], before=was, after=now, kind="moved", said="")


def _differing(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name in {**before, **after}:
        was, now = before.get(name, ""), after.get(name, "")
        if was != now:
            yield name, was or "(none)", now or "(none)"


def _by_path(run: Run) -> dict[tuple[str, ...], KeyFigure]:
    return {figure.path: figure for group in run.groups for figure in group.figures}


def _figures(
    before: Mapping[tuple[str, ...], KeyFigure], after: Mapping[tuple[str, ...], KeyFigure], *, like: bool
) -> Iterator[Change]:
    for path in {**before, **after}:
        was, now = before.get(path), after.get(path)
        named = was or now
        kind, said = _judged(was, now, like=like)
        yield Change(
            name=named.name if named else "",
            before=was.said if was else "(none)",
            after=now.said if now else "(none)",
            kind=kind,
            said=said,
        )


def _judged(was: KeyFigure | None, now: KeyFigure | None, *, like: bool) -> tuple[Kind, str]:
    if was is None or now is None:
        return ("new", "new") if was is None else ("gone", "not there any more")
    if not like:
        return "unlike", "other parameters: not compared"
    if was.raw == now.raw:
        return "same", "the same"
    if was.share is None or now.share is None:
        return "moved", _difference(was.raw, now.raw)
    points = f"{100 * (now.share - was.share):+.1f} points"
    of = "" if _total(was) == _total(now) else ", of another number"
    if was.high < now.low or now.high < was.low:
        return "apart", f"{points}{of}; the intervals do not meet"
    return "moved", f"{points}{of}; the intervals overlap"


def _difference(was: object, now: object) -> str:
    if isinstance(was, bool) or isinstance(now, bool):
        return "changed"
    if isinstance(was, int | float) and isinstance(now, int | float) and max(abs(was), abs(now)) < 1e15:
        part = f" ({100 * (now - was) / abs(was):+.1f} %)" if was else ""
        return f"{now - was:+,.4g}{part}"
    return "changed"


def _total(figure: KeyFigure) -> object:
    return figure.raw[1] if isinstance(figure.raw, tuple) else None

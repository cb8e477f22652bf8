"""Tallies: counts of exchanges and findings that add up, however the work was cut."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from k2lab.audit.tables import CODE, EXCHANGE, LAYER, LEVEL, OUTSIDE

EXAMPLES, NAMED = 3, 50
"""Exchanges of a code that are shown, those with the smallest keys: a reservoir that no order of reading changes; and
rows without an exchange that are named, the first in the order of sources."""

COUNTERS = ("findings", "reasons", "forms", "lacks", "left_out")

Place = tuple[str, int, str]
"""Source, row and item."""


@dataclass(kw_only=True, slots=True)
class Cell:
    """One model of one vendor on one day.

    ``looked`` and ``faulty`` are exchanges, ``unknown`` rows and exchanges that could
    not be looked at in full, ``by`` exchanges with a code, a layer or a level, as
    ``code:A101``.
    """

    looked: int = 0
    faulty: int = 0
    unknown: int = 0
    by: Counter[str] = field(default_factory=Counter)

    def add(self, other: Cell) -> None:
        """Add another's counts."""
        self.looked += other.looked
        self.faulty += other.faulty
        self.unknown += other.unknown
        self.by.update(other.by)


@dataclass(kw_only=True, slots=True)
class Tally:
    """What tables of findings come to; every field is a sum, or the smallest of its kind."""

    cells: dict[tuple[str, str, str], Cell] = field(default_factory=dict)
    """By model, vendor and day."""
    findings: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    forms: Counter[str] = field(default_factory=Counter)
    lacks: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    """Rows that nobody asked for, by the reason."""
    unknown: list[tuple[Place, str]] = field(default_factory=list)
    examples: dict[str, dict[str, tuple[Place, list[str]]]] = field(default_factory=dict)
    """Code -> key -> where it is, and model, vendor, day, place and evidence."""

    def take(self, table: pa.Table) -> None:
        """Count a table of findings."""
        names = ("model", "vendor", "day", "state", "firsts", "code", "layer", "level", "form", "lacks")
        rest = ("key", "source", "row", "item", "place", "evidence")
        columns = [table[name].to_pylist() for name in names]
        places: list[list[Any]] | None = None
        for index, (model, vendor, day, state, firsts, code, layer, level, form, lacks) in enumerate(
            zip(*columns, strict=True)
        ):
            if state == "left_out":
                places = places or [table[name].to_pylist() for name in rest]
                self.left_out[places[-1][index]] += 1
                continue
            cell = self.cells.get((model, vendor, day)) or self.cells.setdefault((model, vendor, day), Cell())
            if firsts & (EXCHANGE | OUTSIDE):
                self.forms[form] += 1
                for lacked in lacks.split(",") if lacks else ():
                    self.lacks[lacked] += 1
                cell.looked += state != "unknown" and firsts & EXCHANGE
            if state == "clean":
                continue
            places = places or [table[name].to_pylist() for name in rest]
            key, source, row, item, place, evidence = (column[index] for column in places)
            if state == "unknown":
                cell.unknown += 1
                self._unknown((source, row, item), evidence)
                continue
            self.findings[code] += 1
            cell.faulty += bool(firsts & EXCHANGE)
            for bit, name in ((CODE, f"code:{code}"), (LAYER, f"layer:{layer}"), (LEVEL, f"level:{level}")):
                if firsts & bit:
                    cell.by[name] += 1
            if firsts & CODE:
                self._example(code, key, (source, row, item), [model, vendor, day, place, evidence])

    def add(self, other: Tally) -> None:
        """Add another's counts."""
        for place, cell in other.cells.items():
            self.cells.setdefault(place, Cell()).add(cell)
        for name in COUNTERS:
            getattr(self, name).update(getattr(other, name))
        self._keep_unknown(other.unknown)
        for code, found in other.examples.items():
            for key, (where, told) in found.items():
                self._example(code, key, where, told)

    def _unknown(self, where: Place, reason: str) -> None:
        self.reasons[reason.partition(": ")[0]] += 1
        if len(self.unknown) < NAMED or (where, reason) < self.unknown[-1]:
            self._keep_unknown([(where, reason)])

    def _keep_unknown(self, found: Iterable[tuple[Place, str]]) -> None:
        self.unknown = heapq.nsmallest(NAMED, [*self.unknown, *found])

    def _example(self, code: str, key: str, where: Place, told: list[str]) -> None:
        kept = self.examples.setdefault(code, {})
        if key in kept:
            kept[key] = min(kept[key], (where, told))
        elif len(kept) < EXAMPLES:
            kept[key] = (where, told)
        elif key < (last := max(kept)):
            del kept[last]
            kept[key] = (where, told)

    def to_json(self) -> dict[str, Any]:
        """Plain data, in a settled order."""
        return {
            "cells": [
                [*place, cell.looked, cell.faulty, cell.unknown, dict(sorted(cell.by.items()))]
                for place, cell in sorted(self.cells.items())
            ],
            **{name: dict(sorted(getattr(self, name).items())) for name in COUNTERS},
            "unknown": [[*where, reason] for where, reason in self.unknown],
            "examples": {
                code: [[key, *where, *told] for key, (where, told) in sorted(found.items())]
                for code, found in sorted(self.examples.items())
            },
        }

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Tally:
        """What :meth:`to_json` wrote."""
        tally = cls()
        for model, vendor, day, looked, faulty, unknown, by in data["cells"]:
            tally.cells[model, vendor, day] = Cell(looked=looked, faulty=faulty, unknown=unknown, by=Counter(by))
        for name in COUNTERS:
            setattr(tally, name, Counter(data[name]))
        tally.unknown = [((source, row, item), reason) for source, row, item, reason in data["unknown"]]
        for code, found in data["examples"].items():
            tally.examples[code] = {key: ((source, row, item), told) for key, source, row, item, *told in found}
        return tally

"""The sweep: every fault that can be looked for without weights, in every release at hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from k2lab import engine
from k2lab.doctor import promptfaults, releases
from k2lab.doctor.releases import Change, Known
from k2lab.engine import warm
from k2lab.errors import EngineError, first_line
from k2lab.findings import State
from k2lab.nano import folders
from k2lab.server import parsers
from k2lab.server.parsers import Failure, Reading

AT_ONCE = 2
"""Releases that are asked side by side: each has a process with vLLM imported, of more than a GB."""

RIGHT, AT = "right", " at "
"""Of a cell's word: ``right``, ``lost``, ``lost at 1 token, 7 tokens``, which means that the whole text is read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One fault in one release. ``word`` says how it shows: ``lost at 7 tokens``; ``detail`` is evidence or reason."""

    fault: str
    release: str
    state: State
    word: str
    detail: str = ""

    @property
    def known(self) -> Known:
        """For comparing releases."""
        part = 1 if AT in self.word else 0
        return Known(word=self.word, right=releases.RIGHT if self.state == "absent" else part)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {name: getattr(self, name) for name in self.__slots__}


def changes_of(row: Iterable[Cell]) -> list[Change]:
    """Where one fault changed; releases that could not be asked are passed over."""
    return releases.changes({cell.release: cell.known for cell in row if cell.state != "unknown"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """A table of faults by release, and where each fault was mended or came back."""

    releases: tuple[str, ...]
    cells: tuple[Cell, ...]
    """By fault, then in the order of the releases."""

    @property
    def rows(self) -> dict[str, list[Cell]]:
        """The cells of each fault, a release each."""
        return {fault: list(cells) for fault, cells in groupby(self.cells, key=lambda cell: cell.fault)}

    @property
    def changes(self) -> dict[str, list[Change]]:
        """Where each fault changed, where one did."""
        return {fault: found for fault, row in self.rows.items() if (found := changes_of(row))}

    @property
    def counts(self) -> dict[str, int]:
        """How many faults are there, by release."""
        there = Counter(cell.release for cell in self.cells if cell.state == "present")
        return {release: there[release] for release in self.releases}

    @property
    def reasons(self) -> dict[str, str]:
        """Why releases could not be asked, the first reason of each."""
        unknown = [cell for cell in self.cells if cell.state == "unknown"]
        return {cell.release: cell.detail for cell in reversed(unknown)}

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        changed = {fault: [change.to_json() for change in found] for fault, found in self.changes.items()}
        return {
            "releases": list(self.releases),
            "cells": [cell.to_json() for cell in self.cells],
            "changes": changed,
            "unknown": self.reasons,
        }


def sweep(
    names: Sequence[str] = (),
    failures: Sequence[Failure] | None = None,
    *,
    told: Callable[[str], None] = lambda name: None,
) -> Sweep:
    """Look for every known fault in the releases named, by default in all that are installed.

    Asked are the code of a release that makes prompts (:mod:`k2lab.doctor.promptfaults`)
    and its parser, on the catalogue of recorded outputs or ``failures``. ``told`` hears
    of each release that is done. A release that cannot be asked is ``unknown`` with the
    reason; raises :class:`EngineError` where none can.
    """
    outputs = parsers.catalogue() if failures is None else failures
    asked = asked_of(names)
    cells = _table(asked, lambda name: [*_of_prompts(name), *_of_outputs(name, outputs)], told)
    return Sweep(releases=tuple(asked), cells=tuple(cells))


def sweep_outputs(outputs: Sequence[Failure], names: Sequence[str] = ()) -> list[Cell]:
    """What each release's parser makes of these outputs: by output, then in the order of the releases.

    Raises :class:`EngineError` where none can be asked.
    """
    return _table(asked_of(names), lambda name: _of_outputs(name, outputs))


def asked_of(names: Sequence[str]) -> list[str]:
    """The releases that are asked, each once, in their order: those named, or those installed."""
    return releases.in_order(dict.fromkeys(names or engine.installed()))


def _table(
    names: Sequence[str], ask: Callable[[str], list[Cell]], told: Callable[[str], None] = lambda name: None
) -> list[Cell]:
    """The columns of several releases, made side by side, as rows."""

    def column(name: str) -> list[Cell]:
        try:
            cells = ask(name)
        finally:
            _let_go(name)
        told(name)
        return cells

    with ThreadPoolExecutor(AT_ONCE) as pool:
        columns = list(pool.map(column, names))
    cells = [cell for row in zip(*columns, strict=True) for cell in row]
    if all(cell.state == "unknown" for cell in cells):
        raise EngineError(f"no release could be asked; {names[0]}: {cells[0].detail}")
    return cells


def _of_prompts(name: str) -> list[Cell]:
    try:
        made = promptfaults.made_prompts(name)
    except EngineError as error:
        return [_unknown(fault.name, name, first_line(error)) for fault in promptfaults.FAULTS]
    return [_of_prompt(fault, name, made[fault.name]) for fault in promptfaults.FAULTS]


def _of_prompt(fault: promptfaults.Fault, name: str, made: promptfaults.Made) -> Cell:
    if made.text is None:
        refused = "JSONDecodeError" in made.error
        return (
            Cell(fault=fault.name, release=name, state="absent", word="refused", detail=made.error)
            if refused
            else _unknown(fault.name, name, made.error)
        )
    present = fault.shown_by(made.text)
    return Cell(
        fault=fault.name,
        release=name,
        state="present" if present else "absent",
        word="there" if present else RIGHT,
        detail=made.text,
    )


def _of_outputs(name: str, outputs: Sequence[Failure]) -> list[Cell]:
    readings = parsers.ask_engine(name, outputs, folders.assemble("current"))
    by_case = parsers.matrix(readings)
    return [cell_of(name, output.case_id, list(by_case[output.case_id].values())) for output in outputs]


def cell_of(name: str, case_id: str, readings: Sequence[Reading]) -> Cell:
    """What a release makes of one output, whole and in chunks, in one word.

    The readings are of the whole and then of chunks: what goes wrong with the
    whole counts first.
    """
    bad = [reading for reading in readings if reading.outcome != RIGHT]
    if not bad:
        return Cell(fault=case_id, release=name, state="absent", word=RIGHT)
    first = bad[0]
    if first.outcome == "not asked":
        return _unknown(case_id, name, first.detail)
    fed = ", ".join(reading.column.removeprefix(f"{name} ") for reading in bad)
    word = first.outcome + ("" if first is readings[0] else f"{AT}{fed}")
    return Cell(fault=case_id, release=name, state="present", word=word, detail=said(first))


def said(reading: Reading) -> str:
    """The evidence of a reading: the parser's error, or what it answered."""
    calls = ", ".join(f"{call.name}({call.arguments})" for call in reading.calls)
    return reading.detail or f"content {reading.content!r}, calls: {calls or 'none'}"


def _unknown(fault: str, release: str, reason: str) -> Cell:
    return Cell(fault=fault, release=release, state="unknown", word="unknown", detail=reason)


def _let_go(name: str) -> None:
    """Give the memory of its imported engine back, if it was imported for this."""
    try:
        python = engine.resolve(name).python
    except EngineError:
        return
    if python is not None:
        warm.end(python)

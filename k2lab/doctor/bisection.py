"""Which release first reads a raw output, or first loses it: every release at hand is asked, since there are few."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k2lab import chat, files, jsonread, wire
from k2lab.doctor.releases import Change
from k2lab.doctor.sweeping import RIGHT, Cell, changes_of, sweep_outputs
from k2lab.errors import InputError
from k2lab.server import parsers
from k2lab.server.parsers import Failure

MOST_NAMED = 10
"""Cases of a catalogue that an error names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bisection:
    """What each release makes of one output, and where that changes."""

    output: Failure
    cells: tuple[Cell, ...]
    """A release each, in their order."""

    @property
    def changes(self) -> list[Change]:
        """Each change of what is read, in the order of the releases."""
        return changes_of(self.cells)

    @property
    def known(self) -> list[Cell]:
        """The releases that could be asked."""
        return [cell for cell in self.cells if cell.state != "unknown"]

    @property
    def verdict(self) -> str:
        """In one line: the first release that reads it, the first that loses it, or that none does."""
        right = [cell.state == "absent" for cell in self.known]
        if all(right):
            return "every release that was asked reads it"
        if not any(right):
            return "no release that was asked reads it"
        return "; ".join(_told(change) for change in self.changes)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "verdict": self.verdict,
            "expected": {"calls": [[call.name, call.value] for call in self.output.calls],
                         "content": self.output.content},
            "releases": [cell.to_json() for cell in self.cells],
            "changes": [change.to_json() for change in self.changes],
        }  # fmt: skip


def bisect(output: Failure, names: Sequence[str] = ()) -> Bisection:
    """Ask the parser of each release named, by default of all that are installed, for one output.

    Raises :class:`~k2lab.errors.EngineError` where none can be asked.
    """
    return Bisection(output=output, cells=tuple(sweep_outputs([output], names)))


def output_of(path: Path, tools: Path | None = None, expect: Path | None = None, case: str = "") -> Failure:
    """The output in a file: the raw text of a model, or a line of a catalogue.

    Of a catalogue of several lines, ``case`` is the id of one. What is expected of a
    raw text is in ``expect``: a list of calls, or an object with ``calls`` and
    ``content``; where nothing says it, what :mod:`k2lab.wire` reads. Raises
    :class:`InputError`.
    """
    data = files.read_bytes(path, "the output")
    if _is_catalogue(data):
        if tools or expect:
            raise InputError(f"{path} is a catalogue, whose lines say themselves what is on offer and expected")
        return _case(parsers.catalogue(path), path, case)
    text = data.decode("utf-8", errors="replace")
    foreign = wire.foreign_form(text)
    if foreign:
        raise InputError(f"{path} holds no raw output but {foreign}")
    return _raw(path.name, text, chat.load_tools(tools) if tools else (), expect)


def _is_catalogue(data: bytes) -> bool:
    """Whether the first line is an object with a ``raw_output``."""
    try:
        row = jsonread.read_json(data.lstrip().partition(b"\n")[0])
    except ValueError:
        return False
    return isinstance(row, Mapping) and "raw_output" in row


def _case(outputs: Sequence[Failure], path: Path, case: str) -> Failure:
    found = [output for output in outputs if output.case_id == case] if case else list(outputs)
    if len(found) == 1:
        return found[0]
    known = ", ".join(repr(output.case_id) for output in outputs[:MOST_NAMED])
    why = f"has no case {case!r}" if case else f"has {len(outputs)} lines: name one with --case"
    raise InputError(f"the catalogue {path} {why}; it has {known}{', …' if len(outputs) > MOST_NAMED else ''}")


def _raw(name: str, text: str, tools: Sequence[Mapping[str, Any]], expect: Path | None) -> Failure:
    parsed = wire.parse(text, tools or None)
    wanted: Mapping[str, Any] = {
        "calls": [{"name": call.name, "arguments": call.arguments} for call in parsers.returned(parsed)]
    }
    if expect:
        given = files.read_json(expect, "the expected calls")
        wanted = given if isinstance(given, Mapping) else {"calls": given}
    row = {"id": name, "raw_output": text, "tools": list(tools), "expected": {"content": parsed.content} | dict(wanted)}
    try:
        return parsers.failure_of(json.dumps(row).encode())
    except ValueError as error:
        raise InputError(f"{expect} is not as expected: {error}") from None


def _told(change: Change) -> str:
    if change.kind == "mended":
        return f"{change.after} reads it, {change.before} does not ({change.was})"
    if change.was == RIGHT:
        return f"{change.after} does not read it ({change.now}), {change.before} does"
    return f"{change.after} has it {change.now}, {change.before} {change.was}"

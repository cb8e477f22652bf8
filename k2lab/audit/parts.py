"""Parts: what a piece of work gave, as whole files that a killed audit finds again."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from k2lab import files, kept
from k2lab.audit.tables import FINDINGS
from k2lab.audit.tallies import Tally
from k2lab.errors import InputError

HELD_ROWS = 50_000
"""Findings that are held before they are written."""

Group = tuple[str, str, str]
"""Model, vendor and day: a partition of the output."""

GROUPED = ("model", "vendor", "day")


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """Findings of one partition, as a batch of a part's file."""

    file: str
    batch: int
    rows: int


@dataclass(kw_only=True, slots=True)
class Part:
    """What some units gave; ``pieces`` are their findings by partition."""

    units: Sequence[int]
    tally: Tally
    pieces: dict[Group, list[Piece]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        pieces = [[*group, one.file, one.batch, one.rows] for group, found in self.pieces.items() for one in found]
        return {"units": list(self.units), "tally": self.tally.to_json(), "pieces": pieces}

    @classmethod
    def of_json(cls, data: Any) -> Part:
        """What :meth:`to_json` wrote."""
        part = cls(units=data["units"], tally=Tally.of_json(data["tally"]))
        for model, vendor, day, file, batch, rows in data["pieces"]:
            part.pieces.setdefault((model, vendor, day), []).append(Piece(file=file, batch=batch, rows=rows))
        return part


class PartWriter:
    """Takes tables of findings and leaves a part in a folder: nothing, or the whole of it."""

    def __init__(self, folder: Path, units: Sequence[int]) -> None:
        self._folder, self._name = folder, f"part-{units[0]:07d}"
        self.part = Part(units=units, tally=Tally())
        self._held: list[pa.Table] = []
        self._rows = self._files = 0

    def take(self, table: pa.Table) -> None:
        """Count a table of findings, and keep what is not clean."""
        self.part.tally.take(table)
        found = table.filter(pc.is_in(table["state"], pa.array(["present", "unknown"])))
        if found.num_rows:
            self._held.append(found)
            self._rows += found.num_rows
            if self._rows >= HELD_ROWS:
                self._write()

    def finish(self) -> Part:
        """Write what is left, and then what says that the part is there."""
        self._write()
        text = json.dumps(self.part.to_json(), separators=(",", ":"))
        kept.write_whole(self._folder / f"{self._name}.json", text, private=True)
        return self.part

    def _write(self) -> None:
        if not self._held:
            return
        table = pa.concat_tables(self._held).combine_chunks().sort_by([(name, "ascending") for name in GROUPED])
        self._held, self._rows = [], 0
        file = f"{self._name}-{self._files:03d}.arrow"
        self._files += 1
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with (
            kept.replacing(self._folder / file, private=True) as fresh,
            pa.OSFile(str(fresh), "wb") as sink,
            pa.ipc.new_file(sink, FINDINGS, options=options) as writer,
        ):
            for number, (group, start, rows) in enumerate(_groups(table)):
                writer.write_batch(table.slice(start, rows).combine_chunks().to_batches()[0])
                self.part.pieces.setdefault(group, []).append(Piece(file=file, batch=number, rows=rows))


def _groups(table: pa.Table) -> Iterator[tuple[Group, int, int]]:
    """Each partition of a sorted table, with its first row and how many it has."""
    start = 0
    for group, same in itertools.groupby(zip(*(table[name].to_pylist() for name in GROUPED), strict=True)):
        rows = sum(1 for _ in same)
        yield group, start, rows
        start += rows


def parts_in(folder: Path) -> list[Part]:
    """The parts that are there, in the order of their units; raises :class:`InputError` for one that is damaged."""
    found = []
    for path in sorted(folder.glob("part-*.json")):
        try:
            found.append(Part.of_json(files.read_json(path, "part of an audit")))
        except (KeyError, TypeError, ValueError, IndexError):
            raise InputError(f"{path} is damaged: remove the folder {folder}, and run the audit again") from None
    return found


def table_of(folder: Path, pieces: Sequence[Piece]) -> Iterator[pa.Table]:
    """The findings of pieces, one after the other."""
    for file, same in itertools.groupby(
        sorted(pieces, key=lambda piece: (piece.file, piece.batch)), lambda one: one.file
    ):
        with pa.OSFile(str(folder / file), "rb") as source, pa.ipc.open_file(source) as reader:
            for piece in same:
                yield pa.Table.from_batches([reader.get_batch(piece.batch)])

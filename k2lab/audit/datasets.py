"""The findings as Parquet by model, vendor and day, in one order whatever the order of the work."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from k2lab import kept
from k2lab.audit.parts import Group, Piece, table_of
from k2lab.audit.tables import FINDINGS

FILE_ROWS = 200_000
"""Of a file, about: a partition with more is cut by the first digits of the key."""

WRITTEN = ("key", "source", "row", "item", "form", "at", "state", "code", "name", "layer", "level", "place", "evidence")
"""Columns of a file; ``model``, ``vendor`` and ``day`` are in its path, as Hive has them."""

ORDER = [(name, "ascending") for name in ("key", "source", "row", "item", "state", "code", "place", "evidence")]

DIGITS = 2
"""Hexadecimal digits of a key by which a partition is cut at most."""


def write(folder: Path, parts: Path, pieces: Mapping[Group, Sequence[Piece]]) -> Iterator[int]:
    """Write the partitions of a folder, each file whole or not at all; gives the rows of each as it is written."""
    folder.mkdir(mode=kept.PRIVATE_FOLDER, exist_ok=True)
    for group in sorted(pieces):
        place = folder / place_of(group)
        place.mkdir(mode=kept.PRIVATE_FOLDER, parents=True, exist_ok=True)
        rows = sum(piece.rows for piece in pieces[group])
        for number, (low, high) in enumerate(_ranges(rows)):
            table = _gathered(parts, pieces[group], low, high)
            with kept.replacing(place / f"part-{number:03d}.parquet", private=True) as fresh:
                pq.write_table(table, fresh, compression="zstd")
            yield table.num_rows


def place_of(group: Group) -> Path:
    """Where a partition lies, as Hive names it: every character that a path could take for its own is escaped.

    >>> str(place_of(("moonshotai/Kimi-K2", "unknown", "2026-11-26")))
    'model=moonshotai%2FKimi-K2/vendor=unknown/day=2026-11-26'
    """
    return Path(
        *(f"{name}={quote(value, safe='')}" for name, value in zip(("model", "vendor", "day"), group, strict=True))
    )


def _ranges(rows: int) -> list[tuple[str, str]]:
    """Ranges of keys, half-open, in which the rows of a partition are written: by their number alone."""
    files, digits = 1, 16**DIGITS
    while files < digits and rows > files * FILE_ROWS:
        files *= 2
    ends = [f"{number * digits // files:0{DIGITS}x}" for number in range(files)] + ["g"]
    ends[0] = ""
    return list(itertools.pairwise(ends))


def _gathered(parts: Path, pieces: Sequence[Piece], low: str, high: str) -> pa.Table:
    tables = []
    for table in table_of(parts, pieces):
        if low or high != "g":
            table = table.filter((pc.field("key") >= low) & (pc.field("key") < high))
        tables.append(table.select(WRITTEN))
    schema = pa.schema([FINDINGS.field(name) for name in WRITTEN])
    return pa.concat_tables([schema.empty_table(), *tables]).combine_chunks().sort_by(ORDER)

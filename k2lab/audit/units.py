"""Units of work: the pieces that files are cut into, and each of them as tables of exchanges."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import BinaryIO

import msgspec
import pyarrow as pa

from k2lab import files, jsonread
from k2lab.audit import batchpairs, standardinput
from k2lab.audit.forms import known
from k2lab.audit.forms.base import LineForm, unread
from k2lab.audit.sources import InputSource, unpacked
from k2lab.audit.tables import Builder, Row
from k2lab.errors import InputError, K2LabError, first_line

UNIT_BYTES = 16 << 20
"""Of a file of lines: some seconds of work, which is what being killed loses."""

BATCH_ROWS, BATCH_BYTES = 512, 8 << 20
"""Of a table of exchanges, whichever comes first: what a worker holds at a time."""

LISTS = ("data", "observations", "traces", "items", "results", "generations")
"""Where a document of one object holds its records."""

READ_BYTES = 1 << 20

PAIRS = "pairs.db"
"""The index of batches, in the state of an audit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """A piece of a source: bytes ``[start, end)`` of a file of lines, a row group, a slice of a database.

    ``end`` is -1 where it is the whole, or its rows are counted. ``row`` is the number of the first row.
    """

    number: int
    source: InputSource
    start: int = 0
    end: int = -1
    row: int = 1
    rows: int = -1
    """How many there are, where that is known."""


def units_of(sources: Sequence[InputSource], folder: Path | None = None, *, unit_bytes: int = UNIT_BYTES) -> list[Unit]:
    """The units of files, in their order; each file is read once, for the ends of its lines.

    ``folder`` takes the index of batches, whose lines are joined across their files;
    without it each line stands alone.
    """
    pieces = (
        Unit(number=0, source=source, **piece)
        for source in _joined(sources, folder)
        for piece in _pieces(source, unit_bytes)
    )
    return [
        Unit(number=number, source=one.source, start=one.start, end=one.end, row=one.row, rows=one.rows)
        for number, one in enumerate(pieces)
    ]


def _joined(sources: Sequence[InputSource], folder: Path | None) -> list[InputSource]:
    """The sources, with an index in place of the files of batches."""
    batches = [source for source in sources if source.form == "batch" and source.container == "lines"]
    if folder is None or not batches:
        return list(sources)
    path = batchpairs.join(batches, folder / PAIRS)
    joined = InputSource(path=str(path), container="pairs", form="batch", size=0, mtime_ns=0)
    return [*(source for source in sources if source not in batches), joined]


def _pieces(source: InputSource, unit_bytes: int) -> Iterator[dict[str, int]]:
    if source.container == "lines" and not source.packed:
        with files.opened(source.path, "file") as file:
            yield from _of_lines(file, unit_bytes)
    elif source.container == "lines" and (pieces := standardinput.pieces_of(source)) is not None:
        yield from ({"start": piece.start, "row": piece.row, "rows": piece.rows} for piece in pieces)
    elif source.container == "parquet":
        from k2lab.audit.parquetrows import groups

        row = 1
        for index, rows in enumerate(groups(source.path)):
            yield {"start": index, "end": index + 1, "row": row, "rows": rows}
            row += rows
    elif source.container == "pairs":
        yield from (
            {"start": start, "end": end, "rows": end - start} for start, end in batchpairs.slices(Path(source.path))
        )
    elif source.container == "traffic":
        from k2lab.audit.databases import slices

        yield from ({"start": start, "end": end} for start, end in slices(source.path))
    else:
        yield {}


def _of_lines(file: BinaryIO, unit_bytes: int) -> Iterator[dict[str, int]]:
    """Pieces of at least so many bytes that end with a line."""
    start, row, rows, at = 0, 1, 0, 0
    while chunk := file.read(READ_BYTES):
        taken = 0
        while start + unit_bytes <= at + len(chunk):
            cut = chunk.find(b"\n", max(taken, start + unit_bytes - at - 1))
            if cut < 0:
                break
            rows += chunk.count(b"\n", taken, cut + 1)
            yield {"start": start, "end": at + cut + 1, "row": row, "rows": rows}
            start, row, rows, taken = at + cut + 1, row + rows, 0, cut + 1
        rows += chunk.count(b"\n", taken)
        at += len(chunk)
    if at > start:
        yield {"start": start, "end": at, "row": row, "rows": rows + 1}


def tables_of(
    unit: Unit, vendor: str | None = None, *, batch_rows: int = BATCH_ROWS, batch_bytes: int = BATCH_BYTES
) -> Iterator[pa.Table]:
    """The exchanges of a unit, in small tables; what cannot be read is a row that says so. Never raises."""
    source = unit.source
    builder = Builder(source.shown, source.form, vendor)
    number = unit.row - 1
    try:
        for number, row in _rows(unit):
            builder.add(number, row)
            if len(builder) >= batch_rows or builder.size >= batch_bytes:
                yield builder.table()
    except (K2LabError, OSError, EOFError, MemoryError, pa.ArrowException) as why:
        builder.add(number + 1, unread("broken off", f"what follows could not be read: {first_line(why)}"))
    if len(builder):
        yield builder.table()


def _rows(unit: Unit) -> Iterator[tuple[int, Row]]:
    source = unit.source
    if source.container == "pairs":
        return batchpairs.rows_of_slice(Path(source.path), unit.start, unit.end)
    if source.container == "benchmark":
        from k2lab.audit.databases import of_benchmark

        return of_benchmark(source.path)
    if source.container == "traffic":
        from k2lab.audit.databases import of_traffic

        return of_traffic(source.path, unit.start, unit.end)
    if source.form == known.TRAFFIC:
        from k2lab.audit.databases import of_parquet

        return of_parquet(source.path, unit.start, unit.row)
    form = known.form_named(source.form)
    return ((number, row) for number, record in _records(unit) for row in _of_record(form, record))


def _of_record(form: LineForm, record: bytes | str) -> Iterable[Row]:
    if isinstance(record, str):
        return (unread("too long", record),)
    try:
        return list(form.rows(record))
    except jsonread.NotJSON as why:
        return (unread("not JSON", why),)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError, OverflowError) as why:
        return (unread("not of its form", first_line(why)),)


def _records(unit: Unit) -> Iterator[tuple[int, bytes | str]]:
    """Each record with its number: its JSON text, or in words why it was passed over."""
    source = unit.source
    if source.container == "parquet":
        from k2lab.audit.parquetrows import records_of_group

        yield from enumerate(records_of_group(source.path, unit.start), unit.row)
        return
    with files.opened(source.path, "file") as file:
        if unit.start:
            file.seek(unit.start)
        with unpacked(file, source.packed) as contents:
            yield from (
                _lines(contents, unit)
                if source.container == "lines"
                else enumerate(records_of(source.path, contents), 1)
            )


def _lines(file: BinaryIO, unit: Unit) -> Iterator[tuple[int, bytes | str]]:
    for number in count(unit.row) if unit.rows < 0 else range(unit.row, unit.row + unit.rows):
        line = file.readline(files.MAX_LINE_BYTES + 1)
        if len(line) > files.MAX_LINE_BYTES and not line.endswith(b"\n"):
            _to_the_end(file)
            yield number, f"the line has more than {files.MAX_LINE_BYTES >> 20} MiB"
        elif not line:
            return
        elif not line.isspace():
            yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


def _to_the_end(file: BinaryIO) -> None:
    while (part := file.readline(READ_BYTES)) and not part.endswith(b"\n"):
        pass


def records_of(path: str, file: BinaryIO) -> Iterator[bytes]:
    """The records of one JSON document: of a list, of an object's list, or the object itself."""
    data = file.read(files.MAX_BYTES + 1)
    if len(data) > files.MAX_BYTES:
        raise InputError(f"{path} is one JSON value of more than {files.MAX_BYTES >> 20} MiB: write a record a line")
    data = data.removeprefix(b"\xef\xbb\xbf").strip()
    try:
        if data[:1] == b"[":
            yield from map(bytes, msgspec.json.decode(data, type=list[msgspec.Raw]))
            return
        whole = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        yield from _python_records(path, data)
        return
    for name in LISTS:
        if bytes(whole.get(name, b""))[:1] == b"[":
            yield from map(bytes, msgspec.json.decode(whole[name], type=list[msgspec.Raw]))
            return
    yield bytes(data)


def _python_records(path: str, data: bytes) -> Iterator[bytes]:
    """The same by Python's own reader, which takes what its writer makes."""
    try:
        value = jsonread.read_json(data, constants=True)
    except jsonread.NotJSON as why:
        raise InputError(f"{path} is not JSON: {why}") from None
    inner: object = value
    if isinstance(value, Mapping):
        inner = next((value[name] for name in LISTS if isinstance(value.get(name), list)), value)
    for record in inner if isinstance(inner, list) else [inner]:
        yield json.dumps(record).encode()


def changed(source: InputSource) -> bool:
    """Whether a file is not any more what it was when the audit began."""
    if source.digest:
        return False
    try:
        state = os.stat(source.path)
    except OSError:
        return True
    return (state.st_size, state.st_mtime_ns) != (source.size, source.mtime_ns)

"""Lines of batches joined across files: each request with its answer by ``custom_id``, in a file of SQLite's."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from k2lab import files, kept
from k2lab.audit.forms import batches
from k2lab.audit.forms.base import unread
from k2lab.audit.sources import InputSource, unpacked
from k2lab.audit.tables import Row
from k2lab.errors import InputError, K2LabError, first_line

SCHEMA = """
CREATE TABLE lines (
    custom_id TEXT, is_input INTEGER NOT NULL, source INTEGER NOT NULL, row INTEGER NOT NULL, start INTEGER NOT NULL,
    size INTEGER NOT NULL, text BLOB, why TEXT);
CREATE TABLE sources (number INTEGER PRIMARY KEY, path TEXT NOT NULL, name TEXT NOT NULL);
"""

JOINED = """
CREATE INDEX lines_by_id ON lines (custom_id, is_input);
CREATE TABLE counts AS SELECT custom_id, sum(is_input) AS inputs, sum(1 - is_input) AS outputs FROM lines
    WHERE custom_id IS NOT NULL GROUP BY custom_id;
CREATE UNIQUE INDEX counts_by_id ON counts (custom_id);
CREATE TABLE pairs AS
    SELECT i.rowid AS asked, o.rowid AS said, NULL AS why FROM counts c JOIN lines i ON i.custom_id = c.custom_id
        AND i.is_input JOIN lines o ON o.custom_id = c.custom_id AND NOT o.is_input WHERE inputs = 1 AND outputs = 1
    UNION ALL SELECT l.rowid, NULL, CASE WHEN outputs = 0 THEN 'no answer: its output is not among the files'
        ELSE 'custom_id used again: which answer is its own cannot be told' END
        FROM counts c JOIN lines l USING (custom_id) WHERE l.is_input AND NOT (inputs = 1 AND outputs = 1)
    UNION ALL SELECT NULL, l.rowid, NULL FROM counts c JOIN lines l USING (custom_id)
        WHERE NOT l.is_input AND NOT (inputs = 1 AND outputs = 1)
    UNION ALL SELECT NULL, l.rowid, l.why FROM lines l WHERE custom_id IS NULL;
"""

SLICE = 10_000
"""Pairs of a unit."""

BATCH = 2_000


def join(sources: Sequence[InputSource], path: Path) -> Path:
    """Write the index of the lines of files, and of which belong together; a path that is there is left as it is."""
    if path.is_file():
        return path
    with kept.replacing(path, private=True) as fresh, contextlib.closing(sqlite3.connect(fresh)) as db, db:
        db.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {SCHEMA}")
        for number, source in enumerate(sources):
            db.execute("INSERT INTO sources VALUES (?, ?, ?)", (number, source.path, source.shown))
            db.executemany("INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?, ?, ?)", _lines(number, source))
        db.executescript(JOINED)
    return path


def _lines(number: int, source: InputSource) -> Iterator[tuple[object, ...]]:
    row = start = 0
    try:
        with files.opened(source.path, "file") as file, unpacked(file, source.packed) as lines:
            while line := lines.readline(files.MAX_LINE_BYTES + 1):
                row += 1
                if len(line) > files.MAX_LINE_BYTES:
                    raise InputError(f"line {row} has more than {files.MAX_LINE_BYTES >> 20} MiB")
                if not line.isspace():
                    yield _line(number, row, start, line, bool(source.packed))
                start += len(line)
    except (K2LabError, OSError, EOFError) as why:
        yield None, 0, number, row + 1, start, 0, None, f"broken off: what follows could not be read: {first_line(why)}"


def _line(number: int, row: int, start: int, line: bytes, is_packed: bool) -> tuple[object, ...]:
    try:
        made = batches.line_of(line)
    except (ValueError, RecursionError) as why:
        return None, 0, number, row, start, len(line), None, f"not JSON of a batch: {first_line(why)}"
    kind = int(batches.is_input(made))
    text = line if is_packed else None
    return made.custom_id.encode("utf-8", "surrogatepass"), kind, number, row, start, len(line), text, None


def slices(path: Path) -> list[tuple[int, int]]:
    """Half-open ranges of rows of the joined table."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        count = int(db.execute("SELECT count(*) FROM pairs").fetchone()[0])
    return [(low, min(count + 1, low + SLICE)) for low in range(1, count + 1, SLICE)]


def rows_of_slice(path: Path, low: int, high: int) -> Iterator[tuple[int, Row]]:
    """The exchanges of a slice; each says of which file it is: of the answer's, or of the request's where none came."""
    with contextlib.closing(sqlite3.connect(path)) as db, contextlib.ExitStack() as opened:
        names = dict(db.execute("SELECT number, name FROM sources"))
        paths = db.execute("SELECT number, path FROM sources")
        handles = {number: opened.enter_context(files.opened(path, "file")) for number, path in paths}

        def text_of(rowid: int | None) -> tuple[int, int, bytes] | None:
            if rowid is None:
                return None
            query = "SELECT source, row, start, size, text FROM lines WHERE rowid = ?"
            number, row, start, size, text = db.execute(query, (rowid,)).fetchone()
            if text is None:
                handles[number].seek(start)
                text = handles[number].read(size)
            return number, row, text

        found = db.execute(
            "SELECT asked, said, why FROM pairs WHERE rowid >= ? AND rowid < ? ORDER BY rowid", (low, high)
        )
        for asked_id, said_id, why in found.fetchall():
            asked, said = text_of(asked_id), text_of(said_id)
            number, at, text = said or asked  # type: ignore[misc]
            row = _row(asked and asked[2], said and said[2], text, why)
            row.source = names[number]
            yield at, row


def _row(asked: bytes | None, said: bytes | None, text: bytes, why: str | None) -> Row:
    if why is not None:
        kind, _, detail = why.partition(": ")
        try:
            return unread(kind, detail, item=batches.line_of(text).custom_id)
        except (ValueError, RecursionError):
            return unread(kind, detail)
    try:
        return batches.row_of(asked, said)
    except (ValueError, RecursionError, AttributeError) as error:
        return unread("not JSON of a batch", first_line(error))

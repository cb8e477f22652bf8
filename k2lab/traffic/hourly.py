"""The record as Parquet: a file an hour, each whole when it appears; what is not yet in one lies in an SQLite journal.

Beside the files stands ``journal.db``, a record of its own. Once an hour is over,
its exchanges become ``traffic-2026-11-26T19Z.parquet`` and go from the journal; those
that end later still become ``traffic-2026-11-26T19Z-2.parquet``. After a kill
the next start goes on: a file says how far into which journal it reaches, so that
nothing is written twice. pandas, DuckDB and the audit read the files as they are:
:data:`COLUMNS` says what is in them.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import re
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from k2lab import kept
from k2lab.errors import InputError, K2LabError, first_line
from k2lab.traffic import recordfile
from k2lab.traffic.recordrows import Entry
from k2lab.traffic.retention import MOST_STEPS, STEP, Retention

if TYPE_CHECKING:
    import pyarrow as pa

JOURNAL = "journal.db"
HOUR_S = 3600
GRACE_S = 120.0
"""Seconds after an hour in which what began in it may end and be looked at."""

GROUP, GROUP_BYTES = 1000, 32 << 20
"""Exchanges and bytes of a row group at most: what is in memory at once."""

NAMED = re.compile(r"traffic-\d{4}-\d\d-\d\dT\d\dZ(?:-\d+)?\.parquet")
MARK = b"k2lab.journal"

COLUMNS = (
    ("key", "string"), ("started_at", "timestamp"), ("method", "string"), ("path", "string"), ("status", "int32"),
    ("ended", "string"), ("request", "binary"), ("answer", "binary"), ("sent", "binary"), ("given", "binary"),
    ("request_type", "string"), ("answer_type", "string"), ("upstream_ms", "double"), ("first_ms", "double"),
    ("added_ms", "double"), ("request_cut", "int64"), ("answer_cut", "int64"), ("kept_for", "string"),
    ("looked", "string"), ("findings", ("code", "name", "layer", "place", "evidence")),
    ("changes", ("kind", "place", "code", "detail")), ("redacted", ("rule", "count")),
)  # fmt: skip
"""Names and types; those with names in place of a type are lists of structs. ``started_at`` is in UTC to the
microsecond, bodies are bytes as they passed, ``null`` in ``sent`` and ``given`` is "the same"."""

_log = logging.getLogger("k2lab.traffic")
Taken = tuple[float, float, int]
"""Exchanges that stand in a file: the half-open span in which they began, and their highest number."""


def journal_of(folder: Path) -> Path:
    """The journal of a folder, which is made; raises :class:`InputError` where that cannot be."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise InputError("a record as Parquet needs pyarrow: pip install 'k2lab[traffic]'") from None
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=kept.PRIVATE_FOLDER)  # one that is there stays as it is
    except OSError as error:
        raise InputError(f"cannot write into {folder}: {error.strerror or error}") from None
    return folder / JOURNAL


class Hourly:
    """Makes the files of the hours that are over, in a thread; :meth:`clear` is called by the one that writes."""

    def __init__(self, folder: Path, retention: Retention, *, every_s: float = 30.0) -> None:
        self._folder, self._retention, self._every_s = folder, retention, every_s
        self._taken: deque[Taken] = deque()
        self._ended = threading.Event()
        for left in folder.glob(".traffic-*.tmp"):  # of a process that was killed
            left.unlink(missing_ok=True)
        self._thread = threading.Thread(target=self._run, name="k2lab-hourly", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Begin no other file; what is not in one stays in the journal."""
        self._ended.set()
        self._thread.join(10)

    def clear(self, connection: sqlite3.Connection) -> None:
        """Take out of the journal what stands in files, some of it at a time."""
        for _ in range(MOST_STEPS):
            if not self._taken:
                return
            numbers = [number for (number,) in connection.execute(CLEARED, (*self._taken[0], STEP))]
            if not numbers:
                self._taken.popleft()
                continue
            marks = ", ".join("?" * len(numbers))
            with connection:
                connection.execute(f"DELETE FROM findings WHERE exchange_id IN ({marks})", numbers)
                connection.execute(f"DELETE FROM exchanges WHERE id IN ({marks})", numbers)

    def _run(self) -> None:
        while not self._ended.wait(min(self._every_s, 1.0) if not self._taken else self._every_s):
            try:
                self._taken.extend(write_hours(self._folder, time.time(), self._ended))
                retire(self._folder, self._retention, time.time())
            except (K2LabError, OSError) as error:
                _log.warning("no Parquet file can be written, the journal goes on: %s", first_line(error))
            self._ended.wait(self._every_s)


CLEARED = "SELECT id FROM exchanges WHERE started_at >= ? AND started_at < ? AND id <= ? LIMIT ?"


def write_hours(folder: Path, now: float, ended: threading.Event | None = None) -> Iterator[Taken]:
    """Write the files of the hours that are over; what of the journal stands in a file then."""
    with recordfile.reading(folder / JOURNAL) as journal:
        mark = journal.identity()
        for hour in journal.hours(HOUR_S):
            since, until = hour * HOUR_S, (hour + 1) * HOUR_S
            if until + GRACE_S > now or (ended is not None and ended.is_set()):
                return
            through = journal.highest()
            had = _reached(folder, since, mark)
            if had:
                yield since, until, had
            entries = journal.numbered(since, until, had, through)
            if _write(folder, since, f"{mark}:{through}", entries):
                yield since, until, through


def retire(folder: Path, retention: Retention, now: float) -> list[Path]:
    """Remove whole files that are too old, or too many bytes together, the oldest first."""
    files = sorted(path for path in folder.iterdir() if NAMED.fullmatch(path.name))
    sizes = {path: path.stat().st_size for path in files}
    gone = []
    for path in files:
        too_old = retention.most_age_s is not None and _hour_of(path) + HOUR_S < now - retention.most_age_s
        too_many = retention.most_bytes is not None and sum(sizes.values()) > retention.most_bytes
        if too_old or too_many:
            path.unlink()
            del sizes[path]
            gone.append(path)
    return gone


def arrow_columns() -> pa.Schema:
    """The columns of a file, as Arrow has them."""
    import pyarrow as pa

    plain = {"timestamp": pa.timestamp("us", tz="UTC"), "string": pa.string(), "binary": pa.binary(),
             "int32": pa.int32(), "int64": pa.int64(), "double": pa.float64()}  # fmt: skip

    def kind(of: str | tuple[str, ...]) -> pa.DataType:
        if isinstance(of, str):
            return plain[of]
        return pa.list_(pa.struct([(name, pa.int64() if name == "count" else pa.string()) for name in of]))

    return pa.schema([(name, kind(of)) for name, of in COLUMNS])


def _write(folder: Path, since: float, mark: str, entries: Iterator[Entry]) -> bool:
    """Whether there was anything to write; the file is there as a whole, or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = next(entries, None)
    if first is None:
        return False
    marked = arrow_columns().with_metadata({MARK: mark})
    with (
        kept.replacing(_free(folder, since), private=True) as fresh,
        pq.ParquetWriter(fresh, marked, compression="zstd") as writer,
    ):
        for group in _groups(itertools.chain([first], entries)):
            writer.write_table(pa.Table.from_pylist(group, schema=marked))
    return True


def _groups(entries: Iterator[Entry]) -> Iterator[list[dict[str, object]]]:
    group: list[dict[str, object]] = []
    size = 0
    for entry in entries:
        group.append(_values(entry))
        passed = entry.passed
        size += sum(len(body or b"") for body in (passed.request, passed.answer, passed.sent, passed.given))
        if len(group) >= GROUP or size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _values(entry: Entry) -> dict[str, object]:
    listed = dict(COLUMNS)
    own = {name: getattr(entry.passed, name) for name, kind in COLUMNS if hasattr(entry.passed, name) and kind}
    return {
        **own,
        "started_at": datetime.fromtimestamp(entry.passed.started_at, UTC),
        "kept_for": entry.kept_for,
        "looked": entry.looked,
        "findings": [{name: getattr(one, name) for name in listed["findings"]} for one in entry.findings],
        "changes": [{name: getattr(one, name) for name in listed["changes"]} for one in entry.passed.changes],
        "redacted": [{"rule": rule, "count": count} for rule, count in entry.redacted.items()],
    }


def _name(since: float) -> str:
    return f"traffic-{datetime.fromtimestamp(since, UTC):%Y-%m-%dT%HZ}"


def _hour_of(path: Path) -> float:
    return datetime.strptime(path.name[8:21], "%Y-%m-%dT%H").replace(tzinfo=UTC).timestamp()


def _free(folder: Path, since: float) -> Path:
    """A name for a file of an hour that no file has."""
    name = _name(since)
    names = itertools.chain([f"{name}.parquet"], (f"{name}-{number}.parquet" for number in itertools.count(2)))
    return next(folder / name for name in names if not (folder / name).exists())


def _reached(folder: Path, since: float, journal: str) -> int:
    """The highest number of this journal that stands in a file of the hour."""
    import pyarrow.parquet as pq

    reached = 0
    for path in folder.glob(f"{_name(since)}*.parquet"):
        with contextlib.suppress(OSError, ValueError):  # somebody else's file
            mark = (pq.read_schema(path).metadata or {}).get(MARK, b"").decode()
            owner, _, through = mark.partition(":")
            reached = max(reached, int(through) if owner == journal else 0)
    return reached

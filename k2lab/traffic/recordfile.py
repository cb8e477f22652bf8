"""The record of traffic: one SQLite file that survives being killed, read by time, by finding, by key.

A reader sees what was committed, also while a proxy writes; a second writer is
refused. Exchanges are read in small pages, so that a reader of hours keeps no
writer's log from being put away.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from k2lab import sqlitefile
from k2lab.errors import InputError
from k2lab.traffic import recordrows
from k2lab.traffic.recordrows import Entry, Looked, Noted

PAGE = 64
"""Exchanges that are read at a time."""

SELECT = f"SELECT id, {', '.join(recordrows.STORED)} FROM exchanges"
FINDINGS = f"SELECT exchange_id, {', '.join(recordrows.NOTED)} FROM findings WHERE exchange_id IN"


class Record:
    """The file, open with :func:`reading`, or with :func:`writing`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def exchanges(
        self,
        *,
        since: float | None = None,
        until: float | None = None,
        code: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Entry]:
        """Exchanges by the time at which they began, read as they are needed.

        ``since`` and ``until`` are seconds since 1970, half-open; ``code`` takes those
        alone that have this finding; ``limit`` takes the first so many.
        """
        found = (entry for page in self._pages(since, until, code) for entry in page)
        return itertools.islice(found, limit)

    def exchange(self, key: str) -> Entry:
        """The exchange of a key, the latest of several; raises :class:`InputError` where it is not there."""
        found = self._entries(f"{SELECT} WHERE key = ? ORDER BY id DESC LIMIT 1", (sqlitefile.storable(key),))
        if not found:
            raise InputError(
                f"the record has no exchange {key!r}: it may have been too old to keep; open the file anew"
            )
        return found[0][1]

    def has(self, key: str) -> bool:
        """Whether an exchange of this key is in the record."""
        query = "SELECT 1 FROM exchanges WHERE key = ?"
        return self.connection.execute(query, (sqlitefile.storable(key),)).fetchone() is not None

    def counts(self) -> dict[str, int]:
        """How many exchanges are in the record, and the findings among them by code, ``A101`` and so on."""
        codes = self.connection.execute("SELECT code, count(*) FROM findings GROUP BY code ORDER BY code")
        return {"exchanges": self._count("exchanges"), **dict(codes.fetchall())}

    def looked(self) -> dict[Looked, int]:
        """How many exchanges were looked at, or weren't."""
        found = self.connection.execute("SELECT looked, count(*) FROM exchanges GROUP BY looked")
        return dict(found.fetchall())

    def tallies(self) -> dict[str, int]:
        """What was counted over the life of the file: ``left_out:clean``, ``dropped``, ``redacted:key`` and so on."""
        return dict(self.connection.execute("SELECT name, count FROM tallies ORDER BY name").fetchall())

    def span(self) -> tuple[float, float] | None:
        """When the first and the last exchange began; ``None`` for an empty record."""
        first, last = self.connection.execute("SELECT min(started_at), max(started_at) FROM exchanges").fetchone()
        return None if first is None else (first, last)

    def identity(self) -> str:
        """What tells this file from every other."""
        return str(self.connection.execute("SELECT id FROM identity").fetchone()[0])

    def hours(self, length_s: int) -> list[int]:
        """The spans of so many seconds since 1970 in which an exchange began, in order."""
        found = self.connection.execute(f"SELECT DISTINCT CAST(started_at / {length_s} AS INTEGER) FROM exchanges")
        return sorted(int(hour) for (hour,) in found)

    def highest(self) -> int:
        """The highest number of an exchange; a later one has a higher one."""
        return int(self.connection.execute("SELECT coalesce(max(id), 0) FROM exchanges").fetchone()[0])

    def numbered(self, since: float, until: float, above: int, through: int) -> Iterator[Entry]:
        """Exchanges that began in that time whose numbers are in ``(above, through]``."""
        within = f" AND id > {int(above)} AND id <= {int(through)}"
        return (entry for page in self._pages(since, until, None, within) for entry in page)

    def add(self, entries: Iterable[Entry], tallies: Mapping[str, int]) -> None:
        """Store exchanges and add to the counts, in one transaction: all of it or nothing."""
        self.store([(recordrows.row_of(entry), entry.findings) for entry in entries], tallies)

    def store(
        self,
        made: Iterable[tuple[tuple[object, ...], tuple[Noted, ...]]],
        tallies: Mapping[str, int],
        found: Iterable[tuple[int, Looked, tuple[Noted, ...]]] = (),
    ) -> list[int]:
        """Store rows with their findings, and what was found in earlier ones, in one transaction; their numbers."""
        numbers = []
        with self.connection:
            self._note(found)
            for row, findings in made:
                number = self.connection.execute(recordrows.INSERT_EXCHANGE, row).lastrowid
                assert number is not None
                numbers.append(number)
                if findings:
                    self.connection.executemany(recordrows.INSERT_FINDING, recordrows.finding_rows(number, findings))
            if tallies:
                self.connection.executemany(recordrows.ADD_TALLY, list(tallies.items()))
        return numbers

    def note(self, found: Iterable[tuple[int, Looked, tuple[Noted, ...]]]) -> None:
        """Store what was found in exchanges of these numbers, where they are still there."""
        with self.connection:
            self._note(found)

    def unlooked(self, *, above: int = 0, most: int = PAGE) -> list[tuple[int, Entry]]:
        """Exchanges of higher numbers that were not looked at, or not in time, in the order of their numbers."""
        query = f"{SELECT} WHERE id > ? AND looked IN ('no', 'late') ORDER BY id LIMIT ?"
        return self._entries(query, (above, most))

    def _note(self, found: Iterable[tuple[int, Looked, tuple[Noted, ...]]]) -> None:
        for number, looked, findings in found:
            there = self.connection.execute("UPDATE exchanges SET looked = ? WHERE id = ?", (looked, number))
            if there.rowcount and findings:
                self.connection.executemany(recordrows.INSERT_FINDING, recordrows.finding_rows(number, findings))

    def _pages(
        self, since: float | None, until: float | None, code: str | None, within: str = ""
    ) -> Iterator[list[Entry]]:
        after = (float("-inf") if since is None else since, -1)
        wanted = within if code is None else " AND id IN (SELECT exchange_id FROM findings WHERE code = ?)"
        values = (float("inf") if until is None else until, *(() if code is None else (code,)))
        query = (
            f"{SELECT} WHERE (started_at, id) > (?, ?) AND started_at < ?{wanted} ORDER BY started_at, id LIMIT {PAGE}"
        )
        while page := self._entries(query, (*after, *values)):
            yield [entry for _, entry in page]
            number, last = page[-1]
            after = (last.passed.started_at, number)

    def _entries(self, query: str, values: tuple[object, ...]) -> list[tuple[int, Entry]]:
        """What a query finds, with the findings of each, of one state of the file."""
        found = self.connection.execute(query, values).fetchall()
        noted = self._noted([row[0] for row in found])
        named = (dict(zip(("id", *recordrows.STORED), row, strict=True)) for row in found)
        return [(values["id"], recordrows.entry_of(values, tuple(noted[values["id"]]))) for values in named]

    def _noted(self, numbers: list[int]) -> defaultdict[int, list[Noted]]:
        noted: defaultdict[int, list[Noted]] = defaultdict(list)
        marks = ", ".join("?" * len(numbers))
        for number, *row in self.connection.execute(f"{FINDINGS} ({marks}) ORDER BY rowid", numbers):
            noted[number].append(recordrows.noted_of(row))
        return noted

    def _count(self, table: str) -> int:
        return int(self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@contextlib.contextmanager
def reading(path: str | Path) -> Iterator[Record]:
    """The record for reading, also while a proxy writes; raises :class:`InputError` for what is no such file.

    >>> from k2lab.traffic.exchanges import Passed
    >>> passed = Passed(key="1", started_at=1.0, method="GET", path="/v1/models", status=200, ended="whole",
    ...                 request=b"", answer=b"{}")
    >>> with writing("traffic.db") as record:
    ...     record.add([Entry(passed=passed)], {})
    >>> with reading("traffic.db") as record:
    ...     [(entry.passed.path, entry.looked) for entry in record.exchanges()]
    [('/v1/models', 'no')]
    """
    with sqlitefile.reading(Path(path), recordrows.FORM) as connection:
        yield Record(connection)


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[Record]:
    """The record for writing, made where there is none; raises :class:`InputError` while somebody else writes."""
    with sqlitefile.writing(Path(path), recordrows.FORM) as connection:
        yield Record(connection)


def is_record(path: str | Path) -> bool:
    """Whether a file's head is that of a record of traffic."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        head = file.read(72)
        return head[:16] == b"SQLite format 3\0" and int.from_bytes(head[68:72]) == recordrows.APPLICATION_ID
    return False

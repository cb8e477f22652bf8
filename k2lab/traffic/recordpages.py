"""A record of traffic a page at a time: its exchanges without their bodies, those that are wanted, and how many."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from k2lab import sqlitefile
from k2lab.traffic import recordrows
from k2lab.traffic.recordfile import Record

LISTED = ("id", "key", "started_at", "method", "path", "status", "ended", "looked")
KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("key", "method", "path", "ended", "looked"), (str,)),
    **dict.fromkeys(("id", "status", "changed"), (int,)),
    "started_at": recordrows.NUMBER,
}
CHANGED = "CASE WHEN changes IS NULL THEN 0 ELSE json_array_length(changes) END AS changed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Where:
    """Which exchanges are wanted; ``None`` is any. ``code`` is that of a finding, ``changed``: by the guard."""

    code: str | None = None
    status: int | None = None
    ended: str | None = None
    changed: bool | None = None

    def sql(self) -> tuple[str, list[object]]:
        """A condition on ``exchanges``, and its values."""
        held: list[tuple[str, object]] = [
            ("id IN (SELECT exchange_id FROM findings WHERE code = ?)", self.code),
            ("status = ?", self.status),
            ("ended = ?", self.ended),
            ("(changes IS NOT NULL) = ?", self.changed),
        ]
        wanted = [(words, value) for words, value in held if value is not None]
        return " AND ".join(words for words, _ in wanted) or "1", [value for _, value in wanted]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """An exchange without its bodies; ``changed`` counts changes, ``codes`` is ``None`` where nobody looked."""

    key: str
    started_at: float
    method: str
    path: str
    status: int
    ended: str
    changed: int
    codes: tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """How many exchanges there are, by ending, by status, and by finding: those that have it."""

    exchanges: int
    endings: Mapping[str, int]
    statuses: Mapping[int, int]
    codes: Mapping[str, int]


class Pages(Record):
    """A record, open with :func:`paged`."""

    def count(self, where: Where = Where()) -> int:
        """How many exchanges are wanted."""
        condition, values = where.sql()
        return int(self.connection.execute(f"SELECT count(*) FROM exchanges WHERE {condition}", values).fetchone()[0])

    def page(self, where: Where = Where(), *, offset: int = 0, limit: int) -> list[Row]:
        """Some of them, the newest first."""
        condition, values = where.sql()
        found = self.connection.execute(
            f"SELECT {', '.join(LISTED)}, {CHANGED} FROM exchanges WHERE {condition}"
            " ORDER BY started_at DESC, id DESC LIMIT ? OFFSET ?",
            (*values, limit, offset),
        )
        rows = [sqlitefile.checked(dict(zip((*LISTED, "changed"), row, strict=True)), KINDS) for row in found]
        codes = self._codes([row["id"] for row in rows])
        return [_row(row, codes.get(row["id"], ())) for row in rows]

    def tally(self) -> Tally:
        """What there is."""
        endings = self._grouped("SELECT ended, count(*) FROM exchanges GROUP BY ended")
        codes = self._grouped("SELECT code, count(DISTINCT exchange_id) FROM findings GROUP BY code ORDER BY code")
        statuses = self.connection.execute("SELECT status, count(*) FROM exchanges GROUP BY status").fetchall()
        return Tally(exchanges=sum(endings.values()), endings=endings, statuses=dict(statuses), codes=codes)

    def _grouped(self, sql: str) -> dict[str, int]:
        return {str(name): int(count) for name, count in self.connection.execute(sql)}

    def _codes(self, numbers: list[int]) -> dict[int, tuple[str, ...]]:
        """The codes of each, once and sorted."""
        marks = ", ".join("?" * len(numbers))
        found: dict[int, tuple[str, ...]] = {}
        for number, code in self.connection.execute(
            f"SELECT DISTINCT exchange_id, code FROM findings WHERE exchange_id IN ({marks}) ORDER BY code", numbers
        ):
            found[number] = (*found.get(number, ()), str(code))
        return found


def _row(values: Mapping[str, object], codes: tuple[str, ...]) -> Row:
    own = {name: values[name] for name in (*LISTED[1:-1], "changed")}
    unknown = values["looked"] != "yes" and not codes
    return Row(**own, codes=None if unknown else codes)  # type: ignore[arg-type]


@contextlib.contextmanager
def paged(path: str | Path) -> Iterator[Pages]:
    """A record for reading, also while a proxy writes; raises :class:`InputError` for what is no such file.

    >>> from k2lab.traffic.exchanges import Passed
    >>> from k2lab.traffic.recordfile import writing
    >>> from k2lab.traffic.recordrows import Entry
    >>> passed = Passed(key="1", started_at=1.0, method="GET", path="/v1/models", status=200, ended="whole",
    ...                 request=b"", answer=b"{}")
    >>> with writing("traffic.db") as file:
    ...     file.add([Entry(passed=passed)], {})
    >>> with paged("traffic.db") as record:
    ...     record.count(), record.page(Where(status=200), limit=10)[0].path, record.tally().endings
    (1, '/v1/models', {'whole': 1})
    """
    with sqlitefile.reading(Path(path), recordrows.FORM) as connection:
        yield Pages(connection)

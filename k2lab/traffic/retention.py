"""How long a record keeps what it has: up to a size and up to an age; what is oldest goes, in small steps."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass

STEP = 64
"""Exchanges that go in one transaction."""

MOST_STEPS = 16
"""Steps at a time: a bound that was made much smaller is reached bit by bit, and nobody waits for long."""

FREE_PAGES, VACUUM_PAGES = 1024, 512
"""Pages that lie free in the file before it is made smaller, and by how many at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Retention:
    """The most bytes of a record, and the greatest age in seconds; ``None`` is without a bound.

    The bytes are those in use in the file, indexes included; SQLite's log beside it
    takes up to 20 MiB more under steady traffic, mostly 4.
    """

    most_bytes: int | None = None
    most_age_s: float | None = None

    def keep(self, db: sqlite3.Connection, coming: int = 0, now: float | None = None) -> int:
        """Take away what is too old, or has to go for ``coming`` bytes; how many exchanges went."""
        gone = 0
        for _ in range(MOST_STEPS):
            step = self._step(db, coming, time.time() if now is None else now)
            if not step:
                break
            gone += step
        _shrink(db)
        return gone

    def _step(self, db: sqlite3.Connection, coming: int, now: float) -> int:
        numbers = self._too_old(db, now) or self._too_many(db, coming)
        if numbers:
            with db:
                marks = ", ".join("?" * len(numbers))
                db.execute(f"DELETE FROM findings WHERE exchange_id IN ({marks})", numbers)
                db.execute(f"DELETE FROM exchanges WHERE id IN ({marks})", numbers)
        return len(numbers)

    def _too_old(self, db: sqlite3.Connection, now: float) -> list[int]:
        if self.most_age_s is None:
            return []
        query = f"SELECT id FROM exchanges WHERE started_at < ? ORDER BY started_at LIMIT {STEP}"
        return [number for (number,) in db.execute(query, (now - self.most_age_s,))]

    def _too_many(self, db: sqlite3.Connection, coming: int) -> list[int]:
        excess = 0 if self.most_bytes is None else used(db) + coming - self.most_bytes
        if excess <= 0:
            return []
        query = (
            "SELECT id, length(request) + length(answer) + coalesce(length(sent), 0) + coalesce(length(given), 0)"
            f" FROM exchanges ORDER BY id LIMIT {STEP}"
        )
        numbers = []
        for number, size in db.execute(query):
            numbers.append(number)
            excess -= size
            if excess <= 0:
                break
        return numbers


def used(db: sqlite3.Connection) -> int:
    """Bytes of the file that hold something."""
    pages, free, size = (
        db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _shrink(db: sqlite3.Connection) -> None:
    """Give some of the free pages back to the file system where many are free."""
    if db.execute("PRAGMA freelist_count").fetchone()[0] > FREE_PAGES:
        db.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()

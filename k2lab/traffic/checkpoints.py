"""SQLite's log is put into its file by a thread, so that no commit waits until a disk has synced."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path

GROWN_PAGES = 1000
"""Pages of the log after which it is put away, counted as :meth:`Checkpoints.grown` guesses them."""

MOST_PAGES = 4096
"""Pages of the log from which on its writer waits for that: it begins anew where nothing has come meanwhile."""

PASSIVE = "PRAGMA wal_checkpoint(PASSIVE)"
"""As much as can be put away without waiting for others; says whether some was not, the log's pages, those put away."""

LEAST, HALF_PAGE = 3, 2048
"""Pages that a transaction changes at least, and bytes of bodies for which there is one more."""

CLOSE_S = 5.0


class Checkpoints:
    """Puts away the log of one file, whose connection has ``wal_autocheckpoint = 0``, while that goes on writing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._new = self._log = 0
        self._wanted, self._ended = threading.Event(), False
        self._at_work = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="k2lab-checkpoints", daemon=True)
        self._thread.start()

    def grown(self, connection: sqlite3.Connection, *, size: int, rows: int) -> None:
        """A transaction of so many bytes and rows was committed by this connection; waits where the log is too long."""
        pages = LEAST + size // HALF_PAGE + rows
        self._new += pages
        self._log += pages
        if self._log > MOST_PAGES:
            all_is, pages = self._put_away(connection)
            self._new, self._log = 0, 0 if all_is else pages  # nothing came meanwhile: the log begins anew
        elif self._new > GROWN_PAGES:
            self._new = 0
            self._wanted.set()

    def close(self) -> None:
        """Begin no other; waits for one that has begun."""
        self._ended = True
        self._wanted.set()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(self._path)) as connection:
            while self._wanted.wait() and not self._ended:
                self._wanted.clear()
                before = self._log
                _, pages = self._put_away(connection)
                self._log += pages - before  # it has grown meanwhile

    def _put_away(self, connection: sqlite3.Connection) -> tuple[bool, int]:
        """Put away what is in the log: whether that is all of it, and its pages."""
        with self._at_work, contextlib.suppress(sqlite3.Error):  # what is not put away now is so the next time
            _, pages, done = connection.execute(PASSIVE).fetchone()
            return pages == done, pages
        return False, 0

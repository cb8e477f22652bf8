"""What SQLite's errors mean for a benchmark file: the cause, and what to do, in one line."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from k2lab.errors import InputError, first_line

LITTLE = 1 << 20
"""Bytes: where fewer are free, a disk is full whatever SQLite calls it."""

DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_ERROR)
REFUSED = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH)
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
OURS = (sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.NotSupportedError)
"""What only a mistake of k2lab's brings about: it stays a traceback."""


class DamageError(Exception):
    """Carries what is wrong in a file up to where the file is known."""


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """What SQLite raises in the block becomes an :class:`InputError` that says what it means for the file ``path``."""
    try:
        yield
    except OURS:
        raise
    except sqlite3.Error as error:
        raise InputError(meaning(path, error)) from error
    except UnicodeDecodeError as error:  # SQLite's own words repeat what it cannot read
        raise InputError(damaged(path, "what it says of its tables is not text")) from error
    except DamageError as error:
        raise InputError(damaged(path, error)) from error


def meaning(path: Path, error: sqlite3.Error) -> str:
    """Cause and next step of an error with the file ``path``."""
    code, said = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF, first_line(error)
    if code == sqlite3.SQLITE_NOTADB:
        return f"{path} is not a benchmark file of k2lab: {said}"
    if code == sqlite3.SQLITE_FULL or (code not in DAMAGED and _is_full(path)):
        return f"cannot use {path}: its disk is full; what was stored stays, so free some space and run this again"
    if code in DAMAGED:
        return damaged(path, said)
    if code in BUSY:
        return f"cannot use {path}: another process holds it ({said}): wait until that is done, and run this again"
    if code in REFUSED:
        return f"cannot use {path}: {said}; k2lab needs the right to write there, in the file's folder too"
    return f"cannot use {path}: {said}; what was stored before stays"


def damaged(path: Path, said: object) -> str:
    """What to do about a file that is no longer whole."""
    return (
        f"{path} is damaged: {first_line(said, 200)}; take a copy of it from before, or let"
        f" `sqlite3 FILE .recover` write what is left of it"
    )


def check_whole(connection: sqlite3.Connection) -> None:
    """Raises :class:`DamageError` for a file that may have lost something: it is not summed up as if it were whole."""
    found = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
    if found != "ok":
        raise DamageError(found.removeprefix("*** in database main ***").strip())


def _is_full(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return shutil.disk_usage(path.parent).free < LITTLE
    return False

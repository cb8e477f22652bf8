"""SQLite files of k2lab's own: opened, told from others', made and brought up to date; what SQLite's errors mean."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock

from k2lab import files, kept
from k2lab.errors import InputError, first_line

LITTLE = 1 << 20
"""Bytes: where fewer are free, a disk is full whatever SQLite calls it."""

WAIT_S = 10
"""How long a lock that somebody else holds is waited for."""

DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_ERROR)
REFUSED = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH)
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
OURS = (sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.NotSupportedError)
"""What only a mistake of k2lab's brings about: it stays a traceback."""

UNWRITABLE = (*REFUSED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
"""How SQLite says that there is no place for the index of its log, which a reader makes, too."""


class DamageError(Exception):
    """Carries what is wrong in a file up to where the file is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileKind:
    """One kind of file: what it is called, the two numbers in its head, its tables, and who writes it.

    ``upgrades`` bring a file of an older format to the next one; ``pragmas`` are
    set on a new file before its tables are made. A file of more than
    ``checked_bytes`` is not read through when it is opened: what is wrong in it
    is told when it is met.
    """

    what: str
    application_id: int
    format: int
    schema: str
    writer: str
    other: str
    upgrades: Mapping[int, str] = field(default_factory=dict)
    pragmas: str = ""
    checked_bytes: float = float("inf")


@contextlib.contextmanager
def reading(path: Path, form: FileKind) -> Iterator[sqlite3.Connection]:
    """The file for reading, also while somebody writes to it; raises :class:`InputError` for what is no such file."""
    if not os.path.lexists(path):
        raise InputError(f"there is no {form.what} {path}: create one with {form.writer}")
    with files.opened(path, form.what):
        pass
    with contextlib.closing(connect(path, form, make=False)) as connection, told(path, form.what):
        yield connection


@contextlib.contextmanager
def writing(path: Path, form: FileKind) -> Iterator[sqlite3.Connection]:
    """The file for writing, made where there is none; raises :class:`InputError` while somebody else writes."""
    if os.path.lexists(path):
        with files.opened(path, form.what):
            pass
    with (
        only_writer(path, form),
        contextlib.closing(connect(path, form, make=True)) as connection,
        told(path, form.what),
    ):
        try:
            yield connection
        finally:
            put_away_log(connection)


@contextlib.contextmanager
def only_writer(path: Path, form: FileKind) -> Iterator[None]:
    """Be the one who writes a file, until the end of the block or of the process."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(f"{path}.lock", timeout=0, mode=kept.PRIVATE_FILE)
        lock.acquire()
    except filelock.Timeout:
        raise InputError(f"{path} is being written by another {form.other}: wait for it, or choose another file"
                         ) from None  # fmt: skip
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def connect(path: Path, form: FileKind, *, make: bool) -> sqlite3.Connection:
    """Open a file, and with ``make`` for writing; raises :class:`InputError` for another's file, or a damaged one."""
    if make:
        kept.begin(path)
    with contextlib.ExitStack() as opened, told(path, form.what):
        connection = opened.enter_context(contextlib.closing(_opened(path, make)))
        _check(path, connection, form, make)
        if make:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            for beside in ("", "-wal", "-shm"):  # new ones have the rights of the file
                kept.close(path.with_name(path.name + beside))
        opened.pop_all()
    return connection


def _opened(path: Path, make: bool) -> sqlite3.Connection:
    """The file; where nothing can be written it is read without the files that SQLite keeps beside it."""
    connection = sqlite3.connect(path, timeout=WAIT_S)
    if make:
        return connection
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        if error.sqlite_errorcode & 0xFF not in UNWRITABLE:
            raise
        if not has_log(path):
            return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        connection = sqlite3.connect(path, timeout=WAIT_S)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # the index of the log is in memory then
    return connection


def has_log(path: Path) -> bool:
    """Whether something stands in SQLite's log beside the file, and not yet in the file."""
    log = path.with_name(f"{path.name}-wal")
    return log.is_file() and log.stat().st_size > 0


def format_of(connection: sqlite3.Connection) -> int:
    """The number of a file's format."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _check(path: Path, connection: sqlite3.Connection, form: FileKind, make: bool) -> None:
    """Refuse another program's file as it is; make the tables in a new one where that is wished."""
    known = connection.execute("PRAGMA application_id").fetchone()[0]
    made = format_of(connection)
    empty = not connection.execute("PRAGMA page_count").fetchone()[0]
    if empty and has_log(path):
        raise DamageError(f"it is empty, and {path.name}-wal beside it is not")
    if empty and not make:
        raise InputError(f"{path} is empty: {form.writer} writes into it")
    if empty:
        _make(connection, form)
    elif known != form.application_id:
        raise InputError(f"{path} is an SQLite file, but not a {form.what} of k2lab")
    elif not 1 <= made <= form.format:
        raise InputError(f"{path} has format {made}, this k2lab reads up to {form.format}: use the k2lab that wrote it")
    if os.path.getsize(path) <= form.checked_bytes:
        check_whole(connection)
    if make and 0 < made < form.format:
        steps = " ".join(form.upgrades[step] for step in range(made, form.format))
        connection.executescript(f"BEGIN; {steps} PRAGMA user_version = {form.format}; COMMIT;")


def _make(connection: sqlite3.Connection, form: FileKind) -> None:
    marks = f"PRAGMA application_id = {form.application_id}; PRAGMA user_version = {form.format};"
    connection.executescript(f"{form.pragmas} BEGIN; {form.schema} {marks} COMMIT;")


def put_away_log(connection: sqlite3.Connection) -> None:
    """What stands in SQLite's log goes into the file, after a fault too: on a full disk its room is all there is."""
    with contextlib.suppress(sqlite3.Error):  # what was stored is safe where it is
        connection.execute("PRAGMA busy_timeout = 0")  # a reader in the middle of the file is not waited for
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def checked(values: dict[str, Any], kinds: Mapping[str, tuple[type, ...]]) -> dict[str, Any]:
    """The values of a row; raises :class:`DamageError` where one is not of its kind: SQLite holds anything anywhere."""
    for name, kind in kinds.items():
        if not isinstance(values[name], kind):
            raise DamageError(f"a {name} is {str(values[name])[:40]!r}")
    return values


def storable(value: object) -> object:
    """A column's value, a text without lone surrogates: SQLite's is UTF-8."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


@contextlib.contextmanager
def told(path: Path, what: str) -> Iterator[None]:
    """What SQLite raises in the block becomes an :class:`InputError` that says what it means for the file ``path``."""
    try:
        yield
    except OURS:
        raise
    except sqlite3.Error as error:
        raise InputError(meaning(path, what, error)) from error
    except UnicodeDecodeError as error:  # SQLite's own words repeat what it cannot read
        raise InputError(damaged(path, "what it says of its tables is not text")) from error
    except DamageError as error:
        raise InputError(damaged(path, error)) from error


def meaning(path: Path, what: str, error: sqlite3.Error) -> str:
    """Cause and next step of an error with the file ``path``."""
    code, said = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF, first_line(error)
    if code == sqlite3.SQLITE_NOTADB:
        return f"{path} is not a {what} of k2lab: {said}"
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

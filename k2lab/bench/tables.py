"""The tables of a benchmark file: how one is opened, told from other files, made, and brought up to date."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from k2lab import kept
from k2lab.bench import database
from k2lab.errors import InputError

FORMAT = 3
UPGRADES = {
    1: "ALTER TABLE results ADD COLUMN line TEXT;",
    2: "ALTER TABLE runs ADD COLUMN turn INTEGER NOT NULL DEFAULT 0; UPDATE runs SET turn = run_id;",
}
"""What brings a file of an older format to the next one."""

LACKING = {"line": (1, "NULL"), "turn": (2, "run_id")}
"""Columns that files up to a format lack, and what stands for them there."""

UNWRITABLE = (*database.REFUSED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
"""How SQLite says that there is no place for the index of its log, which a reader makes, too."""

WAIT_S = 10
"""How long a lock that somebody else holds is waited for."""

APPLICATION_ID = 0x6B326C61  # "k2la"

SCHEMA = """
CREATE TABLE runs (
    run_id INTEGER PRIMARY KEY, arm TEXT NOT NULL, digest TEXT NOT NULL, config TEXT NOT NULL,
    samples TEXT NOT NULL, samples_sha256 TEXT NOT NULL, started_at TEXT NOT NULL, finished_at TEXT,
    turn INTEGER NOT NULL DEFAULT 0,
    UNIQUE (arm, digest, samples_sha256));
CREATE TABLE requests (
    run_id INTEGER NOT NULL, data_index INTEGER NOT NULL, key TEXT NOT NULL, sent TEXT NOT NULL, original TEXT,
    PRIMARY KEY (run_id, data_index)) WITHOUT ROWID;
CREATE TABLE results (
    run_id INTEGER NOT NULL, data_index INTEGER NOT NULL, trial INTEGER NOT NULL, status TEXT NOT NULL,
    finish_reason TEXT, response TEXT, failure TEXT, http_status INTEGER, duration_ms REAL NOT NULL, first_ms REAL,
    prompt_tokens INTEGER, completion_tokens INTEGER, attempts INTEGER NOT NULL, last_run_at TEXT NOT NULL, line TEXT,
    PRIMARY KEY (run_id, data_index, trial));
CREATE TABLE attempts (
    run_id INTEGER NOT NULL, data_index INTEGER NOT NULL, trial INTEGER NOT NULL, started_at TEXT NOT NULL,
    duration_ms REAL NOT NULL, http_status INTEGER, failure TEXT, retry_after_s REAL);
"""
"""``runs.turn`` is the order in which runs were begun or gone on with: the highest of an arm is its latest."""

RESULT_COLUMNS = (
    "run_id", "data_index", "trial", "status", "finish_reason", "response", "failure", "http_status", "duration_ms",
    "first_ms", "prompt_tokens", "completion_tokens", "attempts", "last_run_at", "line",
)  # fmt: skip
ATTEMPT_COLUMNS = (
    "run_id", "data_index", "trial", "started_at", "duration_ms", "http_status", "failure", "retry_after_s",
)  # fmt: skip


def _insert(table: str, columns: Sequence[str]) -> str:
    """The SQL that puts in a row, its values in the order of the columns: by name they take twice the time."""
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


INSERT_RESULT = _insert("results", RESULT_COLUMNS).replace("INSERT", "INSERT OR REPLACE")
INSERT_ATTEMPT = _insert("attempts", ATTEMPT_COLUMNS)


def connect(path: Path, *, make: bool) -> sqlite3.Connection:
    """Open a file, and with ``make`` for writing; raises :class:`InputError` for another's file, or a damaged one."""
    if make:
        kept.begin(path)
    with contextlib.ExitStack() as opened, database.told(path):
        connection = opened.enter_context(contextlib.closing(_opened(path, make)))
        _check(path, connection, make)
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
    """Whether results stand in SQLite's log beside the file, and not yet in the file."""
    log = path.with_name(f"{path.name}-wal")
    return log.is_file() and log.stat().st_size > 0


def column(connection: sqlite3.Connection, name: str) -> str:
    """The SQL for a column that files of an older format lack."""
    last, instead = LACKING[name]
    return name if _format(connection) > last else instead


def _check(path: Path, connection: sqlite3.Connection, make: bool) -> None:
    """Refuse another program's file as it is; make the tables in a new one where that is wished."""
    known = connection.execute("PRAGMA application_id").fetchone()[0]
    made = _format(connection)
    empty = not connection.execute("PRAGMA page_count").fetchone()[0]
    if empty and has_log(path):
        raise database.DamageError(f"it is empty, and {path.name}-wal beside it is not")
    if empty and not make:
        raise InputError(f"{path} is empty: k2lab bench run writes results into it")
    if empty:
        connection.executescript(
            f"BEGIN; {SCHEMA} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT}; COMMIT;"
        )
    elif known != APPLICATION_ID:
        raise InputError(f"{path} is an SQLite file, but not a benchmark file of k2lab")
    elif not 1 <= made <= FORMAT:
        raise InputError(f"{path} has format {made}, this k2lab reads up to {FORMAT}: use the k2lab that wrote it")
    database.check_whole(connection)
    if make and 0 < made < FORMAT:
        steps = " ".join(UPGRADES[step] for step in range(made, FORMAT))
        connection.executescript(f"BEGIN; {steps} PRAGMA user_version = {FORMAT}; COMMIT;")


def _format(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])

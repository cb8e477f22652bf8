"""The tables of a benchmark file, and how a file of an older format is read and brought up to date."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from k2lab import sqlitefile

FORMAT = 3
UPGRADES = {
    1: "ALTER TABLE results ADD COLUMN line TEXT;",
    2: "ALTER TABLE runs ADD COLUMN turn INTEGER NOT NULL DEFAULT 0; UPDATE runs SET turn = run_id;",
}
"""What brings a file of an older format to the next one."""

LACKING = {"line": (1, "NULL"), "turn": (2, "run_id")}
"""Columns that files up to a format lack, and what stands for them there."""

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

FORM = sqlitefile.FileKind(
    what="benchmark file",
    application_id=APPLICATION_ID,
    format=FORMAT,
    schema=SCHEMA,
    upgrades=UPGRADES,
    writer="k2lab bench run",
    other="run",
)


def column(connection: sqlite3.Connection, name: str) -> str:
    """The SQL for a column that files of an older format lack."""
    last, instead = LACKING[name]
    return name if sqlitefile.format_of(connection) > last else instead

"""The benchmark's memory: one SQLite file that survives being killed and is never half right.

A run is an arm under one configuration and one samples file. A result is known
by run, ``data_index`` and trial, and belongs to the key of the request that was
sent. A changed configuration or samples file makes a new run; an answer of an
earlier run of the same arm is taken over only under the same key. What is
written stays written (WAL, a transaction for each batch); a second writer is
refused. A file of an older format is read as it is, and brought up to date when
it is written.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock

from k2lab.bench.answers import is_raw
from k2lab.bench.arm import Prepared, digest_of
from k2lab.bench.client import Attempt
from k2lab.chat import Exchange, Request
from k2lab.errors import InputError

FORMAT = 2
UPGRADES = {1: "ALTER TABLE results ADD COLUMN line TEXT;"}
"""What brings a file of an older format to the next one."""

APPLICATION_ID = 0x6B326C61  # "k2la"

SCHEMA = """
CREATE TABLE runs (
    run_id INTEGER PRIMARY KEY, arm TEXT NOT NULL, digest TEXT NOT NULL, config TEXT NOT NULL,
    samples TEXT NOT NULL, samples_sha256 TEXT NOT NULL, started_at TEXT NOT NULL, finished_at TEXT,
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


IMPORTED = "imported from "
"""How the endpoint of such a run begins."""


@dataclass(frozen=True)
class Run:
    """An arm under one configuration and one samples file."""

    run_id: int
    arm: str
    config: Mapping[str, Any]
    samples: str
    samples_sha256: str
    started_at: str
    finished_at: str | None

    @property
    def imported(self) -> bool:
        """Whether its results were got elsewhere and read from a file."""
        return str(self.config.get("endpoint")).startswith(IMPORTED)


@dataclass(frozen=True)
class Done:
    """What became of a request: its attempts in order, the last of which counts."""

    data_index: int
    trial: int
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True)
class Result:
    """A stored result with its request: ``request`` as it was sent, ``asked`` before a repair or a rendering.

    ``started_at`` is when the last attempt began. ``line`` is what else stood in
    the line of an imported result, its values but for those that are kept here.
    """

    data_index: int
    trial: int
    status: str
    finish_reason: str | None
    response: Mapping[str, Any] | None
    failure: str | None
    duration_ms: float
    first_ms: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    started_at: str
    request: Mapping[str, Any]
    asked: Mapping[str, Any]
    line: Mapping[str, Any] | None = None

    @property
    def exchange(self) -> Exchange:
        """What was asked and what came; plain where the prompt was sent as text."""
        return Exchange.of(self.asked, self.response or {}, plain=is_raw(Request.unchecked(self.request)))


class Store:
    """The file, open for reading, or for writing with :func:`writing`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._line = "line" if _format(connection) > 1 else "NULL"

    def runs(self) -> list[Run]:
        """Every run, oldest first."""
        rows = self._db.execute(
            "SELECT run_id, arm, config, samples, samples_sha256, started_at, finished_at FROM runs ORDER BY run_id"
        )
        return [Run(row[0], row[1], json.loads(row[2]), *row[3:]) for row in rows]

    def arms(self) -> list[Run]:
        """The latest run of each arm, in the order in which the arms were first seen."""
        runs = self.runs()
        latest = {run.arm: run for run in runs}
        return [latest[arm] for arm in dict.fromkeys(run.arm for run in sorted(runs, key=lambda run: run.started_at))]

    def run_of(self, arm: str) -> Run:
        """The latest run of an arm; raises :class:`InputError` with the arms there are."""
        known = {run.arm: run for run in self.runs()}
        if arm not in known:
            raise InputError(f"no arm {arm!r}: there is {', '.join(sorted(known)) or 'none'}")
        return known[arm]

    def results(self, run: Run) -> Iterator[Result]:
        """All results of a run by trial and ``data_index``, read as they are needed."""
        rows = self._db.execute(
            "SELECT r.data_index, trial, status, finish_reason, response, failure, duration_ms, first_ms,"
            f" prompt_tokens, completion_tokens, last_run_at, sent, coalesce(original, sent), {self._line}"
            " FROM results r JOIN requests USING (run_id, data_index) WHERE run_id = ? ORDER BY trial, r.data_index",
            (run.run_id,),
        )
        for row in rows:
            response, line = (json.loads(text) if text else None for text in (row[4], row[13]))
            yield Result(*row[:4], response, *row[5:11], json.loads(row[11]), json.loads(row[12]), line)  # type: ignore[call-arg]

    def attempts(self, run: Run) -> int:
        """How many requests were sent in a run, repeated ones included."""
        return int(self._db.execute("SELECT count(*) FROM attempts WHERE run_id = ?", (run.run_id,)).fetchone()[0])

    def counts(self, run: Run, trials: int, last_index: int | None = None) -> dict[str, int]:
        """Stored results of the first trials, up to a line, by finish reason; failed ones under ``failed``."""
        rows = self._db.execute(
            "SELECT CASE status WHEN 'success' THEN finish_reason ELSE 'failed' END AS how, count(*) FROM results"
            " WHERE run_id = ? AND trial < ? AND data_index <= coalesce(?, data_index) GROUP BY how",
            (run.run_id, trials, last_index),
        )
        return dict(rows.fetchall())

    def begin(self, arm: str, config: Mapping[str, Any], samples: str, samples_sha256: str) -> Run:
        """The run of this arm, configuration and samples file; a new one where there is none.

        An arm that changes back to an earlier configuration goes on in its earlier run.
        """
        digest = digest_of(config)
        with self._db:
            found = self._db.execute(
                "SELECT run_id FROM runs WHERE arm = ? AND digest = ? AND samples_sha256 = ?",
                (arm, digest, samples_sha256),
            ).fetchone()
            if found is None:
                self._db.execute(
                    "INSERT INTO runs (arm, digest, config, samples, samples_sha256, started_at)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (arm, digest, json.dumps(config), samples, samples_sha256, _now()),
                )
            elif found[0] != self.run_of(arm).run_id:
                self._renumber(found[0])
        return self.run_of(arm)

    def register(self, run: Run, trial: int, prepared: Sequence[Prepared]) -> Counter[str]:
        """Note what a run is about to ask; returns the finish reasons of answers taken over from earlier runs."""
        with self._db:
            self._db.executemany(
                "INSERT INTO requests VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [(run.run_id, p.data_index, p.key, p.body.decode(), p.original) for p in prepared],
            )
            return self._take_over(run, trial, prepared)

    def missing(
        self, run: Run, trial: int, prepared: Sequence[Prepared], *, rerun_failed: bool = False
    ) -> list[Prepared]:
        """Those requests that have no result yet."""
        counted = ("success",) if rerun_failed else ("success", "failed")
        rows = self._db.execute(
            "SELECT data_index FROM results WHERE run_id = ? AND trial = ? AND data_index BETWEEN ? AND ?"
            f" AND status IN ({','.join('?' * len(counted))})",
            (run.run_id, trial, prepared[0].data_index, prepared[-1].data_index, *counted),
        )
        had = {row[0] for row in rows}
        return [item for item in prepared if item.data_index not in had]

    def write(self, run: Run, batch: Iterable[Done]) -> None:
        """Store results and their attempts in one transaction."""
        results, attempts = [], []
        for done in batch:
            results.append(_result_row(run, done))
            attempts += [_attempt_row(run, done, attempt) for attempt in done.attempts]
        with self._db:
            self._db.executemany(INSERT_RESULT, results)
            self._db.executemany("INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", attempts)

    def finish(self, run: Run) -> None:
        """Note that a run has come to its end for now."""
        with self._db:
            self._db.execute("UPDATE runs SET finished_at = ? WHERE run_id = ?", (_now(), run.run_id))

    def forget_empty(self, run: Run) -> None:
        """Drop a run that got no result, so that the arm's latest run is one with results."""
        with self._db:
            for table in ("requests", "runs"):
                self._db.execute(
                    f"DELETE FROM {table} WHERE run_id = ?1 AND NOT EXISTS (SELECT 1 FROM results WHERE run_id = ?1)",
                    (run.run_id,),
                )

    def load(self, run: Run, results: Iterable[Result]) -> None:
        """Store results that were got elsewhere."""
        with self._db:
            for result in results:
                sent = json.dumps(result.request)
                self._db.execute(
                    "INSERT OR REPLACE INTO requests VALUES (?, ?, ?, ?, NULL)",
                    (run.run_id, result.data_index, digest_of(result.request), sent),
                )
                row = (
                    run.run_id, result.data_index, result.trial, result.status, result.finish_reason,
                    json.dumps(result.response), result.failure, None, result.duration_ms, result.first_ms,
                    result.prompt_tokens, result.completion_tokens, 1, result.started_at,
                    json.dumps(result.line) if result.line else None,
                )  # fmt: skip
                self._db.execute(INSERT_RESULT, row)

    def _take_over(self, run: Run, trial: int, prepared: Sequence[Prepared]) -> Counter[str]:
        """Copy results of earlier runs of the same arm whose request had the same key, of the same line first."""
        taken: Counter[str] = Counter()
        earlier = [r.run_id for r in self.runs() if r.arm == run.arm and r.run_id != run.run_id]
        if not earlier:
            return taken
        self._db.execute("CREATE INDEX IF NOT EXISTS requests_key ON requests (key)")  # most files never need it
        marks = ",".join("?" * len(earlier))
        columns = ",".join(f"r.{name}" for name in RESULT_COLUMNS[1:] if name != "data_index")
        for item in prepared:
            copied = self._db.execute(
                f"INSERT OR IGNORE INTO results SELECT ?, ?, {columns} FROM requests q JOIN results r USING"
                f" (run_id, data_index) WHERE q.key = ? AND r.trial = ? AND r.status = 'success'"
                f" AND q.run_id IN ({marks}) ORDER BY r.data_index <> ? LIMIT 1",
                (run.run_id, item.data_index, item.key, trial, *earlier, item.data_index),
            )
            if copied.rowcount:
                where = (run.run_id, item.data_index, trial)
                found = "SELECT finish_reason FROM results WHERE run_id = ? AND data_index = ? AND trial = ?"
                taken[self._db.execute(found, where).fetchone()[0]] += 1
        return taken

    def _renumber(self, run_id: int) -> None:
        """Make a run the latest one: that with the highest number."""
        last = self._db.execute("SELECT max(run_id) FROM runs").fetchone()[0]
        for table in ("runs", "requests", "results", "attempts"):
            self._db.execute(f"UPDATE {table} SET run_id = ? WHERE run_id = ?", (last + 1, run_id))


RESULT_COLUMNS = (
    "run_id", "data_index", "trial", "status", "finish_reason", "response", "failure", "http_status", "duration_ms",
    "first_ms", "prompt_tokens", "completion_tokens", "attempts", "last_run_at", "line",
)  # fmt: skip
INSERT_RESULT = f"INSERT OR REPLACE INTO results VALUES ({','.join('?' * len(RESULT_COLUMNS))})"


def _result_row(run: Run, done: Done) -> tuple[Any, ...]:
    last = done.attempts[-1]
    failure = last.failure
    return (
        run.run_id,
        done.data_index,
        done.trial,
        "failed" if failure else "success",
        last.finish_reason,
        last.response,
        f"{failure.kind}: {failure.detail}" if failure else None,
        failure.status if failure else 200,
        last.duration_ms,
        last.first_ms,
        count_of(last.usage.get("prompt_tokens")),
        count_of(last.usage.get("completion_tokens")),
        len(done.attempts),
        last.started_at,
        None,
    )


def _attempt_row(run: Run, done: Done, attempt: Attempt) -> tuple[Any, ...]:
    failure = attempt.failure
    return (
        run.run_id,
        done.data_index,
        done.trial,
        attempt.started_at,
        attempt.duration_ms,
        failure.status if failure else 200,
        f"{failure.kind}: {failure.detail}" if failure else None,
        failure.retry_after_s if failure else None,
    )


def count_of(value: object) -> int | None:
    """A number of tokens, or ``None`` for what a server sent instead."""
    return value if isinstance(value, int) and 0 <= value < 1 << 53 else None


@contextlib.contextmanager
def reading(path: Path) -> Iterator[Store]:
    """The file for reading, also while a run writes to it; raises :class:`InputError` for what is no such file."""
    if not path.is_file():
        raise InputError(f"no benchmark file {path}: make one with k2lab bench run")
    with contextlib.closing(_connect(path, make=False)) as connection:
        yield Store(connection)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Store]:
    """The file for writing, made where there is none; raises :class:`InputError` while somebody else writes."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(f"{path}.lock", timeout=0)
        lock.acquire()
    except filelock.Timeout:
        raise InputError(f"{path} is being written by another run: wait for it, or choose another file") from None
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    try:
        with contextlib.closing(_connect(path, make=True)) as connection:
            yield Store(connection)
            connection.execute("PRAGMA busy_timeout = 0")  # a reader in the middle of the file is not waited for
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        lock.release()


def _connect(path: Path, *, make: bool) -> sqlite3.Connection:
    with contextlib.ExitStack() as opened:
        try:
            connection = opened.enter_context(contextlib.closing(sqlite3.connect(path, timeout=30)))
            _check(path, connection, make)
            if make:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.Error as error:
            raise InputError(f"{path} is no benchmark file of k2lab: {error}") from None
        opened.pop_all()
    return connection


def _check(path: Path, connection: sqlite3.Connection, make: bool) -> None:
    """Refuse another program's file as it is; make the tables in a new one where that is wished."""
    known = connection.execute("PRAGMA application_id").fetchone()[0]
    made = _format(connection)
    if make and not known and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        connection.executescript(
            f"BEGIN; {SCHEMA} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT}; COMMIT;"
        )
    elif known != APPLICATION_ID:
        raise InputError(f"{path} is an SQLite file, but no benchmark file of k2lab")
    elif not 1 <= made <= FORMAT:
        raise InputError(f"{path} has format {made}, this k2lab reads up to {FORMAT}: use the k2lab that wrote it")
    elif make and made < FORMAT:
        steps = " ".join(UPGRADES[step] for step in range(made, FORMAT))
        connection.executescript(f"BEGIN; {steps} PRAGMA user_version = {FORMAT}; COMMIT;")


def _format(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")

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
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING

from k2lab import jsonread, sqlitefile
from k2lab.bench import tables
from k2lab.bench.arm import Prepared, digest_of
from k2lab.bench.records import Done, Result, Run, count_of
from k2lab.bench.tables import INSERT_ATTEMPT, INSERT_RESULT, RESULT_COLUMNS
from k2lab.errors import InputError

if TYPE_CHECKING:
    from k2lab.bench.client import Attempt
    from k2lab.server.transport import Failure

DECODED = ("response", "request", "asked", "line")
"""Fields of a result that are stored as JSON text."""

TEXT, NUMBER, OBJECT = (str,), (int, float), (dict,)
RUN_KINDS: Mapping[str, tuple[type, ...]] = {
    "arm": TEXT, "config": OBJECT, "samples": TEXT, "samples_sha256": TEXT, "started_at": TEXT,
}  # fmt: skip
RESULT_KINDS: Mapping[str, tuple[type, ...]] = {
    "data_index": (int,), "trial": (int,), "status": TEXT, "finish_reason": (str, NoneType), "failure": (str, NoneType),
    "response": (dict, NoneType), "request": OBJECT, "asked": OBJECT, "line": (dict, NoneType), "duration_ms": NUMBER,
    "first_ms": (*NUMBER, NoneType), "prompt_tokens": (int, NoneType), "completion_tokens": (int, NoneType),
    "started_at": TEXT,
}  # fmt: skip
"""Of what kind each value is: SQLite itself holds anything in any column."""

RUN_FIELDS = tuple(field.name for field in fields(Run))

NEXT_TURN = "(SELECT coalesce(max(turn), 0) + 1 FROM runs)"


class Store:
    """The file, open for reading, or for writing with :func:`writing`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._line, self._turn = (tables.column(connection, name) for name in ("line", "turn"))

    def runs(self) -> list[Run]:
        """Every run, in the order in which they were begun or last gone on with."""
        rows = self._db.execute(f"SELECT {', '.join(RUN_FIELDS)} FROM runs ORDER BY {self._turn}")
        named = (dict(zip(RUN_FIELDS, row, strict=True)) for row in rows)
        return [
            Run(**sqlitefile.checked({**values, "config": _decoded(values["config"])}, RUN_KINDS)) for values in named
        ]

    def arms(self) -> list[Run]:
        """The latest run of each arm, in the order in which the arms were first seen."""
        runs = self.runs()
        latest = {run.arm: run for run in runs}
        return [latest[arm] for arm in dict.fromkeys(run.arm for run in sorted(runs, key=lambda run: run.started_at))]

    def run_of(self, arm: str) -> Run:
        """The latest run of an arm; raises :class:`InputError` with the arms there are."""
        known = {run.arm: run for run in self.runs()}
        if arm not in known:
            raise InputError(f"the file has no arm {arm!r}, it has {', '.join(sorted(known)) or 'none yet'}")
        return known[arm]

    def results(self, run: Run) -> Iterator[Result]:
        """All results of a run by trial and ``data_index``, read as they are needed."""
        return self._read("run_id = ?", run.run_id)

    def result_of(self, run: Run, data_index: int, trial: int) -> Result:
        """One result of a run; raises :class:`InputError` where it is not there, or not any more."""
        found = self._read("run_id = ? AND r.data_index = ? AND trial = ?", run.run_id, data_index, trial)
        for result in found:
            return result
        raise InputError(f"arm {run.arm!r} has no result of request {data_index}, trial {trial}: open the file anew")

    def _read(self, condition: str, *wanted: int) -> Iterator[Result]:
        rows = self._db.execute(
            "SELECT r.data_index, trial, status, finish_reason, response, failure, duration_ms, first_ms,"
            " prompt_tokens, completion_tokens, last_run_at AS started_at, sent AS request,"
            f" original AS asked, {self._line} AS line"
            f" FROM results r JOIN requests USING (run_id, data_index) WHERE {condition} ORDER BY trial, r.data_index",
            wanted,
        )
        names = [column[0] for column in rows.description]
        for row in rows:
            values = dict(zip(names, row, strict=True))
            decoded = {name: _decoded(values[name]) for name in DECODED}
            if decoded["asked"] is None:  # it was sent as it was asked
                decoded["asked"] = decoded["request"]
            yield Result(**sqlitefile.checked({**values, **decoded}, RESULT_KINDS))

    def has_results(self, run: Run) -> bool:
        """Whether anything was got in a run; one that was killed at its beginning has nothing."""
        found = self._db.execute("SELECT 1 FROM results WHERE run_id = ? LIMIT 1", (run.run_id,))
        return found.fetchone() is not None

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

    def begin(self, arm: str, config: Mapping[str, object], samples: str, samples_sha256: str) -> Run:
        """The run of this arm, configuration and samples file; a new one where there is none.

        An arm that changes back to an earlier configuration goes on in its earlier run.
        """
        with self._db:
            return self._begun(arm, config, samples, samples_sha256)

    def _begun(self, arm: str, config: Mapping[str, object], samples: str, samples_sha256: str) -> Run:
        digest = digest_of(config)
        found = self._db.execute(
            "SELECT run_id FROM runs WHERE arm = ? AND digest = ? AND samples_sha256 = ?", (arm, digest, samples_sha256)
        ).fetchone()
        if found is None:
            self._db.execute(
                "INSERT INTO runs (arm, digest, config, samples, samples_sha256, started_at, turn)"
                f" VALUES (?, ?, ?, ?, ?, ?, {NEXT_TURN})",
                (arm, digest, json.dumps(config), sqlitefile.storable(samples), samples_sha256, _now()),
            )
        elif found[0] != self.run_of(arm).run_id:
            self._db.execute(f"UPDATE runs SET turn = {NEXT_TURN} WHERE run_id = ?", found)
        return self.run_of(arm)

    def register(self, run: Run, trial: int, prepared: Sequence[Prepared]) -> Counter[str]:
        """Note what a run is about to ask; returns the finish reasons of answers taken over from earlier runs.

        It is committed with the next results: without them it says nothing.
        """
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
            self._db.executemany(INSERT_ATTEMPT, attempts)

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

    def load(
        self, arm: str, config: Mapping[str, object], samples: str, samples_sha256: str, *, results: Iterable[Result]
    ) -> Run:
        """Store results that were got elsewhere, all of them or none; :meth:`begin` says what the others are."""
        with self._db:
            run = self._begun(arm, config, samples, samples_sha256)
            for result in results:
                sent = json.dumps(result.request)
                self._db.execute(
                    "INSERT OR REPLACE INTO requests VALUES (?, ?, ?, ?, NULL)",
                    (run.run_id, result.data_index, digest_of(result.request), sent),
                )
                self._db.execute(INSERT_RESULT, _loaded_row(run, result))
        return run

    def _take_over(self, run: Run, trial: int, prepared: Sequence[Prepared]) -> Counter[str]:
        """Copy results of earlier runs of the same arm whose request had the same key, of the same line first."""
        taken: Counter[str] = Counter()
        rows = self._db.execute("SELECT run_id FROM runs WHERE arm = ? AND run_id <> ?", (run.arm, run.run_id))
        earlier = [row[0] for row in rows]
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


def _decoded(text: object) -> object:
    """The value of a JSON text as it is stored; ``None`` where there is none."""
    if text is None or text == "":
        return None
    if not isinstance(text, str):
        raise sqlitefile.DamageError(f"{str(text)[:40]!r} stands where JSON should")
    try:
        return jsonread.read_json(text, constants=True)
    except jsonread.NotJSON as error:
        raise sqlitefile.DamageError(f"{text[:40]!r} stands where JSON should: {error}") from None


def _result_row(run: Run, done: Done) -> tuple[object, ...]:
    """The values of :data:`~k2lab.bench.tables.RESULT_COLUMNS`."""
    last = done.attempts[-1]
    failure, usage = last.failure, last.usage
    return (
        run.run_id, done.data_index, done.trial, "failed" if failure else "success",
        last.finish_reason, last.response, _words(failure), failure.status if failure else 200, last.duration_ms,
        last.first_ms, count_of(usage.get("prompt_tokens")), count_of(usage.get("completion_tokens")),
        len(done.attempts), last.started_at, None,
    )  # fmt: skip


def _attempt_row(run: Run, done: Done, attempt: Attempt) -> tuple[object, ...]:
    """The values of :data:`~k2lab.bench.tables.ATTEMPT_COLUMNS`."""
    failure = attempt.failure
    return (
        run.run_id, done.data_index, done.trial, attempt.started_at, attempt.duration_ms,
        failure.status if failure else 200, _words(failure), failure.retry_after_s if failure else None,
    )  # fmt: skip


def _words(failure: Failure | None) -> str | None:
    return f"{failure.kind}: {failure.detail}" if failure else None


def _loaded_row(run: Run, result: Result) -> tuple[object, ...]:
    """That of a result that was got elsewhere."""
    same = ("data_index", "trial", "status", "finish_reason", "failure", "duration_ms", "first_ms",
            "prompt_tokens", "completion_tokens")  # fmt: skip
    values = {
        **{name: sqlitefile.storable(getattr(result, name)) for name in same},
        "run_id": run.run_id,
        "response": json.dumps(result.response),
        "http_status": None,
        "attempts": 1,
        "last_run_at": sqlitefile.storable(result.started_at),
        "line": json.dumps(result.line) if result.line else None,
    }
    return tuple(values[name] for name in RESULT_COLUMNS)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[Store]:
    """The file for reading, also while a run writes to it; raises :class:`InputError` for what is no such file."""
    with sqlitefile.reading(path, tables.FORM) as connection:
        yield Store(connection)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Store]:
    """The file for writing, made where there is none; raises :class:`InputError` while somebody else writes."""
    with sqlitefile.writing(path, tables.FORM) as connection:
        yield Store(connection)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")

"""The recorder: takes what passed, and has it written by a thread, a batch a transaction; nobody waits for a disk.

What was acknowledged survives the end of k2lab, however it ends (SIGKILL): it is in SQLite's log, in the hands of the
operating system. A power cut can lose the last moments of that, and never more: the file
stays whole (``synchronous=NORMAL``). With ``durable`` each batch is on the disk before it is acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import sqlite3
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from k2lab import sqlitefile
from k2lab.errors import InputError, K2LabError, first_line
from k2lab.traffic import hourly, recordrows
from k2lab.traffic.backlog import Backlog
from k2lab.traffic.exchanges import Passed
from k2lab.traffic.looker import Looker
from k2lab.traffic.looking import READ, Job
from k2lab.traffic.recordfile import Record
from k2lab.traffic.recordrows import Entry, Looked, Noted
from k2lab.traffic.redaction import Redaction
from k2lab.traffic.retention import Retention

Outcome = Literal["written", "left_out", "dropped", "failed"]
"""What became of an exchange: it is safe; the sample lacks it (it is written later where something is found in it);
there was no room for it to wait; the file could not be written."""

BATCH, BATCH_BYTES = 256, 8 << 20
SAY_S = 60.0
"""Seconds between two lines of the log on one trouble."""

_log = logging.getLogger("k2lab.traffic")


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordOptions:
    """What is recorded, and how: into a file, or into a folder with a Parquet file an hour.

    ``sample`` is the share that is kept of what has no finding, by a hash of the
    key. ``most_waiting`` and ``waiting_bytes`` bound what waits for the disk;
    a batch that cannot be written is tried for ``patience_s``, and ``drain_s`` is
    for what waits when the recorder is closed.
    """

    path: Path
    form: Literal["sqlite", "parquet"] = "sqlite"
    look: bool = True
    sample: float = 1.0
    redaction: Redaction = field(default_factory=Redaction)
    retention: Retention = field(default_factory=Retention)
    durable: bool = False
    most_waiting: int = 20_000
    waiting_bytes: int = 256 << 20
    patience_s: float = 5.0
    drain_s: float = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Taken:
    passed: Passed
    future: asyncio.Future[Outcome]
    loop: asyncio.AbstractEventLoop


@dataclass(frozen=True, kw_only=True, slots=True)
class _Made:
    """An exchange that is to be written: its entry, and who waits for it."""

    entry: Entry
    raw: Passed | None = None
    taken: _Taken | None = None


class Recorder:
    """Takes exchanges in an event loop and writes them in a thread of its own; raises :class:`InputError` at its start.

    The counters are for ``/metrics``: exchanges ``written``, ``failed`` (they could
    not be written), ``dropped`` (no room), ``left_out`` of the sample, ``unlooked``
    (no time to look at them), ``bytes`` of the bodies written, ``findings`` by code and layer.
    """

    def __init__(self, options: RecordOptions) -> None:
        if not 0 <= options.sample <= 1:
            raise InputError(f"the sample must be a share between 0 and 1, found {options.sample}")
        self.options = options
        self.written = self.failed = self.dropped = self.left_out = self.unlooked = self.bytes = 0
        self.findings: Counter[tuple[str, str]] = Counter()
        self.redacted: Counter[str] = Counter()
        self._backlog = Backlog[_Taken](most=options.most_waiting, most_bytes=options.waiting_bytes)
        self._looked: deque[tuple[object, Looked, tuple[Noted, ...]]] = deque()
        self._said: dict[str, float] = {}
        self._tallied = 0
        self._unwritten: Counter[str] = Counter()
        self._closing = threading.Event()
        self._scope = contextlib.ExitStack()
        self._record: Record | None = None
        self._inode = (0, 0)
        self._path = hourly.journal_of(options.path) if options.form == "parquet" else options.path
        self._scope.enter_context(sqlitefile.only_writer(self._path, recordrows.FORM))
        with contextlib.ExitStack() as failing:
            failing.callback(self._scope.close)
            self._open()
            failing.pop_all()
        self._looker = Looker(lambda *told: self._looked.append(told)) if options.look or options.sample < 1 else None
        self._hourly = hourly.Hourly(options.path, options.retention) if options.form == "parquet" else None
        self._thread = threading.Thread(target=self._run, name="k2lab-recorder", daemon=True)
        self._thread.start()

    def take(self, passed: Passed) -> asyncio.Future[Outcome]:
        """Take an exchange at once; what comes back says what became of it, once it is safe. Never raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        size = sum(len(body or b"") for body in (passed.request, passed.answer, passed.sent, passed.given))
        if not self._backlog.put(_Taken(passed=passed, future=future, loop=loop), size):
            self.dropped += 1
            future.set_result("dropped")
            self._say("behind", "the record is behind: exchanges go by without being recorded")
        return future

    def counters(self) -> dict[str, int]:
        """Every count of exchanges and bytes."""
        names = ("written", "failed", "dropped", "left_out", "unlooked", "bytes")
        return {name: getattr(self, name) for name in names}

    def close(self) -> None:
        """Write what waits, for a bounded time; what could not be written is counted."""
        self._backlog.close()
        self._thread.join(self.options.drain_s)
        self._closing.set()
        self._thread.join(2 * self.options.drain_s)
        if self._thread.is_alive():
            lost = self._backlog.take(self.options.most_waiting, self.options.waiting_bytes, wait_s=0)
            self.failed += len(lost)
            _resolve([(taken, "failed") for taken in lost])
            said = f"{len(lost)} exchanges are lost, and what it is at"
            self._say("stalled", f"{self._path} does not take what is written to it: {said}")

    def _run(self) -> None:
        try:
            while True:
                batch = self._backlog.take(BATCH, BATCH_BYTES, wait_s=0.2)
                self._safely(batch)
                if not batch and self._backlog.closed and not len(self._backlog):
                    break
            self._finish()
        finally:
            with contextlib.suppress(sqlite3.Error, OSError):
                self._shut(put_away=True)
                self._scope.close()

    def _finish(self) -> None:
        """Take what the looker still finds."""
        if self._looker is not None:
            self._looker.close(self.options.drain_s / 2)
        if self._hourly is not None:
            self._hourly.close()
        self._safely([])
        while self._looked:
            self._safely([])

    def _safely(self, batch: Sequence[_Taken]) -> None:
        """One batch, after which there is a next one whatever happens."""
        try:
            self._turn(batch)
        except Exception as error:  # a fault of k2lab's own
            self.failed += len(batch)
            self._say("fault", f"a batch could not be recorded: {type(error).__name__} in {_place(error)}")
            _resolve([(taken, "failed") for taken in batch])

    def _turn(self, batch: Sequence[_Taken]) -> None:
        """One batch: what came, and what was found in what came before."""
        tallies: Counter[str] = Counter()
        made, notes = self._of_looked(tallies)
        for taken in batch:
            one = self._made(taken)
            if one is not None:
                made.append(one)
        if made or notes or tallies or self.dropped + self.failed > self._tallied:
            self._write(made, notes, tallies)
        elif not batch:
            self._keep(0)

    def _made(self, taken: _Taken) -> _Made | None:
        """What is to be written of an exchange now; ``None`` where it is looked at first."""
        try:
            passed, counts = self.options.redaction.passed(taken.passed)
        except Exception as error:  # a fault of k2lab's own: nothing is written that was not gone through
            self.failed += 1
            self._say("fault", f"an exchange could not be prepared for the record: {type(error).__name__}")
            _resolve([(taken, "failed")])
            return None
        self.redacted.update(counts)
        entry = Entry(passed=passed, redacted=counts)
        if self.options.sample >= 1:
            return _Made(entry=entry, raw=taken.passed, taken=taken)
        if _share(passed.key) < self.options.sample:
            return _Made(entry=replace(entry, kept_for="sample"), raw=taken.passed, taken=taken)
        assert self._looker is not None
        if self._looker.offer(entry, _job(taken.passed, passed)):
            _resolve([(taken, "left_out")])
            return None
        self.unlooked += 1
        return _Made(entry=replace(entry, kept_for="unlooked", looked="late"), taken=taken)

    def _of_looked(self, tallies: Counter[str]) -> tuple[list[_Made], list[tuple[int, Looked, tuple[Noted, ...]]]]:
        """What the looker found: findings of what is written, and exchanges that are to be written for them."""
        made: list[_Made] = []
        notes: list[tuple[int, Looked, tuple[Noted, ...]]] = []
        while self._looked and len(made) + len(notes) < BATCH:
            mark, looked, found = self._looked.popleft()
            self.findings.update((one.code, one.layer) for one in found)
            self.unlooked += looked == "late"
            if isinstance(mark, int):
                notes.append((mark, looked, found))
            elif isinstance(mark, Entry):
                self._decide(replace(mark, looked=looked, findings=found), made, tallies)
        return made, notes

    def _decide(self, entry: Entry, made: list[_Made], tallies: Counter[str]) -> None:
        """Whether an exchange that the sample lacks is kept after all."""
        if entry.findings:
            made.append(_Made(entry=replace(entry, kept_for="finding")))
        elif entry.looked == "late" or (entry.looked == "cannot" and _is_read(entry.passed)):
            made.append(_Made(entry=replace(entry, kept_for="unlooked")))
        else:
            self.left_out += 1
            tallies["left_out:clean" if entry.looked == "yes" else "left_out:of another kind"] += 1

    def _write(
        self, made: list[_Made], notes: list[tuple[int, Looked, tuple[Noted, ...]]], tallies: Counter[str]
    ) -> None:
        rows = [(recordrows.row_of(one.entry), one.entry.findings) for one in made]
        size = sum(len(part) for row, _ in rows for part in row[-4:] if isinstance(part, bytes))
        tallies.update(self._unwritten)
        unwritten = Counter({name: count for name, count in tallies.items() if name != "lost"})
        lost = self._count(made, tallies)
        numbers = self._persistent(lambda record: self._stored(record, rows, notes, tallies, size))
        outcome: Outcome = "failed" if numbers is None else "written"
        if numbers is None:
            self.failed += len(made)
            self._unwritten = unwritten
        else:
            self._tallied, self._unwritten = lost, Counter()
            self.written += len(made)
            self.bytes += size
            self._offer(made, numbers)
        _resolve([(one.taken, outcome) for one in made if one.taken is not None])

    def _count(self, made: Sequence[_Made], tallies: Counter[str]) -> int:
        """Add to the file's own counts what was lost since the last, and what was replaced; all that are lost."""
        lost = self.dropped + self.failed
        tallies["lost"] += lost - self._tallied
        for one in made:
            tallies.update({f"redacted:{name}": count for name, count in one.entry.redacted.items()})
        return lost

    def _stored(
        self,
        record: Record,
        rows: list[tuple[tuple[object, ...], tuple[Noted, ...]]],
        notes: list[tuple[int, Looked, tuple[Noted, ...]]],
        tallies: Mapping[str, int],
        size: int,
    ) -> list[int]:
        self._keep(size)
        return record.store(rows, {name: count for name, count in tallies.items() if count}, notes)

    def _keep(self, coming: int) -> None:
        with contextlib.suppress(sqlite3.Error) if not coming else contextlib.nullcontext():
            if self._record is not None:
                if self._hourly is not None:
                    self._hourly.clear(self._record.connection)
                self.options.retention.keep(self._record.connection, coming)

    def _offer(self, made: Sequence[_Made], numbers: Sequence[int]) -> None:
        """Have a look at what was written without one."""
        if self._looker is None:
            return
        for one, number in zip(made, numbers, strict=True):
            if one.raw is not None and not self._looker.offer(number, _job(one.raw, one.entry.passed)):
                self._looked.append((number, "late", ()))

    def _persistent(self, work: Callable[[Record], list[int]]) -> list[int] | None:
        """Do it, again and again for a while where it fails; ``None`` where it kept failing."""
        until = time.monotonic() + self.options.patience_s
        while True:
            try:
                return work(self._current())
            except (sqlite3.Error, OSError, K2LabError) as error:
                self._say("failing", self._trouble(error))
                with contextlib.suppress(sqlite3.Error):
                    self._shut()
            if time.monotonic() >= until or self._closing.is_set():
                return None
            time.sleep(0.25)

    def _trouble(self, error: Exception) -> str:
        told = sqlitefile.meaning(self._path, recordrows.FORM.what, error) if isinstance(
            error, sqlite3.Error) else first_line(error)  # fmt: skip
        return f"the record cannot be written, and the traffic goes on: {told}"

    def _current(self) -> Record:
        """The file, opened anew where it was taken away or another lies in its place."""
        if self._record is not None and _identity(self._path) != self._inode:
            self._say("gone", f"{self._path} was taken away or replaced: the record goes on in a new file")
            self._shut()
        if self._record is None:
            self._open()
        assert self._record is not None
        return self._record

    def _open(self) -> None:
        connection = sqlitefile.connect(self._path, recordrows.FORM, make=True, threads=True)
        connection.execute(f"PRAGMA synchronous = {'FULL' if self.options.durable else 'NORMAL'}")
        connection.execute("PRAGMA busy_timeout = 1000")
        self._record, self._inode = Record(connection), _identity(self._path)

    def _shut(self, *, put_away: bool = False) -> None:
        record, self._record = self._record, None
        if record is not None:
            if put_away:
                sqlitefile.put_away_log(record.connection)
            record.connection.close()

    def _say(self, trouble: str, line: str) -> None:
        """Into the log, once a minute for each trouble."""
        now = time.monotonic()
        if now - self._said.get(trouble, -SAY_S) >= SAY_S:
            self._said[trouble] = now
            _log.warning("%s", line)


def recorder_of(options: RecordOptions) -> Recorder:
    """A recorder that is ready; raises :class:`InputError` for a file that cannot be written, or is another's."""
    return Recorder(options)


def _job(raw: Passed, written: Passed) -> Job:
    return Job(passed=raw, redacted=None if written is raw else written)


def _is_read(passed: Passed) -> bool:
    """Whether an exchange is of a kind that is looked at."""
    return passed.method == "POST" and passed.path.endswith(READ)


def _share(key: str) -> float:
    """A number in [0, 1) that is always the same for a key."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) / (1 << 64)


def _place(error: Exception) -> str:
    """Where an error was raised, without anything of what it says."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].name}, line {frames[-1].lineno}" if frames else "?"


def _identity(path: Path) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0)
    return found.st_dev, found.st_ino


def _resolve(outcomes: Sequence[tuple[_Taken, Outcome]]) -> None:
    """Tell those who wait, a call into each loop for all of a batch."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Outcome], Outcome]]] = {}
    for taken, outcome in outcomes:
        loops.setdefault(taken.loop, []).append((taken.future, outcome))
    for loop, told in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_tell, told)


def _tell(told: Sequence[tuple[asyncio.Future[Outcome], Outcome]]) -> None:
    for future, outcome in told:
        if not future.done():
            future.set_result(outcome)

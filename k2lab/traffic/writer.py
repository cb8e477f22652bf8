"""The writer: the process in which exchanges are redacted, packed, sampled and committed, a batch a transaction.

It is told of exchanges through a pipe, and says what became of each once that is so. What it said survives
its end, however it ends (SIGKILL): it is in SQLite's log, in the hands of the operating system. A power cut can lose
the last moments of that, and never more: the file stays whole (``synchronous=NORMAL``). With ``durable`` each batch is
on the disk before it is said.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sqlite3
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from k2lab import sqlitefile
from k2lab.errors import K2LabError, first_line
from k2lab.traffic import hourly, recordrows
from k2lab.traffic.caught import Caught
from k2lab.traffic.checkpoints import Checkpoints
from k2lab.traffic.exchanges import READ, Passed
from k2lab.traffic.looker import Job, Looker
from k2lab.traffic.recordfile import Record
from k2lab.traffic.recording import Outcome, RecordOptions
from k2lab.traffic.recordrows import Entry, Looked, Noted

BODIES = -len(recordrows.BODIES)
"""Where in a row the bodies begin."""

MOST_NOTES = 256
"""Findings and exchanges of the looker's that are written in one transaction."""

SAY_S = 60.0
"""Seconds between two lines of the log on one trouble."""

_log = logging.getLogger("k2lab.traffic")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Made:
    """An exchange that is to be written: its entry, as it came where it is looked at then, its place in its batch."""

    entry: Entry
    raw: Passed | None = None
    place: int = -1


class Writer:
    """Writes batches of exchanges; one thread calls it. Raises :class:`InputError` at its start, unless ``again``.

    ``counts``, ``findings`` and ``redacted`` are the caller's to take and clear. The
    first ``again`` exchanges are not written where the file has them already.
    """

    def __init__(self, options: RecordOptions, *, again: int | None = None) -> None:
        self.options = options
        self.counts: Counter[str] = Counter()
        self.findings: Counter[tuple[str, str]] = Counter()
        self.redacted: Counter[str] = Counter()
        self._hurries = False
        self._again = again or 0
        self._unlooked: list[tuple[int, Passed, Passed]] = []
        self._looked: deque[tuple[object, Looked, tuple[Noted, ...]]] = deque()
        self._tallies: Counter[str] = Counter()
        self._said: dict[str, float] = {}
        self._scope = contextlib.ExitStack()
        self._locked = False
        self._record: Record | None = None
        self._inode = (0, 0)
        self._path = hourly.journal_of(options.path) if options.form == "parquet" else options.path
        if again is None:
            self._current()
        self._looker = Looker(lambda *told: self._looked.append(told)) if options.look or options.sample < 1 else None
        self._hourly = hourly.Hourly(options.path, options.retention) if options.form == "parquet" else None

    @property
    def waiting(self) -> int:
        """How much was found that is not written yet."""
        return len(self._looked)

    def hurry(self) -> None:
        """From now on give up at once what cannot be written."""
        self._hurries = True

    def lose(self, count: int) -> None:
        """Count exchanges in the file that were lost before they came here."""
        if count:
            self._tallies["lost"] += count

    def write(self, batch: Sequence[Caught]) -> tuple[Outcome, ...]:
        """Write a batch; what became of each. Raises nothing."""
        outcomes: list[Outcome | None] = [None] * len(batch)
        try:
            made = [one for at, caught in enumerate(batch) if (one := self._made(at, caught, outcomes)) is not None]
            if made:
                self._store(made, (), outcomes)
        except Exception as error:  # a fault of k2lab's own
            self._fail(outcomes.count(None))
            self._say("fault", f"a batch could not be recorded: {type(error).__name__} in {_place(error)}")
        return tuple(outcome or "failed" for outcome in outcomes)

    def look(self) -> None:
        """Have a look at what was written without one: after its outcome was told, since nobody waits for it."""
        unlooked, self._unlooked = self._unlooked, []
        for number, raw, written in unlooked:
            if self._looker is not None and not self._looker.offer(number, _job(raw, written)):
                self._looked.append((number, "late", ()))

    def note(self) -> None:
        """Write what was found in what came before, and keep the file within its bounds. Raises nothing."""
        made: list[_Made] = []
        notes: list[tuple[int, Looked, tuple[Noted, ...]]] = []
        try:
            self._take_looked(made, notes)
            if made or notes or self._tallies:
                self._store(made, notes, [])
            self._keep(0)
        except Exception as error:  # a fault of k2lab's own
            self._fail(len(made))
            self._say("fault", f"findings could not be recorded: {type(error).__name__} in {_place(error)}")

    def close(self, within_s: float) -> None:
        """Look at what waits for so long, write what is found, and put the file away."""
        if self._looker is not None:
            self._looker.close(within_s)
        if self._hourly is not None:
            self._hourly.close()
        self.note()
        while self._looked:
            self.note()
        with contextlib.suppress(sqlite3.Error, OSError):
            self._shut(put_away=True)
            self._scope.close()

    def _made(self, place: int, caught: Caught, outcomes: list[Outcome | None]) -> _Made | None:
        """What is to be written of an exchange now; ``None`` where something else became of it."""
        if self._again and self._was_written(caught.key):
            self.counts["written"] += 1
            outcomes[place] = "written"
            return None
        try:
            passed = caught.passed()
            written, counts = self.options.redaction.passed(passed)
        except Exception as error:  # a fault of k2lab's own: nothing is written that was not gone through
            self._fail(1)
            self._say("fault", f"an exchange could not be prepared for the record: {type(error).__name__}")
            outcomes[place] = "failed"
            return None
        if counts:
            self.redacted.update(counts)
        entry = Entry(passed=written, redacted=counts)
        if self.options.sample >= 1:
            return _Made(entry=entry, raw=passed, place=place)
        if _share(passed.key) < self.options.sample:
            return _Made(entry=replace(entry, kept_for="sample"), raw=passed, place=place)
        assert self._looker is not None
        if self._looker.offer(entry, _job(passed, written)):
            outcomes[place] = "left_out"
            return None
        self.counts["unlooked"] += 1
        return _Made(entry=replace(entry, kept_for="unlooked", looked="late"), place=place)

    def _was_written(self, key: str) -> bool:
        """Whether an exchange that is sent again is in the file."""
        self._again -= 1
        with contextlib.suppress(sqlite3.Error, OSError, K2LabError):
            return self._current().has(key)
        return False

    def _take_looked(self, made: list[_Made], notes: list[tuple[int, Looked, tuple[Noted, ...]]]) -> None:
        """What the looker found: findings of what is written, and exchanges that are to be written for them."""
        while self._looked and len(made) + len(notes) < MOST_NOTES:
            mark, looked, found = self._looked.popleft()
            self.findings.update((one.code, one.layer) for one in found)
            self.counts["unlooked"] += looked == "late"
            if isinstance(mark, int):
                notes.append((mark, looked, found))
            elif isinstance(mark, Entry):
                self.counts["decided"] += 1
                self._decide(replace(mark, looked=looked, findings=found), made)

    def _decide(self, entry: Entry, made: list[_Made]) -> None:
        """Whether an exchange that the sample lacks is kept after all."""
        if entry.findings:
            made.append(_Made(entry=replace(entry, kept_for="finding")))
        elif entry.looked == "late" or (entry.looked == "cannot" and _is_read(entry.passed)):
            made.append(_Made(entry=replace(entry, kept_for="unlooked")))
        else:
            self.counts["left_out"] += 1
            self._tallies["left_out:clean" if entry.looked == "yes" else "left_out:of another kind"] += 1

    def _store(
        self,
        made: Sequence[_Made],
        notes: Sequence[tuple[int, Looked, tuple[Noted, ...]]],
        outcomes: list[Outcome | None],
    ) -> None:
        """Commit exchanges, findings and counts together."""
        rows = [(recordrows.row_of(one.entry), one.entry.findings) for one in made]
        size = sum(len(part) for row, _ in rows for part in row[BODIES:] if isinstance(part, bytes))
        tallies = self._tallies + _replaced(made) if any(one.entry.redacted for one in made) else self._tallies

        def stored(record: Record) -> list[int]:
            self._keep(size)
            numbers = record.store(rows, tallies, notes)
            self._checkpoints.grown(record.connection, size=size, rows=len(rows) + len(notes))
            return numbers

        numbers = self._persistent(stored)
        for one in made:
            if one.place >= 0:
                outcomes[one.place] = "failed" if numbers is None else "written"
        if numbers is None:
            self._fail(len(made))
            return
        self._tallies = Counter()
        self.counts["written"] += len(made)
        self.counts["bytes"] += size
        if self._looker is not None:
            looks = zip(numbers, made, strict=True)
            self._unlooked += [(number, one.raw, one.entry.passed) for number, one in looks if one.raw is not None]

    def _fail(self, count: int) -> None:
        if not count:
            return
        self.counts["failed"] += count
        self._tallies["lost"] += count

    def _keep(self, coming: int) -> None:
        """Keep the file within its bounds: for what comes that of its size, and all of them where nothing does."""
        record, retention = self._record, self.options.retention
        if record is None or (coming and retention.most_bytes is None):
            return
        with contextlib.nullcontext() if coming else contextlib.suppress(sqlite3.Error):
            if self._hourly is not None:
                self._hourly.clear(record.connection)
            retention.keep(record.connection, coming)

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
            if time.monotonic() >= until or self._hurries:
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
        if not self._locked:
            self._scope.enter_context(sqlitefile.only_writer(self._path, recordrows.FORM))
            self._locked = True
        connection = sqlitefile.connect(self._path, recordrows.FORM, make=True)
        connection.execute(f"PRAGMA synchronous = {'FULL' if self.options.durable else 'NORMAL'}")
        connection.execute("PRAGMA busy_timeout = 1000")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        self._checkpoints = Checkpoints(self._path)
        self._record, self._inode = Record(connection), _identity(self._path)

    def _shut(self, *, put_away: bool = False) -> None:
        record, self._record = self._record, None
        if record is not None:
            self._checkpoints.close()
            if put_away:
                sqlitefile.put_away_log(record.connection)
            record.connection.close()

    def _say(self, trouble: str, line: str) -> None:
        """Into the log, once a minute for each trouble."""
        now = time.monotonic()
        if now - self._said.get(trouble, -SAY_S) >= SAY_S:
            self._said[trouble] = now
            _log.warning("%s", line)


def _replaced(made: Sequence[_Made]) -> Counter[str]:
    """How much was replaced in exchanges, for the file's own counts."""
    counts: Counter[str] = Counter()
    for one in made:
        counts.update({f"redacted:{name}": count for name, count in one.entry.redacted.items()})
    return counts


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

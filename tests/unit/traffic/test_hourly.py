"""The record as Parquet: each exchange in one file, whole, whatever ends in between; others' readers read it."""

import os
import signal
import subprocess
import sys

import pandas
import pyarrow.parquet as pq

from k2lab.traffic import hourly, recordfile
from k2lab.traffic.exchanges import Changed
from k2lab.traffic.recordrows import Entry, Noted
from k2lab.traffic.retention import Retention
from tests.conftest import ROOT
from tests.unit.traffic.test_recorder import GOOD, options, passed, taken

NOW = 1_000_000 * 3600.0
NOTED = Noted(code="A111", name="empty_answer", layer="model", place="answer", evidence="é")
CHANGED = Changed(kind="repair", place="messages[0]", code="R001", detail="…")


def filled(folder, hours=3, each=5):
    with recordfile.writing(hourly.journal_of(folder)) as journal:
        for hour in range(hours):
            journal.add(
                [
                    Entry(
                        passed=passed(f"{hour}-{n}", started_at=NOW - 3600 * (hours - hour) + n, changes=(CHANGED,),
                                      request=os.urandom(50), sent=b"sent" if n % 2 else None),
                        findings=(NOTED,), looked="yes", redacted={"key": 2},
                    )
                    for n in range(each)
                ],
                {},
            )  # fmt: skip


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix == ".parquet")


def keys(folder):
    return sorted(key for name in names(folder) for key in pq.read_table(folder / name)["key"].to_pylist())


def cleared(folder, marks):
    made = hourly.Hourly.__new__(hourly.Hourly)
    made._taken = hourly.deque(marks)
    with recordfile.writing(folder / hourly.JOURNAL) as journal:
        made.clear(journal.connection)
        return journal.counts()["exchanges"]


def test_hours_that_are_over_become_files_that_hold_all_of_an_exchange(tmp_path):
    filled(tmp_path)
    with recordfile.reading(tmp_path / hourly.JOURNAL) as journal:
        before = list(journal.exchanges(until=NOW - 3600))
    marks = list(hourly.write_hours(tmp_path, NOW - 3600 + hourly.GRACE_S))
    assert len(marks) == 2 and len(names(tmp_path)) == 2 and names(tmp_path)[0].startswith("traffic-2084-01-29T13Z")
    table = pandas.concat(pandas.read_parquet(tmp_path / name) for name in names(tmp_path))
    assert list(table.columns) == [name for name, _ in hourly.COLUMNS]
    for entry, (_, row) in zip(before, table.iterrows(), strict=True):
        for name in ("key", "method", "status", "request", "answer", "sent", "given", "upstream_ms", "ended"):
            assert row[name] == getattr(entry.passed, name)
        assert row["started_at"].timestamp() == entry.passed.started_at and row["looked"] == "yes"
        assert list(row["findings"]) == [
            {"code": "A111", "name": "empty_answer", "layer": "model", "place": "answer", "evidence": "é"}
        ]
        assert list(row["changes"]) == [{"kind": "repair", "place": "messages[0]", "code": "R001", "detail": "…"}]
        assert list(row["redacted"]) == [{"rule": "key", "count": 2}]
    assert cleared(tmp_path, marks) == 5
    assert (tmp_path / names(tmp_path)[0]).stat().st_mode & 0o777 == 0o600


def test_killed_before_the_journal_is_cleared_it_writes_nothing_twice_and_what_ends_late_by_itself(
    tmp_path,
):
    filled(tmp_path, hours=1)
    assert len(list(hourly.write_hours(tmp_path, NOW + 200))) == 1
    marks = list(hourly.write_hours(tmp_path, NOW + 200))
    assert len(names(tmp_path)) == 1 and len(marks) == 1 and len(keys(tmp_path)) == 5
    with recordfile.writing(tmp_path / hourly.JOURNAL) as journal:
        journal.add([Entry(passed=passed("late", started_at=NOW - 1))], {})
    marks += hourly.write_hours(tmp_path, NOW + 200)
    assert len(names(tmp_path)) == 2 and keys(tmp_path) == ["0-0", "0-1", "0-2", "0-3", "0-4", "late"]
    assert cleared(tmp_path, marks) == 0 and list(hourly.write_hours(tmp_path, NOW + 200)) == []


def test_another_journal_in_the_same_folder_is_not_taken_for_the_one_before(tmp_path):
    filled(tmp_path, hours=1)
    list(hourly.write_hours(tmp_path, NOW + 200))
    (tmp_path / hourly.JOURNAL).unlink()
    filled(tmp_path, hours=1)
    list(hourly.write_hours(tmp_path, NOW + 200))
    assert len(keys(tmp_path)) == 10


def test_files_go_whole_by_age_and_by_size_the_oldest_first(tmp_path):
    filled(tmp_path)
    list(hourly.write_hours(tmp_path, NOW + 200))
    (tmp_path / "other.parquet").touch()
    had = names(tmp_path)
    assert hourly.retire(tmp_path, Retention(), NOW) == []
    assert [path.name for path in hourly.retire(tmp_path, Retention(most_age_s=7000), NOW)] == had[1:2]
    hourly.retire(tmp_path, Retention(most_bytes=1), NOW)
    assert names(tmp_path) == ["other.parquet"]


def test_a_recorder_takes_over_what_the_one_before_left(tmp_path):
    given = options(tmp_path, path=tmp_path / "folder", form="parquet")
    assert taken(given, [passed("old"), passed("new", started_at=4e9)])[0] == ["written"] * 2
    made = hourly.Hourly(given.path, Retention(), every_s=0.01)
    while not made._taken:
        made._ended.wait(0.01)
    made.close()
    assert keys(given.path) == ["old"]
    taken(given, [])
    with recordfile.reading(given.path / hourly.JOURNAL) as journal:
        assert journal.exchange("new").passed.answer == GOOD


def test_a_folder_that_was_there_and_what_is_in_it_keep_their_rights(tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    (folder / "other").touch(0o644)
    taken(options(tmp_path, path=folder, form="parquet"), [passed("1")])
    assert [path.stat().st_mode & 0o777 for path in (folder, folder / "other", folder / hourly.JOURNAL)] == [
        0o755, 0o644, 0o600,
    ]  # fmt: skip


KILLED = """
import sys
from pathlib import Path
from k2lab.traffic import hourly
for mark in hourly.write_hours(Path(sys.argv[1]), float(sys.argv[2])):
    print(mark, flush=True)
"""


def test_killed_in_the_middle_of_a_file_there_is_none_and_then_a_whole_one(tmp_path):
    filled(tmp_path, hours=4, each=300)
    for _ in range(6):
        child = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path, str(NOW + 200)], stdout=subprocess.PIPE,
                                 cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
        child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        assert len(keys(tmp_path)) == 300 * len(names(tmp_path))
    list(hourly.write_hours(tmp_path, NOW + 200))
    assert len(keys(tmp_path)) == len({*keys(tmp_path)}) == 1200

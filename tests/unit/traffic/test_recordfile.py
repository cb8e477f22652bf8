"""A record of traffic: what is stored is read back, by time, finding and key; what is no record is told so."""

import contextlib
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2lab.errors import InputError
from k2lab.traffic import recordfile, recordrows
from k2lab.traffic.exchanges import Changed, Passed
from k2lab.traffic.recordrows import Entry, Noted
from tests.helpers.effort import examples

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
BODY = st.binary(max_size=600) | st.binary(max_size=5).map(lambda part: part * 500)
CHANGED = st.builds(
    Changed, kind=st.sampled_from(("repair", "enforce", "salvage", "id")), place=TEXT, code=TEXT, detail=TEXT
)
PASSED = st.builds(
    Passed,
    key=TEXT,
    started_at=st.floats(0, 4e9),
    method=TEXT,
    path=TEXT,
    status=st.integers(0, 999),
    ended=st.sampled_from(("whole", "client_left", "upstream_broke", "timed_out", "stopped")),
    request=BODY,
    answer=BODY,
    sent=st.none() | BODY,
    given=st.none() | BODY,
    request_type=TEXT,
    answer_type=TEXT,
    changes=st.lists(CHANGED, max_size=3).map(tuple),
    upstream_ms=st.floats(0, 1e9),
    first_ms=st.none() | st.floats(0, 1e9),
    added_ms=st.floats(0, 1e9),
    request_cut=st.integers(0, 1 << 40),
    answer_cut=st.integers(0, 1 << 40),
)
NOTED = st.builds(Noted, code=st.sampled_from(("A101", "T001")), name=TEXT, layer=TEXT, place=TEXT, evidence=TEXT)
ENTRY = st.builds(
    Entry,
    passed=PASSED,
    findings=st.lists(NOTED, max_size=3).map(tuple),
    looked=st.sampled_from(("no", "yes", "late", "cannot")),
    redacted=st.dictionaries(TEXT, st.integers(1, 9), max_size=2),
    kept_for=st.sampled_from(("all", "sample", "finding", "unlooked")),
)


def passed(key="k", at=1.0, **fields):
    given = {"method": "POST", "path": "/v1/chat/completions", "status": 200, "ended": "whole"}
    return Passed(**{**given, "key": key, "started_at": at, "request": b"{}", "answer": b"{}", **fields})


def by_time(entries):
    return sorted(entries, key=lambda entry: entry.passed.started_at)


@examples(100)
@given(entries=st.lists(ENTRY, max_size=6))
def test_what_is_stored_is_read_back_equal(tmp_path_factory, entries):
    path = tmp_path_factory.mktemp("record") / "traffic.db"
    with recordfile.writing(path) as file:
        file.add(entries, {"dropped": 1})
        file.add([], {"dropped": 2})
    with recordfile.reading(path) as file:
        assert list(file.exchanges()) == by_time(entries)
        assert file.counts()["exchanges"] == len(entries) and file.tallies() == {"dropped": 3}
        assert sum(file.looked().values()) == len(entries)
        for entry in entries:
            assert file.exchange(entry.passed.key).passed.key == entry.passed.key


@examples(60)
@given(entries=st.lists(ENTRY, max_size=8), since=st.floats(0, 4e9), until=st.floats(0, 4e9), limit=st.integers(0, 9))
def test_time_finding_and_number_choose(tmp_path_factory, entries, since, until, limit):
    path = tmp_path_factory.mktemp("record") / "traffic.db"
    with recordfile.writing(path) as file:
        file.add(entries, {})
        wanted = [entry for entry in by_time(entries) if since <= entry.passed.started_at < until]
        assert list(file.exchanges(since=since, until=until)) == wanted
        found = [entry for entry in wanted if any(one.code == "A101" for one in entry.findings)]
        assert list(file.exchanges(since=since, until=until, code="A101", limit=limit)) == found[:limit]


def test_pages_are_joined_without_a_gap_where_many_began_at_once(tmp_path):
    many = [Entry(passed=passed(f"{n:04}", at=float(n // 100))) for n in range(3 * recordfile.PAGE + 5)]
    with recordfile.writing(tmp_path / "traffic.db") as file:
        file.add(many, {})
        assert [entry.passed.key for entry in file.exchanges()] == [entry.passed.key for entry in many]


def test_a_finding_that_comes_later_is_stored_with_its_exchange_and_one_of_what_is_gone_is_not(tmp_path):
    noted = Noted(code="A101", name="n", layer="parse", place="", evidence="")
    with recordfile.writing(tmp_path / "traffic.db") as file:
        (number,) = file.store([(recordrows.row_of(Entry(passed=passed())), ())], {})
        file.note([(number, "yes", (noted,)), (number + 1, "yes", (noted,))])
        (entry,) = file.exchanges(code="A101")
        assert (entry.looked, entry.findings) == ("yes", (noted,)) and file.counts() == {"exchanges": 1, "A101": 1}


def test_a_reader_sees_what_is_committed_while_another_writes_and_a_second_writer_is_refused(tmp_path):
    path = tmp_path / "traffic.db"
    with recordfile.writing(path) as file:
        file.add([Entry(passed=passed())], {})
        with recordfile.reading(path) as other:
            assert len(list(other.exchanges())) == 1
            file.add([Entry(passed=passed("l", 2.0))], {})
            assert len(list(other.exchanges())) == 2
        with pytest.raises(InputError, match=r"is being written by another recorder: wait"), recordfile.writing(path):
            pass


def test_no_exchange_of_a_key_is_said_in_one_line(tmp_path):
    with recordfile.writing(tmp_path / "traffic.db") as file, pytest.raises(InputError, match="no exchange 'a"):
        file.exchange("a\ud800")


@pytest.mark.parametrize("opening", [recordfile.reading, recordfile.writing])
def test_a_file_that_is_no_record_is_refused_as_it_is(tmp_path, opening):
    text, other, later, empty = (tmp_path / name for name in ("text", "other", "later", "empty"))
    text.write_text("no database " * 100)
    with contextlib.closing(sqlite3.connect(other)) as file:
        file.execute("CREATE TABLE things (a)")
    with recordfile.writing(later), contextlib.closing(sqlite3.connect(later)) as file:
        file.execute("PRAGMA user_version = 99")
    said = {text: "is not a record of traffic", other: "but not a record of traffic", later: "has format 99"}
    for path, why in {**said, tmp_path: "it is a folder", text / "in" / "run.db": "no record|cannot write"}.items():
        before = path.is_file() and path.read_bytes()
        with pytest.raises(InputError, match=why) as no, opening(path):
            pass
        assert "\n" not in str(no.value) and before == (before and path.read_bytes())
    empty.touch()
    with pytest.raises(InputError, match="is empty: k2lab proxy --record writes into it"), recordfile.reading(empty):
        pass


def whole(path):
    with recordfile.writing(path) as file:
        file.add([Entry(passed=passed(str(n), n, request=bytes([n]) * 900), redacted={"key": 1}) for n in range(9)], {})
    return path.read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE exchanges SET request = x'02'",
        "UPDATE exchanges SET request = x'01ff'",
        "UPDATE exchanges SET request = ''",
        "UPDATE exchanges SET request = substr(request, 1, length(request) - 3)",
        "UPDATE exchanges SET request = request || x'00'",
        "UPDATE exchanges SET status = 'x'",
        "UPDATE exchanges SET ended = 'x'",
        "UPDATE exchanges SET looked = 'x'",
        "UPDATE exchanges SET changes = '{'",
        "UPDATE exchanges SET changes = '[[1]]'",
        'UPDATE exchanges SET changes = \'[["x", "", "", ""]]\'',
        "UPDATE exchanges SET redacted = '[1]'",
        'UPDATE exchanges SET redacted = \'{"a": "b"}\'',
        "INSERT INTO findings VALUES (1, x'00', '', '', '', '')",
        "DROP TABLE findings",
        "ALTER TABLE exchanges DROP COLUMN given",
    ],
)
def test_a_row_of_another_form_is_called_damaged_in_one_line(tmp_path, damage):
    path = tmp_path / "traffic.db"
    whole(path)
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        file.execute(damage)
    with pytest.raises(InputError, match=r"is damaged: ") as said, recordfile.reading(path) as file:
        list(file.exchanges())
    assert "\n" not in str(said.value)


def test_bytes_turned_over_anywhere_end_in_one_line_at_most(tmp_path):
    path = tmp_path / "traffic.db"
    data = whole(path)
    for at in range(0, len(data), 97):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        try:
            with recordfile.reading(path) as file:
                list(file.exchanges())
        except InputError as said:
            assert "\n" not in str(said)


def test_a_record_is_known_by_its_head(tmp_path):
    whole(tmp_path / "traffic.db")
    (tmp_path / "text").write_text("SQLite format 3")
    assert [recordfile.is_record(tmp_path / name) for name in ("traffic.db", "text", "none")] == [True, False, False]

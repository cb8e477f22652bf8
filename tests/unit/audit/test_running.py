import gzip
import json
import random

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2lab.audit import processpool
from k2lab.audit.auditrun import AuditOptions, run_audit
from k2lab.audit.looking import findings_of
from k2lab.audit.parts import PartWriter
from k2lab.audit.sources import sources_of
from k2lab.audit.tallies import Tally
from k2lab.audit.units import tables_of, units_of
from k2lab.audit.work import worked
from k2lab.check import look_at
from k2lab.errors import InputError
from k2lab.jsonable import as_json
from tests.unit.audit.made import lines, text, write

PLACES = ("source", "row", "item")


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch, request):
    """A process of its own costs a second: tests that are not about processes do without."""
    if "processes" not in request.keywords:

        def run(units, work, tell, *, workers=None):
            for unit in units:
                tell(unit, worked(work, unit))

        monkeypatch.setattr(processpool, "run_locally", run)


def findings(folder):
    """The Parquet as a reader has it, by the partitions of its path."""
    return ds.dataset(folder / "findings", partitioning="hive").to_table()


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted((folder / "findings").rglob("*.parquet"))}


def rows_without_places(folder):
    rows = findings(folder).drop_columns(list(PLACES)).to_pylist()
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)


def counts(summary):
    told = as_json(summary)
    for name in ("sources", "named", "codes"):
        del told[name]
    return told


def test_an_audit_finds_in_a_file_what_check_finds(shared, tmp_path):
    path = str(shared / "k2vv-run" / "results.jsonl")
    summary = run_audit([path], tmp_path / "out")
    checked = look_at(path)
    by_code = {}
    for one in checked.present:
        by_code[one.finding.code] = by_code.get(one.finding.code, 0) + 1
    assert {one.code: one.findings for one in summary.codes} == by_code
    assert summary.looked + summary.unknown == 289 and summary.unknown == len(checked.unread) == 3
    found = {(row["row"], row["code"], row["place"]) for row in findings(tmp_path / "out").to_pylist() if row["code"]}
    told = {(one.line, one.finding.code, one.finding.place.replace("response.", "answer.")) for one in checked.present}
    assert {(line, code) for line, code, _ in found} == {(line, code) for line, code, _ in told}


def test_the_output_says_how_often_where_and_by_whom(tmp_path):
    write(tmp_path / "in.jsonl", lines(60))
    summary = run_audit([str(tmp_path / "in.jsonl")], tmp_path / "out")
    assert (summary.looked, summary.unknown, summary.status) == (60, 0, 1)
    assert {one.code: one.exchanges.count for one in summary.codes} == dict.fromkeys(
        ("A003", "A005", "A101", "A111", "S006"), 10
    )
    assert summary.faulty.count == 50 and summary.layers["serve"].count == 20
    assert {group.name: group.looked for group in summary.days} == {f"2026-11-{day}": 12 for day in range(20, 25)}
    assert [len(one.examples) for one in summary.codes] == [3] * 5
    table = findings(tmp_path / "out")
    assert table.num_rows == 50 and set(table["day"].to_pylist()) == {f"2026-11-{day}" for day in range(20, 25)}
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["faulty"]["count"] == 50
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "out").rglob("*") if path.is_file()} == {0}


@settings(max_examples=12)
@given(data=st.data())
def test_no_split_no_order_and_no_size_of_a_piece_changes_what_is_found(data, tmp_path_factory):
    values = lines(data.draw(st.integers(1, 60)))
    whole, split = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("split")
    write(whole / "a.jsonl", values)
    one = run_audit([str(whole)], whole / "out")
    data.draw(st.randoms()).shuffle(values)
    for number in range(data.draw(st.integers(1, 4))):
        share = values if number == 0 else []
        cut = data.draw(st.integers(0, len(values)))
        share, values = values[:cut], values[cut:]
        (split / f"{number}.jsonl.gz").write_bytes(gzip.compress(text(share).encode())) if share else None
    write(split / "rest.jsonl", values or lines(0)) if values else None
    other = run_audit([str(split)], split / "out", unit_bytes=data.draw(st.sampled_from([1, 700, 5000, 1 << 20])))
    assert counts(one) == counts(other)
    assert [(c.code, c.findings, [e.key for e in c.examples]) for c in one.codes] == [
        (c.code, c.findings, [e.key for e in c.examples]) for c in other.codes
    ]
    if one.findings:
        assert rows_without_places(whole / "out") == rows_without_places(split / "out")


def test_pieces_of_any_size_give_the_same_bytes(tmp_path):
    write(tmp_path / "in.jsonl", lines(40))
    made = []
    for number, size in enumerate((400, 9000, 1 << 24)):
        out = tmp_path / f"out{number}"
        run_audit([str(tmp_path / "in.jsonl")], out, unit_bytes=size)
        made.append((files(out), (out / "summary.json").read_bytes()))
    assert all(one == made[0] for one in made) and made[0][0]


def test_pieces_tile_a_file_and_number_its_lines(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text("\n\n" + text(lines(30)) + "\n" + text(lines(3)).rstrip("\n"))
    for size in (1, 500, 3000, 1 << 20):
        units = units_of(sources_of([str(path)]).found, unit_bytes=size)
        assert [unit.start for unit in units[1:]] == [unit.end for unit in units[:-1]]
        assert (units[0].start, units[-1].end) == (0, path.stat().st_size)
        rows = [number for unit in units for table in tables_of(unit) for number in table["row"].to_pylist()]
        assert rows == [*range(3, 33), *range(34, 37)]


def test_what_cannot_be_read_is_counted_and_named_and_never_clean(tmp_path):
    good = text(lines(6))
    broken = ['{"request": {', "nonsense", '{"a": 1}', "[1, 2]", '"x"', '{"request": 5, "response": 6}', "\x00\xff"]
    path = tmp_path / "in.jsonl"
    path.write_bytes(good.encode() + "\n".join(broken).encode("latin-1") + b"\n" + good[:-40].encode())
    summary = run_audit([str(path)], tmp_path / "out")
    assert (summary.looked, summary.unknown, summary.status) == (11, 8, 2)
    assert sum(summary.reasons.values()) == 8 and len(summary.named) == 8
    assert [row for _, row, _, _ in summary.named] == [7, 8, 9, 10, 11, 12, 13, 19]
    unknown = findings(tmp_path / "out").filter(pa.compute.field("state") == "unknown")
    assert unknown.num_rows == 8


def test_a_packed_file_that_is_cut_off_says_where(tmp_path):
    data = gzip.compress(text(lines(500)).encode())
    (tmp_path / "in.jsonl.gz").write_bytes(data[: len(data) // 2])
    summary = run_audit([str(tmp_path / "in.jsonl.gz")], tmp_path / "out")
    assert 0 < summary.looked < 500 and summary.reasons == {"broken off": 1}
    assert summary.named[0][1] == summary.looked + 1


def test_a_condition_leaves_exchanges_out_and_says_how_many(tmp_path):
    path = write(tmp_path / "in.jsonl", lines(60))
    with path.open("a") as file:
        file.write("nonsense\n")
    where = "model = 'kimi-k2.5' and day >= '2026-11-22' or vendor in ('b.example')"
    summary = run_audit([str(path)], tmp_path / "out", AuditOptions(where=where))
    wanted = [n for n in range(60) if (n % 7 == 0 and 20 + n % 5 >= 22) or n % 11 == 0]
    assert summary.looked == len(wanted) and summary.left_out == {"by --where": 60 - len(wanted)}
    assert summary.unknown == 1


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("model = ", "cannot be read"),
        ("model == kimi", "cannot take 'kimi'"),
        ("secret = 'x'", "asks for 'secret'"),
        ("__import__('os').system('true')", "cannot take"),
        ("model = (select 1)", "cannot take"),
        ("at > 'noon'", "is no time"),
        ("row > '3'", "no whole number"),
        ("(" * 5000, "cannot be read"),
        ("model = 'a'; drop table x", "cannot take"),
    ],
)
def test_a_bad_condition_is_one_plain_line(where, said, tmp_path):
    write(tmp_path / "in.jsonl", lines(1))
    with pytest.raises(InputError, match=said) as error:
        run_audit([str(tmp_path / "in.jsonl")], tmp_path / "out", AuditOptions(where=where))
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


def test_a_finished_audit_is_said_again_and_another_one_is_refused(tmp_path):
    path = write(tmp_path / "in.jsonl", lines(12))
    first = run_audit([str(path)], tmp_path / "out")
    before = (tmp_path / "out" / "summary.json").read_bytes()
    assert as_json(run_audit([str(path)], tmp_path / "out")) == as_json(first)
    assert (tmp_path / "out" / "summary.json").read_bytes() == before
    with pytest.raises(InputError, match="with another --where"):
        run_audit([str(path)], tmp_path / "out", AuditOptions(where="day = 'x'"))
    write(path, lines(13))
    with pytest.raises(InputError, match="which has changed since"):
        run_audit([str(path)], tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("Dear")
    with pytest.raises(InputError, match="holds other files"):
        run_audit([str(path)], tmp_path / "mine")


def test_names_are_safe_as_folders_and_read_back_as_they_were(tmp_path):
    names = [
        "../../etc",
        "a/b",
        "x=y",
        ".",
        "%2F",
        "C:\\k",
        "k" * 5000,
        "кими" * 40,
        "a\x00b\n",
        "..",
        "",
        "k2\u202egnp",
    ]
    values = [{**line, "request": {**line["request"], "model": name}} for line, name in
              zip([lines(2)[1]] * len(names), names, strict=True)]  # fmt: skip
    write(tmp_path / "in.jsonl", values)
    summary = run_audit([str(tmp_path / "in.jsonl")], tmp_path / "out")
    assert summary.looked == len(names) == len(summary.models)
    table = findings(tmp_path / "out")
    assert sorted(set(table["model"].to_pylist())) == [group.name for group in summary.models]
    assert {"../../etc", "a/b", "x=y", ".", "%2F", "unknown"} <= set(table["model"].to_pylist())
    assert not (tmp_path / "etc").exists()


def test_one_table_gives_one_table_whatever_it_is_cut_into():
    values = lines(40)
    table = pa.table({name: [json.dumps(one[key]) for one in values]
                      for name, key in (("request", "request"), ("answer", "response"))})  # fmt: skip
    whole = findings_of(table)
    assert whole.num_rows >= 40 and set(whole["state"].to_pylist()) == {"clean", "present"}
    pieces = [findings_of(table.slice(start, 7)) for start in range(0, 40, 7)]
    drop = ["row"]
    assert pa.concat_tables(pieces).drop_columns(drop).equals(whole.drop_columns(drop))
    tally, other = Tally(), Tally()
    tally.take(whole.drop_columns(drop).append_column("row", pa.array([0] * whole.num_rows, pa.int64())))
    shuffled = list(range(whole.num_rows))
    random.Random(1).shuffle(shuffled)  # as an engine may hand back blocks, and even rows of one exchange apart
    for start in range(0, len(shuffled), 5):
        part = whole.take(shuffled[start : start + 5])
        other.take(part.drop_columns(drop).append_column("row", pa.array([0] * part.num_rows, pa.int64())))
    assert tally.to_json() == other.to_json() == Tally.of_json(json.loads(json.dumps(tally.to_json()))).to_json()


def test_a_part_is_there_as_a_whole_or_not_at_all(tmp_path, monkeypatch):
    table = findings_of(pa.table({"request": ["{"], "answer": ["{"]}))
    writer = PartWriter(tmp_path, [0])
    writer.take(table)
    monkeypatch.setattr("k2lab.audit.parts.json.dumps", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        writer.finish()
    assert not list(tmp_path.glob("*.json"))

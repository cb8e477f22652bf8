import gzip
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from k2lab.audit.auditrun import AuditOptions, run_audit
from k2lab.audit.forms.known import FORMS, NAMES
from k2lab.audit.looking import findings_of
from k2lab.audit.sources import sources_of
from k2lab.audit.units import tables_of, units_of
from k2lab.bench import k2vv, store
from k2lab.errors import InputError
from k2lab.traffic import hourly, recordfile
from k2lab.traffic.exchanges import Passed
from k2lab.traffic.recordrows import Entry
from tests.unit.audit.made import ANSWERS, answer, lines, request, text, write

SAMPLES = Path(__file__).parent / "samples"
EIGHT = {"R001": 1, "S006": 1, "A113": 1}
"""What every sample of the eight exchanges shows, whatever its form keeps."""


def looked(*paths, folder=None, **options):
    """Findings of files without processes: by state and code, and the table of exchanges."""
    units = units_of(sources_of([str(path) for path in paths], options.get("form")).found, folder)
    tables = [table for unit in units for table in tables_of(unit)]
    exchanges = pa.concat_tables(tables)
    return exchanges, findings_of(exchanges)


def codes(found):
    return dict(Counter(code for code in found["code"].to_pylist() if code))


def unknown(found):
    rows = found.filter(pa.compute.field("state") == "unknown")
    return Counter(why.partition(": ")[0] for why in rows["evidence"].to_pylist())


@pytest.mark.parametrize(
    ("name", "form", "others", "unread", "left_out"),
    [
        ("litellm", "litellm", {"A005": 1, "A111": 1}, {"prompts were not stored": 2}, 1),
        ("otel-spans", "otel", {"A111": 1}, {}, 0),
        ("otel-events", "otel", {"A111": 1}, {}, 0),
        ("langfuse", "langfuse", {"A005": 1}, {"input and output were not exported": 1}, 1),
    ],
)
def test_what_a_library_wrote_is_told_by_its_content_and_read(name, form, others, unread, left_out):
    exchanges, found = looked(SAMPLES / f"{name}.jsonl")
    assert set(exchanges["form"].to_pylist()) == {form}
    assert codes(found) == {**EIGHT, **others} and unknown(found) == unread
    states = Counter(found["state"].to_pylist())
    assert states["left_out"] == left_out and states["clean"] == 8 - sum({**EIGHT, **others}.values())
    read = exchanges.filter(pa.compute.field("unknown").is_null())
    assert set(read["model"].to_pylist()) == {"kimi-k2-0905-preview"} and read.num_rows == 8
    assert {day[:8] for day in read["day"].to_pylist()} == {"2026-11-"}


def test_what_a_form_does_not_keep_is_named_and_not_judged():
    exchanges, _ = looked(SAMPLES / "otel-spans.jsonl")
    assert Counter(exchanges["lacks"].to_pylist()) == {"tools": 6, "tools,argument text": 2}
    exchanges, _ = looked(SAMPLES / "langfuse.jsonl")
    assert Counter(exchanges["lacks"].to_pylist()) == {"finish_reason": 7, "": 3}


def test_spans_without_contents_are_never_clean():
    _, found = looked(SAMPLES / "otel-spans-without-contents.jsonl")
    assert unknown(found) == {"its contents were not recorded": 8} and set(found["state"].to_pylist()) == {"unknown"}


def test_the_same_exchanges_are_the_same_requests_in_every_form():
    def asked(name):
        exchanges, _ = looked(SAMPLES / f"{name}.jsonl")
        return [json.loads(one)["messages"] for one in exchanges["request"].to_pylist() if one][:8]

    litellm, langfuse = asked("litellm"), asked("langfuse")
    for first, second, third in zip(litellm, langfuse, asked("otel-spans"), strict=True):
        assert first == second
        for one, other in zip(first, third, strict=True):
            if "tool_calls" in one:  # arguments are a value there, and written anew
                one, other = ({**m, "tool_calls": [c["id"] for c in m["tool_calls"]]} for m in (one, other))
            assert one == other


def test_old_events_of_a_message_each_are_named():
    record = {"eventName": "gen_ai.choice", "body": {}, "attributes": [], "traceId": "1", "spanId": "2"}
    attribute = {"key": "gen_ai.system", "value": {"stringValue": "openai"}}
    export = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{**record, "attributes": [attribute]}]}]}]}
    form = next(one for one in FORMS if one.name == "otel")
    (row,) = form.rows(json.dumps(export).encode())
    assert row.unknown.startswith("an event a message: gen_ai.choice")


def batch(count):
    kinds = list(ANSWERS)
    asked, said = [], []
    for n in range(count):
        body = ANSWERS[kinds[n % len(kinds)]]
        asked.append({"custom_id": f"r-{n}", "method": "POST", "url": "/v1/chat/completions", "body": request(n)})
        response = {"status_code": 503 if "error" in body else 200, "request_id": f"q{n}", "body": body}
        said.append({"id": f"b{n}", "custom_id": f"r-{n}", "response": response, "error": None})
    return asked, said


@pytest.mark.parametrize("packed", [False, True])
def test_a_batch_is_joined_across_its_files_in_any_order(packed, tmp_path):
    asked, said = batch(30)
    folder = tmp_path / "in"
    folder.mkdir()
    parts = {"a-output": said[::-1][:11], "input": asked, "z-output": said[::-1][11:]}
    for name, values in parts.items():
        data = text(values).encode()
        (folder / f"{name}.jsonl{'.gz' * packed}").write_bytes(gzip.compress(data) if packed else data)
    exchanges, found = looked(folder, folder=tmp_path)
    assert set(exchanges["form"].to_pylist()) == {"batch"} and exchanges.num_rows == 30
    assert codes(found) == dict.fromkeys(("A003", "A005", "A101", "A111", "S006"), 5) and not unknown(found)
    assert {Path(one).name.split(".")[0] for one in found["source"].to_pylist()} == {"a-output", "z-output"}
    for at, item in zip(exchanges["row"].to_pylist(), exchanges["item"].to_pylist(), strict=True):
        assert item in {f"r-{29 - (at - 1)}", f"r-{29 - 11 - (at - 1)}"}


def test_half_a_pair_and_an_id_used_twice_are_named_and_none_is_guessed(tmp_path):
    asked, said = batch(6)
    write(tmp_path / "in.jsonl", asked[1:])
    write(tmp_path / "out.jsonl", [*said[:4], {"custom_id": "r-5", "id": "b", "response": None,
                                               "error": {"message": "expired"}}])  # fmt: skip
    write(tmp_path / "more.jsonl", [asked[3]])
    (tmp_path / "cut.jsonl").write_text(text([said[0]])[:60] + "\n" + text([{"custom_id": 7, "response": 1}]))
    sources = [tmp_path / name for name in ("in.jsonl", "out.jsonl", "more.jsonl", "cut.jsonl")]
    exchanges, found = looked(*sources, folder=tmp_path, form="batch")
    by_item = {row["item"]: row for row in exchanges.to_pylist() if row["unknown"] is None}
    assert by_item["r-0"]["request"] is None and by_item["r-3"]["request"] is None  # answers alone
    assert by_item["r-1"]["request"] is not None and by_item["r-5"]["request"] is not None
    assert unknown(found) == {
        "no answer": 1, "custom_id used again": 2, "not JSON of a batch": 2,
    }  # fmt: skip
    assert exchanges.num_rows == 5 + 5  # five answers, five that are named


def test_an_audit_of_a_batch_gives_the_same_whatever_stands_in_which_file(tmp_path, monkeypatch):
    monkeypatch.setattr("k2lab.audit.batchpairs.SLICE", 4)
    asked, said = batch(12)
    for name, parts in {"a": [asked, said], "b": [said[5:], asked[:3], said[:5], asked[3:]]}.items():
        (tmp_path / name).mkdir()
        for number, part in enumerate(parts):
            write(tmp_path / name / f"{number}.jsonl", part)
    monkeypatch.setattr("k2lab.audit.processpool.run_locally", in_this_process)
    one, two = (run_audit([str(tmp_path / name)], tmp_path / f"out-{name}") for name in "ab")
    assert one.faulty == two.faulty and one.looked == 12 and one.forms == {"batch": 12}
    assert [(c.code, [e.key for e in c.examples]) for c in one.codes] == [
        (c.code, [e.key for e in c.examples]) for c in two.codes
    ]


def in_this_process(units, work, tell, *, workers=None):
    from k2lab.audit.work import worked

    for unit in units:
        tell(unit, worked(work, unit))


def test_a_benchmark_file_holds_what_its_results_held(shared, tmp_path):
    path = shared / "k2vv-run" / "results.jsonl"
    with store.writing(tmp_path / "bench.db") as file:
        k2vv.load(file, path, "stub")
    exchanges, found = looked(tmp_path / "bench.db")
    _, plain = looked(path)
    assert set(exchanges["form"].to_pylist()) == {"benchmark"}
    assert codes(found) == codes(plain)


def passed(number, **changes):
    body = json.dumps(request(number)).encode()
    made = Passed(
        key=f"k{number}", started_at=1795694400.0 + number, method="POST", path="/v1/chat/completions", status=200,
        ended="whole", request=body, answer=json.dumps(answer()).encode(), request_type="application/json",
        answer_type="application/json",
    )  # fmt: skip
    from dataclasses import replace

    return replace(made, **changes)


STREAM = "".join(
    f"data: {json.dumps({'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n"
    for choice in (
        {"index": 0, "delta": {"role": "assistant", "content": "It is "}},
        {"index": 0, "delta": {"content": "noon."}},
    )
).encode()


def test_a_record_of_traffic_is_looked_at_as_it_passed(tmp_path):
    foreign = json.loads(json.dumps(request(1)).replace("question 1", "x"))
    call = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": '{"city": "Rome"}'}}
    foreign["messages"] += [{"role": "assistant", "content": None, "tool_calls": [call]},
                            {"role": "tool", "tool_call_id": "call_1", "content": "12"}]  # fmt: skip
    mended = json.loads(json.dumps(foreign).replace("call_1", "functions.now:0"))
    following = answer(calls=[{**call, "id": "functions.now:1"}])
    entries = [
        Entry(passed=passed(0)),
        Entry(passed=passed(1, answer=json.dumps(ANSWERS["A003"]).encode())),
        Entry(passed=passed(2, answer=STREAM, answer_type="text/event-stream; charset=utf-8")),
        Entry(passed=passed(3, answer=STREAM, answer_type="text/event-stream", ended="client_left")),
        Entry(passed=passed(4, method="GET", path="/v1/models", request=b"")),
        Entry(passed=passed(5, path="/v1/messages")),
        Entry(passed=passed(6, answer_cut=7)),
        Entry(passed=passed(7, answer=b"", ended="timed_out", status=504)),
        Entry(passed=passed(8, answer=json.dumps(ANSWERS["A111"]).encode()), kept_for="finding"),
        Entry(passed=passed(9, request=json.dumps(foreign).encode(), sent=json.dumps(mended).encode(),
                            answer=json.dumps(following).encode())),
    ]  # fmt: skip
    with recordfile.writing(tmp_path / "traffic.db") as record:
        record.add(entries, {})
    exchanges, found = looked(tmp_path / "traffic.db")
    by_item = {}
    for row in found.to_pylist():
        by_item.setdefault(row["item"], []).append(row["code"] or row["state"])
    assert by_item == {
        "k0": ["clean"], "k1": ["A003"], "k2": ["S001"], "k3": ["clean"], "k4": ["left_out"], "k5": ["R024"],
        "k6": ["unknown"], "k7": ["unknown"], "k8": ["A111"], "k9": ["R001"],
    }  # fmt: skip
    assert exchanges["model"].to_pylist()[0] == "kimi-k2-0905-preview"


def test_what_was_kept_for_its_findings_alone_is_in_no_share(tmp_path, monkeypatch):
    monkeypatch.setattr("k2lab.audit.processpool.run_locally", in_this_process)
    wrong = json.dumps(ANSWERS["A003"]).encode()
    entries = [Entry(passed=passed(n), kept_for="sample") for n in range(8)]
    entries += [Entry(passed=passed(8, answer=wrong), kept_for="sample")]
    entries += [Entry(passed=passed(n, answer=wrong), kept_for="finding") for n in range(10, 40)]
    with recordfile.writing(tmp_path / "traffic.db") as record:
        record.add(entries, {})
    summary = run_audit([str(tmp_path / "traffic.db")], tmp_path / "out")
    assert (summary.looked, summary.faulty.count, summary.findings) == (9, 1, 31)
    assert summary.lacks == {"its place in the sample": 30}


def test_a_folder_of_parquet_by_the_hour_is_read_with_its_journal_and_nothing_twice(tmp_path):
    journal = hourly.journal_of(tmp_path / "record")
    wrong = json.dumps(ANSWERS["A003"]).encode()
    entries = [Entry(passed=passed(n * 60, answer=wrong if n % 3 == 0 else passed(0).answer)) for n in range(90)]
    with recordfile.writing(journal) as record:
        record.add(entries, {})
    alone = codes(looked(journal)[1])
    written = list(hourly.write_hours(journal.parent, 1795694400.0 + 3600 + 1200))  # the second hour is not yet over
    assert written and list(journal.parent.glob("traffic-*.parquet"))
    exchanges, found = looked(journal.parent)
    states = Counter(found["state"].to_pylist())
    assert codes(found) == alone == {"A003": 30} and states["present"] + states["clean"] == 90
    assert states["left_out"] == 60 and set(exchanges["form"].to_pylist()) == {"traffic"}


def test_parquet_with_columns_of_json_or_of_structs_is_read(tmp_path):
    values = lines(12)
    plain = looked(write(tmp_path / "a.jsonl", values))[1]
    as_text = pa.table({"request": [json.dumps(v["request"]) for v in values],
                        "response": [json.dumps(v["response"]) for v in values],
                        "provider": [v["provider"] for v in values],
                        "timestamp": [v["last_run_at"] for v in values]})  # fmt: skip
    pq.write_table(as_text, tmp_path / "a.parquet", row_group_size=5)
    pq.write_table(pa.Table.from_pylist([{k: v[k] for k in ("request", "response", "data_index")} for v in values]),
                   tmp_path / "b.parquet")  # fmt: skip
    exchanges, found = looked(tmp_path / "a.parquet")
    assert codes(found) == codes(plain) and exchanges["row"].to_pylist() == list(range(1, 13))
    assert set(exchanges["vendor"].to_pylist()) == {"a.example", "b.example"}
    exchanges, found = looked(tmp_path / "b.parquet")
    assert exchanges.num_rows == 12 and set(exchanges["form"].to_pylist()) == {"k2vv"}


def test_langfuse_is_read_as_a_list_as_an_answer_of_its_api_and_as_parquet(tmp_path):
    rows = [json.loads(line) for line in (SAMPLES / "langfuse.jsonl").read_text().splitlines()]
    expected = codes(looked(SAMPLES / "langfuse.jsonl")[1])
    (tmp_path / "list.json").write_text(json.dumps(rows, indent=2))
    camel = {"start_time": "startTime", "trace_id": "traceId", "provided_model_name": "model"}
    api = [{camel.get(name, name): value for name, value in row.items()} for row in rows]
    (tmp_path / "api.json").write_text(json.dumps({"data": api, "meta": {"page": 1}}))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    for name in ("list.json", "api.json", "rows.parquet"):
        exchanges, found = looked(tmp_path / name)
        assert codes(found) == expected and set(exchanges["form"].to_pylist()) == {"langfuse"}


def test_a_zstd_file_is_read(tmp_path):
    with pa.CompressedOutputStream(str(tmp_path / "a.jsonl.zst"), "zstd") as out:
        out.write(text(lines(20)).encode())
    exchanges, _ = looked(tmp_path / "a.jsonl.zst")
    assert exchanges["row"].to_pylist() == list(range(1, 21))


def test_a_form_can_be_forced_and_a_wrong_one_is_refused_by_name(tmp_path):
    path = write(tmp_path / "a.jsonl", lines(3))
    _, found = looked(path, form="langfuse")
    assert set(found["state"].to_pylist()) == {"left_out"}
    with pytest.raises(InputError, match="there is no form 'mine'"):
        sources_of([str(path)], "mine")
    assert set(NAMES) >= {form.name for form in FORMS} | {"benchmark", "traffic"}


@pytest.mark.parametrize("data", [b"", b"\n\n", b"hello\n", b"{}", b"[]", b"PAR1", b"SQLite format 3\0" + b"x" * 80,
                                  b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b'{"a": ' * 50_000, b"\xff\xfe{"])  # fmt: skip
def test_a_file_of_no_form_is_one_plain_line(data, tmp_path):
    (tmp_path / "x").write_bytes(data)
    found = sources_of([str(tmp_path / "x")])
    assert not found.found and len(found.refused) == 1 and "\n" not in found.refused[0][1]


def test_a_folder_names_what_it_passed_over_and_counts_a_file_once(tmp_path):
    write(tmp_path / "a.jsonl", lines(2))
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "a.jsonl")
    (tmp_path / "notes.txt").write_text("hello\n")
    found = sources_of([str(tmp_path), str(tmp_path / "*.jsonl")])
    assert [Path(one.path).name for one in found.found] == ["a.jsonl"] and not found.refused
    assert {Path(path).name for path, _ in found.passed_over} == {"link.jsonl", "notes.txt"}
    with pytest.raises(InputError, match="there is no file or folder"):
        sources_of([str(tmp_path / "nowhere")])
    with pytest.raises(InputError, match="no file is named as"):
        sources_of([str(tmp_path / "*.zip")])


def test_options_name_the_vendor_and_the_model(tmp_path):
    path = write(tmp_path / "a.jsonl", [{k: v for k, v in line.items() if k != "provider"} for line in lines(3)])
    (unit,) = units_of(sources_of([str(path)]).found)
    (table,) = tables_of(unit, "here")
    assert set(table["vendor"].to_pylist()) == {"here"} and AuditOptions(vendor="here").to_json()["vendor"] == "here"

import contextlib
import json
import sqlite3
from datetime import datetime

import pytest

from k2lab.bench import k2vv, metrics, store, tables
from k2lab.bench.judged import judge_all
from k2lab.bench.records import Result
from k2lab.bench.summary import summarise
from k2lab.errors import InputError
from k2lab.jsonable import as_json
from k2lab.show import views

SCHEMA = {"type": "object", "properties": {"river": {"type": "string"}}, "required": ["river"]}
TOOLS = [{"type": "function", "function": {"name": "gauge", "parameters": SCHEMA}}]
ASKED = {"model": "m", "messages": [{"role": "user", "content": "Wie hoch?"}], "tools": TOOLS}
RAW = {"model": "m", "prompt": "<|im_user|>user<|im_middle|>Wie hoch?<|im_end|>"}


def call(name="gauge", arguments='{"river": "Elbe"}'):
    return {"id": f"functions.{name}:0", "type": "function", "function": {"name": name, "arguments": arguments}}


def line(index, *calls, valid=None, request=ASKED, **fields):
    """A result as K2VV's runner writes it, with its order of keys."""
    finish = "tool_calls" if calls else "stop"
    message = {"role": "assistant", "content": None if calls else "Vier Meter.", "tool_calls": list(calls) or None}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 18}
    return {
        "data_index": index,
        "request": request,
        "extra_body": {"top_k": 1},
        "response": {"id": "é", "choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage},
        "status": "success",
        "finish_reason": finish,
        "tool_calls_valid": valid,
        "last_run_at": f"2026-01-01T00:00:{10 + index}.250000",
        "duration_ms": 2000,
        "hash": k2vv.request_hash(request),
    } | fields


def failed(index, **error):
    return line(index) | {"response": error, "status": "failed", "finish_reason": None}


LINES = [
    line(1, call(), valid=True),
    line(2, call(arguments='{"river": 4}'), valid=False),
    line(3, vendor="unknown here", attempts=[1, None, 0.1, float("nan")]),
    failed(4, error_type="RateLimitError", error_message="slow down", error="slow down"),
    failed(5, error="boom"),
    line(6) | {"response": None},
    {"data_index": 7, "request": ASKED, "status": "success"},
]


def written(folder, lines, summary=None):
    folder.mkdir(exist_ok=True)
    (folder / "results.jsonl").write_text("".join(json.dumps(item) + "\n" for item in lines), encoding="utf-8")
    if summary is not None:
        (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return folder / "results.jsonl"


def taken(path, lines, summary=None, named=None):
    """Import lines into a file beside them; returns what it said, and the arm summed up."""
    results = written(path, lines, summary)
    with store.writing(path / "r.db") as file:
        loaded = k2vv.load(file, results, "theirs", named)
        return loaded, summarise(file, loaded.run)


def exported(path):
    with store.reading(path / "r.db") as file:
        results, summary = k2vv.export(file, file.run_of("theirs"), path / "out")
    return [json.loads(text) for text in results.read_text().splitlines()], json.loads(summary.read_text())


def same(one, two):
    """Equal in every value and in the order of keys; NaN equals itself."""
    return json.dumps(one) == json.dumps(two)


def test_what_was_imported_is_exported_as_it_came_whatever_a_line_holds(tmp_path):
    taken(tmp_path, LINES)
    assert same(exported(tmp_path)[0], LINES)


def test_k2vvs_own_output_comes_out_equal_in_every_field(shared, tmp_path):
    given = [json.loads(text) for text in (shared / "k2vv-run/results.jsonl").read_text().splitlines()]
    summary = json.loads((shared / "k2vv-run/summary.json").read_text())
    loaded, summed = taken(tmp_path, given, summary)
    assert loaded.note == "" and loaded.results == len(given) == 289
    lines, again = exported(tmp_path)
    assert same(lines, given) and same(again, summary)
    assert as_json(summed.k2vv, computed=True).items() >= {name: summary[name] for name in k2vv.SUMMARY_FIELDS}.items()
    assert summed.usage == summary["usage"] == {"prompt_tokens": 1539, "completion_tokens": 765, "total_tokens": 2316}


def test_the_total_of_tokens_is_what_the_server_counted(tmp_path):
    odd = line(1)
    odd["response"]["usage"] = {"prompt_tokens": 3, "completion_tokens": None, "total_tokens": 7}
    none = line(2)
    none["response"]["usage"] = None
    assert taken(tmp_path, [odd, none, line(3)])[1].usage == {
        "prompt_tokens": 13,
        "completion_tokens": 5,
        "total_tokens": 25,
    }


def test_k2vvs_last_run_at_is_the_end_of_a_request(tmp_path):
    taken(tmp_path, [line(1), line(2, duration_ms=9000), line(3, last_run_at="yesterday")])
    summary = exported(tmp_path)[1]
    assert summary["eval_started_at"] == "2026-01-01T00:00:03.250000"
    assert (summary["eval_finished_at"], summary["eval_duration_ms"]) == ("2026-01-01T00:00:12.250000", 9000)
    with store.reading(tmp_path / "r.db") as file:
        begun = [result.started_at for result in file.results(file.run_of("theirs"))]
    assert begun == ["2026-01-01T00:00:09.250000", "2026-01-01T00:00:03.250000", "yesterday"]


def test_our_own_export_says_the_end_of_a_request_too(tmp_path):
    response = {"choices": [{"message": {"content": "Vier."}, "finish_reason": "stop"}]}
    at = "2026-01-01T00:00:00.000+00:00"
    one = Result(
        data_index=1,
        trial=0,
        status="success",
        finish_reason="stop",
        response=response,
        failure=None,
        duration_ms=1500.0,
        first_ms=None,
        prompt_tokens=None,
        completion_tokens=None,
        started_at=at,
        request=ASKED,
        asked=ASKED,
    )
    with store.writing(tmp_path / "r.db") as file:
        file.load("theirs", {"model": "m"}, "s.jsonl", "0", results=[one])
    lines, summary = exported(tmp_path)
    assert [datetime.fromisoformat(item["last_run_at"]).second for item in lines] == [1]
    assert summary["eval_started_at"].startswith("2026-01-01T00:00:00") and summary["eval_duration_ms"] == 1500


def test_the_summary_beside_the_results_is_taken_where_it_agrees_and_said_not_to_be_elsewhere(tmp_path):
    taken(tmp_path / "made", LINES)
    right = exported(tmp_path / "made")[1] | {"model": "theirs", "eval_started_at": "2026-01-01", "more": [1]}
    loaded, _ = taken(tmp_path / "right", LINES, right)
    assert loaded.note == "" and exported(tmp_path / "right")[1] == right
    for name, summary, why in (
        ("other", right | {"finish_stop": 99}, "is of other results: its finish_stop is 99, that of the results "),
        ("usage", right | {"usage": {"total_tokens": 1}}, "its usage is {'total_tokens': 1}, that of the results {"),
        ("none", {"a": 1}, "it has no success_count; is it K2VV's?"),
        ("list", [1], "it has no success_count; is it K2VV's?"),
    ):
        loaded, _ = taken(tmp_path / name, LINES, summary)
        assert why in loaded.note and exported(tmp_path / name)[1]["model"] == "m"
        with pytest.raises(InputError, match="is not taken"):
            taken(tmp_path / name, LINES, named=tmp_path / name / "summary.json")
    with pytest.raises(InputError, match="No such file"):
        k2vv.load(None, tmp_path / "made/results.jsonl", "x", tmp_path / "nowhere.json")


def test_why_a_request_failed_is_kept_with_its_kind(tmp_path):
    summed = taken(tmp_path, [*LINES, failed(8), failed(9, error="Connection error: no: route")])[1]
    assert summed.strict.unanswered == {"RateLimitError": 1, "other": 3}
    with store.reading(tmp_path / "r.db") as file:
        said = [r.failure for r in file.results(file.run_of("theirs")) if r.failure]
    assert said == ["RateLimitError: slow down", "boom", "no reason given", "Connection error: no: route"]


def test_results_of_raw_completions_keep_k2vvs_verdict_and_are_not_judged_without_their_tools(tmp_path):
    lines = [
        line(1, call(), valid=True, request=RAW),
        line(2, call(arguments='{"river": 4}'), valid=False, request=RAW),
        line(3, call("tide"), valid=False, request=RAW),
        line(4, request=RAW),
        line(5, call(arguments='{"river": '), valid=False, request=RAW),
    ]
    counted, strict = (taken(tmp_path, lines)[1].k2vv, taken(tmp_path, lines)[1].strict)
    assert (counted.successful_tool_call_count, counted.schema_validation_error_count) == (1, 3)
    assert strict.not_judged == {"tools_not_in_the_file": 3} and strict.call_faults == {"arguments_not_json": 1}
    assert (strict.calling, strict.unjudged, strict.sound) == (4, 3, 0)


def test_k2vvs_verdict_on_a_raw_completion_of_a_report_is_the_stored_one(shared, tmp_path):
    folder = shared / "reports/97-raw-completions"
    given = [json.loads(text) for text in (folder / "results.jsonl").read_text().splitlines()]
    loaded, summed = taken(tmp_path, given, json.loads((folder / "summary.json").read_text()))
    assert loaded.note == "" and summed.strict.not_judged == {"tools_not_in_the_file": 3}
    assert not summed.strict.call_faults and not summed.strict.answer_faults


def test_a_raw_text_from_which_the_calls_were_read_is_no_leak_but_one_from_which_none_was(tmp_path):
    section = '<|tool_calls_section_begin|><|tool_call_begin|>gauge:0<|tool_call_argument_begin|>{"river": "Elbe"}'
    lines = [line(1, call(), valid=True, request=RAW), line(2, request=RAW), line(3, request=RAW)]
    lines[0]["response"]["choices"][0]["message"]["content"] = section
    lines[1]["response"]["choices"][0]["message"]["content"] = section
    lines[2]["response"]["choices"] = [{"index": 0, "text": section, "finish_reason": "stop"}]
    assert taken(tmp_path, lines)[1].strict.answer_faults == {"call_leaked_into_content": 2}


def test_a_valid_answer_to_a_request_without_tools_lacks_them_in_the_file(tmp_path):
    bare = {key: value for key, value in ASKED.items() if key != "tools"}
    lines = [line(1, call(), valid=True, request=bare), line(2, call(), valid=False, request=bare)]
    strict = taken(tmp_path, lines)[1].strict
    assert strict.not_judged == {"tools_not_in_the_file": 1} and strict.call_faults == {"undeclared_tool": 1}


def test_where_k2vv_gave_no_verdict_it_is_given_anew(tmp_path):
    counted = taken(tmp_path, [line(1, call()), line(2, call("tide"))])[1].k2vv
    assert (counted.successful_tool_call_count, counted.schema_validation_error_count) == (1, 1)


def test_a_prompt_as_text_is_not_set_beside_messages(tmp_path):
    raw, chat = ([line(1, call(), valid=True, request=asked)] for asked in (RAW, ASKED))
    results = written(tmp_path / "chat", chat)
    with store.writing(tmp_path / "r.db") as file:
        runs = [k2vv.load(file, written(tmp_path / name, lines), name).run for name, lines in (("r", raw), ("c", chat))]
        one, two = (list(judge_all(file.results(run))) for run in runs)
    for compared in (lambda: metrics.compare(one, two), lambda: metrics.trigger(one, k2vv.reference(results))):
        with pytest.raises(InputError, match="whether both ask the same cannot be told"):
            compared()
    assert metrics.compare(one, one).first.count == 1


def test_the_latest_line_of_a_request_counts_as_in_k2vv(tmp_path):
    early, late = line(1, last_run_at="2026-01-01T00:00:00"), line(1, call(), valid=True)
    for lines in ([early, late], [late, early]):
        taken(tmp_path, lines)
        assert exported(tmp_path)[0] == [late]
        assert k2vv.reference(tmp_path / "results.jsonl")[1].finish_reason == "tool_calls"


def test_an_imported_arm_is_marked_and_its_durations_too(tmp_path, k2lab):
    _, summed = taken(tmp_path, LINES)
    assert as_json(summed, computed=True)["imported"] is True
    text = views.bench_summaries([summed]).text
    assert "theirs (imported)" in text and "2000 / 2000 *" in text and "Do not set them beside k2lab's." in text
    compared = k2lab("bench", "compare", tmp_path / "r.db", "theirs", "theirs")
    assert "theirs (imported)" in compared.stdout
    said = json.loads(k2lab("bench", "compare", tmp_path / "r.db", "theirs", "theirs", "--json").stdout)
    assert said["imported"] == ["theirs", "theirs"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"request": {"messages": "x"}}, "the messages of a request must be objects in a list"),
        ({"request": {"messages": [1]}}, "the messages of a request must be objects in a list"),
        ({"finish_reason": ["stop"]}, "finish_reason cannot be \"['stop']\""),
        ({"duration_ms": "long"}, "duration_ms cannot be 'long'"),
        ({"last_run_at": 5}, "last_run_at cannot be '5'"),
    ],
)
def test_a_line_of_another_form_is_refused_with_its_number(tmp_path, fields, said):
    with pytest.raises(InputError) as caught:
        taken(tmp_path, [line(1), line(2) | fields])
    assert f"line 2: {said}" in str(caught.value) and "\n" not in str(caught.value)


FORMAT_1 = """
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
    prompt_tokens INTEGER, completion_tokens INTEGER, attempts INTEGER NOT NULL, last_run_at TEXT NOT NULL,
    PRIMARY KEY (run_id, data_index, trial));
CREATE TABLE attempts (
    run_id INTEGER NOT NULL, data_index INTEGER NOT NULL, trial INTEGER NOT NULL, started_at TEXT NOT NULL,
    duration_ms REAL NOT NULL, http_status INTEGER, failure TEXT, retry_after_s REAL);
PRAGMA user_version = 1;
"""


def old_file(path, endpoint):
    config = json.dumps({"endpoint": endpoint, "model": "m"})
    response = json.dumps(line(1, call())["response"])
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.executescript(FORMAT_1 + f"PRAGMA application_id = {tables.APPLICATION_ID};")
        file.execute("INSERT INTO runs VALUES (1, 'theirs', 'd', ?, 's', '0', '2026-01-01T00:00:00', NULL)", (config,))
        file.execute("INSERT INTO requests VALUES (1, 1, 'k', ?, NULL)", (json.dumps(ASKED),))
        row = ("success", "tool_calls", response, 5.0, "2026-01-01T00:00:00")
        file.execute("INSERT INTO results VALUES (1, 1, 0, ?, ?, ?, NULL, 200, ?, NULL, 10, 5, 1, ?)", row)
        file.commit()
    return path


def test_a_file_of_the_older_format_is_read_as_it_is_and_goes_on_when_it_is_written(tmp_path):
    path = old_file(tmp_path / "r.db", "http://x/v1")
    before = path.read_bytes()
    with store.reading(path) as file:
        assert summarise(file, file.run_of("theirs")).strict.sound == 1
    assert path.read_bytes() == before
    with store.writing(path) as file:
        k2vv.load(file, written(tmp_path / "new", LINES), "new")
    with store.reading(path) as file:
        assert [summarise(file, run).requests for run in file.arms()] == [1, len(LINES)]
    assert exported(tmp_path)[0][0]["tool_calls_valid"] is True


def test_what_an_older_k2lab_imported_is_summed_up_and_its_export_asks_for_it_again(tmp_path):
    old_file(tmp_path / "r.db", "imported from results.jsonl")
    with store.reading(tmp_path / "r.db") as file:
        summed = summarise(file, file.run_of("theirs"))
    assert summed.imported and summed.strict.sound == 1
    with pytest.raises(InputError, match="imported by an older k2lab, which kept less of it: import it again"):
        exported(tmp_path)
    taken(tmp_path, LINES)
    assert same(exported(tmp_path)[0], LINES)

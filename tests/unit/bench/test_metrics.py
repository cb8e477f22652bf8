import json
import math
from dataclasses import replace

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2lab.bench import k2vv, metrics, samples, store
from k2lab.bench.judged import judge_all
from k2lab.bench.metrics import Reference
from k2lab.bench.records import Result
from k2lab.chat import Exchange
from k2lab.errors import InputError
from k2lab.findings import verdicts
from k2lab.findings.schemas import schema_error
from k2lab.nano import benchmark
from k2lab.stats import mcnemar, share
from tests.helpers.effort import examples

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
BROKEN = {"type": "object", "properties": {"city": {"type": "sting"}}}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "parameters": CITY}},
    {"type": "function", "function": {"name": "now"}},
    {"type": "function", "function": {"name": "broken", "parameters": BROKEN}},
]
ASKED = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": TOOLS}


def judged_as(asked, said):
    return verdicts.judge(Exchange.of(asked, said))


def call(name="weather", arguments='{"city": "Paris"}', call_id=None):
    made = f"functions.{name}:0" if call_id is None else call_id
    return {"id": made, "type": "function", "function": {"name": name, "arguments": arguments}}


def answer(*calls, finish="tool_calls", content=""):
    message = {"role": "assistant", "content": content, "tool_calls": list(calls)}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage}


def result(index, response, *, asked=ASKED, trial=0, failure=None):
    finish = response["choices"][0]["finish_reason"] if response else None
    at = f"2026-01-01T00:00:0{index % 10}.000+00:00"
    return Result(
        data_index=index,
        trial=trial,
        status="failed" if failure else "success",
        finish_reason=finish,
        response=response,
        failure=failure,
        duration_ms=250.0,
        first_ms=None,
        prompt_tokens=None if failure else 7,
        completion_tokens=None if failure else 3,
        started_at=at,
        request=asked,
        asked=asked,
    )


CASES = {
    "good": (answer(call()), None, True),
    "undeclared": (answer(call("search")), "undeclared_tool", False),
    "no name": (answer(call("")), "no_name", False),
    "not json": (answer(call(arguments='{"city": ')), "arguments_not_json", False),
    "no object": (answer(call("now", "[1]")), "arguments_no_object", False),
    "schema": (answer(call(arguments='{"town": 1}')), "schema_violation", False),
    "decoded": (answer(call(arguments={"city": "Paris"})), None, True),
    "foreign id": (answer(call(call_id="call_17")), "malformed_id", True),
    "id of another": (answer(call(call_id="functions.now:0")), "malformed_id", True),
    "wrong index": (answer(call(call_id="functions.weather:4")), "wrong_index", True),
    "no parameters": (answer(call("now", "{}")), None, False),
    "broken schema": (answer(call("broken", "{}")), None, False),
    "second is bad": (answer(call(), call("search")), "undeclared_tool", False),
}


@pytest.mark.parametrize("name", CASES)
def test_every_fault_of_a_call_is_told_by_its_name_beside_k2vvs_verdict(name):
    response, fault, valid = CASES[name]
    verdict = judged_as(ASKED, response)
    assert next((c.fault for c in verdict.calls if c.fault), None) == fault
    assert verdict.k2vv_valid is valid
    assert verdict.sound == (fault is None and name != "broken schema")


def test_an_answer_is_judged_by_how_it_ends_too():
    assert judged_as(ASKED, answer()).faults == ("no_calls",)
    assert judged_as(ASKED, answer()).k2vv_valid is None
    stopped = judged_as(ASKED, answer(call(), finish="stop"))
    assert stopped.faults == ("calls_without_the_reason",) and not stopped.sound and stopped.k2vv_valid is None
    assert judged_as(ASKED, answer(finish="stop", content="Hi.")).faults == ()


def test_a_tools_broken_schema_is_the_requests_fault_not_the_models():
    verdict = judged_as(ASKED, answer(call("broken", "{}")))
    assert not verdict.judged and verdict.calls[0].fault is None and "broken" in verdict.calls[0].detail
    counted = metrics.count_strictly(judge_all([result(1, answer(call("broken", "{}"))), result(2, answer(call()))]))
    assert (counted.calling, counted.unjudged, counted.sound) == (2, 1, 1)
    assert (counted.soundness.count, counted.soundness.total) == (1, 1)


def test_the_index_runs_on_from_all_calls_of_the_history_and_within_an_answer():
    history = [{"role": "assistant", "tool_calls": [call(), call()]}, {"role": "user", "content": "again"}]
    asked = {**ASKED, "messages": history}
    right = answer(call(call_id="functions.weather:2"), call(call_id="functions.weather:3"))
    assert judged_as(asked, right).sound
    assert judged_as(asked, answer(call())).calls[0].fault == "wrong_index"


@pytest.mark.parametrize("tools", [None, [], [{}], [{"function": None}], "x", [{"function": {"name": 3}}]])
def test_whatever_stands_for_tools_a_verdict_is_given(tools):
    verdict = judged_as({**ASKED, "tools": tools}, answer(call()))
    assert verdict.k2vv_valid is False and verdict.calls[0].fault == "undeclared_tool"


def test_the_numbers_of_k2vv_by_hand():
    results = [
        result(1, answer(call())),
        result(2, answer(call(), call("now", "{}"))),  # a tool without parameters is never valid there
        result(3, answer(call("search"))),
        result(4, answer()),  # ends as a tool call, calls nothing: an error
        result(5, answer(call(), finish="stop")),  # a stop is a stop, whatever it calls
        result(6, answer(finish="stop", content="Hi.")),
        result(7, answer(finish="length")),
        result(8, answer(call("broken", "{}"))),
        result(9, None, failure="timeout: too long"),
    ]
    counts = metrics.count_as_k2vv(judge_all(results))
    assert (counts.success_count, counts.failure_count) == (8, 1)
    assert (counts.finish_stop, counts.finish_tool_calls, counts.finish_others) == (2, 5, 1)
    assert counts.finish_others_detail == {"length": 1}
    assert (counts.successful_tool_call_count, counts.schema_validation_error_count) == (1, 4)
    assert (counts.schema_accuracy.value, counts.success_rate.value) == (1 / 5, 8 / 9)
    strictly = metrics.count_strictly(judge_all(results))
    assert (strictly.answers, strictly.calling, strictly.sound, strictly.unjudged) == (8, 5, 1, 1)
    assert strictly.call_faults == {"wrong_index": 1, "undeclared_tool": 1}
    assert strictly.answer_faults == {"no_calls": 1, "calls_without_the_reason": 1}
    assert strictly.cut_short == {"length": 1} and strictly.not_judged == {"broken_schema": 1}
    assert strictly.unanswered == {"timeout": 1}


def test_the_two_readings_share_no_name():
    def names(kind):
        return {*kind.__dataclass_fields__, *(k for k, v in vars(kind).items() if isinstance(v, property))}

    assert not names(metrics.K2vv) & names(metrics.Strict)


def finishing(ends, calls=""):
    return [replace(r, calls=calls) for r in judge_all(result(i, answer(finish=end)) for i, end in enumerate(ends, 1))]


def test_precision_recall_and_f1_by_hand():
    ours = finishing(["tool_calls"] * 3 + ["stop"] * 2 + ["length"])
    theirs = ["tool_calls", "tool_calls", "stop", "tool_calls", "stop", "stop"]
    reference = {
        i: Reference(finish_reason=end, calls="", messages=ours[0].messages) for i, end in enumerate(theirs, 1)
    }
    found = metrics.trigger(ours, reference)
    assert (found.tp, found.fp, found.fn, found.tn) == (2, 1, 1, 2)
    assert (found.precision.value, found.recall.value) == (2 / 3, 2 / 3)
    assert found.f1 == pytest.approx(2 / 3)
    low, high = found.f1_interval
    assert low < found.f1 < high


def test_the_blogs_f1_comes_out_of_the_counts_behind_it():
    found = metrics.Trigger(tp=1086, fp=239, fn=188, tn=2484, same=0)
    shown = (found.precision.value, found.recall.value, found.f1)
    assert [round(100 * value, 2) for value in shown] == [81.96, 85.24, 83.57]


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500))
def test_f1_is_the_harmonic_mean_and_lies_in_its_interval(tp, fp, fn):
    found = metrics.Trigger(tp=tp, fp=fp, fn=fn, tn=0, same=0)
    p, r = found.precision.value, found.recall.value
    wanted = 2 * p * r / (p + r) if tp else 0.0
    assert math.isclose(found.f1, wanted)
    assert found.f1_interval[0] <= found.f1 + 1e-12 and found.f1 <= found.f1_interval[1] + 1e-12


def test_a_reference_of_other_requests_is_refused():
    ours = finishing(["stop"])
    with pytest.raises(InputError, match="data_index 1: the reference has other messages"):
        metrics.trigger(ours, {1: Reference(finish_reason="stop", calls="", messages="another")})
    with pytest.raises(InputError, match="answers to other requests only"):
        metrics.trigger(ours, {5: Reference(finish_reason="stop", calls="", messages=ours[0].messages)})


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_the_exact_binomial_test(gained, lost):
    made = mcnemar(gained=gained, lost=lost)
    from scipy.stats import binomtest  # takes as long to import as all else here

    wanted = binomtest(gained, gained + lost, 0.5).pvalue if gained + lost else 1.0
    assert made.p_value == pytest.approx(wanted, rel=1e-9)


def test_two_arms_are_compared_request_by_request():
    good, bad = answer(call()), answer(call("search"))
    first = judge_all(result(i, good if i in (1, 2) else bad) for i in range(1, 9))
    second = judge_all(result(i, good if i != 2 else bad) for i in range(1, 8))
    made = metrics.compare(first, second)
    assert (str(made.first), made.second.count, made.second.total) == (str(share(2, 7)), 6, 7)
    assert (made.test.gained, made.test.lost) == (5, 1)
    assert made.test.p_value == pytest.approx(2 * (1 + 6) / 2**6)
    assert [flip.data_index for flip in made.flips] == [2, 3, 4, 5, 6, 7]
    assert "undeclared_tool search" in made.flips[0].after


def test_arms_that_were_asked_something_else_are_not_compared():
    other = {**ASKED, "messages": [{"role": "user", "content": "bye"}]}
    with pytest.raises(InputError, match="asked something else"):
        metrics.compare(judge_all([result(1, answer())]), judge_all([result(1, answer(), asked=other)]))
    with pytest.raises(InputError, match="no request in common"):
        metrics.compare(judge_all([result(1, answer())]), judge_all([result(2, answer())]))


def test_repeated_trials_are_folded_with_their_spread():
    folded = metrics.fold([0.8, 0.9, 1.0])
    assert (folded.mean, folded.low, folded.high) == (pytest.approx(0.9), 0.8, 1.0)
    assert folded.spread == pytest.approx(0.1)
    assert metrics.fold([0.5]).spread == 0.0


def fill(path, results):
    with store.writing(path) as file:
        run = file.load("a", {"model": "m"}, "s.jsonl", "0", results=results)
        return run


def test_an_export_comes_back_as_it_was_and_gives_the_same_numbers(tmp_path):
    results = [result(i, response) for i, (response, _, _) in enumerate(CASES.values(), 1)]
    results += [result(20, answer()), result(21, answer(finish="length")), result(22, None, failure="status: 500")]
    run = fill(tmp_path / "a.db", results)
    with store.reading(tmp_path / "a.db") as file:
        lines, summary = k2vv.export(file, run, tmp_path / "one")
    with store.writing(tmp_path / "b.db") as file:
        again = k2vv.load(file, lines, "b").run
        lines_2, summary_2 = k2vv.export(file, again, tmp_path / "two")
    assert lines.read_text() == lines_2.read_text()
    one, two = json.loads(summary.read_text()), json.loads(summary_2.read_text())
    assert one == two
    assert one["successful_tool_call_count"] == sum(valid for _, _, valid in CASES.values())
    assert one["usage"] == {"prompt_tokens": 7 * 15, "completion_tokens": 3 * 15, "total_tokens": 150}
    first = json.loads(lines.read_text().splitlines()[0])
    keys = "data_index request response status finish_reason tool_calls_valid last_run_at duration_ms hash"
    assert list(first) == keys.split()
    assert json.loads(lines.read_text().splitlines()[-1])["response"] == {"error": "status: 500"}


def test_the_hash_of_a_request_is_md5_of_its_sorted_json():
    # by hand: printf '{"a": "é", "b": 1}' | md5sum
    assert k2vv.request_hash({"b": 1, "a": "é"}) == "955e058c1278add29222ebfdafa6b5f5"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "line 1 is not JSON"),
        ('{"request": {}}', "line 1 has no data_index"),
        ('{"data_index": 1, "request": 3}', "must be objects"),
    ],
)
def test_a_file_that_is_no_result_file_is_refused_with_its_line(tmp_path, text, said):
    path = tmp_path / "r.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        k2vv.reference(path)
    with pytest.raises(InputError, match="cannot read results"):
        k2vv.reference(tmp_path / "missing.jsonl")


SCHEMAS = [
    CITY,
    {},
    {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 10}}},
    {"type": "object", "properties": {"n": {"type": "number", "multipleOf": 0.1}}, "required": ["n"]},
    {"type": "object", "properties": {"e": {"enum": [1, "a", None, True]}}, "additionalProperties": False},
    {"type": "array", "items": {"type": ["integer", "string"]}, "uniqueItems": True, "maxItems": 3},
    {"type": "object", "patternProperties": {"^x_\\w+$": {"type": "string"}}, "minProperties": 1},
    {"anyOf": [{"type": "string", "minLength": 2, "pattern": "^a+$"}, {"const": 1}]},
    {"$defs": {"t": {"type": "object", "properties": {"next": {"$ref": "#/$defs/t"}}}}, "$ref": "#/$defs/t"},
    {"type": "object", "properties": {"d": {"type": "string", "format": "date"}}},
    {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "dependencies": {"a": ["b"]}},
]
KEYS = ("a", "b", "city", "d", "e", "n", "next", "x_1", "é")
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-20, 20) | st.floats(-5, 5) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)


THEIRS = [jsonschema.validators.validator_for(schema)(schema) for schema in SCHEMAS]


@examples(100)
@given(JSON_VALUES)
def test_the_verdict_is_jsonschemas(value):
    for schema, theirs in zip(SCHEMAS, THEIRS, strict=True):
        judged, error = schema_error(schema, value)
        assert judged and (error == "") == theirs.is_valid(value), schema


@pytest.mark.parametrize(
    "schema", [{"type": "strin"}, {"minimum": "x"}, [], "x", 3, {"properties": []}, {"required": "city"}]
)
def test_what_is_no_schema_is_said_to_be_none(schema):
    judged, error = schema_error(schema, {})
    assert not judged and error


def test_nothing_is_fetched_for_a_reference(monkeypatch):
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("fetched"))
    judged, error = schema_error({"$ref": "http://127.0.0.1:9/schema.json"}, {})
    assert judged and "Unresolvable" in error


def test_k2_nanos_set_is_the_same_for_a_seed_and_its_labels_are_all_right(tmp_path):
    one = benchmark.write(tmp_path / "1", 120, seed=5)
    two = benchmark.write(tmp_path / "2", 120, seed=5)
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    assert samples.open_samples(one[0]).count == 120
    with store.writing(tmp_path / "l.db") as file:
        run = k2vv.load(file, one[1], "labels").run
        judged = list(judge_all(file.results(run)))
    reference = k2vv.reference(one[1])
    trigger = metrics.trigger(judged, reference)
    assert (trigger.fp, trigger.fn) == (0, 0) and trigger.same == trigger.tp > 30
    assert all(r.verdict.sound for r in judged if r.finish_reason == "tool_calls")
    kinds = {json.loads(line)["kind"] for line in one[1].read_text().splitlines()}
    assert kinds == {"call", "undeclared", "small_talk", "answer"}

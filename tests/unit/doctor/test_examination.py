"""An examination of servers that are odd or hostile: bounded, and nothing is claimed that was not seen."""

import json
import time

import pytest
from click.testing import CliRunner

from k2lab import families
from k2lab.chat import Request
from k2lab.cli.diagnosis import doctor_command
from k2lab.doctor import examination
from k2lab.doctor.budget import Budget, Spent
from k2lab.doctor.examination import Examination
from k2lab.errors import EndpointError
from k2lab.findings import Finding, chosen
from k2lab.nano import folders
from k2lab.prompt.source import open_source
from k2lab.show import examinations
from tests.helpers.counting import answering, counting

KEY = "sk-verysecret-0123456789abcdef"


@pytest.fixture(scope="module")
def source():
    return open_source(folders.assemble("current"))


def examined(answer, source=None, select=(), budget=examination.BUDGET, **options):
    wanted = chosen(select)
    with answering(answer) as url:
        return examination.examined(url, source, examination.planned(wanted, budget), wanted, model="m", **options)


def states(found):
    return {finding.state for finding in found.findings}


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"<html>no</html>",
        b"[" * 100_000,
        b'{"choices": []}',
        b'{"choices": [{"message": {"content": 7}}]}',
        b'{"choices": [{"message": {"tool_calls": {"a": 1}}}]}',
        json.dumps({"error": {"message": "no"}}).encode(),
    ],
)
def test_what_is_no_answer_is_unknown_with_a_reason(source, said):
    found = examined(lambda path, body: said or None, source)
    assert states(found) == {"unknown"} and found.status == 2 and found.verdict == ""
    assert all(finding.evidence for finding in found.findings)


def test_a_prompt_of_a_million_ids_is_not_taken(source):
    def answer(path, body):
        made = counting(lambda body: 1_000_000)(path, body)
        return made and {**made, "prompt_token_ids": [5] * 1_000_000}

    found = examined(answer, source, ["P"])
    assert states(found) == {"unknown"} and "1000000 ids" in found.findings[0].evidence


def test_a_server_that_hangs_is_left(source, monkeypatch):
    monkeypatch.setattr("k2lab.doctor.budget.SLOW_S", 0.1)
    started = time.monotonic()
    found = examined(lambda path, body: time.sleep(0.4), source, seconds=0.8)
    assert states(found) == {"unknown"} and time.monotonic() - started < 5


def test_nobody_there_is_asked_once(source):
    wanted = chosen()
    found = examination.examined("http://127.0.0.1:9/v1", source, examination.planned(wanted), wanted, model="m")
    assert found.requests == 1 and found.status == 2 and any("nobody answers" in one.evidence for one in found.findings)


def test_what_was_said_beforehand_is_kept_to(source):
    asked = []
    wanted = chosen()
    plan = examination.planned(wanted, 20)
    assert plan.asked and plan.left_out and plan.requests <= 20
    said = "\n".join(examinations.plan_text(plan))
    assert f"at most {plan.requests} short requests" in said and "left out" in said

    def answer(path, body):
        asked.append(path)
        return counting(lambda body: 10)(path, body)

    found = examined(answer, source, budget=20)
    assert len(asked) == found.requests <= plan.requests
    left_out = {name for experiment in plan.left_out for name in experiment.names}
    reasons = {finding.name: finding.evidence for finding in found.findings if finding.state == "unknown"}
    assert all("more than the budget has left" in reasons[name] for name in left_out & reasons.keys())
    assert left_out & reasons.keys() and len(found.notes) > 0  # the others are none that K2 can have


@pytest.mark.parametrize("family", [None, *families.FAMILIES], ids=str)
def test_all_experiments_are_made_unless_a_smaller_budget_is_given(family):
    assert examination.planned(chosen(), family=family).left_out == ()


def test_the_command_makes_them_all(source):
    asked = []

    def answer(path, body):
        asked.append(path)
        return counting(lambda body: 10)(path, body)

    with answering(answer) as url:
        done = CliRunner().invoke(doctor_command, ["--base-url", url, "--model", "m", "--json"])
    assert "left out" not in done.stderr and "more than the budget has left" not in done.stdout
    assert {"/v1/responses", "/v1/messages"} <= {*asked}, done.output


def test_a_key_is_never_repeated(monkeypatch, source):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": f"your key is {KEY}"}}
    found = examined(lambda path, body: {"choices": [choice], "error": KEY}, source)
    text = examinations.examination_view(found).text + json.dumps(found.to_json())
    assert KEY not in text and KEY[:12] not in text


def test_a_budget_refuses_what_is_too_much():
    budget = Budget(requests=2, seconds=60)
    budget.spend()
    budget.spend()
    with pytest.raises(Spent, match="budget of 2 requests"):
        budget.spend()
    with pytest.raises(Spent, match="seconds of this examination"):
        Budget(requests=2, seconds=0).spend()
    gone = Budget(requests=9, seconds=60)
    gone.failed(EndpointError("nobody answers at http://x"), 0.1)
    with pytest.raises(Spent, match="nobody answers"):
        gone.spend()


@pytest.mark.parametrize(
    ("events", "present"),
    [
        (['{"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]}', "[DONE]"], set()),
        (['{"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]}'], {"S001"}),
        (['{"choices": [{"delta": {"content": "hi"}}]}', "[DONE]"], {"S001"}),
        (['{"choices": [{"delta": {"tool_calls": []}, "finish_reason": "stop"}]}', "[DONE]"], {"S002"}),
        (['{"choices": [{"delta": {"tool_calls": [{"id": "a"}]}, "finish_reason": "stop"}]}', "[DONE]"], {"S003"}),
        (['{"choices": [{"delta": {}, "finish_reason": "stop"}]}', "{", "[DONE]"], {"S005"}),
        (['{"error": "no"}', '{"choices": [{"delta": {}, "finish_reason": "stop"}]}', "[DONE]"], {"S006"}),
    ],
)  # fmt: skip
def test_the_form_of_a_stream(events, present):
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}

    def answer(path, body):
        if body.get("stream"):
            return "".join(f"data: {event}\n\n" for event in events).encode()
        return {"choices": [choice], "usage": {}}

    found = examined(answer, select=["S001", "S002", "S003", "S005", "S006"])
    assert {finding.code for finding in found.present} == present


def test_a_stream_that_says_something_else_than_the_whole():
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}
    event = json.dumps({"choices": [{"delta": {"content": "ho"}, "finish_reason": "stop"}]})
    turns = iter("abcdefgh")

    def answer(path, body, *, same=True):
        if body.get("stream"):
            return f"data: {event}\n\ndata: [DONE]\n\n".encode()
        said = "hi" if same else next(turns)
        return {"choices": [{**choice, "message": {"role": "assistant", "content": said}}], "usage": {}}

    found = examined(answer, select=["S004"])
    assert [finding.state for finding in found.findings] == ["present"] and "'ho'" in found.findings[0].evidence
    unsteady = examined(lambda path, body: answer(path, body, same=False), select=["S004"])
    assert "does not repeat itself" in unsteady.findings[0].evidence


def test_events_without_end_are_bounded(monkeypatch):
    monkeypatch.setattr("k2lab.server.endpoint.MOST_EVENTS", 50)
    found = examined(lambda path, body: b'data: {"choices": []}\n\n' * 100, select=["S001"])
    assert states(found) == {"unknown"} and "more than 50 events" in found.findings[0].evidence


def test_the_view_puts_what_is_present_first_and_names_the_layer():
    found = examination.in_order(
        [
            Finding.of("P001", "absent", "the prompt ends well"),
            Finding.of("S011", "present", "as text\x1b[31m"),
            Finding.of("P004", "unknown", "not asked"),
        ]
    )
    view = examinations.examination_view(Examination(subject="a server", findings=found))
    rows = view.text.splitlines()
    assert rows[1].startswith("S011  ✗ present") and rows[3].startswith("P001  ✓ absent") and "\x1b" not in view.text
    assert "guilty layer: parse (S011)" in view.text and "guilty layer: parse (S011)" in view.html
    warned = Examination(subject="a server", findings=(Finding.of("P004", "present", "anew"),))
    assert not warned.verdict and warned.status == 1
    assert "no error is present, warnings are" in examinations.examination_view(warned).text


def test_a_call_that_is_dictated_tells_whether_markers_are_stripped():
    bare = 'functions.get_weather:0{"city": "Paris"}'
    message = {"role": "assistant", "content": bare}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    found = examined(lambda path, body: {"choices": [choice], "usage": {}}, select=["S009", "S011"])
    assert [(finding.code, finding.state) for finding in found.findings] == [("S009", "present"), ("S011", "unknown")]


def test_the_command_says_what_it_will_ask_and_ends_as_told(k2lab):
    request = Request.of([{"role": "user", "content": "x"}])
    assert request.model is None
    with answering(counting(lambda body: 10)) as url:
        said = k2lab("doctor", "--base-url", url, "--select", "S009", "--json")
    assert said.returncode == 2 and "at most" in said.stderr and json.loads(said.stdout)["requests"] > 1
    assert k2lab("doctor").returncode == 2 and "give one of" in k2lab("doctor").stderr

"""A look at what passed says what ``k2lab check`` says, and of what it cannot read that it could not."""

import json
from collections import Counter

import pytest

from k2lab.check import look_at
from k2lab.traffic.looking import Job, of_job, of_passed
from k2lab.traffic.redaction import Redaction
from k2lab.traffic.secrets import rules_of
from tests.unit.traffic.test_recorder import ASKED, EMPTY, GOOD, passed

CUT = b'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}\n\n'
STREAM = "text/event-stream"


def codes(one):
    looked, found = of_passed(one)
    return looked, sorted({noted.code for noted in found})


def test_findings_are_those_of_check_on_a_real_run(shared):
    path = shared / "k2vv-run" / "results.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    found = Counter()
    for line in lines:
        one = passed(request=json.dumps(line["request"]).encode(), answer=json.dumps(line["response"]).encode())
        found.update(noted.code for noted in of_passed(one)[1])
    assert found == Counter(one.finding.code for one in look_at(str(path)).present) and len(found) > 10


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ("yes", [])),
        ({"answer": EMPTY}, ("yes", ["A111"])),
        ({"path": "/v1/responses"}, ("yes", ["R024"])),
        (
            {"path": "/v1/responses", "request": b'{"input": "Hi", "previous_response_id": "x"}', "answer": EMPTY},
            ("cannot", ["A111"]),
        ),
        ({"path": "/v1/messages", "request": b'{"messages": [{"role": "tool"}]}'}, ("yes", ["R007", "R024"])),
        ({"path": "/v1/embeddings"}, ("cannot", [])),
        ({"method": "GET", "path": "/v1/models"}, ("cannot", [])),
        ({"request": b"{"}, ("cannot", [])),
        ({"request_type": "application/json; encoding=br"}, ("cannot", [])),
        ({"request_cut": 1}, ("cannot", [])),
        ({"answer": b"<html>"}, ("cannot", [])),
        ({"answer": b'"\\ud800"'}, ("cannot", [])),
        ({"answer": b"", "ended": "unreachable"}, ("yes", [])),
        ({"answer": CUT, "answer_type": STREAM}, ("yes", ["S001"])),
        ({"answer": CUT, "answer_type": STREAM, "ended": "client_left"}, ("yes", [])),
        ({"answer": CUT, "answer_type": STREAM, "answer_cut": 9}, ("cannot", [])),
        ({"answer": b"", "answer_type": STREAM}, ("yes", ["S001"])),
    ],
)
def test_what_is_said_of(fields, expected):
    assert codes(passed(**fields)) == expected


def test_an_answer_is_judged_beside_the_request_that_was_sent():
    call = {"id": "functions.f:0", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said = {"choices": [{"finish_reason": "tool_calls", "message": {"role": "assistant", "tool_calls": [call]}}]}
    tools = [{"type": "function", "function": {"name": "f", "description": "", "parameters": {"type": "object"}}}]
    sent = json.dumps({**json.loads(ASKED), "tools": tools}).encode()
    answer = json.dumps(said).encode()
    assert "A101" not in codes(passed(answer=answer, sent=sent))[1] and codes(passed(answer=answer))[1]


def test_what_is_kept_out_is_judged_as_it_came_and_told_as_it_is_written():
    secret = "sk-0123456789abcdefghij"
    schema = {"type": "object", "properties": {"key": {"type": "string", "pattern": "^sk-"}, "n": {"type": "integer"}}}
    tool = {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema}}
    call = {"id": "functions.f:0", "type": "function"}
    for number, wrong in ((1, False), ("1", True)):
        function = {"name": "f", "arguments": json.dumps({"key": secret, "n": number})}
        message = {"role": "assistant", "tool_calls": [{**call, "function": function}]}
        answer = json.dumps({"choices": [{"finish_reason": "tool_calls", "message": message}]}).encode()
        raw = passed(answer=answer, request=json.dumps({**json.loads(ASKED), "tools": [tool]}).encode())
        written, counts = Redaction(rules=rules_of()).passed(raw)
        looked, found = of_job(Job(passed=raw, redacted=written))
        names = {one.name for one in found}
        assert looked == "yes" and counts == {"key": 1} and ("schema_violation" in names) == wrong
        assert not any(secret[3:] in one.evidence + one.place for one in found)


def test_a_good_exchange_is_clean():
    assert of_passed(passed(answer=GOOD)) == ("yes", ())

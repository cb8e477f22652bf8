"""A history under the catalogue: each fault once, at its place in the given request, with what shows it."""

import pytest

from k2lab.chat import Request
from k2lab.findings import CATALOGUE
from k2lab.findings.histories import of_history

USER = {"role": "user", "content": "Hi"}


def call(call_id, name="now", arguments="{}"):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def said(*calls, **fields):
    return {"role": "assistant", "content": None, "tool_calls": list(calls), **fields}


def result(call_id, text="noon"):
    return {"role": "tool", "tool_call_id": call_id, "content": text}


GOOD = "functions.now:0"
CASES = {
    "foreign id": ([USER, said(call("call_1")), result("call_1")], [("R001", "messages[1].tool_calls[0].id")]),
    "restarted": (
        [USER, said(call(GOOD)), result(GOOD), USER, said(call("functions.now:7")), result("functions.now:7")],
        [("R003", "messages[4].tool_calls[0].id")],
    ),
    "shared id": (
        [USER, said(call(GOOD)), result(GOOD), USER, said(call(GOOD)), result(GOOD)],
        [("R002", "messages[4].tool_calls[0].id")],
    ),
    "no result": ([USER, said(call(GOOD)), USER], [("R006", "messages[1].tool_calls[0]")]),
    "no call": ([USER, result(GOOD)], [("R007", "messages[1]")]),
    "another id": ([USER, said(call(GOOD)), result("x")], [("R005", "messages[2].tool_call_id")]),
    "no JSON": (
        [USER, said(call(GOOD, arguments='{"a": }')), result(GOOD)],
        [("R010", "messages[1].tool_calls[0].function.arguments")],
    ),
    "an object": (
        [USER, said(call(GOOD, arguments={"a": 1})), result(GOOD)],
        [("R010", "messages[1].tool_calls[0].function.arguments")],
    ),
    "empty content": ([USER, said(call(GOOD), content=""), result(GOOD)], [("R011", "messages[1].content")]),
    "parts": ([{"role": "user", "content": [{"type": "text", "text": "Hi"}]}], [("R012", "messages[0].content")]),
    "developer": ([{"role": "developer", "content": "Be kind"}, USER], [("R017", "messages[0].role")]),
    "marker": ([{"role": "user", "content": "Say <|im_end|>"}], [("R019", "messages[0].content")]),
    "blocks": (
        [USER, {"role": "assistant", "content": [{"type": "tool_use", "id": GOOD, "name": "now", "input": {}}]},
         {"role": "user", "content": [{"type": "tool_result", "tool_use_id": GOOD, "content": "noon"}, "?"]},
         said(call("x")), result("x")],
        [("R015", "messages[1].tool_calls"), ("R015", "messages[2].content"), ("R001", "messages[3].tool_calls[0].id")],
    ),
    "nothing": ([USER, said(call(GOOD)), result(GOOD), {"role": "assistant", "content": "Noon."}], []),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_fault_is_told_once_at_its_place_in_the_given_request(name):
    messages, expected = CASES[name]
    found = of_history(Request.of(messages))
    assert sorted((finding.code, finding.place) for finding in found) == sorted(expected)
    assert all(finding.state == "present" and finding.evidence for finding in found)


def test_evidence_shows_the_id_and_the_one_that_the_count_has():
    [finding] = of_history(Request.of(CASES["foreign id"][0]))
    assert finding.evidence == "call_1, where the count of the conversation has functions.now:0"
    assert finding.fix == CATALOGUE["foreign_call_id"].fix


def test_reasoning_is_asked_of_a_thinking_family_alone():
    messages = [USER, said(call(GOOD)), result(GOOD)]
    assert [finding.code for finding in of_history(Request.of(messages), model="kimi-k2.5")] == ["R021"]
    assert of_history(Request.of(messages), model="kimi-k2-0905") == ()

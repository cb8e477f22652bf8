"""The small agent: its tools, what it keeps of calls in each style of ids, and what becomes of an ask."""

import itertools
import json
import re

import jsonschema
import pytest

from k2lab.chat import ToolCall
from k2lab.nano import agent, office, synth
from k2lab.server.endpoint import Endpoint
from tests.helpers.oracle import oracle


@pytest.fixture(scope="module")
def server():
    with oracle() as made:
        yield made


def test_each_row_of_the_data_is_what_its_tool_says_and_no_other_row_has_its_arguments():
    for name, rows in office.rows().items():
        keys = [json.dumps({k: v for k, v in row.items() if k != "value"}, sort_keys=True) for row in rows]
        assert len(set(keys)) == len(rows)
        for key, row in zip(keys, rows, strict=True):
            assert office.call_tool(name, json.loads(key)) == str(row["value"])
        assert synth.pool_of(name) == "held-out"  # the model has never seen it
    for name, arguments in (("nothing", {}), ("count_hotel", {}), ("count_hotel", None), (None, {"city": "Paris"}),
                            ("count_hotel", {"city": "Paris", "day": "monday"})):  # fmt: skip
        assert office.call_tool(name, arguments) == office.NOT_FOUND


def test_asks_are_the_same_for_the_same_numbers_and_are_answered_by_one_call_alone():
    assert office.asks(1, 2, 5) == office.asks(1, 2, 5) != office.asks(1, 3, 5)
    for session in range(20):
        tools, asks = office.asks(1, session, 4)
        schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in tools}
        for ask in asks:
            jsonschema.validate(ask.arguments, schemas[ask.name])
            right = ToolCall(name=ask.name, arguments=json.dumps(ask.arguments))
            assert ask.is_answered_by([right]) and not ask.is_answered_by([]) and not ask.is_answered_by([right] * 2)
            assert office.call_tool(right.name, right.value) == ask.value


@pytest.mark.parametrize(("ids", "stream"), [*itertools.product(agent.ID_STYLES, (False, True))])
def test_every_ask_is_answered_and_the_history_has_the_ids_of_the_style(server, ids, stream):
    server.received.clear()
    sessions = agent.run_sessions(Endpoint(server.url), sessions=3, asks_each=3, ids=ids, stream=stream, concurrency=1)
    assert str(agent.answered(sessions)).startswith("9 of 9") and agent.outcomes(sessions) == {"answered": 9}
    assert agent.answered_later(sessions).total == 6
    patterns = {
        "server": r"functions\.\w+:\d", "restarted": r"functions\.\w+:0", "short": r"\w+:\d", "call": r"call_\w{24}",
    }  # fmt: skip
    kept = [call for message in sessions[0].request.messages for call in message.get("tool_calls", ())]
    results = [m["tool_call_id"] for m in sessions[0].request.messages if m["role"] == "tool"]
    assert [call["id"] for call in kept] == results and len(kept) == 3
    assert all(re.fullmatch(patterns[ids], found) for found in results)
    sent = server.received[-1]
    assert bool(sent.get("stream")) == stream and sent["messages"] == list(sessions[-1].request.messages)[:-1]
    assert json.loads(agent.history_of(sessions[-1]))["tools"] == sent["tools"]


LEAKED = "<|tool_calls_section_begin|><|tool_call_begin|>x:1<|tool_call_argument_begin|>{}<|tool_call_end|>"


def wrong(request):
    call = {"id": "functions.count_hotel:0", "type": "function", "function": {"name": "other", "arguments": "{"}}
    return {"role": "assistant", "content": "", "tool_calls": [call]}


@pytest.mark.parametrize(
    ("says", "outcome"),
    [
        (lambda request: {"role": "assistant", "content": "No."}, "no call"),
        (lambda request: {"role": "assistant", "content": LEAKED}, "lost call"),
        (wrong, "wrong call"),
        (lambda request: 500, "failed"),
    ],
)
def test_what_becomes_of_an_ask_is_told_apart(says, outcome):
    with oracle() as server:
        server.says = says
        sessions = agent.run_sessions(Endpoint(server.url), sessions=1, asks_each=2)
    rest = "not asked" if outcome == "failed" else outcome  # nothing can be asked after an error
    assert [one.outcome for one in sessions[0].answered] == [outcome, rest]
    assert agent.answered(sessions).count == 0 and agent.answered(sessions).total == 2
    if outcome == "wrong call":
        assert len(sessions[0].answered[0].calls) == agent.MOST_STEPS
        assert sessions[0].request.messages[2]["content"] == office.NOT_FOUND

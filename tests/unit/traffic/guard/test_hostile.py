"""Answers and requests that are like none: the guard raises for nothing, and what it does not know goes on."""

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2lab.traffic.guard import GuardOptions, guard_of
from k2lab.traffic.guard.waiting import Waiting
from tests.helpers.effort import examples, within
from tests.helpers.histories import TOOLS, result
from tests.helpers.streamed import events, message_events, put_together, response_events
from tests.unit.traffic.guard.test_other_apis import (
    MESSAGES,
    RESPONSES,
    call_item,
    message,
    message_item,
    output_item,
    reasoning_item,
    response,
    tool_result,
    tool_use,
)
from tests.unit.traffic.guard.test_requests import call, calling
from tests.unit.traffic.guard.test_salvage import JSON, PATH, answer, fed, section

KNOWN = "functions.now:1"
FUNCTION = TOOLS[0]["function"]
REQUESTS = {
    PATH: {"messages": [calling(call(KNOWN)), result(KNOWN)], "tools": TOOLS},
    RESPONSES: {"input": [call_item(KNOWN), output_item(KNOWN)], "tools": [{"type": "function", **FUNCTION}]},
    MESSAGES: {
        "messages": [
            {"role": "assistant", "content": [tool_use(KNOWN)]},
            {"role": "user", "content": [tool_result(KNOWN)]},
        ],
        "tools": [{"name": "now", "input_schema": FUNCTION["parameters"]}],
    },
}
"""Requests whose answers are held for leaks and for ids that clash."""

ANYTHING = st.sampled_from(
    [None, True, 0, -1, 10**30, 1.5, "", "<|", section(), KNOWN, [], {}, [[]], [{}], {"type": []}]
)


@st.composite
def spoiled(draw, value):
    """A value of which up to three parts are something else, gone, or there twice."""
    value = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(1, 3))):
        value = draw(_spoiled(value))
    return value


@st.composite
def _spoiled(draw, value):
    if not value or not isinstance(value, dict | list) or draw(st.integers(0, 9)) == 0:
        return draw(ANYTHING)
    place = draw(st.sampled_from(range(len(value)) if isinstance(value, list) else sorted(value)))
    how = draw(st.sampled_from(["deeper", "deeper", "deeper", "gone", "twice"]))
    if how == "deeper":
        made = draw(_spoiled(value[place]))
        return [*value[:place], made, *value[place + 1 :]] if isinstance(value, list) else {**value, place: made}
    if isinstance(value, dict):
        return {name: item for name, item in value.items() if name != place or how == "twice"}
    return value[:place] + value[place + 1 :] if how == "gone" else [*value, value[place]]


ANSWERS = {
    PATH: answer("Hm. " + section(), reasoning_content=section(), tool_calls=[call(KNOWN)]),
    RESPONSES: response([reasoning_item(section()), message_item(section()), {**call_item(KNOWN), "id": "fc_1"}]),
    MESSAGES: message(
        [{"type": "thinking", "thinking": section()}, {"type": "text", "text": section()}, tool_use(KNOWN)]
    ),
}
LEAKING = {
    PATH: answer("Hm. " + section(), reasoning_content="Hm."),
    RESPONSES: response([reasoning_item("Hm."), message_item("Hm. " + section())]),
    MESSAGES: message([{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Hm. " + section()}]),
}
STREAMS = {PATH: events, RESPONSES: response_events, MESSAGES: message_events}


def turn_of(path, **options):
    return guard_of(GuardOptions(**options)).turn(path, JSON, json.dumps(REQUESTS[path]).encode())


@pytest.fixture
def faults(caplog):
    """What the guard logs as a fault of its own."""
    with caplog.at_level(logging.ERROR):
        yield lambda: caplog.records


@pytest.mark.parametrize("path", REQUESTS)
def test_whatever_a_server_answers_nothing_is_raised(path, faults):
    @given(spoiled(ANSWERS[path]) | spoiled(LEAKING[path]))
    @examples(300)
    def answers(body):
        taken = turn_of(path, repair="ids", salvage=True)
        assert taken.holds_answer
        before, text = len(taken.changes), json.dumps(body).encode()
        made = taken.whole(200, JSON, text)
        assert made == text or len(taken.changes) > before
        assert isinstance(json.loads(made), type(body))

    answers()
    assert faults() == []


@pytest.mark.parametrize("path", REQUESTS)
def test_whatever_a_server_streams_nothing_is_raised(path, faults):
    @given(st.data(), st.lists(st.integers(0, 400), max_size=20))
    @examples(300)
    def streams(data, sizes):
        whole = STREAMS[path](data.draw(st.sampled_from([ANSWERS[path], LEAKING[path]])), range(0, 400, 25))
        parts = whole.split(b"\n\n")
        for _ in range(data.draw(st.integers(1, 3))):
            place = data.draw(st.integers(0, len(parts) - 2))
            head, _, text = parts[place].partition(b"data: ")
            if text.startswith(b"{"):
                parts[place] = head + b"data: " + json.dumps(data.draw(spoiled(json.loads(text)))).encode()
        sent = b"\n\n".join(parts)
        taken, again = (turn_of(path, repair="ids", salvage=True) for _ in range(2))
        assert fed(taken.stream(), sent, sizes) == fed(again.stream(), sent, [])

    streams()
    assert faults() == []


@pytest.mark.parametrize("path", REQUESTS)
def test_whatever_a_client_asks_nothing_is_raised(path):
    guard = guard_of(GuardOptions(repair="history", enforce="pinned", salvage=True))

    @given(spoiled({**REQUESTS[path], "tool_choice": {"type": "auto"}, "model": "kimi-k2", "thinking": {"type": "x"}}))
    @examples(300)
    def requests(body):
        text = json.dumps(body).encode()
        taken = guard.turn(path, JSON, text)
        assert taken.body == text or taken.changes

    requests()


@pytest.mark.parametrize("path", REQUESTS)
@given(data=st.binary(max_size=200), sizes=st.lists(st.integers(0, 20), max_size=20))
@examples(60)
def test_bytes_that_are_no_events_go_on_as_they_are(path, data, sizes):
    taken = turn_of(path, repair="ids", salvage=True)
    assert fed(taken.stream(), data, sizes) == data
    assert taken.whole(200, JSON, data) == data


def test_a_fault_of_the_guards_own_gives_back_all_that_was_held(monkeypatch, faults):
    data = events(answer("Hm. " + section()), range(0, 300, 5))
    taken = turn_of(PATH, salvage=True)
    stream = taken.stream()
    half = stream.feed(data[: len(data) // 2])

    def broken(self, item):
        raise RuntimeError("a fault")

    monkeypatch.setattr(Waiting, "add", broken)
    assert put_together(half + stream.feed(data[len(data) // 2 :]) + stream.end()) == put_together(data)
    assert len(faults()) == 1


def test_an_event_without_an_end_is_not_kept_for_ever():
    stream, given = turn_of(PATH, salvage=True).stream(), 0
    piece = b"data: " + b"x" * (1 << 20)
    for _ in range(40):
        given += len(stream.feed(piece))
    assert given > 20 << 20
    assert given + len(stream.end()) == 40 * len(piece)


def test_a_large_answer_takes_bounded_time():
    text = "word `x` \u201c<\u201d <|to \n" * 400_000
    taken = turn_of(PATH, salvage=True)
    body = json.dumps(answer(text)).encode()
    with within(8.0):
        assert taken.whole(200, JSON, body) == body

"""The Responses and the Messages API are looked at as chat exchanges are, and told at their own places."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, response_create_params
from pydantic import TypeAdapter, with_config

from k2lab.check import Look, look_at_bytes
from k2lab.check.otherapis import UnseenError
from k2lab.check.places import steps
from k2lab.check.together import of_pair
from tests.helpers.effort import examples
from tests.helpers.otherapis import ANSWERS, REQUESTS
from tests.helpers.streamed import message_events, response_events

TOOL = {"type": "function", "function": {"name": "search", "description": "Search.", "parameters": {
    "type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}}}  # fmt: skip
USER = {"role": "user", "content": "Tide?"}
EVENTS = {"responses": response_events, "messages": message_events}
APIS = sorted(REQUESTS)


def call(known="functions.search:0", arguments='{"query": "tide"}', name="search"):
    return {"id": known, "type": "function", "function": {"name": name, "arguments": arguments}}


def calling(*calls, content=None):
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def result(known="functions.search:0", content="high"):
    return {"role": "tool", "tool_call_id": known, "content": content}


def asked(*messages, **more):
    return {"model": "kimi-k2", "messages": [USER, *messages], "tools": [TOOL], **more}


def said(*calls, content=None, reasoning=None, reason=None):
    message = {"role": "assistant", "content": content, "reasoning_content": reasoning, "tool_calls": list(calls)}
    return {"choices": [{"index": 0, "finish_reason": reason or ("tool_calls" if calls else "stop"),
                         "message": message}]}  # fmt: skip


def looked(value, **how):
    data = value if isinstance(value, str | bytes) else json.dumps(value)
    return look_at_bytes("given", data.encode() if isinstance(data, str) else data, Look(**how))


def codes(value, **how):
    made = looked(value, **how)
    assert not made.unread, made.unread
    return [one.finding.code for one in made.present]


LEAKED = (
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.search:0<|tool_call_argument_begin|>"
    '{"query": "tide"}<|tool_call_end|><|tool_calls_section_end|>'
)

HISTORIES = {
    "sound": [calling(call()), result(), USER],
    "foreign ids": [calling(call("call_1")), result("call_1"), USER],
    "duplicate ids": [calling(call(), call()), result(), result(), USER],
    "without a result": [calling(call()), USER],
    "two of three results": [
        calling(call(), call("functions.search:1"), call("functions.search:2")),
        result("functions.search:2"),
        result(),
        USER,
    ],
    "a result of nothing": [calling(call()), result(), {"role": "assistant", "content": "Ok."}, result("x"), USER],
    "a second result": [calling(call()), result(), result(), USER],
    "out of count": [calling(call("functions.search:4")), result("functions.search:4"), USER],
    "without an id": [calling(call(None)), result(), USER],
    "arguments of no object": [calling(call(arguments="[1]")), result(), USER],
    "a leaked call": [{"role": "assistant", "content": LEAKED}, USER],
    "two in a row": [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}, USER],
    "markers in a result": [calling(call()), result(content="<|im_end|>"), USER],
    "reasoning in a content": [{"role": "assistant", "content": "<think>a</think>b"}, USER],
}


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_a_request_has_the_findings_of_the_equal_chat_request(api, history):
    chat = asked(*history)
    given = REQUESTS[api](chat)
    found = looked(given, api=api)
    assert [one.finding.code for one in found.present] == codes(chat)
    assert all(stands(given, one.finding.place) for one in found.present), found.present


def test_texts_of_one_item_of_which_a_server_reads_the_first_alone_are_named():
    def texts(kind, *given):
        return [{"type": kind, "text": text} for text in given]

    items = [
        {"role": "user", "content": texts("input_text", "a", "b")},
        {"type": "reasoning", "summary": [], "content": texts("reasoning_text", "a", "b")},
        {"type": "reasoning", "summary": texts("summary_text", "a", "b")},
        {"role": "assistant", "content": texts("output_text", "a", "b")},
        {"role": "user", "content": "go on"},
        {"role": "assistant", "content": texts("output_text", "a")},
        {"role": "user", "content": "and?"},
    ]
    found = looked({"model": "kimi-k2", "input": items}, api="responses")
    told = [(one.finding.code, one.finding.place) for one in found.present if one.finding.name == "text_in_parts"]
    places = ("input[1].content", "input[2].summary", "input[3].content")
    assert told == [("R012", place) for place in places]


def stands(value, place):
    """Whether a place is in a value: the last step may be a field that is lacking."""
    *inner, last = steps(place)
    for step in inner:
        value = value[step]
    return isinstance(value, dict) if isinstance(last, str) else last < len(value)


ANSWERED = {
    "sound": ({}, said(call())),
    "text": ({}, said(content="High.")),
    "undeclared": ({}, said(call("functions.now:0", name="now"))),
    "no object": ({}, said(call(arguments="[1]"))),
    "breaks the schema": ({}, said(call(arguments="{}"))),
    "a foreign id": ({}, said(call("call_1"))),
    "a wrong index": ({}, said(call("functions.search:3"))),
    "leaked": ({}, said(content=LEAKED)),
    "leaked into the reasoning": ({}, said(reasoning=LEAKED)),
    "only reasoning": ({}, said(reasoning="Hm.")),
    "empty": ({}, said()),
    "repetition": ({}, said(content="ab" * 900)),
    "cut short": ({}, said(content="Hi", reason="length")),
    "despite none": ({"tool_choice": "none"}, said(call())),
    "none despite required": ({"tool_choice": "required"}, said(content="Hi")),
    "none despite a name": ({"tool_choice": {"type": "function", "function": {"name": "search"}}}, said(content="Hi")),
    "several": ({"parallel_tool_calls": False}, said(call(), call("functions.search:1"))),
    "reasoning left": ({}, said(content="<think>Hm.</think>Hi")),
}


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("beside", "answer"), ANSWERED.values(), ids=ANSWERED)
def test_an_answer_has_the_findings_of_the_equal_chat_answer(api, beside, answer):
    chat = asked(**beside)
    request, response = REQUESTS[api](chat), ANSWERS[api](answer)
    expected = codes({"request": chat, "response": answer})
    found = looked({"request": request, "response": response})
    assert found.taken_for.startswith("a request with its answer (") and not found.unread
    assert [one.finding.code for one in found.present] == expected
    assert all(stands({"request": request, "response": response}, one.finding.place) for one in found.present)
    text = EVENTS[api](response, [3, 7]).decode()
    streamed = [one.code for one in of_pair(request, lambda: text, streamed=True, api=api)]
    assert streamed == expected


def test_places_are_those_of_the_own_body():
    chat = asked(calling(call("call_1"), call("call_1"), content="Let me look."), result("call_1"), USER)
    places = {api: [one.finding.place for one in looked(REQUESTS[api](chat)).present] for api in APIS}
    assert {"input[2].call_id", "input[3].call_id", "input[3]"} <= set(places["responses"])
    assert {"messages[1].content[1].id", "messages[1].content[2].id", "messages[1].content[2]"} <= set(
        places["messages"]
    )
    response = {"request": chat, "response": said(call("x"), content="Hi")}
    for api, place in (("responses", "response.output[1]"), ("messages", "response.content[1]")):
        given = {"request": REQUESTS[api](chat), "response": ANSWERS[api](response["response"])}
        assert place in [one.finding.place for one in looked(given).present]


def test_what_is_said_names_places_of_the_own_body_too():
    chat = asked(calling(call()), result(), result(), USER)
    (found,) = (
        looked(REQUESTS["responses"](chat), select=None).present
        if False
        else looked(REQUESTS["responses"](chat)).present
    )
    assert found.finding.place == "input[3]"
    assert "input[1]" in found.finding.evidence and "input[2]" in found.finding.fix
    (found,) = looked(REQUESTS["messages"](chat)).present
    assert "messages[1].content[0]" in found.finding.evidence and "messages[2].content[0]" in found.finding.fix


def test_a_fix_names_what_its_api_has():
    for api, word in (("responses", "function_call_output with call_id"), ("messages", "tool_result with tool_use_id")):
        found = {
            one.finding.code: one.finding for one in looked(REQUESTS[api](asked(calling(call("c")), USER))).present
        }
        assert word in found["R006"].fix
        assert "k2lab proxy --repair ids" in found["R001"].fix
        assert not any("k2lab repair" in finding.fix for finding in found.values())


ITEMS = {"model": "kimi-k2", "input": [{"role": "user", "content": "Hi"}]}
BLOCKS = {"model": "kimi-k2", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({**ITEMS, "previous_response_id": "resp_1"}, "previous_response_id"),
        ({**ITEMS, "conversation": "conv_1"}, "conversation"),
        ({"model": "kimi-k2", "prompt": {"id": "pmpt_1"}}, "prompt"),
        ({**ITEMS, "tools": [{"type": "web_search"}]}, "tools[0] (a tool of type web_search"),
        ({**ITEMS, "tools": [{"type": "mcp", "server_label": "x", "server_url": "y"}]}, "tools[0]"),
        ({**ITEMS, "tool_choice": {"type": "file_search"}}, "tool_choice"),
        ({**ITEMS, "input": [{"type": "item_reference", "id": "x"}]}, "input[0] (an item of type item_reference"),
        ({**ITEMS, "input": [*ITEMS["input"], {"type": "web_search_call", "id": "x", "status": "completed"}]},
         "input[1]"),
        ({**ITEMS, "input": [{"type": "reasoning", "id": "x", "summary": [], "encrypted_content": "gA"}, USER]},
         "input[0].encrypted_content"),
        ({**BLOCKS, "tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0]"),
        ({**BLOCKS, "tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0]"),
        ({**BLOCKS, "mcp_servers": [{"type": "url", "url": "x", "name": "y"}]}, "mcp_servers"),
        ({**BLOCKS, "messages": [{"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}]}]},
         "messages[0].content[0] (a block of type redacted_thinking"),
        ({**BLOCKS, "messages": [{"role": "user", "content": [{"type": "document", "source": {}}]}]},
         "messages[0].content[0] (a block of type document"),
        ({**BLOCKS, "messages": [{"role": "assistant", "content": [
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}]}]},
         "messages[0].content[1] (a block of type web_search_tool_result"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_has_no_counterpart_is_named_and_never_taken_for_sound(request_, said):
    api = "messages" if "messages" in request_ else "responses"
    made = looked(request_, api=api)
    assert made.status == 2 and not made.present
    assert len(made.unread) == 1 and said in made.unread[0]


def test_a_history_that_the_server_keeps_leaves_no_result_without_its_call():
    output = {"type": "function_call_output", "call_id": "functions.search:7", "output": "high"}
    given = {**ITEMS, "previous_response_id": "resp_1", "input": [output]}
    made = looked(given)
    assert not made.present and "previous_response_id" in made.unread[0]
    answer = ANSWERS["responses"](said(call("functions.search:8")))
    found = []
    with pytest.raises(UnseenError):
        found += [
            one.code for one in of_pair({**given, "tools": [{"type": "function", **TOOL["function"]}]}, lambda: answer)
        ]
    assert found == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"object": "response", "status": "completed", "output": [{"type": "web_search_call"}]}, "output[0]"),
        ({"object": "response", "status": "in_progress", "output": []}, "status"),
        ({"type": "message", "content": [{"type": "server_tool_use"}], "stop_reason": "end_turn"}, "content[0]"),
    ],
    ids=["search", "in progress", "server tool"],
)  # fmt: skip
def test_of_an_answer_too(answer, said):
    made = looked(answer)
    assert made.status == 2 and not made.present and said in made.unread[0]


def test_what_is_no_part_of_a_prompt_is_named_and_hides_nothing():
    text = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}
    thought = {"type": "thinking", "thinking": "Hm", "signature": "abc"}
    messages = [{"role": "user", "content": [text]}, {"role": "assistant", "content": [thought, text]}, USER]
    made = looked({**BLOCKS, "messages": messages})
    assert made.status == 0 and any("cache_control, signature" in note for note in made.notes)


@pytest.mark.parametrize(
    ("request_", "place"),
    [
        ({**ITEMS, "input": 5}, "input"),
        ({**ITEMS, "input": []}, "input"),
        ({**ITEMS, "input": [7]}, "input[0]"),
        ({**ITEMS, "input": [{"content": "Hi"}]}, "input[0]"),
        ({**ITEMS, "input": [{"type": "function_call", "call_id": "x", "arguments": "{}"}]}, "input[0]"),
        ({**ITEMS, "input": [{**calling(call()), "content": "Hi"}]}, "input[0].tool_calls"),
        ({**BLOCKS, "messages": 5}, "messages"),
        ({**BLOCKS, "messages": [{"role": "tool", "content": "Hi"}]}, "messages[0].role"),
        ({**BLOCKS, "messages": [calling(call())]}, "messages[0].tool_calls"),
        ({**BLOCKS, "messages": [{"role": "assistant", "content": [{"type": "tool_result"}]}]},
         "messages[0].content[0]"),
        ({**BLOCKS, "messages": [{"role": "user", "content": [{"type": "tool_use", "id": "1", "name": "f",
                                                               "input": {}}]}]}, "messages[0].content[0]"),
        ({**BLOCKS, "tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({**BLOCKS, "tools": [TOOL]}, "tools[0]"),
    ],
    ids=str,
)  # fmt: skip
def test_what_the_api_refuses_of_its_form_is_found_at_its_place(request_, place):
    api = "messages" if "messages" in request_ else "responses"
    found = [one for one in of_pair(request_, None, api=api) if one.name == "not_a_request"]
    assert f"request.{place}" in [one.place for one in found], found
    assert all(re.match(re.escape(place.split("[")[0]), one.evidence) for one in found), found


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("cut", [0.3, 0.6, 0.95])
def test_a_stream_without_its_end_is_one_and_the_rest_is_judged(api, cut):
    chat, answer = asked(), said(call("functions.now:0", name="now"), content="Let me look.")
    text = EVENTS[api](ANSWERS[api](answer)).decode()
    events = text.split("\n\n")[:-1]
    short = "\n\n".join(events[: max(2, int(len(events) * cut))])
    found = [one.code for one in of_pair(REQUESTS[api](chat), lambda: short, streamed=True, api=api)]
    assert found[0] == "S001" and set(found) <= {"S001", "A002", "A003", "A104", "A111"}
    assert looked(short).taken_for.startswith("a captured stream (")


def test_events_of_a_wrong_shape_are_named_with_their_line():
    text = EVENTS["messages"](ANSWERS["messages"](said(content="Hi"))).decode()
    bad = 'event: content_block_delta\ndata: {"type": "content_block_delta", "index": 9, "delta": {}}\n\n'
    head, _, rest = text.partition("\n\n")
    (found, *others) = looked(f"{head}\n\n{bad}{rest}").present
    assert (found.finding.code, found.line) == ("S005", 5) and not others
    error = 'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}\n\n'
    found = looked(f"{head}\n\n{error}").present[0]
    assert found.finding.code == "S006" and "busy" in found.finding.evidence


def test_the_text_of_streamed_arguments_is_judged_as_it_came():
    text = EVENTS["messages"](ANSWERS["messages"](said(call()))).decode().replace('\\"query\\": \\"tide\\"}', "oops")
    assert [one.code for one in of_pair(REQUESTS["messages"](asked()), lambda: text, streamed=True)] == ["A003"]


def test_the_samples_are_what_the_openai_client_takes():
    request = TypeAdapter(with_config({"extra": "forbid"})(response_create_params.ResponseCreateParamsNonStreaming))
    for history in (history for name, history in HISTORIES.items() if name != "without an id"):
        assert request.validate_python({**REQUESTS["responses"](asked(*history))}, strict=False)
    for beside, answer in ANSWERED.values():
        assert Response.model_validate(ANSWERS["responses"](answer)).output is not None
        assert REQUESTS["responses"](asked(**beside))["tools"]


FIELDS = (
    *("type", "role", "content", "input", "messages", "tools", "name", "id", "call_id", "output", "arguments"),
    *("summary", "text", "system", "instructions", "tool_choice", "status", "stop_reason", "error"),
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["function_call", "tool_use", "assistant", "user", "tool_result", "text", "message", "thinking"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(FIELDS),
        inner,
        max_size=6,
    ),
    max_leaves=25,
)  # fmt: skip


@given(request=st.dictionaries(st.sampled_from(["input", "messages", "tools", "system", "tool_choice"]), PLAIN),
       answer=st.dictionaries(st.sampled_from(["output", "content", "status", "type", "stop_reason"]), PLAIN),
       api=st.sampled_from(APIS))  # fmt: skip
@examples(150)
def test_whatever_stands_there_it_is_looked_at_and_nothing_is_raised_but_what_a_user_is_told(request, answer, api):
    value = json.loads(
        json.dumps({"request": request, "response": {**answer, "stop_reason": "x", "object": "response"}})
    )
    made = look_at_bytes("given", json.dumps(value).encode(), Look(api=api))
    assert made.status in (0, 1, 2) and all(isinstance(one.finding.place, str) for one in made.found)

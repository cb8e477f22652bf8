"""Requests and answers of the other APIs as the chat API has them: no call is lost, and each part has its place."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2lab.apis import answer_as_chat, api_of, api_of_path, api_of_request, request_as_chat
from k2lab.apis.streams import MessageAssembly, ResponseAssembly
from k2lab.check.places import steps
from tests.helpers.effort import examples
from tests.helpers.otherapis import ANSWERS, REQUESTS
from tests.helpers.streamed import message_events, response_events, values_of

APIS = ("responses", "messages")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
WEIRD = st.none() | st.text(max_size=6) | st.lists(st.text(max_size=2), max_size=2) | st.integers()
"""An id, a name, a text, or what stands in its place."""

ITEM = st.one_of(
    st.fixed_dictionaries({"type": st.just("function_call"), "call_id": WEIRD, "name": WEIRD}, optional={
        "arguments": WEIRD, "namespace": WEIRD}),
    st.fixed_dictionaries({"type": st.just("custom_tool_call"), "call_id": WEIRD, "name": WEIRD, "input": WEIRD}),
    st.fixed_dictionaries({"type": st.just("function_call_output"), "call_id": WEIRD, "output": JSON}),
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system", "x"]), "content": JSON}),
    st.fixed_dictionaries({"type": st.just("reasoning"), "summary": JSON, "content": JSON}),
    st.fixed_dictionaries({"type": WEIRD}),
    JSON,
)  # fmt: skip
BLOCK = st.one_of(
    st.fixed_dictionaries({"type": st.just("tool_use"), "id": WEIRD, "name": WEIRD}, optional={"input": JSON}),
    st.fixed_dictionaries({"type": st.just("tool_result"), "tool_use_id": WEIRD, "content": JSON}),
    st.fixed_dictionaries({"type": st.sampled_from(["text", "thinking"]), "text": WEIRD, "thinking": WEIRD}),
    st.fixed_dictionaries({"type": WEIRD}),
    JSON,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system"]), "content": st.lists(BLOCK, max_size=5) | JSON}
)
TOOLS = st.none() | JSON | st.lists(JSON | st.fixed_dictionaries({"type": WEIRD, "name": WEIRD, "tools": JSON}))


def is_call(part, kinds):
    return isinstance(part, dict) and part.get("type") in kinds


def calls_in(request):
    messages = request.get("messages")
    return [
        call
        for message in (messages if isinstance(messages, list) else [])
        if isinstance(message, dict)
        for call in message.get("tool_calls") or []
    ]


@given(items=st.lists(ITEM, max_size=8), tools=TOOLS, choice=JSON, beside=JSON)
@examples(200)
def test_no_item_that_is_a_call_is_lost_and_each_has_its_place(items, tools, choice, beside):
    request = {"input": items, "tools": tools, "tool_choice": choice, "instructions": beside, "text": beside}
    made = request_as_chat("responses", request)
    given = [n for n, item in enumerate(items) if is_call(item, ("function_call", "custom_tool_call"))]
    assert [call["id"] for call in calls_in(made.value)] == [items[n]["call_id"] for n in given]
    assert places_of_calls(made) == [f"input[{n}]" for n in given]
    answer = answer_as_chat("responses", {"output": items, "status": beside, "error": None})
    said = answer.value["choices"][0]["message"].get("tool_calls", [])
    assert [call["id"] for call in said] == [items[n]["call_id"] for n in given]


@given(messages=st.lists(MESSAGE | JSON, max_size=5), tools=TOOLS, choice=JSON, system=JSON)
@examples(200)
def test_no_block_that_is_a_call_is_lost_and_each_has_its_place(messages, tools, choice, system):
    request = {"messages": messages, "tools": tools, "tool_choice": choice, "system": system, "max_tokens": 9}
    made = request_as_chat("messages", request)
    given = [
        (f"messages[{n}].content[{at}]", block)
        for n, message in enumerate(messages)
        if isinstance(message, dict) and message.get("role") in ("user", "assistant", "system")
        for at, block in enumerate(message["content"] if isinstance(message["content"], list) else [])
        if is_call(block, ("tool_use",))
    ]
    assert [call["id"] for call in calls_in(made.value)] == [block["id"] for _, block in given]
    assert places_of_calls(made) == [place for place, _ in given]
    for _, block in given:
        said = answer_as_chat("messages", {"content": [block], "stop_reason": choice}).value["choices"][0]["message"]
        assert [call["id"] for call in said["tool_calls"]] == [block["id"]]


def places_of_calls(made):
    """The original place of each call of a request."""
    messages = made.value.get("messages", [])
    return [
        made.origins.of(f"messages[{n}].tool_calls[{at}]")
        for n, message in enumerate(messages)
        if isinstance(message, dict)
        for at in range(len(message.get("tool_calls") or []))
    ]


@given(request=JSON, answer=JSON, api=st.sampled_from(APIS))
@examples(100)
def test_nothing_is_raised_for_any_object(request, answer, api):
    for value in (request, answer):
        if isinstance(value, dict):
            request_as_chat(api, value)
            answer_as_chat(api, value)
    assert api_of(request, answer) in ("chat", *APIS)


@pytest.mark.parametrize("api", APIS)
def test_the_chat_request_comes_back(api):
    call = {"id": "functions.f:0", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    tool = {"type": "function", "function": {"name": "f", "description": "F.", "parameters": {"type": "object"}}}
    chat = {
        "model": "kimi-k2",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Go."},
            {"role": "assistant", "content": "Well.", "reasoning_content": "Hm.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "functions.f:0", "content": "1"},
            {"role": "user", "content": "And?"},
        ],
        "tools": [tool],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
    }
    made = request_as_chat(api, REQUESTS[api](chat)).value
    if api == "responses":  # whose choice has another form, which is read as it is
        assert made.pop("tool_choice") == {"type": "function", "name": "f"}
        chat.pop("tool_choice")
    assert made == chat


@pytest.mark.parametrize("finish_reason", ["stop", "length", "tool_calls"])
@pytest.mark.parametrize("api", APIS)
def test_the_chat_answer_comes_back_whole_and_streamed(api, finish_reason):
    call = {"id": "functions.f:0", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    message = {"role": "assistant", "content": "Well.", "reasoning_content": "Hm."}
    if finish_reason == "tool_calls":
        message["tool_calls"] = [call]
    chat = {"choices": [{"index": 0, "message": message, "finish_reason": finish_reason}]}
    whole = ANSWERS[api](chat)
    assert answer_as_chat(api, whole).value["choices"] == chat["choices"]
    events, assembly = {
        "responses": (response_events, ResponseAssembly()),
        "messages": (message_events, MessageAssembly()),
    }[api]
    values = values_of(events(whole, [1, 3]))[0]
    for value in values:
        assembly.event(value)
    assert assembly.ended and answer_as_chat(api, assembly.answer()).value["choices"] == chat["choices"]


def test_a_response_stream_is_put_together_of_its_deltas_where_its_last_event_is_missing():
    call = {"id": "functions.f:0", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    message = {"role": "assistant", "content": "Well.", "reasoning_content": "Hm.", "tool_calls": [call]}
    whole = ANSWERS["responses"]({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})
    values = values_of(response_events(whole, [1, 3]))[0]
    for kept in (values[:-1], [value for value in values[:-1] if not value["type"].endswith("item.done")]):
        assembly = ResponseAssembly()
        for value in kept:
            assembly.event(value)
        made = answer_as_chat("responses", assembly.answer()).value["choices"][0]
        assert made == {"index": 0, "message": message, "finish_reason": None} and not assembly.ended


@pytest.mark.parametrize(
    ("tool", "name", "place"),
    [
        ({"type": "custom", "name": "sh", "description": "Shell."}, "sh", "tools[0].name"),
        ({"type": "namespace", "name": "crm", "tools": [{"type": "function", "name": "get", "parameters": {}}]},
         "crm__get", "tools[0].tools[0].name"),
    ],
    ids=["custom", "namespace"],
)  # fmt: skip
def test_tools_of_the_responses_api_alone_are_shown_as_vllm_shows_them(tool, name, place):
    made = request_as_chat("responses", {"input": "Hi", "tools": [tool]})
    assert made.value["tools"][0]["function"]["name"] == name and not made.unseen
    assert place.startswith(made.origins.of("tools[0].function.name").removesuffix(".name"))
    item = {"type": "custom_tool_call", "call_id": "functions.sh:0", "name": "sh", "input": "ls"}
    (call,) = calls_in(request_as_chat("responses", {"input": [item]}).value)
    assert json.loads(call["function"]["arguments"]) == {"input": "ls"}


@pytest.mark.parametrize(
    ("request_", "api"),
    [
        ({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}, "chat"),
        ({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9, "system": "Be brief."}, "messages"),
        ({"messages": [{"role": "user", "content": "Hi"}], "system": "Be brief."}, "chat"),
        ({"messages": [], "max_tokens": 9, "tools": [{"name": "f", "input_schema": {}}]}, "messages"),
        ({"messages": [{"role": "tool"}], "max_tokens": 9, "system": "Be brief."}, "chat"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}], "max_tokens": 9}, "messages"),
        ({"model": "m", "input": "Hi"}, "responses"),
        ({"model": "m", "input": ["Hi"]}, None),
        ({"model": "m", "input": "Hi", "dimensions": 3}, None),
        ({"model": "m", "prompt": {"id": "x"}}, "responses"),
        ({"model": "m", "prompt": "Hi"}, "chat"),
        ({"input": [{"role": "user", "content": "Hi"}]}, None),
        ({}, None),
        (5, None),
    ],
    ids=str,
)  # fmt: skip
def test_a_request_is_told_by_its_form(request_, api):
    assert api_of_request(request_) == api


@pytest.mark.parametrize(
    ("request_", "answer", "api"),
    [
        ({"model": "m", "input": "Hi"}, {"choices": []}, "responses"),
        ({"messages": []}, {"object": "response"}, "chat"),
        ({"messages": []}, {"type": "message", "stop_reason": None}, "messages"),
        ({"messages": [], "max_tokens": 9, "system": "Hm."}, {"choices": []}, "chat"),
        ({"messages": [], "max_tokens": 9, "system": "Hm."}, {"error": {}}, "messages"),
        ({}, {"object": "response"}, "responses"),
        ({}, {}, "chat"),
    ],
    ids=str,
)
def test_of_chat_and_messages_the_answer_decides(request_, answer, api):
    assert api_of(request_, answer) == api


def test_a_path_says_the_api():
    assert [api_of_path(f"/v1/{end}") for end in ("responses", "messages", "completions", "embeddings")] == [
        "responses", "messages", "chat", None,
    ]  # fmt: skip


@given(value=JSON, path=st.lists(st.sampled_from(["[0]", "[1]", ".a", ".b"]), max_size=4).map("".join))
@examples(50)
def test_a_place_that_nobody_moved_is_itself(value, path):
    made = answer_as_chat("chat", {"a": value})
    assert made.value == {"a": value} and made.origins.of(f"a{path}") == f"a{path}"
    assert steps(f"a{path}")[0] == "a"

"""Calls, answers and exchanges, as servers and models write them."""

import doctest
import importlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import k2lab
from k2lab.chat import Answer, Exchange, Request, ToolCall, canonical, repeated_names, tools_by_name

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@pytest.mark.parametrize("depth", [600, 5_000, 200_000])  # Python's own decoder gives up at different depths
def test_arguments_nested_without_end_are_compared_as_text(depth):
    deep, deeper = (ToolCall(name="f", arguments="[" * n + "]" * n) for n in (depth, depth + 1))
    assert canonical([deep]) == canonical([deep]) != canonical([deeper])


@given(JSON)
def test_reading_a_call_an_answer_and_a_request_never_raises(value):
    call = ToolCall.of(value)
    assert call.name is None or call.name
    assert isinstance(call.problem, str)
    canonical([call])
    whole = value if isinstance(value, dict) else {"choices": [value], "messages": value, "tools": value}
    for response in (whole, {"choices": [{"message": value, "token_ids": value}]}, {"choices": value}):
        assert isinstance(Answer.of(response).content, str)
    assert Exchange.of(whole, whole).request.first_index >= 0


def test_arguments_are_read_as_text_or_decoded_and_what_is_wrong_is_said():
    assert ToolCall(name="f", arguments='{"a": [1]}').value == ToolCall(name="f", arguments={"a": [1]}).value
    broken = ToolCall(name="f", arguments='{"a": ')
    assert broken.value is None and "Expecting value" in broken.problem
    assert ToolCall(name="f").problem == "there are no arguments"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('{"a": 1, "b": 2}', '{"b":2,"a":1}', True),
        ('{"a": 1.0}', '{"a": 1}', True),
        ('{"a": true}', '{"a": 1}', False),
        ('{"a": "1"}', '{"a": 1}', False),
        ('{"a": [1, 2]}', '{"a": [2, 1]}', False),
        ("{broken", "{broken", True),
    ],
)
def test_calls_are_the_same_where_json_says_the_same(one, other, same):
    assert (canonical([ToolCall(name="f", arguments=one)]) == canonical([ToolCall(name="f", arguments=other)])) is same


def test_the_first_tool_of_a_name_counts_and_repeated_names_are_told():
    tools = [{"function": {"name": "f", "n": 1}}, {"no": "tool"}, {"function": {"name": "f", "n": 2}}]
    assert tools_by_name(tools) == {"f": {"name": "f", "n": 1}}
    assert repeated_names(tools) == ("f",)


def test_both_forms_of_an_answer_are_one():
    call = {"id": "functions.f:0", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call], "reasoning": "so", "reasoning_content": "so"}
    chat = Answer.of({"choices": [{"finish_reason": "tool_calls", "message": message}], "usage": {"total_tokens": 3}})
    assert (chat.calls[0].name, chat.reasoning, chat.content, chat.usage["total_tokens"]) == ("f", ("so",), "", 3)
    assert chat.calls[0].to_json() == call
    plain = Answer.of(
        {"choices": [{"finish_reason": "length", "text": "x", "prompt_token_ids": [1], "token_ids": [2]}]}
    )
    assert (plain.content, plain.cut_short, plain.prompt_ids, plain.token_ids) == ("x", True, (1,), (2,))


def test_the_next_index_counts_the_calls_of_the_whole_history():
    call = {"id": "x", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "assistant", "tool_calls": [call, call]},
        {"role": "tool"},
        {"role": "assistant", "tool_calls": [call]},
    ]
    assert Request.of(messages).first_index == 3
    assert Request.unchecked(json.loads('{"messages": "none", "prompt": "x"}')).messages == ()


@pytest.mark.parametrize("module", ["answers", "calls", "choice", "exchanges", "requests"])
def test_the_examples_run(module):
    assert doctest.testmod(importlib.import_module(f"k2lab.chat.{module}"), extraglobs={"k2lab": k2lab}).failed == 0

"""Ids as models write them: the tool that is named, and never another one."""

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from k2lab import wire
from k2lab.wire import opaque
from tests.helpers.effort import examples


def tool(name, *required, **more):
    properties = {key: {"type": "string"} for key in required}
    schema = {"type": "object", "properties": properties, "required": list(required), **more}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


def called(call_id, tools, arguments='{"path": "x"}'):
    text = f"{wire.SECTION_BEGIN}{wire.CALL_BEGIN}{call_id}{wire.ARGUMENT_BEGIN}{arguments}{wire.CALL_END}"
    parsed = wire.parse(text + wire.SECTION_END, tools)
    assert len(parsed.calls) == 1
    return parsed.calls[0]


REMOVE = [tool("remove_file", "path")]


@pytest.mark.parametrize(
    ("call_id", "index"),
    [
        ("functions.remove_file", None),
        ("functions.remove_file:", None),
        ("functions.remove_file:k7", None),
        ("functions.remove_file:call_1", None),
        ("functions.remove_file:call_7c1f20aa9be3", None),
        ("functions.remove_file:0:1", None),
        ("functions.remove_file:00202020220202020", None),
        ("functions.remove_file.2", 2),
        ("functions-remove_file-2", 2),
        ("functions/remove_file/2", 2),
        ("functions::remove_file::2", 2),
        ("functions.functions.remove_file:2", 2),
        ("Functions.remove_file:2", 2),
        ("function.remove_file:2", 2),
        ("tools.remove_file:2", 2),
        ("tool_0_remove_file", None),
        ("functionsremove_file2", 2),
        ("remove_file2", 2),
        ("remove_file", None),
        ("remove_file:k7", None),
        ("`functions.remove_file:2`", 2),
        ("functions . remove_file : 2", 2),
        ("functions.remove_\nfile:2", 2),
    ],
)
def test_a_declared_tool_spelled_some_way_is_that_tool_and_repaired(call_id, index):
    call = called(call_id, REMOVE)
    assert (call.status, call.name, call.index) == ("repaired", "remove_file", index)
    assert call.reason


@pytest.mark.parametrize(
    ("call_id", "name"),
    [
        ("functions.open_file", "open_file"),
        ("functions.open_file:0", "open_file"),
        ("functions.open_file:k7", "open_file"),
        ("open_file:0", "open_file"),
        ("open_file", "open_file"),
        ("functions.remove-file:0", "remove-file"),
        ("functions.Remove_File:0", "Remove_File"),
        ("functions.remove_files:0", "remove_files"),
        ("functions.xremove_file:0", "xremove_file"),
        ("fs.remove_file:0", "fs.remove_file"),
        ("functions.fs:remove_file:0", "fs:remove_file"),
        ("functions.fs/remove_file:0", "fs/remove_file"),
        ("tool_search", "tool_search"),
    ],
)
def test_an_id_that_names_another_tool_is_undeclared_whatever_the_arguments_fit(call_id, name):
    call = called(call_id, REMOVE)
    assert (call.status, call.name) == ("undeclared", name)
    assert f"no tool {name!r} is on offer" in call.reason
    assert call.index == (int(call_id[-1]) if call_id.endswith(":0") else None)
    assert ("(spelled alike: remove_file)" in call.reason) == (name in ("remove-file", "Remove_File"))


@pytest.mark.parametrize(
    "call_id",
    [
        *("functions.:0", "functions:0", "functions.", "functions", "function_1", "{}"),
        *("functions_open_file_0", "functionsopen_file0", "call_open_file", "chatcmpl-tool-open", "toolu_open_file"),
        *("call_decade1", "call_facade12", "toolu_ReadTheFileFromTheDisk", "call_GetS3ObjectOfEc2"),
        *("call_add", "call_add2", "call_feed1", "call_abc", "call_FetchTheLatestWeather2", "weird@id"),
        *("functions.remove_file:open_file", "remove_file:first", "I call functions.remove_file:0", "x" * 300),
    ],
)
def test_an_id_with_letters_that_names_nothing_readable_is_malformed(call_id):
    call = called(call_id, REMOVE)
    assert (call.status, call.name) == ("malformed", None)
    assert call.reason


NOTHING = [
    *("", "0", "12", ":0", "#1", "call_1", "call00003", "call-7", "tool_call_1", "toolcall2"),
    *("call_7c1f20aa9be34d", "call_abc123", "call_0_0b3d1c2e-4f5a-6b7c-8d9e-0f1a2b3c4d5e"),
    *("call_8Xk2mQv91LpZr0TbNc7WdEyA", "call_00_8Xk2mQv91LpZr0TbNc7W", "fc_67ca09c6bedc8190a7abfec07b1a1332096610f4"),
    *("chatcmpl-tool-0f1a2b3c4d5e6f708192a3b4c5d6e7f8", "toolu_01K7mXq2VwB9tRzP4cLhN8Ys"),
    *("toolu_01A09q90qw90lq917835lq9", "toolu_7c1f20aa", "call_deadbeef", "call_7"),
    *("toolu_bdrk_01K7mXq2VwB9tRzP4cLhN8Ys", "tooltoolu_01K7mXq2VwB9tRzP4cLhN8Ys"),
    *("tooluse_kZ7MlvQ2RJ6eAyJE5GI-7_", "function-call-1234567890", "0b3d1c2e-4f5a-6b7c-8d9e-0f1a2b3c4d5e"),
    *("0b3d1c2e4f5a6b7c8d9e0f1a2b3c4d5e", "8Xk2mQv91LpZr0TbNc7WdEyA3FgH5JiK", "call_7c1f20aa:3"),
]  # fmt: skip


@pytest.mark.parametrize("call_id", NOTHING)
def test_arguments_decide_between_ids_that_name_nothing(call_id):
    tools = [*REMOVE, tool("search", "query")]
    assert (called(call_id, tools).status, called(call_id, tools).name) == ("repaired", "remove_file")
    assert called(call_id, tools, '{"query": "x"}').name == "search"
    for arguments in ("{}", "", '{"path": "x", "query": "y"}', '{"path": 5}', '{"other": 1}', '{"path": "x'):
        call = called(call_id, tools, arguments)
        assert not call.usable and call.name is None


def test_arguments_that_no_schema_can_judge_raise_nothing():
    tools = [
        tool("wait", "for"),
        {"function": {"name": "n", "parameters": {"properties": {"for": {"type": "integer"}}}}},
    ]
    for value in ("1e999", "-1e999", "1e3", "1" * 4000, "null", "true", "[[]]", "{}"):
        assert not called("call_1", tools, f'{{"for": {value}}}').usable or value in ("1e3", "1" * 4000)


def test_the_reason_says_what_is_odd_about_the_index():
    assert called("functions.remove_file", REMOVE).reason.endswith("read as remove_file without an index")
    assert called("functions.remove_file:k7", REMOVE).reason.endswith(
        "read as remove_file, its index not being a number"
    )


def test_every_form_that_names_nothing_is_tried():
    for form in opaque.FORMS:
        assert any(re.fullmatch(form.pattern, call_id) for call_id in NOTHING), form.name
        assert form.source


@pytest.mark.parametrize(
    "tools",
    [
        [tool("open", "path"), tool("remove", "path")],
        [tool("open", "path"), tool("any", additionalProperties=True)],
        [
            tool("open", "path"),
            {"type": "function", "function": {"name": "other", "parameters": {"$ref": "#/$defs/a"}}},
        ],
    ],
)
def test_arguments_that_fit_two_tools_decide_nothing_and_both_are_named(tools):
    call = called("call_1", tools)
    assert call.status == "malformed" and call.name is None
    assert all(one["function"]["name"] in call.reason for one in tools)


def test_a_name_in_the_arguments_counts_only_where_the_id_names_nothing():
    tools = [tool("open", "path"), tool("remove", "path")]
    arguments = '{"name": "remove", "path": "x"}'
    by_name = called("call_1", tools, arguments)
    assert (by_name.status, by_name.name, by_name.arguments) == ("repaired", "remove", {"path": "x"})
    for inner in ('{"path": "x"}', '"{\\"path\\": \\"x\\"}"'):
        assert called("", tools, f'{{"name": "open", "arguments": {inner}}}').arguments == {"path": "x"}
    assert called("functions.open:0", tools, arguments).name == "open"
    both = called("call_1", [*tools, tool("rename", "name", "path")], arguments)
    assert both.status == "malformed" and "remove and rename" in both.reason


NAMES = ["step", "step_1", "get", "get_weather", "mcp:find", "mcp", "a.b", "list1", "x-y", "functions_call", "call"]


@pytest.mark.parametrize(
    ("call_id", "names"),
    [
        ("functions.step_1:0", {"step_1"}),
        ("functions.step:1", {"step"}),
        ("step_1:0", {"step_1"}),
        ("functions_step_1_0", {"step_1"}),
        ("functions.step_1", {"step", "step_1"}),
        ("functions_step_1", {"step", "step_1"}),
        ("step_1", {"step", "step_1"}),
        ("functions.get_weather:0", {"get_weather"}),
        ("functions_get_weather_0", {"get_weather"}),
        ("functionsget_weather0", {"get_weather"}),
        ("get_weather", {"get_weather"}),
        ("functions.get:0", {"get"}),
        ("functions.get:get_weather", {"get", "get_weather"}),
        ("functions.mcp:find:0", {"mcp:find"}),
        ("functions.mcp:find", {"mcp", "mcp:find"}),
        ("functions.mcp:0", {"mcp"}),
        ("functions.a.b:0", {"a.b"}),
        ("functions_a.b_0", {"a.b"}),
        ("functions.list1:2", {"list1"}),
        ("functionslist12", {"list1"}),
        ("list1", {"list1"}),
        ("functions.x-y:0", {"x-y"}),
        ("x-y-0", {"x-y"}),
        ("functions.functions_call:0", {"functions_call"}),
        ("functions_call", {"functions_call", "call"}),
        ("call_1", {"call"}),
    ],
)
def test_names_that_hold_digits_separators_and_each_other(call_id, names):
    call = called(call_id, [tool(name, "path") for name in NAMES])
    if len(names) == 1:
        assert call.usable and {call.name} == names
    else:
        assert call.status == "malformed" and call.name is None
        assert all(name in call.reason for name in names)


def test_without_the_tools_an_id_that_can_be_two_names_is_malformed():
    assert called("functions.step", None).name == "step"
    assert called("functions.step:k1", None).status == "repaired"
    two = called("functions.step_1", None)
    assert two.status == "malformed" and "step_1" in two.reason
    assert called("functions_step_1", None).status == "malformed"
    assert called("call_abc123", None).status == "malformed"


words = st.from_regex(r"[a-z]{2,7}", fullmatch=True)
tool_names = st.lists(words | st.integers(0, 20).map(str), min_size=1, max_size=3).flatmap(
    lambda parts: st.sampled_from("_-.").map(lambda s: s.join(parts))
)
prefixes = st.sampled_from(
    [
        "",
        "functions.",
        "functions",
        "functions_",
        "Functions.",
        "functions.functions.",
        "function:",
        "tools.",
        "call_",
        "fs.",
    ]
)
indexes = st.sampled_from(["", ":0", "_1", "12", ":k1", ": 3", ":", ":call_2", ".4", ":first", ":9:9", "()"])


@st.composite
def named_ids(draw):
    """Tools on offer, and an id that is made from the name of one of them or of another."""
    offered = draw(st.lists(tool_names, min_size=1, max_size=4, unique=True))
    named = draw(st.sampled_from(offered) | tool_names)
    return offered, named, draw(prefixes) + named + draw(indexes)


@examples(300)
@given(named_ids(), st.sampled_from(['{"path": "x"}', "{}", ""]))
@example((["delete_file"], "read_file", "functions.read_file"), '{"path": "x"}')
@example((["delete_file"], "read_file", "call_read_file"), '{"path": "x"}')
def test_no_usable_call_bears_a_name_that_its_id_contradicts(made, arguments):
    """Whatever is left of an id when the name is taken out may be a prefix, separators and an index: no other word."""
    offered, named, call_id = made
    assume(not opaque.is_opaque(call_id) and re.search("[a-z]", named))
    call = called(call_id, [{"type": "function", "function": {"name": name}} for name in offered], arguments)
    if not call.usable:
        return
    assert call.name in offered
    packed = re.sub(r"\s", "", call_id)
    assert call.name in packed
    around = [packed[: at.start()] + " " + packed[at.end() :] for at in re.finditer(re.escape(call.name), packed)]
    left = [re.sub(r"^(?:functions?|tools?)+(?=[ _.:-])|[_.:()0-9-]", "", rest, flags=re.IGNORECASE) for rest in around]
    left = [re.sub(r"^(?:functions?[_.:-]*)+", "", rest, flags=re.IGNORECASE) for rest in left]
    assert any(sum(map(str.isalpha, rest)) <= 5 for rest in left)
    if re.fullmatch(r"functions\.[\w.-]+:[0-9]+", call_id) and named in offered:
        assert call.name == named
    others = [name for name in offered if name != call.name and f"functions.{name}:" in packed]
    assert not others


@examples(300)
@given(st.from_regex(r"[A-Za-z_][A-Za-z0-9_.:@/ -]{0,30}", fullmatch=True), st.sampled_from(['{"path": "x"}', "{}"]))
def test_arguments_never_make_a_call_of_an_id_that_is_a_word(call_id, arguments):
    assume(not opaque.is_opaque(call_id.strip()))
    call = called(call_id, REMOVE, arguments)
    assert not call.usable or "remove_file" in re.sub(r"\s", "", call_id)

import itertools
import json
import subprocess
import time

import pytest

from k2lab import enforcer, engine, wire
from k2lab.chat import Conversation
from k2lab.endpoint import Endpoint
from k2lab.enforcer import ask, attach, enforce
from k2lab.enforcer.guard import guard, guarded
from k2lab.enforcer.order import any_order
from k2lab.errors import InputError, UnsupportedError
from tests.conftest import ROOT

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NOTE = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "prio": {"type": "integer"}},
    "required": ["text"],
}


def tool(name, parameters=None):
    function = {"name": name} if parameters is None else {"name": name, "parameters": parameters}
    return {"type": "function", "function": function}


TOOLS = [tool("get_weather", CITY), tool("add_note", NOTE), tool("now")]
NAMED = {"type": "function", "function": {"name": "get_weather"}}
WEATHER, TIME = ("get_weather", {"city": "Oslo"}), ("now", {})
TALK = [{"role": "user", "content": "hi"}]


def said(*calls, first=3, text=""):
    return wire.format_calls(calls, text, first_index=first)


MARKED = wire.SECTION_BEGIN + wire.SECTION_END
ANSWERS = {
    "one": said(WEATHER),
    "another tool": said(TIME),
    "two": said(WEATHER, TIME),
    "keys in another order": said(("add_note", {"prio": 2, "text": "x"})),
    "text first": said(WEATHER, text="Let me look."),
    "text alone": "Hello there, 2 < 3 | 4.",
    "nothing": "",
    "three": said(WEATHER, WEATHER, TIME),
    "an index of another turn": said(WEATHER, first=0),
    "an index that runs away": said(WEATHER).replace(":3<", ":3020202<"),
    "an index twice": said(WEATHER, TIME).replace("now:4", "now:3"),
    "undeclared": said(("search", {})),
    "no prefix": said(WEATHER).replace("functions.", ""),
    "a missing argument": said(("get_weather", {})),
    "another argument": said(("get_weather", {"city": "Oslo", "day": "today"})),
    "a wrong type": said(("add_note", {"text": "x", "prio": "high"})),
    "an empty section": MARKED,
    "text after": said(WEATHER) + "done",
    "two sections": said(WEATHER) + said(TIME, first=4),
    "no section": said(WEATHER)[len(wire.SECTION_BEGIN) : -len(wire.SECTION_END)],
    "a marker in a string": said(WEATHER).replace("Oslo", f"Os{wire.CALL_END}lo"),
    "a turn in the text": "Hello<|im_user|>user",
}
ONCE = {"one", "another tool", "keys in another order"}
WANTED = {
    "auto": ({}, ONCE | {"two", "text first", "text alone", "nothing"}),
    "required": ({"tool_choice": "required"}, ONCE | {"two"}),
    "none": ({"tool_choice": "none"}, {"text alone", "nothing"}),
    "named": ({"tool_choice": NAMED}, {"one"}),
    "one at a time": ({"parallel": False}, ONCE | {"text first", "text alone", "nothing"}),
}


@pytest.mark.live
@pytest.mark.parametrize("name", WANTED)
def test_the_grammar_takes_right_answers_and_no_other(accepted, name):
    options, wanted = WANTED[name]
    tag = enforce(TOOLS, first_index=3, max_calls=2, **options).tag
    found = accepted(tag, list(ANSWERS.values()))
    assert {answer for answer, ok in zip(ANSWERS, found, strict=True) if ok} == wanted


THOUGHT, CALLING = "call search:0 or not? {</think>\n", f"call {wire.SECTION_BEGIN}</think>"
THINKING = {  # what comes before a call that must come, and whether it may
    "no": {"": True, THOUGHT: False, f"<think>{THOUGHT}": False},
    "may": {"": True, THOUGHT: False, f"<think>{THOUGHT}": True},
    "begun": {"": False, THOUGHT: True, f"<think>{THOUGHT}": True},
}


@pytest.mark.live
@pytest.mark.parametrize("thinking", THINKING)
def test_a_thinking_model_thinks_freely_first_and_calls_nothing_meanwhile(accepted, thinking):
    wanted = THINKING[thinking]
    must, can = (enforce(TOOLS, first_index=3, thinking=thinking, tool_choice=c).tag for c in ("required", "auto"))
    assert accepted(must, [before + ANSWERS["one"] for before in wanted]) == list(wanted.values())
    assert all(accepted(can, [before + ANSWERS["text alone"] for before, may in wanted.items() if may]))
    for tag in (must, can):
        assert not any(accepted(tag, [before + ANSWERS["one"] for before in (CALLING, f"<think>{CALLING}")]))
        assert not any(accepted(tag, [before + ANSWERS["undeclared"] for before in wanted]))


REPRODUCTIONS = {
    "unpinned_index": "built-in kimi      2000 digits and no end",
    "repeated_class": "[^<]{0,129} an open end",
}


@pytest.mark.live
@pytest.mark.parametrize("name", REPRODUCTIONS)
def test_what_the_engine_gets_wrong_is_shown_without_a_model(name):
    script = ROOT / "data" / "reproductions" / f"{name}.py"
    done = subprocess.run([str(engine.resolve("0.32.0").python), str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert any(line.startswith(REPRODUCTIONS[name]) and line.endswith("admitted") for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("tools", "options", "said"),
    [
        ([tool("a"), tool("a")], {}, "two tools are called 'a'"),
        ([tool("get weather")], {}, "tool name 'get weather' cannot stand in an id"),
        ([tool("a", {"type": "sting"})], {}, "tool 'a': the schema is none"),
        ([tool("a", 3)], {}, "tool 'a': parameters must be a JSON Schema"),
        ([tool("a")], {"tool_choice": {"function": {"name": "b"}}}, "tool_choice names 'b', which is not declared: a"),
        ([tool("a")], {"tool_choice": "maybe"}, "tool_choice must be auto, required, none or a named tool"),
        ([], {"tool_choice": "required"}, "no tool is declared"),
        ([tool("a")], {"max_calls": 0}, "must not be below"),
        ([tool("a")], {"max_calls": 60}, "60 calls nest the tag"),
        ([tool("a")], {"max_string": 129}, "max_string must be from 1 to 128"),
        ([tool("a", {"$ref": "#"})], {}, "tool 'a': .*without end"),
        ([tool("a", {"properties": {"x": {"$ref": "#/$defs/y"}}})], {}, "'#/\\$defs/y' is not there"),
        ([tool("a", {"properties": {"s": {"type": "string", "minLength": 10**6}}})], {}, "minLength"),
        ([tool(f"tool_{i}", NOTE) for i in range(500)], {}, "500 tools and 8 calls make a tag of"),
        ([tool("a", {"properties": {"s": {"enum": ["<|im_end|>"]}}})], {}, "can be written in Kimi's format"),
        (
            [tool("a", {"properties": {"s": {"type": "array", "uniqueItems": True}}})],
            {},
            "a: /properties/s uniqueItems",
        ),
    ],
)
def test_what_cannot_be_enforced_is_said_in_one_line_within_a_second(tools, options, said):
    enforce(TOOLS)  # what is imported is imported
    began = time.monotonic()
    with pytest.raises((InputError, UnsupportedError), match=said) as refused:
        enforce(tools, **options)
    assert time.monotonic() - began < 1 and "\n" not in str(refused.value)


def test_many_tools_give_up_orders_of_keys_before_they_are_refused():
    three = {"type": "object", "properties": {name: {"type": "string"} for name in "abc"}}
    assert [enforce([tool(f"tool_{i}", three) for i in range(n)]).any_order for n in (1, 5, 30, 60)] == [4, 4, 2, 1]
    assert enforce([tool(f"tool_{i}", three) for i in range(30)], max_calls=1).any_order == 4


def test_500_tools_can_be_held_to_one_call():
    began = time.monotonic()
    made = enforce([tool(f"tool_{i}", CITY) for i in range(500)], max_calls=1)
    assert time.monotonic() - began < 1 and len(json.dumps(made.tag)) < enforcer.LARGEST_TAG_BYTES


def test_a_part_that_cannot_be_held_is_named_and_loosened_on_demand():
    label = tool("label", {"properties": {"tags": {"type": "array", "uniqueItems": True}}})
    with pytest.raises(UnsupportedError, match="label: /properties/tags uniqueItems"):
        enforce([label])
    made = enforce([label], loosen=True)
    assert [(item.tool, item.limit.path, item.limit.keyword) for item in made.limits] == [
        ("label", "/properties/tags", "uniqueItems")
    ]
    assert made.to_json()["limits"][0]["tool"] == "label"


def test_a_request_goes_out_with_auto_and_without_strict_and_is_not_changed():
    strict = {**TOOLS[0], "function": {**TOOLS[0]["function"], "strict": True}}
    history = [*TALK, {"role": "assistant", "tool_calls": [{"function": {"name": "now"}}] * 2}, *TALK]
    request = {"messages": history, "tools": [strict], "tool_choice": "required", "parallel_tool_calls": False}
    before = json.dumps(request)
    made, how = attach(request)
    assert json.dumps(request) == before
    assert made["tool_choice"] == "auto" and "parallel_tool_calls" not in made
    assert "strict" not in made["tools"][0]["function"]
    assert (how.first_index, how.max_calls) == (2, 1)
    tag = json.loads(made["structured_outputs"]["structural_tag"])
    assert tag == enforce(TOOLS[:1], tool_choice="required", first_index=2, parallel=False).tag


def test_a_request_without_tools_is_held_to_text():
    made, _ = attach({"messages": TALK})
    assert "tools" not in made and "tool_choice" not in made
    assert json.loads(made["structured_outputs"]["structural_tag"]) == enforce([], tool_choice="none").tag


def test_the_older_form_holds_name_index_and_arguments_and_cannot_force():
    made, _ = attach({"messages": TALK, "tools": TOOLS, "parallel_tool_calls": False}, old_form=True)
    form = json.loads(made["structured_outputs"]["structural_tag"])
    assert [item["begin"].split("functions.")[1].split("<")[0] for item in form["structures"]] == [
        "get_weather:0", "add_note:0", "now:0"
    ]  # fmt: skip
    with pytest.raises(UnsupportedError, match="cannot force a call"):
        attach({"messages": TALK, "tools": TOOLS, "tool_choice": "required"}, old_form=True)


def test_strings_are_kept_free_of_markers_by_hand():
    assert guard({"type": "string", "minLength": 1, "maxLength": 9}) == {"type": "string", "pattern": "^[^<]{1,9}$"}
    assert guard({"type": "string"}, 5) == {"type": "string", "pattern": "^[^<]{0,5}$"}
    assert guard({"type": "string"}) == {"type": "string"}
    assert guard({"type": "integer", "minimum": 3}, 5) == {"type": "integer", "minimum": 3, "maximum": 10**15}
    assert guarded(r"^a.\.[^b][.]\S$") == r"^a[^<]\.[^b<][.][^\s<]$"
    assert guard({"enum": ["a", "<|im_end|>"]}) == {"enum": ["a"]}
    with pytest.raises(InputError, match="cannot be written"):
        guard({"type": "object", "properties": {"<|x": {}}})


def test_up_to_four_keys_come_in_any_order():
    whole = any_order({"type": "object", "properties": {"a": {"type": "null"}, "b": {}}, "required": ["a"]})
    assert [list(order["properties"]) for order in whole["anyOf"]] == [["a", "b"], ["b", "a"]]
    assert [order["required"] for order in whole["anyOf"]] == [["a"]] * 2 and whole["$defs"]["k0"] == {"type": "null"}
    twins = any_order({"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}}})
    assert twins["$defs"] == {"k0": {"type": "null"}}
    five = {"type": "object", "properties": {name: {} for name in "abcde"}}
    assert any_order(five) == five


@pytest.mark.live
def test_the_grammar_takes_keys_in_every_order_and_asks_for_the_required_ones(accepted):
    keys = {"a": {"type": "string"}, "b": {"type": "integer"}, "c": {"type": "boolean"}}
    values = {"a": "x", "b": 1, "c": True}
    every = [order for size in range(4) for order in itertools.permutations(keys, size)]
    texts = [said(("f", {name: values[name] for name in order}), first=0) for order in every]
    for required in (["a", "b", "c"], ["a"], []):
        schema = {"type": "object", "properties": keys, "required": required}
        found = accepted(enforce([tool("f", schema)], max_calls=1).tag, texts)
        assert found == [set(required) <= set(order) for order in every], required


def test_the_tag_is_printed_by_the_command_line(k2lab, tmp_path):
    tools, history = tmp_path / "t.json", tmp_path / "c.json"
    tools.write_text(json.dumps(TOOLS))
    calls = [{"id": "x", "function": {"name": "now", "arguments": "{}"}}]
    history.write_text(json.dumps([*TALK, {"role": "assistant", "tool_calls": calls}]))
    done = k2lab("enforce", "--tools", tools, "--history", history, "--tool-choice", "get_weather")
    assert json.loads(done.stdout) == enforce(TOOLS, tool_choice=NAMED, first_index=1).tag
    old = json.loads(k2lab("enforce", "--tools", tools, "--old-form", "--no-parallel").stdout)
    assert len(old["structures"]) == 3
    refused = k2lab("enforce", "--tools", tools, "--tool-choice", "nothing")
    assert refused.returncode == 1 and "tool_choice names 'nothing'" in refused.stderr
    tools.write_text(json.dumps([tool("label", {"properties": {"x": {"not": {}}}})]))
    assert "label: /properties/x not" in k2lab("enforce", "--tools", tools).stderr
    many = {"type": "object", "properties": {name: {} for name in "abc"}}
    tools.write_text(json.dumps([tool(f"tool_{i}", many) for i in range(30)]))
    assert "more than 2 keys have them in their schema's order" in k2lab("enforce", "--tools", tools).stderr
    tools.write_text(json.dumps([tool("label", {"properties": {"x": {"not": {}}}})]))
    loosened = k2lab("enforce", "--tools", tools, "--loosen")
    assert loosened.returncode == 0 and "loosened: label" in loosened.stderr


@pytest.mark.live
def test_live_servers_take_their_form_of_a_tag(servers):
    assert ask.form_of(Endpoint(servers["0.32.0 current"])) == "tag"
    assert ask.form_of(Endpoint(servers["0.11.0 current"])) == "structures"


@pytest.mark.live
@pytest.mark.parametrize(("name", "old_form"), [("0.32.0 current", False), ("0.11.0 current", True)])
def test_a_live_server_gives_the_index_that_it_is_told(servers, name, old_form, talk: Conversation):
    reply = ask.chat(
        Endpoint(servers[name]), talk, first_index=7, max_calls=1, old_form=old_form,
        params={"temperature": 0, "max_tokens": 200},
    )  # fmt: skip
    assert [call["id"] for call in reply.tool_calls] == ["functions.get_weather:7"]


@pytest.mark.live
def test_a_live_server_is_made_to_call_and_kept_from_it(servers, talk: Conversation):
    endpoint, params = Endpoint(servers["0.32.0 current"]), {"temperature": 0, "max_tokens": 200}
    small_talk = Conversation.of([{"role": "user", "content": "Hello!"}], talk.tools)
    made = ask.chat(endpoint, small_talk, tool_choice="required", max_string=20, params=params)
    assert made.finish_reason == "tool_calls" and made.tool_calls[0]["id"] == "functions.get_weather:0"
    kept = ask.chat(endpoint, talk, tool_choice="none", params=params)
    assert kept.finish_reason == "stop" and not kept.tool_calls and kept.content

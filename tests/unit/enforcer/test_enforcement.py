import itertools
import json
import subprocess
import time

import pytest

from k2lab import enforcer, engine, wire
from k2lab.chat import Request
from k2lab.enforcer import ask, attach, enforce
from k2lab.enforcer.enforcement import LARGEST_GRAMMAR_BYTES
from k2lab.errors import InputError, UnsupportedError
from k2lab.server.endpoint import Endpoint
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


def many(tools, keys):
    """Tools with so many keys, none like another."""
    return [
        tool(f"server_{i}_action", {"properties": {f"key_{i}_{k}": {"type": "string"} for k in range(keys)}})
        for i in range(tools)
    ]


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
        ([tool("a")], {"form": "vllm-1"}, "form must be one of vllm, vllm-0.11, sglang, tensorrt-llm, not 'vllm-1'"),
        ([tool("a")], {"max_string": 129}, "max_string must be from 1 to 128"),
        ([tool("a", {"$ref": "#"})], {}, "tool 'a': .*without end"),
        ([tool("a", {"properties": {"x": {"$ref": "#/$defs/y"}}})], {}, "'#/\\$defs/y' is not there"),
        ([tool("a", {"properties": {"s": {"type": "string", "minLength": 10**6}}})], {}, "minLength"),
        (many(300, 6), {}, "300 tools and 8 calls make a grammar of .*max_calls"),
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
    assert [enforce(many(n, 4)).any_order for n in (1, 40, 80, 160)] == [4, 4, 3, 3]
    assert enforce(many(100, 5)).any_order == 4  # five keys have one order in any case


@pytest.mark.live
@pytest.mark.parametrize(("tools", "keys"), [(96, 5), (128, 4), (25, 20)])
def test_as_many_tools_as_agents_declare_are_held_to_eight_calls(accepted, tools, keys):
    offered = many(tools, keys)
    made = enforce(offered)
    last = offered[-1]["function"]
    values = dict.fromkeys(last["parameters"]["properties"], "a < b")
    calls = [(last["name"], values)] * 8
    right, wrong, nine = (
        said(*calls, first=0),
        said(("server_999_action", values), first=0),
        said(*calls, calls[0], first=0),
    )
    assert accepted(made.tag, [right, wrong, nine]) == [True, False, False]
    assert len(made.grammar) < LARGEST_GRAMMAR_BYTES


def test_500_tools_are_written_within_a_second():
    began = time.monotonic()
    made = enforce([tool(f"tool_{i}", CITY) for i in range(500)], max_calls=1)
    assert time.monotonic() - began < 1 and len(made.grammar) < LARGEST_GRAMMAR_BYTES


def test_a_tool_stands_once_however_many_calls_may_come():
    sizes = [len(enforce(many(20, 6), max_calls=calls).grammar) for calls in (1, 8, 64)]
    assert sizes[1] < 1.5 * sizes[0] and sizes[2] < 6 * sizes[0]
    assert enforce(TOOLS, max_calls=64).grammar.count("city") == 1


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


@pytest.fixture(scope="module")
def accepted_by_older():
    """As ``accepted``, by the xgrammar 0.1.25 of vLLM 0.11.0."""

    def ask(tag, texts):
        worker = [str(engine.resolve("0.11.0").python), str(ROOT / "tests" / "helpers" / "grammar_worker.py")]
        asked = json.dumps({"tag": tag, "texts": texts})
        done = subprocess.run(worker, input=asked, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)["accepted"]

    return ask


CARRIED = {
    "vllm": lambda made: json.loads(made["structured_outputs"]["structural_tag"])["format"]["grammar"],
    "vllm-0.11": lambda made: made["structured_outputs"]["grammar"],
    "sglang": lambda made: made["response_format"]["format"]["grammar"],
    "tensorrt-llm": lambda made: made["response_format"]["format"]["grammar"],
}


@pytest.mark.parametrize("form", CARRIED)
def test_each_server_gets_the_grammar_where_it_looks_for_it(form):
    made, how = attach({"messages": TALK, "tools": TOOLS, "tool_choice": "required"}, form=form)
    assert CARRIED[form](made) == how.grammar == enforce(TOOLS, tool_choice="required", form=form).grammar
    assert made["tool_choice"] == "auto" and how.form == form
    assert made.get("response_format", {"type": "structural_tag"})["type"] == "structural_tag"
    assert (
        ("Regex(" in how.grammar)
        == ("TagDispatch(" in enforce(TOOLS, form=form).grammar)
        == (form in ("vllm", "sglang"))
    )


def test_a_request_with_a_grammar_of_its_own_is_not_overwritten():
    asked = {"messages": TALK, "tools": TOOLS, "response_format": {"type": "json_object"}}
    with pytest.raises(InputError, match="has a response_format of its own"):
        attach(asked, form="sglang")
    assert attach(asked)[0]["response_format"] == {"type": "json_object"}


@pytest.mark.live
@pytest.mark.parametrize("name", WANTED)
def test_the_forms_without_macros_admit_the_same(accepted, accepted_by_older, name):
    options, wanted = WANTED[name]
    made = enforce(TOOLS, first_index=3, max_calls=2, form="tensorrt-llm", **options)
    for judge in (accepted, accepted_by_older):
        found = judge(made.tag, list(ANSWERS.values()))
        assert {answer for answer, ok in zip(ANSWERS, found, strict=True) if ok} == wanted


def string_tool(**schema):
    return [tool("write", {"properties": {"text": {"type": "string", **schema}}, "required": ["text"]})]


BOUNDED = {
    "plain": ({}, {}),
    "at least one": ({"minLength": 1}, {}),
    "at least two": ({"minLength": 2}, {}),
    "at most": ({"maxLength": 40}, {}),
    "both": ({"minLength": 2, "maxLength": 128}, {}),
    "by max_string": ({}, {"max_string": 40}),
    "a pattern with a dot": ({"pattern": "^.+$"}, {}),
    "a negated class": ({"pattern": "^[^#]*$"}, {}),
    "a pattern that is searched": ({"pattern": "[a-z]"}, {}),
    "a counted pattern": ({"pattern": "^[^#]{2,60}$"}, {}),
}
CODE = ["if a < b:", "<div>", "x <| y", "a << 2", "<p>hi</p> <|user|>", 'say "<b>"', "tab\t<", "one <|", "été <日>"]
SHUT_OUT = ["a<|tool_call_end|>", "<|im_end|>", "<<|im_user|>a", "a\n<|tool_calls_section_end|>", "<|tool_<|im_x"]


@pytest.mark.live
@pytest.mark.parametrize("form", ["vllm", "tensorrt-llm"])
@pytest.mark.parametrize("name", BOUNDED)
def test_only_markers_are_shut_out_of_strings(accepted, name, form):
    schema, options = BOUNDED[name]
    made = enforce(string_tool(**schema), form=form, **options)
    shown = [said(("write", {"text": text}), first=0) for text in (*CODE, *SHUT_OUT)]
    assert accepted(made.tag, shown) == [True] * len(CODE) + [False] * len(SHUT_OUT)


@pytest.mark.live
def test_what_a_bounded_string_cannot_hold_beside_markers_is_told(accepted):
    made = enforce(string_tool(maxLength=50))
    assert [(item.tool, item.loss.path) for item in made.losses] == [("write", "/properties/text")]
    assert "<|t and <|i" in str(made.losses[0]) and made.to_json()["losses"][0]["tool"] == "write"
    lost = [said(("write", {"text": text}), first=0) for text in ("<|title|>", "<|x|>")]
    assert accepted(made.tag, lost) == [False, True]
    for exact in ({}, {"minLength": 1}, {"maxLength": 10}, {"pattern": "^[^#]+$"}):
        made = enforce(string_tool(**exact))
        assert made.losses == () and accepted(made.tag, lost[:1]) == [True]


@pytest.mark.live
def test_a_key_that_is_not_declared_holds_no_marker_either(accepted):
    tag = enforce([tool("f", {"type": "object", "additionalProperties": {"type": "integer"}})]).tag
    keys = ["a<b", "<|", "<|x", "<|im_end|>", "<|tool_call_end|>"]
    found = accepted(tag, [said(("f", {key: 1}), first=0) for key in keys])
    assert found == [True, True, True, False, False]


@pytest.mark.live
@pytest.mark.parametrize(
    "root", [{"type": ["object", "string"]}, {"anyOf": [{"type": "object"}, {"type": "array"}]}, {}]
)
def test_arguments_are_an_object_whatever_the_root_says(accepted, root):
    tag = enforce([tool("f", root)], loosen=True).tag
    texts = ["{}", '"x"', "[]", "1", "null"]
    frame = said(("f", {}), first=0)
    assert accepted(tag, [frame.replace("{}", text) for text in texts]) == [True] + [False] * 4


def test_a_root_that_admits_no_object_is_refused():
    with pytest.raises(InputError, match="tool 'f'"):
        enforce([tool("f", {"type": "string"})])


REPORTED = ("68b-html-with-max-string-128", "69-html-unbounded", "77-min-length-1")


@pytest.mark.live
@pytest.mark.parametrize("name", REPORTED)
def test_reported_texts_are_written_or_refused_as_they_should(accepted, shared, name):
    folder = shared / "reports" / name
    options = {"max_string": 128} if "128" in name else {}
    tag = enforce(json.loads((folder / "T.json").read_text()), **options).tag
    for file in sorted(folder.glob("*.txt")):
        text = file.read_text()
        assert accepted(tag, [text]) == [file.name.startswith("ok") and "<|im_end|>" not in text], file.name


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


def test_a_whole_request_says_how_it_is_to_be_enforced(k2lab, tmp_path):
    request, tools = tmp_path / "r.json", tmp_path / "t.json"
    calls = [{"id": "x", "function": {"name": "now", "arguments": "{}"}}]
    talk = {"messages": [*TALK, {"role": "assistant", "tool_calls": calls}], "tools": TOOLS}
    request.write_text(json.dumps(talk | {"tool_choice": NAMED, "parallel_tool_calls": False}))
    tools.write_text(json.dumps(TOOLS))
    wanted = enforce(TOOLS, tool_choice=NAMED, parallel=False, first_index=1).tag
    assert json.loads(k2lab("enforce", "--tools", request).stdout) == wanted
    assert json.loads(k2lab("enforce", "--tools", tools, "--history", request).stdout) == wanted
    over = k2lab("enforce", "--tools", request, "--tool-choice", "auto", "--parallel").stdout
    assert json.loads(over) == enforce(TOOLS, first_index=1).tag


def test_allowed_tools_are_those_alone():
    listed = [{"type": "function", "function": {"name": "now"}}]
    for mode in ("auto", "required"):
        choice = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": listed}}
        only = [item for item in TOOLS if item["function"]["name"] == "now"]
        assert enforce(TOOLS, tool_choice=choice).tag == enforce(only, tool_choice=mode).tag
    for tools, said in (
        ([{"function": {"name": "nope"}}], "allows nope, which is not declared"),
        (None, "has no list"),
    ):
        with pytest.raises(InputError, match=said):
            enforce(TOOLS, tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": tools}})


def test_the_tag_is_printed_by_the_command_line(k2lab, tmp_path):
    tools, history = tmp_path / "t.json", tmp_path / "c.json"
    tools.write_text(json.dumps(TOOLS))
    calls = [{"id": "x", "function": {"name": "now", "arguments": "{}"}}]
    history.write_text(json.dumps([*TALK, {"role": "assistant", "tool_calls": calls}]))
    done = k2lab("enforce", "--tools", tools, "--history", history, "--tool-choice", "get_weather")
    assert json.loads(done.stdout) == enforce(TOOLS, tool_choice=NAMED, first_index=1).tag
    for form, field in (("vllm-0.11", "structured_outputs"), ("sglang", "response_format")):
        carried = k2lab("enforce", "--tools", tools, "--form", form, "--no-parallel")
        assert json.loads(carried.stdout) == enforce(TOOLS, form=form, parallel=False).fields
        assert list(json.loads(carried.stdout)) == [field]
    assert "no string or key can hold <|tool_call or <|im_" in carried.stderr
    for command in (("enforce",), ("bench", "run")):
        assert f"[{'|'.join(enforcer.FORMS)}]" in k2lab(*command, "--help").stdout
    refused = k2lab("enforce", "--tools", tools, "--tool-choice", "nothing")
    assert refused.returncode == 1 and "tool_choice names 'nothing'" in refused.stderr
    tools.write_text(json.dumps([tool("label", {"properties": {"x": {"not": {}}}})]))
    assert "label: /properties/x not" in k2lab("enforce", "--tools", tools).stderr
    tools.write_text(json.dumps(many(120, 3)))
    assert "more than 2 keys have them in their schema's order" in k2lab("enforce", "--tools", tools).stderr
    tools.write_text(json.dumps(string_tool(maxLength=50)))
    assert "narrowed: write: /properties/text: a string of at most 50" in k2lab("enforce", "--tools", tools).stderr
    tools.write_text(json.dumps([tool("label", {"properties": {"x": {"not": {}}}})]))
    loosened = k2lab("enforce", "--tools", tools, "--loosen")
    assert loosened.returncode == 0 and "loosened: label" in loosened.stderr


@pytest.mark.live
def test_live_servers_take_their_form_of_a_tag(servers):
    assert ask.form_of(Endpoint(servers["0.32.0 current"])) == "vllm"
    assert ask.form_of(Endpoint(servers["0.11.0 current"])) == "vllm-0.11"


@pytest.mark.live
@pytest.mark.parametrize(("name", "form"), [("0.32.0 current", "vllm"), ("0.11.0 current", "vllm-0.11")])
def test_a_live_server_gives_the_index_that_it_is_told(servers, name, form, talk: Request):
    reply = ask.chat(
        Endpoint(servers[name]), talk, first_index=7, max_calls=1, form=form,
        params={"temperature": 0, "max_tokens": 200},
    )  # fmt: skip
    assert [call.id for call in reply.calls] == ["functions.get_weather:7"]


@pytest.mark.live
def test_a_live_server_is_made_to_call_and_kept_from_it(servers, talk: Request):
    endpoint, params = Endpoint(servers["0.32.0 current"]), {"temperature": 0, "max_tokens": 200}
    small_talk = Request.of([{"role": "user", "content": "Hello!"}], talk.tools)
    made = ask.chat(endpoint, small_talk, tool_choice="required", max_string=20, params=params)
    assert made.finish_reason == "tool_calls" and made.calls[0].id == "functions.get_weather:0"
    kept = ask.chat(endpoint, talk, tool_choice="none", params=params)
    assert kept.finish_reason == "stop" and not kept.calls and kept.content

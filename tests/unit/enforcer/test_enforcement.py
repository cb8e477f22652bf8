"""How a request is enforced, and what cannot be, said before it is sent."""

import json
import time

import pytest

from k2lab import enforcer
from k2lab.chat import Request
from k2lab.enforcer import Options, attach, enforce
from k2lab.enforcer.enforcement import LARGEST_GRAMMAR_BYTES
from k2lab.errors import InputError, UnsupportedError
from tests.helpers.offered import CITY, NAMED, TALK, TOOLS, enforced, many, string_tool, tool


@pytest.mark.parametrize(
    ("tools", "options", "said"),
    [
        ([tool("a"), tool("a")], {}, "two tools are called 'a'"),
        ([tool("get weather")], {}, "tool name 'get weather' cannot stand in an id"),
        ([tool("a", {"type": "sting"})], {}, "tool 'a': the schema is not a valid JSON Schema"),
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
    enforced(TOOLS)  # what is imported is imported
    began = time.process_time()
    with pytest.raises((InputError, UnsupportedError), match=said) as refused:
        enforced(tools, **options)
    assert time.process_time() - began < 1 and "\n" not in str(refused.value)


def test_many_tools_give_up_orders_of_keys_before_they_are_refused():
    assert [enforced(many(n, 4)).any_order for n in (1, 40, 80, 160)] == [4, 4, 3, 3]
    assert enforced(many(100, 5)).any_order == 4  # five keys have one order in any case


def test_500_tools_are_written_within_a_second():
    began = time.process_time()
    made = enforced([tool(f"tool_{i}", CITY) for i in range(500)], max_calls=1)
    assert time.process_time() - began < 1 and len(made.grammar) < LARGEST_GRAMMAR_BYTES


def test_a_tool_stands_once_however_many_calls_may_come():
    sizes = [len(enforced(many(20, 6), max_calls=calls).grammar) for calls in (1, 8, 64)]
    assert sizes[1] < 1.5 * sizes[0] and sizes[2] < 6 * sizes[0]
    assert enforced(TOOLS, max_calls=64).grammar.count("city") == 1


def test_a_part_that_cannot_be_held_is_named_and_loosened_on_demand():
    label = tool("label", {"properties": {"tags": {"type": "array", "uniqueItems": True}}})
    with pytest.raises(UnsupportedError, match="label: /properties/tags uniqueItems"):
        enforced([label])
    made = enforced([label], loosen=True)
    assert [(item.tool, item.limit.path, item.limit.keyword) for item in made.limits] == [
        ("label", "/properties/tags", "uniqueItems")
    ]
    assert made.to_json()["limits"][0]["tool"] == "label"


def test_a_request_goes_out_with_auto_and_without_strict_and_is_not_changed():
    strict = {**TOOLS[0], "function": {**TOOLS[0]["function"], "strict": True}}
    history = [*TALK, {"role": "assistant", "tool_calls": [{"function": {"name": "now"}}] * 2}, *TALK]
    request = Request.of(history, [strict], {"tool_choice": "required", "parallel_tool_calls": False, "top_p": 1})
    before = json.dumps(request.to_json())
    how, made = enforce(request), attach(request)
    assert json.dumps(request.to_json()) == before and made == how.attached(request)
    assert list(made.parameters) == ["top_p", "tool_choice", "structured_outputs"]
    assert made.parameters["tool_choice"] == "auto" and made.messages == request.messages
    assert "strict" not in made.tools[0]["function"]
    assert (how.first_index, how.max_calls) == (2, 1)
    tag = json.loads(made.parameters["structured_outputs"]["structural_tag"])
    assert tag == enforced(TOOLS[:1], tool_choice="required", first_index=2, parallel=False).tag


def test_a_request_without_tools_is_held_to_text():
    made = attach(Request.of(TALK))
    assert not made.tools and list(made.parameters) == ["structured_outputs"]
    assert json.loads(made.parameters["structured_outputs"]["structural_tag"]) == enforced([], tool_choice="none").tag


CARRIED = {
    "vllm": lambda made: json.loads(made["structured_outputs"]["structural_tag"])["format"]["grammar"],
    "vllm-0.11": lambda made: made["structured_outputs"]["grammar"],
    "sglang": lambda made: made["response_format"]["format"]["grammar"],
    "tensorrt-llm": lambda made: made["response_format"]["format"]["grammar"],
}


@pytest.mark.parametrize("form", CARRIED)
def test_each_server_gets_the_grammar_where_it_looks_for_it(form):
    request, options = Request.of(TALK, TOOLS, {"tool_choice": "required"}), Options(form=form)
    made, how = attach(request, options=options).parameters, enforce(request, options=options)
    assert CARRIED[form](made) == how.grammar == enforced(TOOLS, tool_choice="required", form=form).grammar
    assert made["tool_choice"] == "auto" and how.form == form
    assert made.get("response_format", {"type": "structural_tag"})["type"] == "structural_tag"
    assert (
        ("Regex(" in how.grammar)
        == ("TagDispatch(" in enforced(TOOLS, form=form).grammar)
        == (form in ("vllm", "sglang"))
    )


def test_a_request_with_a_grammar_of_its_own_is_not_overwritten():
    asked = Request.of(TALK, TOOLS, {"response_format": {"type": "json_object"}})
    with pytest.raises(InputError, match="has a response_format of its own"):
        attach(asked, options=Options(form="sglang"))
    assert attach(asked).parameters["response_format"] == {"type": "json_object"}


def test_a_root_that_admits_no_object_is_refused():
    with pytest.raises(InputError, match="tool 'f'"):
        enforced([tool("f", {"type": "string"})])


def test_a_whole_request_says_how_it_is_to_be_enforced(k2lab, tmp_path):
    request, tools = tmp_path / "r.json", tmp_path / "t.json"
    calls = [{"id": "x", "function": {"name": "now", "arguments": "{}"}}]
    talk = {"messages": [*TALK, {"role": "assistant", "tool_calls": calls}], "tools": TOOLS}
    request.write_text(json.dumps(talk | {"tool_choice": NAMED, "parallel_tool_calls": False}))
    tools.write_text(json.dumps(TOOLS))
    wanted = enforced(TOOLS, tool_choice=NAMED, parallel=False, first_index=1).tag
    assert json.loads(k2lab("enforce", "--tools", request).stdout) == wanted
    assert json.loads(k2lab("enforce", "--tools", tools, "--history", request).stdout) == wanted
    over = k2lab("enforce", "--tools", request, "--tool-choice", "auto", "--parallel").stdout
    assert json.loads(over) == enforced(TOOLS, first_index=1).tag


def test_allowed_tools_are_those_alone():
    listed = [{"type": "function", "function": {"name": "now"}}]
    for mode in ("auto", "required"):
        choice = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": listed}}
        only = [item for item in TOOLS if item["function"]["name"] == "now"]
        assert enforced(TOOLS, tool_choice=choice).tag == enforced(only, tool_choice=mode).tag
    for tools, said in (
        ([{"function": {"name": "nope"}}], "names 'nope', which is not declared"),
        (None, "allowed_tools with a mode and a list"),
    ):
        with pytest.raises(InputError, match=said):
            enforced(TOOLS, tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": tools}})


def test_the_tag_is_printed_by_the_command_line(k2lab, tmp_path):
    tools, history = tmp_path / "t.json", tmp_path / "c.json"
    tools.write_text(json.dumps(TOOLS))
    calls = [{"id": "x", "function": {"name": "now", "arguments": "{}"}}]
    history.write_text(json.dumps([*TALK, {"role": "assistant", "tool_calls": calls}]))
    done = k2lab("enforce", "--tools", tools, "--history", history, "--tool-choice", "get_weather")
    assert json.loads(done.stdout) == enforced(TOOLS, tool_choice=NAMED, first_index=1).tag
    for form, field in (("vllm-0.11", "structured_outputs"), ("sglang", "response_format")):
        carried = k2lab("enforce", "--tools", tools, "--form", form, "--no-parallel")
        assert json.loads(carried.stdout) == enforced(TOOLS, form=form, parallel=False).fields
        assert list(json.loads(carried.stdout)) == [field]
    assert "no string or key can contain <|tool_call or <|im_" in carried.stderr
    for command in (("enforce",), ("bench", "run")):
        assert f"[{'|'.join(enforcer.FORMS)}]" in k2lab(*command, "--help").stdout
    refused = k2lab("enforce", "--tools", tools, "--tool-choice", "nothing")
    assert refused.returncode == 1 and "tool_choice names 'nothing'" in refused.stderr
    tools.write_text(json.dumps([tool("label", {"properties": {"x": {"not": {}}}})]))
    assert "label: /properties/x not" in k2lab("enforce", "--tools", tools).stderr
    tools.write_text(json.dumps(many(120, 3)))
    assert "more than 2 keys must write them in their schema's order" in k2lab("enforce", "--tools", tools).stderr
    tools.write_text(json.dumps(string_tool(maxLength=50)))
    assert "narrowed: write: /properties/text: a string of at most 50" in k2lab("enforce", "--tools", tools).stderr
    tools.write_text(json.dumps([tool("label", {"properties": {"x": {"not": {}}}})]))
    loosened = k2lab("enforce", "--tools", tools, "--loosen")
    assert loosened.returncode == 0 and "loosened: label" in loosened.stderr

"""What a tag admits by the engines' own grammars, and what live servers do with it."""

import itertools
import json
import subprocess

import pytest

from k2lab import engine, wire
from k2lab.chat import Request
from k2lab.enforcer import Options, ask
from k2lab.enforcer.enforcement import LARGEST_GRAMMAR_BYTES
from k2lab.errors import UnsupportedError
from k2lab.server.endpoint import Endpoint
from tests.conftest import ROOT
from tests.helpers.offered import NAMED, TOOLS, enforced, many, said, string_tool, tool

WEATHER, TIME = ("get_weather", {"city": "Oslo"}), ("now", {})
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


@pytest.mark.parametrize("name", WANTED)
def test_the_grammar_takes_right_answers_and_no_other(accepted, name):
    options, wanted = WANTED[name]
    tag = enforced(TOOLS, first_index=3, max_calls=2, **options).tag
    found = accepted(tag, list(ANSWERS.values()))
    assert {answer for answer, ok in zip(ANSWERS, found, strict=True) if ok} == wanted


THOUGHT, CALLING = "call search:0 or not? {</think>\n", f"call {wire.SECTION_BEGIN}</think>"
THINKING = {  # what comes before a call that must come, and whether it may
    "no": {"": True, THOUGHT: False, f"<think>{THOUGHT}": False},
    "may": {"": True, THOUGHT: False, f"<think>{THOUGHT}": True},
    "begun": {"": False, THOUGHT: True, f"<think>{THOUGHT}": True},
}


@pytest.mark.parametrize("thinking", THINKING)
def test_a_thinking_model_thinks_freely_first_and_calls_nothing_meanwhile(accepted, thinking):
    wanted = THINKING[thinking]
    must, can = (enforced(TOOLS, first_index=3, thinking=thinking, tool_choice=c).tag for c in ("required", "auto"))
    assert accepted(must, [before + ANSWERS["one"] for before in wanted]) == list(wanted.values())
    assert all(accepted(can, [before + ANSWERS["text alone"] for before, may in wanted.items() if may]))
    for tag in (must, can):
        assert not any(accepted(tag, [before + ANSWERS["one"] for before in (CALLING, f"<think>{CALLING}")]))
        assert not any(accepted(tag, [before + ANSWERS["undeclared"] for before in wanted]))
    if thinking != "no":
        assert not any(accepted(can, [f"<think>I call it.{ANSWERS[name]}" for name in ("one", "text alone")]))


REPRODUCTIONS = {
    "unpinned_index": "built-in kimi      2000 digits and no end",
    "repeated_class": "[^<]{0,129} an open end",
}


@pytest.mark.long
def test_what_the_engine_gets_wrong_is_shown_without_a_model():
    """In one interpreter, which takes its time to import the engine."""
    scripts = [str(ROOT / "data" / "reproductions" / f"{name}.py") for name in REPRODUCTIONS]
    code = "import runpy, sys; sys.exit(any([runpy.run_path(script)['main']() for script in sys.argv[1:]]))"
    python = str(engine.resolve("0.32.0").python)
    done = subprocess.run([python, "-c", code, *scripts], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    admitted = [line for line in done.stdout.splitlines() if line.endswith("admitted")]
    assert all(any(line.startswith(wanted) for line in admitted) for wanted in REPRODUCTIONS.values())


@pytest.mark.parametrize(("tools", "keys"), [(96, 5), (128, 4), (25, 20)])
def test_as_many_tools_as_agents_declare_are_held_to_eight_calls(accepted, tools, keys):
    offered = many(tools, keys)
    made = enforced(offered)
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


@pytest.mark.parametrize("name", WANTED)
def test_the_forms_without_macros_admit_the_same(accepted, accepted_by_older, name):
    options, wanted = WANTED[name]
    made = enforced(TOOLS, first_index=3, max_calls=2, form="tensorrt-llm", **options)
    for judge in (accepted, accepted_by_older):
        found = judge(made.tag, list(ANSWERS.values()))
        assert {answer for answer, ok in zip(ANSWERS, found, strict=True) if ok} == wanted


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


@pytest.mark.parametrize("form", ["vllm", "tensorrt-llm"])
@pytest.mark.parametrize("name", BOUNDED)
def test_only_markers_are_shut_out_of_strings(accepted, name, form):
    schema, options = BOUNDED[name]
    made = enforced(string_tool(**schema), form=form, **options)
    shown = [said(("write", {"text": text}), first=0) for text in (*CODE, *SHUT_OUT)]
    assert accepted(made.tag, shown) == [True] * len(CODE) + [False] * len(SHUT_OUT)


def test_what_a_bounded_string_cannot_hold_beside_markers_is_told(accepted):
    made = enforced(string_tool(maxLength=50))
    assert [(item.tool, item.loss.path) for item in made.losses] == [("write", "/properties/text")]
    assert "<|t and <|i" in str(made.losses[0]) and made.to_json()["losses"][0]["tool"] == "write"
    lost = [said(("write", {"text": text}), first=0) for text in ("<|title|>", "<|x|>")]
    assert accepted(made.tag, lost) == [False, True]
    for exact in ({}, {"minLength": 1}, {"maxLength": 10}, {"pattern": "^[^#]+$"}):
        made = enforced(string_tool(**exact))
        assert made.losses == () and accepted(made.tag, lost[:1]) == [True]


def test_a_key_that_is_not_declared_holds_no_marker_either(accepted):
    tag = enforced([tool("f", {"type": "object", "additionalProperties": {"type": "integer"}})]).tag
    keys = ["a<b", "<|", "<|x", "<|im_end|>", "<|tool_call_end|>"]
    found = accepted(tag, [said(("f", {key: 1}), first=0) for key in keys])
    assert found == [True, True, True, False, False]


@pytest.mark.parametrize(
    "root", [{"type": ["object", "string"]}, {"anyOf": [{"type": "object"}, {"type": "array"}]}, {}]
)
def test_arguments_are_an_object_whatever_the_root_says(accepted, root):
    tag = enforced([tool("f", root)], loosen=True).tag
    texts = ["{}", '"x"', "[]", "1", "null"]
    frame = said(("f", {}), first=0)
    assert accepted(tag, [frame.replace("{}", text) for text in texts]) == [True] + [False] * 4


REPORTED = ("68b-html-with-max-string-128", "69-html-unbounded", "77-min-length-1")


@pytest.mark.parametrize("name", REPORTED)
def test_reported_texts_are_written_or_refused_as_they_should(accepted, shared, name):
    folder = shared / "reports" / name
    options = {"max_string": 128} if "128" in name else {}
    tag = enforced(json.loads((folder / "T.json").read_text()), **options).tag
    for file in sorted(folder.glob("*.txt")):
        text = file.read_text()
        assert accepted(tag, [text]) == [file.name.startswith("ok") and "<|im_end|>" not in text], file.name


def test_the_grammar_takes_keys_in_every_order_and_asks_for_the_required_ones(accepted):
    keys = {"a": {"type": "string"}, "b": {"type": "integer"}, "c": {"type": "boolean"}}
    values = {"a": "x", "b": 1, "c": True}
    every = [order for size in range(4) for order in itertools.permutations(keys, size)]
    texts = [said(("f", {name: values[name] for name in order}), first=0) for order in every]
    for required in (["a", "b", "c"], ["a"], []):
        schema = {"type": "object", "properties": keys, "required": required}
        found = accepted(enforced([tool("f", schema)], max_calls=1).tag, texts)
        assert found == [set(required) <= set(order) for order in every], required


def test_live_servers_take_their_form_of_a_tag(servers):
    assert ask.form_of(Endpoint(servers["0.32.0 current"])) == "vllm"
    assert ask.form_of(Endpoint(servers["0.11.0 current"])) == "vllm-0.11"
    assert ask.form_of(Endpoint(servers["0.11.1 legacy"])) == "vllm-0.11"  # which gives calls ids of its own


def test_a_live_server_that_begins_a_grammar_at_the_first_token_wants_the_reasoning_in_it(servers):
    endpoint = Endpoint(servers["0.11.1 thinking reasons in-reasoning"])
    with pytest.raises(UnsupportedError, match="it is ignored: no call came"):
        ask.form_of(endpoint)
    assert ask.form_of(endpoint, thinking="may") == "vllm-0.11"


@pytest.mark.parametrize(("name", "form"), [("0.32.0 current", "vllm"), ("0.11.0 current", "vllm-0.11")])
def test_a_live_server_gives_the_index_that_it_is_told(servers, name, form, talk: Request):
    options, params = Options(first_index=7, max_calls=1, form=form), {"temperature": 0, "max_tokens": 200}
    reply = ask.send(Endpoint(servers[name]), talk, options=options, params=params)
    assert [call.id for call in reply.calls] == ["functions.get_weather:7"]


def test_a_live_server_is_made_to_call_and_kept_from_it(servers, talk: Request):
    endpoint, params = Endpoint(servers["0.32.0 current"]), {"temperature": 0, "max_tokens": 200}
    small_talk = Request.of([{"role": "user", "content": "Hello!"}], talk.tools)
    required = {**params, "tool_choice": "required"}
    made = ask.send(endpoint, small_talk, options=Options(max_string=20), params=required)
    assert made.finish_reason == "tool_calls" and made.calls[0].id == "functions.get_weather:0"
    [kept] = ask.in_text(endpoint, [talk], params=params)
    assert kept.finish_reason == "stop" and not kept.calls and kept.content

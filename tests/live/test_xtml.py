"""What K3's tag admits by the engine's own grammar, read by vLLM's own parser and judged by a validator."""

import itertools
import json
import math

import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st

from k2lab import families, wire
from k2lab.enforcer.grammar import Grammar
from k2lab.enforcer.notation import RAW
from k2lab.enforcer.schema import KEY_TWICE, translate
from k2lab.enforcer.schema.patterns import Unfollowed, whole
from k2lab.enforcer.schema.spelling import plain
from k2lab.enforcer.xtml import GUARD
from k2lab.errors import InputError
from tests.helpers import strategies
from tests.helpers.effort import FEW, one_in
from tests.helpers.offered import NAMED, TOOLS, enforced, many, string_tool, tool
from tests.helpers.schemas import CATALOGUE, p
from tests.helpers.translated import TEXTS, as_javascript
from tests.helpers.verdicts import blamed, judge_of, lost_signs
from tests.helpers.xtml import MARKERS, answer, argument, arguments_of, call
from tests.live.test_tags import CALLED, HALVES, NO_ARGUMENTS, ONE_CALL, WHOLE, parameters

OSLO = {"city": "Oslo"}
WEATHER, TIME = call("get_weather", OSLO), call("now", index=2)
ANSWERS = {
    "one": answer(WEATHER),
    "another tool": answer(call("now")),
    "two": answer(WEATHER, TIME),
    "arguments in another order": answer(call("add_note", {"prio": 2, "text": "x"})),
    "no end of the message": answer(WEATHER, end=""),
    "a response that the prompt began": answer(WEATHER).removeprefix("<|open|>response<|sep|>"),
    "an argument over lines": answer(call("get_weather", {"city": 'a\n"b" \\ <c> & <|'})),
    "text first": answer(WEATHER, text="Let me look."),
    "text alone": answer(text="Hello there, 2 < 3 | 4.\n"),
    "nothing": answer(),
    "three": answer(WEATHER, TIME, call("now", index=3)),
    "an index of another message": answer(call("get_weather", OSLO, 3)),
    "an index from zero": answer(call("get_weather", OSLO, 0)),
    "an index that runs away": answer(call("get_weather", OSLO, "1020")),
    "an index twice": answer(WEATHER, call("now")),
    "undeclared": answer(call("search")),
    "a missing argument": answer(call("get_weather")),
    "another argument": answer(call("get_weather", {**OSLO, "day": "today"})),
    "an argument twice": answer(call("get_weather", argument("city", "Oslo") * 2)),
    "a wrong type": answer(call("get_weather", {"city": 7})),
    "a type that is not the value's": answer(WEATHER.replace('"string"', '"number"')),
    "a type that K3 has not": answer(call("add_note", {"text": "x", "prio": 2}).replace('"number"', '"integer"')),
    "no type": answer(WEATHER.replace(' type="string"', "")),
    "an empty channel": answer("<|open|>tools<|sep|><|close|>tools<|sep|>"),
    "calls before the response": WEATHER + answer(),
    "calls without a response": answer(WEATHER).split("<|close|>response<|sep|>")[1],
    "a response that is not closed": answer(WEATHER).replace("<|close|>response<|sep|>", ""),
    "a text that the prompt began": f"so: {answer(WEATHER)}".replace("<|open|>response<|sep|>", ""),
    "two channels": answer(WEATHER) + answer(TIME),
    "a channel in the response": answer(text="<|open|>tools<|sep|>"),
    "a marker in a string": answer(call("get_weather", {"city": "Os<|sep|>lo"})),
    "the end of an argument in a string": answer(call("get_weather", {"city": "a<|close|>argument<|sep|>b"})),
    "a turn behind": answer(WEATHER) + "<|open|>message",
}
ONCE = {
    "one",
    "another tool",
    "arguments in another order",
    "no end of the message",
    "a response that the prompt began",
    "an argument over lines",
}
TEXT = {"text first", "text alone", "nothing", "a text that the prompt began"}
WANTED = {
    "auto": ({}, ONCE | TEXT | {"two"}),
    "required": ({"tool_choice": "required"}, ONCE | {"two"}),
    "none": ({"tool_choice": "none"}, {"text alone", "nothing"}),
    "named": ({"tool_choice": NAMED}, ONCE - {"another tool", "arguments in another order"}),
    "one at a time": ({"parallel": False}, ONCE | TEXT),
}


@pytest.mark.parametrize("form", ["vllm", "tensorrt-llm"])
@pytest.mark.parametrize("name", WANTED)
def test_the_grammar_takes_right_answers_and_no_other(accepted, name, form):
    options, wanted = WANTED[name]
    tag = enforced(TOOLS, family="K3", max_calls=2, form=form, **options).tag
    found = accepted(tag, list(ANSWERS.values()))
    assert {said for said, ok in zip(ANSWERS, found, strict=True) if ok} == wanted


THOUGHT, LOST = "call search or not? </think> {\n<|close|>think<|sep|>", f"so I call {answer(WEATHER, end='')}"
THINKING = {  # what comes before an answer that must call, and whether it may
    "no": {"": True, THOUGHT: False, f"<|open|>think<|sep|>{THOUGHT}": False},
    "may": {"": True, THOUGHT: False, f"<|open|>think<|sep|>{THOUGHT}": True},
    "begun": {"": False, THOUGHT: True, "<|close|>think<|sep|>": True, f"<|open|>think<|sep|>{THOUGHT}": False},
}


@pytest.mark.parametrize("thinking", THINKING)
def test_nothing_is_called_before_the_reasoning_is_closed(accepted, thinking):
    """With tools opened in it, vLLM 0.32.0 loses the call (vllm-project/vllm#53246)."""
    wanted = THINKING[thinking]
    must, can = (enforced(TOOLS, family="K3", thinking=thinking, tool_choice=c).tag for c in ("required", "auto"))
    assert accepted(must, [before + ANSWERS["one"] for before in wanted]) == list(wanted.values())
    assert all(accepted(can, [before + ANSWERS["text alone"] for before, may in wanted.items() if may]))
    channel = ANSWERS["one"].split("<|close|>response<|sep|>")[1]
    lost = [LOST, channel, f"so I call {channel}", f"{THOUGHT}{channel}", f"so {channel}{THOUGHT}{answer()}"]
    if thinking != "no":
        for tag in (must, can):
            assert not any(accepted(tag, [before + text for text in lost for before in ("", "<|open|>think<|sep|>")]))


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
CODE = [
    "if a < b:",
    "<div>",
    "x <| y",
    "a << 2",
    "<p>hi</p> <|user|>",
    'say "<b>"',
    "tab\t<",
    "one <|",
    "a\\b",
    "été <日>",
]
SHUT_OUT = ["a<|close|>argument<|sep|>", "<|end_of_msg|>", "<<|open|>a", "a\n<|sep|>", "<|close<|close|>", "a<|open|>"]


@pytest.mark.parametrize("form", ["vllm", "tensorrt-llm"])
@pytest.mark.parametrize("name", BOUNDED)
def test_bytes_of_half_a_surrogate_pair_are_no_character_of_a_string(accepted, name, form):
    """But of one without bounds, which with macros is free text and takes any bytes: no length is passed there."""
    schema, options = BOUNDED[name]
    tag = enforced(string_tool(**schema), family="K3", form=form, **options).tag
    shown = [answer(call("write", {"text": f"ab{letter}"})) for letter in (*WHOLE, *HALVES)]
    free = name == "plain" and form == "vllm"
    assert accepted(tag, shown) == [True] * len(WHOLE) + [free] * len(HALVES)


@pytest.mark.parametrize("form", ["vllm", "tensorrt-llm"])
@pytest.mark.parametrize("name", BOUNDED)
def test_only_markers_are_shut_out_of_strings(accepted, name, form):
    schema, options = BOUNDED[name]
    made = enforced(string_tool(**schema), family="K3", form=form, **options)
    shown = [answer(call("write", {"text": text})) for text in (*CODE, *SHUT_OUT)]
    assert accepted(made.tag, shown) == [True] * len(CODE) + [False] * len(SHUT_OUT)


def test_a_key_that_is_not_declared_holds_no_marker_and_is_escaped(accepted):
    tag = enforced([tool("f", {"type": "object", "additionalProperties": {"type": "integer"}})], family="K3").tag
    keys = ["a<b", "<|", "<|x", "", 'R&D "x"', "日\n", *MARKERS, "a<|open|>b"]
    found = accepted(tag, [answer(call("f", {key: 1})) for key in keys])
    assert found == [True] * 6 + [False] * 5
    raw = ["a&b", 'a"b', "&lt;", "&amp", "&amp;amp;", "&quot;"]
    found = accepted(tag, [answer(call("f", argument("K", 1).replace("K", key, 1))) for key in raw])
    assert found == [False, False, False, False, True, True]


def test_names_are_escaped_as_the_renderer_does(accepted):
    parameters_ = {
        "properties": {'a"&': {"const": '"&amp;'}, "b": {"enum": [None, True, 1.5, [1], {"k": "<"}, "\x00"]}}
    }
    tag = enforced([tool('R&D "x"', parameters_)], family="K3").tag
    values = [None, True, 1.5, [1], {"k": "<"}, "\x00"]
    right = [answer(call('R&D "x"', {'a"&': '"&amp;', "b": value})) for value in values]
    wrong = [answer(call('R&D "x"', {"b": value})) for value in (False, "null", "1.5", 1, "", [2])]
    assert accepted(tag, [*right, *wrong]) == [True] * 6 + [False] * 6


def test_arguments_come_in_every_order_and_the_required_ones_are_asked_for(accepted):
    keys = {"a": {"type": "string"}, "b": {"type": "integer"}, "c": {"type": ["boolean", "null"]}}
    values = {"a": "x", "b": 1, "c": None}
    every = [order for size in range(4) for order in itertools.permutations(keys, size)]
    texts = [answer(call("f", {name: values[name] for name in order})) for order in every]
    for required in (["a", "b", "c"], ["a"], []):
        schema = {"type": "object", "properties": keys, "required": required}
        found = accepted(enforced([tool("f", schema)], family="K3", max_calls=1).tag, texts)
        assert found == [set(required) <= set(order) for order in every], required


@pytest.mark.parametrize(("tools", "keys"), [(96, 5), (128, 4), (25, 20)])
def test_as_many_tools_as_agents_declare_are_held_to_eight_calls(accepted, tools, keys):
    offered = many(tools, keys)
    last = offered[-1]["function"]
    values = dict.fromkeys(last["parameters"]["properties"], "a < b")
    calls = [call(last["name"], values, index) for index in range(1, 10)]
    said = [answer(*calls[:8]), answer(call("server_999_action", values)), answer(*calls)]
    assert accepted(enforced(offered, family="K3").tag, said) == [True, False, False]


def test_a_tool_whose_arguments_can_be_no_object_is_refused():
    for name in NO_ARGUMENTS & CATALOGUE.keys():
        with pytest.raises(InputError, match="no object"):
            enforced([tool("f", parameters(CATALOGUE[name]))], family="K3")


ROOTS = {
    "a choice": {"anyOf": [p({"type": "string"}), {"required": ["n"], "properties": {"n": {"type": "integer"}}}]},
    "a reference": {"$ref": "#/$defs/o", "$defs": {"o": p({"type": ["string", "null"]})}},
    "listed": {"enum": [{"p": "a<b", "n": 1}, {"p": None}]},
    "patterns": {"type": "object", "patternProperties": {"^x&": {"type": "integer"}, "^y": {"type": "string"}}},
    "recursive": {
        "$ref": "#/$defs/tree",
        "$defs": {"tree": {"properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}},
    },
}
TRIED = {
    "a choice": {'{"p": "1"}': True, '{"n": 1}': True, '{"p": 1}': False, "{}": False, '{"n": "1"}': False},
    "a reference": {'{"p": "1"}': True, '{"p": null}': True, '{"p": 1}': False, '{"p": "<|sep|>"}': False},
    "listed": {'{"p": "a<b", "n": 1}': True, '{"p": null}': True, '{"p": "a<b"}': False, '{"p": "null"}': False},
    "patterns": {'{"x&1": 1, "y": "1"}': True, '{"x&1": "1"}': False, '{"z": 1}': False, "{}": True},
    "recursive": {'{"kids": [{"kids": []}, {}]}': True, '{"kids": {}}': False, '{"kids": [1]}': False, "{}": True},
}


@pytest.mark.parametrize("name", ROOTS)
def test_a_root_that_is_no_plain_object_of_properties_is_held(accepted, name):
    tag = enforced([tool("f", ROOTS[name])], family="K3").tag
    found = accepted(tag, [answer(call("f", arguments_of(text))) for text in TRIED[name]])
    assert found == list(TRIED[name].values())


@pytest.mark.parametrize("name", one_in(12, CALLED))
@FEW
@given(data=st.data())
def test_the_whole_tag_takes_what_a_schema_admits_and_nothing_invalid(name, data, accepted):
    asked = parameters(CATALOGUE[name])
    held(enforced([tool("f", asked)], family="K3", **ONE_CALL), asked, data, accepted)


@given(schema=strategies.schemas(), data=st.data())
def test_the_whole_tag_of_any_schema_takes_what_it_admits_and_nothing_invalid(schema, data, accepted):
    asked = parameters(schema)
    try:
        made = enforced([tool("f", asked)], family="K3", **ONE_CALL)
    except InputError:
        reject()
    held(made, asked, data, accepted)


def held(made, asked, data, accepted):
    """That the grammar of a schema takes what it writes, and what is changed in that only where it is valid."""
    written = strategies.texts(translate(asked, kind="object").schema)
    texts, tried = (data.draw(st.lists(some, min_size=1, max_size=8)) for some in (written, strategies.tried(written)))
    tried = [text for text in tried if isinstance(json.loads(text), dict)]
    answers = accepted(made.tag, [answer(call("f", arguments_of(text))) for text in [*texts, *tried]])
    lost = lost_signs(made)
    assert [text for text, ok in zip(texts, answers, strict=False) if not ok and not lost & set(text)] == []
    judge, named = judge_of(asked), {item.limit.keyword for item in made.limits}
    for text, ok in zip(tried, answers[len(texts) :], strict=True):
        if ok:
            assert named >= blamed(judge, json.loads(text), named), text


ALPHABET = ("a", "<", "|", "c", "\n", "é", '"', "\\")
PIECES = [list(text) for size in range(5) for text in itertools.product(ALPHABET, repeat=size)]
PIECES += [
    list(text) for text in (*MARKERS, "<|close|", "<|opex|>", "<|<|sep|>", "<|sep|<|sep|", "<|end_of_msg|", "<|o")
]
LENGTHS = {  # of a string, and whether all that fits can be written beside each engine
    (0, None): (True, True),
    (1, None): (True, True),
    (3, None): (False, True),
    (0, 3): (True, True),
    (2, 4): (True, True),
    (2, 20): (False, False),
}


@pytest.mark.parametrize("form", ["vllm", "tensorrt-llm"])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_every_short_string_that_fits_is_written_and_no_other(accepted, lengths, form):
    least, most = lengths
    string = {"type": "string", "minLength": least} | ({} if most is None else {"maxLength": most})
    made = enforced([tool("f", p(string))], family="K3", max_calls=1, tool_choice="required", form=form)
    texts = ["".join(pieces) for pieces in PIECES]
    fits = [
        len(text) >= least and (most is None or len(text) <= most) and not any(map(text.__contains__, MARKERS))
        for text in texts
    ]
    found = accepted(made.tag, [answer(call("f", {"p": text})) for text in texts])
    assert [text for text, ok, fit in zip(texts, found, fits, strict=True) if ok and not fit] == []
    missed = [text for text, ok, fit in zip(texts, found, fits, strict=True) if fit and not ok]
    assert (missed == []) == LENGTHS[lengths][form != "vllm"] == (not made.losses)


@pytest.mark.parametrize("macros", [True, False])
@given(asked=strategies.patterns())
def test_a_pattern_of_raw_strings_is_held_exactly_but_for_markers(asked, accepted, macros):
    try:
        pattern = plain(whole(asked).text)
    except Unfollowed:
        assume(False)
    grammar = Grammar(guard=GUARD, macros=macros)
    text = grammar.text(grammar.string({"pattern": pattern}, "", notation=RAW))
    tag = {"type": "structural_tag", "format": {"type": "grammar", "grammar": text}}
    texts = [*TEXTS, "<|sep|>", "<<|open|>b", "b<|close|>", "<|", "<|a"]
    found = accepted(tag, [f">{text}<" for text in texts])
    fits = [bool(as_javascript(asked).search(text)) and not any(map(text.__contains__, MARKERS)) for text in texts]
    assert found == fits or (grammar.losses and all(fit for ok, fit in zip(found, fits, strict=True) if ok))


def wrong_with(said, judge, named):
    """What is wrong with an answer that the grammar itself wrote, as vLLM's parser reads it and as k2lab does.

    Where the limits name that a key may stand twice, vLLM takes the last and k2lab neither.
    """
    read = wire.parse(said["text"], [tool("f")], strict=True, thinking=False, family=families.K3)
    calls = [(name, json.loads(arguments)) for name, arguments in said["calls"]]
    found = set() if calls and all(name == "f" for name, _ in calls) else {"no call"}
    both = list(zip(read.calls, calls, strict=False))
    sure = [pair for pair in both if KEY_TWICE not in named or " twice: " not in pair[0].reason]
    same = len(read.calls) == len(calls) and all((call.name, call.arguments) == theirs for call, theirs in sure)
    found |= set() if same else {"two readings"}
    found |= {call.reason for call, _ in sure if call.status != "ok"}
    for _, arguments in calls:
        if math.inf not in arguments.values():  # a number of too many digits, which no validator takes either way
            found |= blamed(judge, arguments, named) - named
    return found


@pytest.mark.parametrize("name", one_in(24, CALLED))
def test_what_the_grammar_writes_by_itself_is_read_by_vllm_and_valid(name, walk):
    asked = parameters(CATALOGUE[name])
    made = enforced([tool("f", asked)], family="K3", tool_choice="required", loosen=True, max_calls=2)
    answers, named = walk(made.tag), {item.limit.keyword for item in made.limits}
    found = {said["text"]: wrong for said in answers if (wrong := wrong_with(said, judge_of(asked), named))}
    assert answers and found == {}


def test_limits_name_what_may_stand_twice():
    open_, shut = ({"type": "object", "additionalProperties": extra} for extra in (True, False))
    twice, once = (enforced([tool("f", schema)], family="K3") for schema in (open_, shut))
    assert [item.limit.keyword for item in twice.limits] == [KEY_TWICE] and once.limits == ()
    assert enforced([tool("f", open_)]).limits == ()

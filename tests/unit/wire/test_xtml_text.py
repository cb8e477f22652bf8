"""What is odd in K3's outputs: channels, tags that are lost or too many, arguments that are no argument."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from k2lab import wire
from k2lab.families import K2, K3
from k2lab.wire.xtml.tags import close_tag, open_tag
from tests.helpers.effort import examples
from tests.unit.wire.test_reader import check_places
from tests.unit.wire.test_xtml_hostile import Tokens

PROPERTIES = {"word": {"type": "string"}, "most": {"type": "integer"}}
TOOLS = [
    {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": PROPERTIES}}},
    {"type": "function", "function": {"name": "stop", "parameters": {"type": "object", "properties": {}}}},
]
MESSAGE, USER = open_tag("message", role="assistant"), open_tag("message", role="user")
THINK, RESPONSE, SECTION = open_tag("think"), open_tag("response"), open_tag("tools")
END_THINK, END_RESPONSE, END_SECTION = close_tag("think"), close_tag("response"), close_tag("tools")
END_CALL, END_ARGUMENT, OVER = close_tag("call"), close_tag("argument"), close_tag("message") + "<|end_of_msg|>"
WORD = open_tag("argument", key="word", type="string")
plain = st.text(st.characters(exclude_characters="<[`", exclude_categories=("Cs",)), max_size=12)


def argument(key, value, kind="string"):
    return open_tag("argument", key=key, type=kind) + value + END_ARGUMENT


def call(name, *inside, index="1"):
    return open_tag("call", tool=name, index=index) + "".join(inside) + END_CALL


FIND, STOP = call("find", argument("word", "x")), call("stop", index="2")
CALLED = SECTION + FIND + END_SECTION


def read(text, **options):
    options = {"family": K3} | options
    parsed = wire.parse(text, TOOLS, **options)
    check_places(parsed, text)
    stream = wire.OutputStream(TOOLS, **({"thinking": None} | options))
    for character in text:
        stream.feed(character)
    assert stream.close() == parsed
    return parsed


def calls(parsed):
    return [(one.name, one.status) for one in parsed.calls]


def only(text, **options):
    (one,) = read(text, **options).calls
    return one


@pytest.mark.parametrize(
    ("text", "thinking", "reasoning", "content", "status"),
    [
        (f"a{END_THINK}{RESPONSE}b{END_RESPONSE}{CALLED}{OVER}", None, "a", "b", "ok"),
        (f"a{END_THINK}{RESPONSE}b{END_RESPONSE}{CALLED}{OVER}", True, "a", "b", "ok"),
        (f"{MESSAGE}{THINK}a{END_THINK}{RESPONSE}b{END_RESPONSE}{CALLED}{OVER}", None, "a", "b", "ok"),
        (f"{THINK}a{END_THINK}{RESPONSE}b{END_RESPONSE}{CALLED}", False, "a", "b", "ok"),
        (f"b{END_RESPONSE}{CALLED}{OVER}", None, None, "b", "ok"),
        (f"b{END_RESPONSE}{CALLED}{OVER}", False, None, "b", "ok"),
        (CALLED, None, None, None, "ok"),
        (f"a{CALLED}{OVER}", True, "a", None, "repaired"),
        (f"a{CALLED}{OVER}", False, None, "a", "repaired"),
        (f"a{CALLED}{OVER}", None, None, "a", "repaired"),
        (f"a{RESPONSE}b{END_RESPONSE}{CALLED}", True, "a", "b", "repaired"),
        (f"a{RESPONSE}b{END_RESPONSE}{CALLED}", None, "a", "b", "repaired"),
        (f"a{CALLED} b{END_THINK}{RESPONSE}c{END_RESPONSE}", True, "a b", "c", "repaired"),
        (f"a{END_THINK}{CALLED}", None, "a", None, "repaired"),
        (f"a{END_THINK}b{CALLED}", None, "a", "b", "repaired"),
        (f"a{END_THINK}{CALLED}{RESPONSE}b{END_RESPONSE}", None, "a", "b", "repaired"),
        (f"{RESPONSE}b{CALLED}", None, None, "b", "repaired"),
        (f"{RESPONSE}b{CALLED}c{END_RESPONSE}", None, None, "bc", "repaired"),
        (f"{RESPONSE}b{END_RESPONSE}{CALLED}c", None, None, "bc", "ok"),
    ],
)
def test_channels_in_and_out_of_order(text, thinking, reasoning, content, status):
    parsed = read(text, thinking=thinking)
    assert (parsed.reasoning, parsed.content, calls(parsed)) == (reasoning, content, [("find", status)])
    strict = read(text, thinking=thinking, strict=True)
    assert calls(strict) == [("find", "ok" if status == "ok" else "malformed")]


@examples(200)
@given(plain, plain, st.sampled_from([None, True]))
def test_reasoning_and_response_are_told_apart_whatever_they_say(reasoning, response, thinking):
    parsed = read(f"{reasoning}{END_THINK}{RESPONSE}{response}{END_RESPONSE}{CALLED}{OVER}", thinking=thinking)
    assert calls(parsed) == [("find", "ok")]
    assert (parsed.reasoning or "") == reasoning
    assert (parsed.content or "") == ("" if response.isspace() else response)
    assert parsed.stray == parsed.notes == ()


@pytest.mark.parametrize("thinking", [None, True, False])
def test_the_end_of_the_message_leaks_into_nothing(thinking):
    for text in (
        f"Hello{OVER}",
        f"Hello{close_tag('message')}",
        f"Hello{END_RESPONSE}{OVER}[EOS]",
        "Hello<|close|>mess",
    ):
        parsed = read(text, thinking=thinking)
        assert (parsed.content, parsed.reasoning) == ((None, "Hello") if thinking else ("Hello", None))
        assert parsed.calls == parsed.notes == ()


def test_reasoning_without_an_end_is_said():
    assert read(f"a{RESPONSE}b").notes == ("the reasoning is not closed before the response",)
    assert "in no channel" in read(f"a{CALLED}").notes[0]
    assert read(f"a{CALLED}", thinking=True).notes == ()


def test_a_message_that_is_made_up_for_someone_else_is_no_part_of_the_answer():
    parsed = read(f"{RESPONSE}Hi{END_RESPONSE}{OVER}{USER}More?{OVER}{MESSAGE}{RESPONSE}Sure{END_RESPONSE}{CALLED}")
    assert (parsed.content, parsed.stray, calls(parsed)) == ("Hi", ("More?", "Sure"), [("find", "malformed")])
    assert "went on behind its message with one for 'user'" in parsed.notes[0]
    assert "a prompt, not an output" in read(f"{USER}Hi{OVER}{MESSAGE}").notes[0]
    own = read(f"{RESPONSE}Hi{END_RESPONSE}{OVER}{MESSAGE}{RESPONSE} there{END_RESPONSE}{CALLED}")
    assert own.content == "Hi there" and own.calls[0].reason == "behind the end of the message"


@pytest.mark.parametrize(
    ("text", "expected", "reason"),
    [
        (SECTION, [(None, "truncated")], "ends where the tools open"),
        (f"{RESPONSE}b{END_RESPONSE}<|open|>tools", [(None, "truncated")], "ends where the tools open"),
        (SECTION + '<|open|>call tool="find" ind', [("find", "truncated")], "inside the tag that opens the call"),
        (SECTION + open_tag("call", tool="find", index="1"), [("find", "truncated")], "ends inside the call"),
        (SECTION + FIND.removesuffix(END_CALL), [("find", "truncated")], "ends inside the call"),
        (SECTION + FIND.removesuffix(END_ARGUMENT + END_CALL), [("find", "truncated")], "inside the argument word"),
        (SECTION + FIND.removesuffix("ent<|sep|>" + END_CALL), [("find", "truncated")], "inside the argument word"),
        (SECTION + FIND.removesuffix(END_ARGUMENT + END_CALL) + OVER, [("find", "truncated")], "the argument word"),
        (SECTION + FIND, [("find", "repaired")], "the tools are not closed"),
        (SECTION + FIND + OVER, [("find", "repaired")], "the tools are not closed"),
        (SECTION + FIND.removesuffix(END_CALL) + END_SECTION, [("find", "repaired")], "the call is not closed"),
        (SECTION + FIND.removesuffix(END_CALL) + OVER, [("find", "repaired")], "the call is not closed"),
        (SECTION + FIND.removesuffix(END_CALL) + STOP + END_SECTION, [("find", "repaired"), ("stop", "ok")], "the"),
        (SECTION + call("find", WORD, "x") + END_SECTION, [("find", "repaired")], "word: it is not closed"),
        (FIND, [("find", "repaired")], "no tools around the call"),
        (argument("word", "x"), [(None, "malformed")], "an argument that stands in no call"),
        (SECTION + "<|open|>call index=\"1\"<|sep|>" + END_CALL + END_SECTION, [(None, "malformed")], "names no tool"),
        (SECTION + call(" ") + END_SECTION, [(" ", "malformed")], "the tool's name is empty"),
    ],
)  # fmt: skip
def test_what_is_not_closed_is_named_at_each_level(text, expected, reason):
    parsed = read(text)
    assert reason in parsed.calls[0].reason
    assert calls(parsed) == [(None if name == " " else name, status) for name, status in expected]


TWO = "or a string that holds"


@pytest.mark.parametrize(
    ("inside", "statuses", "said"),
    [
        (WORD + "x" + argument("most", "3", "number"), ["malformed"], [TWO]),
        (WORD + "x" + END_ARGUMENT + END_ARGUMENT, ["malformed"], [TWO]),
        (argument("word", "x") + "and" + argument("most", "3", "number"), ["malformed"], [TWO]),
        (argument("word", f"x{END_CALL} y"), ["malformed"], [TWO]),
        (argument("word", f"x{END_ARGUMENT}{END_CALL} y"), ["malformed"], ["a string of it may hold tags"]),
        (
            argument("word", f"x{END_ARGUMENT}{END_CALL}{END_SECTION} y"),
            ["malformed"],
            ["a string of it may hold tags"],
        ),
        (argument("word", f"see {CALLED} y"), ["malformed"], [TWO]),
        (argument("word", f"see {SECTION}{FIND}{FIND}{END_SECTION} y"), ["malformed"] * 2, [TWO, "may hold"]),
        (WORD + f"x{END_RESPONSE}{SECTION}" + FIND, ["malformed"], [TWO]),
        (WORD + "x" + END_CALL + STOP + FIND, ["malformed"] * 3, [TWO, "this call", "this call"]),
    ],
)
def test_a_string_whose_end_can_be_in_two_places_is_no_call_nor_is_what_it_may_hold(inside, statuses, said):
    parsed = read(SECTION + call("find", inside) + END_SECTION)
    assert [one.status for one in parsed.calls] == statuses
    assert all(word in one.reason for one, word in zip(parsed.calls, said, strict=True))


def test_text_behind_a_closing_tag_and_then_another_shows_that_the_first_is_the_strings():
    for inner in (f"{END_ARGUMENT} is how", f"a{END_ARGUMENT} b{END_ARGUMENT} c"):
        one = only(SECTION + call("find", argument("word", inner)) + END_SECTION)
        assert (one.status, one.arguments) == ("repaired", {"word": inner})
        assert "its string holds the closing tag of an argument" in one.reason
    assert only(SECTION + call("find", argument("word", END_ARGUMENT))).status == "malformed"


TAGS = st.sampled_from(
    [*map(close_tag, ("argument", "argument", "call", "tools", "response")), SECTION, RESPONSE, WORD, OVER, "{}", "5",
     open_tag("call", tool="find", index="1"), open_tag("call", tool="stop", index="2"), "\n", " y", "<|open|>", "x",
     open_tag("argument", key="most", type="number"), open_tag("json", type="object")]
)  # fmt: skip
BALANCED = re.compile(r"<\|close\|>argument<\|sep\|>\s*(?:<\|(?:open|close)\|>|<\|end_of_msg\|>)")
"""An end of an argument behind which another tag stands, as it may stand behind one that ends the string."""


@examples(500)
@given(st.lists(TAGS, max_size=6).map("".join), st.sampled_from(["", OVER]))
@example(f"{END_ARGUMENT}{END_CALL}{WORD}", "")
@example(f"x{END_ARGUMENT}{open_tag('call', tool='stop', index='2')}", OVER)
def test_whatever_tags_a_string_holds_it_is_read_as_it_is_or_not_at_all(value, end):
    """Where another tag stands behind an end of an argument in it, nothing may show that there is more to it."""
    parsed = read(SECTION + call("find", argument("word", value)) + END_SECTION + end)
    usable = [(one.name, one.arguments) for one in parsed.calls if one.usable]
    assert usable in ([], [("find", {"word": value})]) or BALANCED.search(value)


MARKS = Tokens("<|open|>", "<|close|>", "<|sep|>", "<|end_of_msg|>", "[EOS]", *map(chr, range(32, 127)))


def ids_of(*parts):
    """Ids of texts, encoded each by itself: markers are one token where the part is given as ``(text,)``."""
    special = {text: number for number, text in enumerate(MARKS.texts[:5])}
    found = []
    for part in parts:
        text = part if isinstance(part, str) else part[0]
        while text:
            marker = next((m for m in special if text.startswith(m)), None) if isinstance(part, tuple) else None
            found.append(special[marker] if marker else 5 + ord(text[0]) - 32)
            text = text[len(marker) if marker else 1 :]
    return found


@pytest.mark.parametrize(
    "value", [f"x{END_ARGUMENT}", f"{END_ARGUMENT}{END_CALL}{STOP} y", CALLED, "<|open|>", f"{END_SECTION}{OVER}"]
)
def test_ids_tell_the_tags_in_a_string_from_those_that_end_it(value):
    opened = (SECTION + open_tag("call", tool="find", index="1") + WORD,)
    ids = ids_of(opened, value, (END_ARGUMENT + END_CALL + STOP + END_SECTION + OVER,))
    parsed = wire.parse_ids(ids, MARKS, TOOLS)
    assert calls(parsed) == [("find", "ok"), ("stop", "ok")]
    assert parsed.calls[0].arguments == {"word": value}
    assert all(MARKS.decode(ids[one.start : one.end]) == one.raw for one in parsed.calls)


def test_ids_show_that_an_argument_is_not_closed():
    opened = open_tag("call", tool="find", index="1") + WORD
    parsed = wire.parse_ids(
        ids_of((SECTION + opened + "x" + argument("most", "3", "number") + END_CALL,)), MARKS, TOOLS
    )
    assert (parsed.calls[0].status, parsed.calls[0].arguments) == ("repaired", {"word": "x", "most": 3})
    left = wire.parse_ids(ids_of((SECTION + opened + "x" + END_RESPONSE + CALLED + OVER,)), MARKS, TOOLS)
    assert calls(left) == [("find", "malformed"), ("find", "repaired")]
    assert "it is not closed, and neither is the call" in left.calls[0].reason


def test_ids_none_of_which_is_a_marker_are_read_by_their_text_and_that_is_said():
    parsed = wire.parse_ids(ids_of(CALLED), MARKS, TOOLS)
    assert calls(parsed) == [("find", "ok")] and "no marker is a token of its own" in parsed.notes[0]


@pytest.mark.parametrize(
    ("inside", "status", "arguments", "reason"),
    [
        (argument("most", "3", "number"), "ok", {"most": 3}, ""),
        (argument("most", f'{{"a": "{END_ARGUMENT}{END_CALL}"}}', "object"), "ok",
         {"most": {"a": END_ARGUMENT + END_CALL}}, ""),
        (argument("word", ""), "ok", {"word": ""}, ""),
        (argument("word", ' "x"\n'), "ok", {"word": ' "x"\n'}, ""),
        (argument("", "x"), "ok", {"": "x"}, ""),
        (argument("most", " 3\n", "number"), "ok", {"most": 3}, ""),
        (argument("most", "3", "integer"), "repaired", {"most": 3}, "says integer, the form number"),
        (argument("most", '"3"', "number"), "repaired", {"most": "3"}, "says number, its value is string"),
        (argument("most", '["a\nb"]', "array"), "repaired", {"most": ["a\nb"]}, "control character"),
        (argument("word", "x") * 2, "repaired", {"word": "x"}, "the argument word twice, with the same value"),
        (argument("word", "x") + argument("word", "y"), "malformed", None, "word twice: '\"x\"' and '\"y\"'"),
        (argument("most", "1", "number") + argument("most", "true", "boolean"), "malformed", None, "'1' and 'true'"),
        (argument("most", "True", "boolean"), "invalid_arguments", None, "most is not JSON: line 1, column 1: a value"),
        (argument("most", '{"a": 1}}', "object"), "invalid_arguments", None, "more stands behind it, found '}'"),
        (argument("most", "", "number"), "invalid_arguments", None, "a value is due, found the end"),
        (open_tag("argument", key="most", type="number") + "3" + argument("word", "x"), "repaired",
         {"most": 3, "word": "x"}, "the argument most: it is not closed"),
        (open_tag("argument", key="word") + "5" + END_ARGUMENT, "repaired", {"word": "5"}, "read as a string"),
        (open_tag("argument", key="most") + "5" + END_ARGUMENT, "repaired", {"most": 5}, "as the tool declares it"),
        (open_tag("argument", key="other") + "5" + END_ARGUMENT, "malformed", None, "can be a string or number"),
        (open_tag("argument", key="other") + "five" + END_ARGUMENT, "repaired", {"other": "five"}, "read as a string"),
        (argument("word", "x", "text"), "repaired", {"word": "x"}, "has the type 'text': read as a string"),
        (open_tag("argument", type="string") + "x" + END_ARGUMENT, "malformed", None, "an argument without a key"),
        (open_tag("json", type="object") + '{"word": "x"}' + close_tag("json"), "repaired", {"word": "x"}, "in a json"),
        (open_tag("json", type="object") + "{oops" + close_tag("json"), "invalid_arguments", None, "column 2: a key"),
        (open_tag("json", type="object") + "[1]" + close_tag("json"), "invalid_arguments", None, "not an object"),
        ('{"word": "x"}', "repaired", {"word": "x"}, "arguments as JSON, not as elements"),
        ("word", "malformed", None, "the text 'word' stands in the call and is no argument"),
        (argument("word", "x") + '{"most": 3}', "malformed", None, "stands behind its end: it is 'x', or a string"),
        (argument("most", "3", "number") + '{"word": 3}', "malformed", None, "is no argument"),
        ("\n" + argument("word", "x") + "\n", "repaired", {"word": "x"}, "white space between the tags of the call"),
        ("<|sep|>" + argument("word", "x"), "malformed", None, "a marker that makes no tag"),
    ],
)  # fmt: skip
def test_arguments_are_read_by_their_types(inside, status, arguments, reason):
    one = only(SECTION + call("find", inside) + END_SECTION)
    assert (one.status, one.arguments if one.usable else None) == (status, arguments)
    assert reason in one.reason


@pytest.mark.parametrize(
    ("opened", "status", "name", "index", "reason"),
    [
        ('call tool="stop" index="1"', "ok", "stop", 1, ""),
        ('call tool="stop"', "repaired", "stop", None, "no index"),
        ('call tool="stop" index="0"', "repaired", "stop", 0, "the index 0 where 1 is due"),
        ('call tool="stop" index="4"', "repaired", "stop", 4, "the index 4 where 1 is due"),
        ('call tool="stop" index="a"', "repaired", "stop", None, "the index 'a' is no number"),
        ('call index="1" tool="stop"', "repaired", "stop", 1, "attributes in another order"),
        ("call tool='stop' index='1'", "repaired", "stop", 1, "an attribute in single quotes"),
        (' call  tool = "stop" index="1" ', "repaired", "stop", 1, "white space within a tag"),
        ('call tool="stop" index="1" id="call_1"', "repaired", "stop", 1, "an attribute id of call"),
        ('call tool="stop" tool="find" index="1"', "malformed", None, None, "the attribute tool twice"),
        ('call stop', "malformed", None, None, "attributes that cannot be read"),
        ('call tool="functions.stop:3" index="1"', "repaired", "stop", 1, "the name 'functions.stop:3' read as stop"),
        ('call tool=" stop" index="1"', "repaired", "stop", 1, "the name ' stop' read as stop"),
        ('call tool="Stop" index="1"', "undeclared", "Stop", 1, "(spelled alike: stop)"),
        ('call tool="stop_1" index="1"', "undeclared", "stop_1", 1, "no tool 'stop_1' is on offer"),
        ('call tool="a&b" index="1"', "undeclared", "a&b", 1, "an '&' that is not escaped"),
    ],
)  # fmt: skip
def test_the_tag_of_a_call_names_the_tool_and_counts(opened, status, name, index, reason):
    one = only(f"{SECTION}<|open|>{opened}<|sep|>{END_CALL}{END_SECTION}")
    assert (one.status, one.name, one.index) == (status, name, index)
    assert reason in one.reason and (one.reason == "") == (status == "ok")


def test_an_index_that_stands_twice_is_said_of_the_second():
    parsed = read(SECTION + FIND + call("stop") + call("stop", index="2") + END_SECTION)
    assert [one.status for one in parsed.calls] == ["ok", "repaired", "ok"]
    assert parsed.calls[1].reason == "the index 1 where 2 is due"


def test_spaces_that_a_detokenizer_puts_around_markers_are_no_part_of_a_string():
    text = CALLED.replace("<|sep|>", " <|sep|> ").replace("<|open|>", " <|open|> ").replace("<|close|>", " <|close|> ")
    one = only(text.replace("  ", " ").strip())
    assert (one.status, one.arguments) == ("repaired", {"word": "x"})
    assert "as a server's detokenizer puts them" in one.reason


def test_tags_that_are_spoken_of_stay_content():
    for text in (
        f"Use {SECTION} and `{END_CALL}` there.",
        'It writes `<|open|>call tool="f" index="1"<|sep|>` and so on.',
        "K3 writes <|open|> and <|close|>.",
    ):
        for family in (None, K3):
            assert (read(text, family=family).content, read(text, family=family).calls) == (text, ())
        parsed = read(f"a{END_THINK}{RESPONSE}{text}{END_RESPONSE}{CALLED}")
        assert (parsed.reasoning, parsed.content, calls(parsed)) == ("a", text, [("find", "ok")])


def test_what_stands_between_calls_is_stray():
    parsed = read(f"{SECTION}now {FIND}then {STOP}{END_SECTION}")
    assert (parsed.stray, parsed.content, calls(parsed)) == (("now ", "then "), None, [("find", "ok"), ("stop", "ok")])


def test_a_call_whose_markers_are_gone_is_named():
    text = "I look.thinkresponseHm.responsetools" + "".join(
        f'call tool="{name}" index="{index}"argument key="word" type="string"xargumentcall'
        for index, name in enumerate(("find", "stop"), 1)
    )
    for family in (None, K3):
        parsed = read(text + "toolsmessage", family=family)
        assert calls(parsed) == [("find", "malformed"), ("stop", "malformed")]
        assert parsed.content == "I look.thinkresponseHm.responsetools" and parsed.family is K3
        assert all("skip_special_tokens" in one.reason for one in parsed.calls)
    assert wire.holds_call(text) and read(text, family=K2).calls == ()


@pytest.mark.parametrize(
    ("text", "family"),
    [
        (f"Hi{CALLED}", K3),
        ("Hi<|end_of_msg|>", K3),
        ("Hi<|close|>message", K3),
        (wire.format_calls([("find", {"word": END_ARGUMENT})]), K2),
        (f"K3 writes {SECTION} there." + wire.format_calls([("find", {})]), K2),
        (f"K2 writes {wire.SECTION_BEGIN} there.{CALLED}", K3),
        (f"{RESPONSE}{wire.format_calls([('find', {})])}", K3),
        ("Hi<|im_end|>", K2),
        ("Hi", None),
        (f"K3 writes {SECTION} there.", None),
        ("K3 writes <|open|> and <|sep|>", None),
    ],
)
def test_whose_output_it_is_the_first_marker_says_that_is_not_only_spoken_of(text, family):
    assert wire.of_output(text) is family
    assert wire.parse(text, TOOLS).family is (family or K2)


def test_markers_of_the_other_format_are_left_as_text_and_named():
    section = wire.format_calls([("find", {"word": "x"})])
    parsed = read(f"{RESPONSE}Hi{section}{END_RESPONSE}{CALLED}")
    assert (parsed.content, calls(parsed)) == ("Hi" + section, [("find", "ok")])
    assert "Kimi K2's format" in parsed.notes[0]
    other = read(f"Hi{section}{CALLED}", family=None)
    assert (other.content, calls(other)) == ("Hi" + CALLED, [("find", "ok")])
    assert "Kimi K3's format" in other.notes[0]

"""Whatever a model writes for XTML is read in linear time, without an exception, and nothing of it is lost."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from k2lab import wire
from k2lab.families import K2, K3
from k2lab.nano import folders
from k2lab.prompt.source import open_source
from k2lab.wire.xtml.tags import close_tag, open_tag
from tests.helpers.effort import assert_linear, examples
from tests.unit.wire.test_reader import MARKERS, check_places, fragments

TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {"a": {}}}}}
    for name in ("search", "read_news")
]
THINK, RESPONSE, TOOLS_OPEN = open_tag("think"), open_tag("response"), open_tag("tools")
CALL = open_tag("call", tool="search", index="1")
STRING = open_tag("argument", key="a", type="string")
NUMBER = open_tag("argument", key="a", type="number")
ENDED = close_tag("argument")
WHOLE = CALL + STRING + "x" + ENDED + close_tag("call")

tag_fragments = st.sampled_from(
    [
        *("<|open|>", "<|close|>", "<|sep|>", "<|end_of_msg|>", "[EOS]", "<|op", "<|open|>call"),
        *(THINK, RESPONSE, TOOLS_OPEN, CALL, STRING, NUMBER, ENDED, WHOLE),
        *map(close_tag, ("think", "response", "tools", "call", "message", "json")),
        *(open_tag("json", type="object"), open_tag("message", role="assistant"), open_tag("message", role="user")),
        *(open_tag("call", tool="read_news", index="2"), open_tag("call", tool="other"), open_tag("argument", key="b")),
        *("<|open|> call tool='search' index=\"1\" <|sep|>", '<|open|>call tool="a&b" tool="c"<|sep|>'),
        *("<|open|>other<|sep|>", " ", "\n", "x", '"', "5", '{"a": 1}', '{"a": "', "[", " and `", "` ", *MARKERS),
    ]
)
tagged = st.lists(tag_fragments | fragments | st.text(max_size=5), max_size=25).map("".join)


@examples(400)
@given(tagged, st.booleans(), st.sampled_from([None, True, False]), st.booleans(), st.sampled_from([None, K2, K3]))
@example(CALL, False, None, True, K3)
def test_any_text_is_read_without_an_exception_and_nothing_is_lost(text, strict, thinking, offered, family):
    parsed = wire.parse(text, TOOLS if offered else None, strict=strict, thinking=thinking, family=family)
    check_places(parsed, text)
    json.dumps(parsed.to_json())
    assert parsed.family is family or family is None
    assert "".join(parsed.texts) == text
    for call in parsed.calls:
        assert call.usable == (call.status in ("ok", "repaired"))
        assert (call.reason == "") == (call.status == "ok")
        if call.usable or call.status == "undeclared":
            assert call.name is not None and call.arguments is not None
        if strict:
            assert call.status != "repaired"
    wire.holds_call(text)


@examples(300)
@given(tagged | st.text(max_size=400), st.data(), st.sampled_from([None, True, False]), st.sampled_from([None, K3]))
def test_whole_equals_streamed(text, data, thinking, family):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    stream = wire.OutputStream(TOOLS, thinking=thinking, family=family)
    settled = "".join(stream.feed(text[a:b]) for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True))
    whole = wire.parse(text, TOOLS, thinking=thinking, family=family)
    assert stream.close() == whole
    assert (whole.content or "").startswith(settled)


@examples(200)
@given(tagged)
def test_a_long_content_is_settled_before_the_tags_come(text):
    stream = wire.OutputStream(family=K3)
    settled = "".join(stream.feed(part) for part in ["word " * 200, *text])
    assert settled.startswith("word word")
    assert (stream.close().content or "").startswith(settled)


@pytest.fixture(scope="module")
def nano_tokenizer():
    return open_source(folders.assemble("current")).tokenizer


@examples(150)
@given(st.lists(st.integers(0, 1023), max_size=60))
def test_any_ids_are_read_without_an_exception(nano_tokenizer, ids):
    parsed = wire.parse_ids(ids, nano_tokenizer, TOOLS, family=K3)
    assert all(0 <= call.start <= call.end <= len(ids) for call in parsed.calls)
    assert all(0 <= piece.start <= piece.end <= len(ids) for piece in parsed.pieces)


class Tokens:
    """A tokenizer whose tokens are given texts."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts

    def decode(self, ids):
        """Their texts, joined."""
        return "".join(self.texts[token] for token in ids)


WORDS = Tokens("<|open|>", "<|close|>", "<|sep|>", "<|end_of_msg|>", "[EOS]", "<|", "open", "close", "sep", "|>",
               "think", "response", "tools", "call", "argument", ' tool="search"', ' index="1"', ' key="a"',
               ' type="string"', ' type="object"', "x", " ", '{"a": 1}', '"')  # fmt: skip


@examples(400)
@given(st.lists(st.integers(0, len(WORDS.texts) - 1), max_size=60), st.sampled_from([None, True, False]))
def test_any_tokens_of_the_format_are_read_and_markers_spelled_as_text_are_none(ids, thinking):
    parsed = wire.parse_ids(ids, WORDS, TOOLS, thinking=thinking, family=K3)
    assert "".join(parsed.texts) == WORDS.decode(ids)
    for call in parsed.calls:
        assert WORDS.decode(ids[call.start : call.end]) == call.raw
        assert ids[call.start] == 0 or not set(ids) & {0, 1, 2, 3}


@pytest.mark.parametrize(
    "unit",
    [
        *("<|open|>", "<|close|>", "<|sep|>", "<|open|>call ", "<|end_of_msg|>[EOS] ", "[EOS]"),
        *(THINK + "a", THINK + "a" + close_tag("think"), RESPONSE, TOOLS_OPEN, CALL, STRING, NUMBER, ENDED, WHOLE),
        *(CALL + STRING + "x", CALL + STRING + "x" + ENDED, STRING + "x" + close_tag("call"), CALL + NUMBER + '{"a'),
        *(CALL + NUMBER + '"' + ENDED, close_tag("call"), ENDED + "x", ENDED + ENDED + "x", NUMBER + "5"),
        *(TOOLS_OPEN + WHOLE + close_tag("tools"), TOOLS_OPEN + WHOLE, WHOLE + ENDED, WHOLE + "x" + ENDED),
        *(open_tag("message", role="user") + "x", close_tag("message"), "<|open|>call tool=\"" + "a" * 300),
        *('<|open|>call tool="a" index="1" b="c" b="c"<|sep|>', "<|open|>call" + " " * 300, " `" + TOOLS_OPEN + "` "),
        *(open_tag("json", type="object") + '{"a": "', "<|open|>call tool=\"a", "<|open|>argument key='"),
    ],
)  # fmt: skip
def test_the_time_for_hostile_text_grows_as_its_length_does(unit):
    """Ten megabytes of it would take a quadratic reader hours."""

    def read(text):
        for begin in ("", TOOLS_OPEN + CALL + STRING):
            assert wire.parse(begin + text, TOOLS, family=K3).pieces[-1].end == len(begin + text)
        wire.parse(text, TOOLS)
        wire.foreign_form(text)
        wire.holds_call(text)

    assert_linear(read, unit)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "arguments",
    [
        *(
            STRING + "x" * 2_000_000,
            STRING + ENDED * 100_000,
            NUMBER + '"' + ENDED * 50_000,
            NUMBER + "[" * 1_000_000,
        ),
        *(STRING + (ENDED + "x") * 100_000, STRING * 100_000, (STRING + "x" + ENDED) * 40_000),
    ],
    ids=["string", "ends", "JSON ends", "brackets", "ends in text", "begins", "twice"],
)
def test_one_hostile_call_is_read(arguments):
    calls = wire.parse(TOOLS_OPEN + CALL + arguments, TOOLS).calls
    assert calls and not any(call.usable for call in calls)


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("Yes." + TOOLS_OPEN + WHOLE + close_tag("tools"), True),
        (WHOLE, True),
        ("A call opens with `<|open|>call` there.", False),
        (f"The tools open with {TOOLS_OPEN} and close.", False),
        (RESPONSE + "Hi" + close_tag("response"), False),
    ],
)
def test_a_call_that_leaked_into_a_text_is_seen(text, held):
    assert wire.holds_call(text) is held

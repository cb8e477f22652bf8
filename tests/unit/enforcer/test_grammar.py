"""A grammar in full, to be read: one tool, two calls, in both notations. And what no class of any grammar has."""

import contextlib
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from k2lab.enforcer import bytewise
from k2lab.enforcer.grammar import Grammar
from k2lab.enforcer.schema.characters import merged
from k2lab.errors import InputError
from tests.helpers.offered import enforced, tool
from tests.helpers.schemas import CATALOGUE, p

UNIT = {"enum": ["celsius", "fahrenheit"]}
WEATHER = tool("weather", {"properties": {"unit": UNIT, "days": {"type": "integer", "minimum": 1, "maximum": 14}}})


def test_a_grammar_of_two_optional_keys_and_two_calls():
    assert enforced([WEATHER], max_calls=2, first_index=3).grammar == snapshot("""\
root ::= r16 ("<|tool_calls_section_begin|>" r15 | "")
r0 ::= Regex("[ \\\\n\\\\r\\\\t]{0,16}")
r1 ::= "\\"celsius\\"" | "\\"fahrenheit\\""
r2 ::= "\\"unit\\"" r0 ":" r0 r1
r3 ::= [1-9] | "1" ([0-4])
r4 ::= "\\"days\\"" r0 ":" r0 r3
r5 ::= r0 ("}")
r6 ::= r0 ("," r0 (r4 r5) | "}")
r7 ::= r0 ("," r0 (r2 r5) | "}")
r8 ::= "{" r0 (r2 r6 | r4 r7 | "}")
r9 ::= "<|tool_call_begin|>functions."
r10 ::= "<|tool_call_argument_begin|>"
r11 ::= "<|tool_call_end|>"
r12 ::= "<|tool_calls_section_end|>"
r13 ::= "weather:"
r14 ::= r9 (r13 "4" r10 r8) r11 r12
r15 ::= r9 (r13 "3" r10 r8) r11 (r14 | r12)
r16 ::= TagDispatch(loop_after_dispatch=false, excludes=("<|tool_call", "<|im_"))\
""")


def test_a_grammar_without_macros_of_a_call_that_must_come():
    named = {"type": "function", "function": {"name": "weather"}}
    assert enforced([WEATHER], tool_choice=named, form="sglang", thinking="begun").grammar == snapshot("""\
root ::= r15 "</think>" r16 "<|tool_calls_section_begin|>" r14
r0 ::= Regex("[ \\\\n\\\\r\\\\t]{0,16}")
r1 ::= "\\"celsius\\"" | "\\"fahrenheit\\""
r2 ::= "\\"unit\\"" r0 ":" r0 r1
r3 ::= [1-9] | "1" ([0-4])
r4 ::= "\\"days\\"" r0 ":" r0 r3
r5 ::= r0 ("}")
r6 ::= r0 ("," r0 (r4 r5) | "}")
r7 ::= r0 ("," r0 (r2 r5) | "}")
r8 ::= "{" r0 (r2 r6 | r4 r7 | "}")
r9 ::= "<|tool_call_begin|>functions."
r10 ::= "<|tool_call_argument_begin|>"
r11 ::= "<|tool_call_end|>"
r12 ::= "<|tool_calls_section_end|>"
r13 ::= "weather:"
r14 ::= r9 (r13 "0" r10 r8) r11 r12
r15 ::= TagDispatch(loop_after_dispatch=false, excludes=("<|tool_call", "<|im_", "</think>"))
r16 ::= [ \\n\\r\\t]*\
""")
    assert enforced([WEATHER], tool_choice=named, form="tensorrt-llm").grammar == snapshot("""\
root ::= "<|tool_calls_section_begin|>" r14
r0 ::= [ \\n\\r\\t]{0,16}
r1 ::= "\\"celsius\\"" | "\\"fahrenheit\\""
r2 ::= "\\"unit\\"" r0 ":" r0 r1
r3 ::= [1-9] | "1" ([0-4])
r4 ::= "\\"days\\"" r0 ":" r0 r3
r5 ::= r0 ("}")
r6 ::= r0 ("," r0 (r4 r5) | "}")
r7 ::= r0 ("," r0 (r2 r5) | "}")
r8 ::= "{" r0 (r2 r6 | r4 r7 | "}")
r9 ::= "<|tool_call_begin|>functions."
r10 ::= "<|tool_call_argument_begin|>"
r11 ::= "<|tool_call_end|>"
r12 ::= "<|tool_calls_section_end|>"
r13 ::= "weather:"
r14 ::= r9 (r13 "0" r10 r8) r11 r12\
""")


def test_what_an_enforcement_says_as_json():
    tags = tool("tags", {"properties": {"all": {"type": "array", "uniqueItems": True, "items": {"maxLength": 60}}}})
    said = enforced([tags], loosen=True).to_json()
    assert {key: value for key, value in said.items() if key != "tag"} == snapshot(
        {
            "form": "vllm",
            "family": "K2",
            "first_index": 0,
            "max_calls": 8,
            "any_order": 4,
            "limits": [
                {
                    "tool": "tags",
                    "path": "/properties/all",
                    "keyword": "uniqueItems",
                    "reason": "the grammar does not follow it",
                }
            ],
            "losses": [
                {
                    "tool": "tags",
                    "path": "/properties/all/*",
                    "reason": "a string of at most 60 characters cannot hold <|t and <|i",
                }
            ],
        }
    )


def test_a_grammar_in_xtml_of_two_optional_arguments_and_two_calls():
    unit = {"properties": {"unit": {"type": ["string", "null"], "maxLength": 1}, "a&b": UNIT}}
    made = enforced([tool("weather", unit)], family="K3", max_calls=2, thinking="begun")
    root, rules = made.grammar.split("\n", 1)
    assert root.split() == snapshot(
        [
            "root",
            "::=",
            "r25",
            '"<|close|>think<|sep|>"',
            '"<|open|>response<|sep|>"',
            "r25",
            '"<|close|>response<|sep|>"',
            '("<|open|>tools<|sep|>"',
            "r24",
            "|",
            '"")',
            '("<|close|>message<|sep|>"',
            "|",
            '"")',
        ]
    )
    assert rules == snapshot("""\
r0 ::= "<|open|>argument key="
r1 ::= "<"
r2 ::= [\\u0000-\ud7ff\ue000-\U0010ffff] r1 | "<"
r3 ::= ">" r2
r4 ::= "null"
r5 ::= " type=\\"string\\"<|sep|"
r6 ::= "|close|>argument<|sep|>"
r7 ::= " type=\\"null\\"<|sep|>"
r8 ::= "<|close|>argument<|sep|>"
r9 ::= r5 r3 r6 | r7 r4 r8
r10 ::= r0 "\\"unit\\"" r9
r11 ::= ">celsius<" | ">fahrenheit<"
r12 ::= r5 r11 r6
r13 ::= r0 "\\"a&amp;b\\"" r12
r14 ::= ("")
r15 ::= (r13 r14 | "")
r16 ::= (r10 r14 | "")
r17 ::= "<|close|>call<|sep|>"
r18 ::= (r10 r15 | r13 r16 | "") r17
r19 ::= "<|open|>call tool=\\""
r20 ::= "\\"<|sep|>"
r21 ::= "weather\\" index=\\""
r22 ::= "<|close|>tools<|sep|>"
r23 ::= r19 (r21 "2" r20 r18) r22
r24 ::= r19 (r21 "1" r20 r18) (r23 | r22)
r25 ::= TagDispatch(loop_after_dispatch=false, excludes=("<|open|>", "<|close|>", "<|sep|>", "<|end_of_msg|>"))\
""")


SPAN = re.compile("(?=(.)-(.))", re.DOTALL)
"""The edges of a range of a class; a literal may hold the like, but none of these schemas has letters so far apart."""


def spans_of(grammar):
    """The ranges of all classes of a grammar, of which none is negated and none has half a surrogate pair."""
    spans = set(SPAN.findall(grammar))
    assert {span for span in spans if span[0] <= "\udfff" and span[1] >= "\ud800"} == set()
    assert "[^" not in grammar
    return spans


ANY_LETTER = {
    "vllm": {("\ue000", "\U0010ffff")},
    "tensorrt-llm": {("\ue001", "\U0010ff00"), ("\ue0ff", "\U0010fffe")},  # last bytes the wrong way round
}


@pytest.mark.long
@pytest.mark.parametrize("form", ["vllm", "tensorrt-llm"])
@pytest.mark.parametrize("family", ["K2", "K3"])
def test_no_class_of_any_grammar_has_half_a_surrogate_pair(family, form):
    made = []
    for schema in CATALOGUE.values():
        with contextlib.suppress(InputError):
            made.append(enforced([tool("f", p(schema))], family=family, form=form, loosen=True, max_calls=1).grammar)
    assert len(made) > 300 and sum(spans_of(grammar) >= ANY_LETTER[form] for grammar in made) > 100


BOUNDED = [{}, {"minLength": 1}, {"minLength": 3}, {"maxLength": 3}, {"maxLength": 90}, {"pattern": "."},
           {"pattern": "^[^a]{2,60}$"}, {"format": "iri"}, {"format": "idn-hostname"}]  # fmt: skip


@pytest.mark.parametrize("max_string", [None, 20])
@pytest.mark.parametrize("form", ["vllm", "tensorrt-llm"])
@pytest.mark.parametrize("family", ["K2", "K3"])
def test_no_class_of_a_string_has_half_a_surrogate_pair(family, form, max_string):
    keys = {"additionalProperties": False, "patternProperties": {"^x.$": {"type": "null"}}}
    for schema in ({"properties": {"p": {"type": "string", **bounds}}, **keys} for bounds in BOUNDED):
        made = enforced([tool("f", schema)], family=family, form=form, max_string=max_string, loosen=True)
        assert spans_of(made.grammar) >= ANY_LETTER[form]


def test_of_surrogates_within_a_range_of_a_pattern_none_is_written():
    grammar = Grammar()
    grammar.string({"pattern": "[a-\uffff]|b[^c]"}, "")
    spans = spans_of("".join(grammar.rules.values()))
    assert spans > {("a", "\ud7ff"), ("\ue000", "\uffff"), ("d", "\ud7ff"), ("\ue000", "\U0010ffff")}


EDGES = st.sampled_from([0x80, 0xFF, 0x100, 0x2027, 0x202A, 0x4E00, 0x9FA5, 0xD7FF, 0xE000, 0x10FFFF])
LETTERS = EDGES | st.integers(0x80, 0xD7FF) | st.integers(0xE000, 0x10FFFF)
RANGES = st.tuples(LETTERS, LETTERS).map(sorted)


@given(span=RANGES)
def test_an_engine_of_bytes_finds_nothing_between_the_edges_of_what_is_for_later_ones(span):
    low, high = span
    assume(low >> 8 < high >> 8)
    ends, cut = bytewise.upside_down(low, high)
    assert merged([*cut, *((end, end) for end in ends)]) == [(low, high)]
    assert all(a & 0xFF > b & 0xFF for a, b in cut)


@given(span=RANGES, letters=st.lists(st.characters(codec="utf-8"), min_size=20))
def test_bytes_of_a_range_are_those_that_utf_8_has_for_its_letters(span, letters):
    low, high = span
    high = min(high, 0xD7FF) if low < 0xD800 else high
    made = list(bytewise.in_utf8(low, high))
    for letter in [*letters, chr(low), chr(high)]:
        sequence = letter.encode()
        fits = [
            some
            for some in made
            if len(some) == len(sequence) and all(a <= byte <= b for byte, (a, b) in zip(sequence, some, strict=True))
        ]
        assert len(fits) == (low <= ord(letter) <= high), letter

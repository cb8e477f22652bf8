"""The whole tag as it is sent, for every schema of the catalogue: guarded strings, keys in any order, one call."""

import itertools
import json
import re

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from k2lab import wire
from k2lab.enforcer import MARKERS
from k2lab.enforcer.grammar import Grammar
from k2lab.enforcer.schema import translate
from k2lab.errors import InputError
from tests.helpers import strategies
from tests.helpers.effort import FEW, one_in
from tests.helpers.offered import enforced, tool
from tests.helpers.schemas import CATALOGUE, p
from tests.helpers.verdicts import blamed, judge_of, lost_signs

ONE_CALL = {"max_calls": 1, "tool_choice": "required", "loosen": True}
NO_ARGUMENTS = {"TestAnyOf 4"}
CALLED = [name for name in CATALOGUE if name not in NO_ARGUMENTS]
"""A schema that no object fits."""


def parameters(schema):
    """A schema as a tool's: itself where it is about objects or has references, else as a property's."""
    is_object = isinstance(schema, dict) and (schema.get("type") == "object" or "$ref" in json.dumps(schema))
    return {"type": "object", **schema} if is_object else p(schema)


def call(arguments):
    inside = f"{wire.CALL_BEGIN}functions.f:0{wire.ARGUMENT_BEGIN}{arguments}{wire.CALL_END}"
    return wire.SECTION_BEGIN + inside + wire.SECTION_END


def test_a_tool_whose_arguments_can_be_no_object_is_refused():
    for name in NO_ARGUMENTS & CATALOGUE.keys():
        with pytest.raises(InputError, match="no object"):
            enforced([tool("f", parameters(CATALOGUE[name]))])


@pytest.mark.parametrize("name", one_in(12, CALLED))
@FEW
@given(data=st.data())
def test_the_whole_tag_takes_what_a_schema_admits_and_nothing_invalid(name, data, accepted):
    asked = parameters(CATALOGUE[name])
    held(enforced([tool("f", asked)], **ONE_CALL), asked, data, accepted)


@pytest.mark.parametrize("form", ["vllm", "vllm-0.11"])
@given(schema=strategies.schemas(), data=st.data())
def test_the_whole_tag_of_any_schema_takes_what_it_admits_and_nothing_invalid(
    schema, data, form, accepted, accepted_by_older
):
    asked = parameters(schema)
    try:
        made = enforced([tool("f", asked)], **ONE_CALL, form=form)
    except InputError:
        reject()
    held(made, asked, data, accepted if form == "vllm" else accepted_by_older)


def held(made, asked, data, accepted):
    """That the grammar of a schema takes what it writes, and what is changed in that only where it is valid."""
    written = strategies.texts(translate(asked, kind="object").schema)
    texts, tried = (data.draw(st.lists(some, min_size=1, max_size=8)) for some in (written, strategies.tried(written)))
    answers = accepted(made.tag, [call(text) for text in [*texts, *tried]])
    lost = lost_signs(made)
    assert [text for text, ok in zip(texts, answers, strict=False) if not ok and not lost & set(text)] == []
    judge, named = judge_of(asked), {item.limit.keyword for item in made.limits}
    for text, ok in zip(tried, answers[len(texts) :], strict=True):
        if ok:
            assert named >= blamed(judge, json.loads(text), named), text


BOUNDS = (
    {},
    {"minLength": 2},
    {"maxLength": 128},
    {"maxLength": 129},
    {"minLength": 1, "maxLength": 500},
    {"pattern": "^[^b]{0,200}$"},
    {"pattern": "^.{130}"},
    {"pattern": "a"},
    {"format": "uri-reference", "maxLength": 100},
)


BROKEN = ["\n", "\\q", "\\", '"', "\t", f"{wire.CALL_END}"]


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
def test_no_bound_lets_a_string_pass_that_is_none(accepted, bounds):
    tag = enforced([tool("f", p({"type": "string", **bounds}))], max_calls=1, tool_choice="required", loosen=True).tag
    pad = "a" * 130 if "130" in str(bounds) else "aa"
    assert not any(accepted(tag, [call(f'{{"p": "{pad}{part}{end}"}}') for part in BROKEN for end in ("", pad)]))
    assert accepted(tag, [call(f'{{"p": "{pad}"}}')]) == [True]


BEYOND_ASCII = ({"pattern": "^[a\u4e00-\u9fa5]+$"}, {"pattern": "^a\\S+$"}, {"format": "iri"}, {"format": "idn-email"})


@pytest.mark.parametrize("bounds", [*BOUNDS, *BEYOND_ASCII], ids=str)
def test_nor_does_a_class_that_the_older_engine_reads_by_bytes(accepted, accepted_by_older, bounds):
    """xgrammar 0.1.25 compares a byte with the last bytes of a range's edges."""
    schema = p({"type": "string", **bounds})
    tag = enforced([tool("f", schema)], max_calls=1, tool_choice="required", loosen=True, form="vllm-0.11").tag
    pad = "a" * 130 if "130" in str(bounds) else {"iri": "a:b", "idn-email": "a@b"}.get(bounds.get("format"), "aa")
    for judge in (accepted, accepted_by_older):
        assert not any(judge(tag, [call(f'{{"p": "{pad}{part}{end}"}}') for part in BROKEN for end in ("", pad)]))
        assert judge(tag, [call(f'{{"p": "{pad}"}}')]) == [True]


FOREIGN = "\u044f\u4e2d\u20ac\u00e9\U0001f600\u9fa5\u9fa6\u0451\u2028\ufeffa0"
SETS = ("[\u0430-\u044f\u0451]", "[\u4e00-\u9fa5]", "[^\u00e9\u4e2d]", "\\S", ".", "[\u2000-\u9fa4]",
        "[\U0001f600-\U0001f64f]", "(?:\u00e9|[a-c]|\u4e2d{2})", "[\u00e8-\u0450a]")  # fmt: skip


@pytest.mark.parametrize("one", SETS)
def test_both_engines_take_the_very_letters_of_a_set_and_count_them(accepted, accepted_by_older, one):
    pattern = f"^{one}{{1,2}}$"
    made = enforced(
        [tool("f", p({"type": "string", "pattern": pattern}))], max_calls=1, tool_choice="required", form="vllm-0.11"
    )
    assert made.limits == made.losses == ()
    texts = ["".join(some) for size in (1, 2, 3) for some in itertools.product(FOREIGN, repeat=size)]
    fits = [re.fullmatch(js(pattern), text) is not None for text in texts]
    assert any(fits) and not all(fits)
    for judge in (accepted, accepted_by_older):
        assert judge(made.tag, [call(f'{{"p": "{text}"}}') for text in texts]) == fits


def js(pattern):
    """As ECMA 262 has it, to which U+FEFF is white space."""
    return pattern.replace("\\S", "[^\\s\ufeff]").replace(".", "[^\\n\\r\u2028\u2029]")


@pytest.mark.parametrize("lengths", [(1, None), (2, None), (0, 3), (2, 4), (2, 90)], ids=str)
def test_both_engines_count_letters_and_not_bytes(accepted, accepted_by_older, lengths):
    least, most = lengths
    string = {"type": "string", "minLength": least} | ({} if most is None else {"maxLength": most})
    tag = enforced([tool("f", p(string))], max_calls=1, tool_choice="required", form="vllm-0.11").tag
    counts = (0, 1, 2, 3, 4, 5, 89, 90, 91)
    fits = [least <= count <= (most or count) for count in counts]
    for letter in ("a", "\u044f", "\u4e2d", "\U0001f600", "\\n"):
        for judge in (accepted, accepted_by_older):
            assert judge(tag, [call(f'{{"p": "{letter * count}"}}') for count in counts]) == fits, letter


WHOLE, HALVES = ("\ud7ff", "\ue000", "\U0010ffff"), ("\ud800", "\udbff", "\udc00", "\udfff")
"""Characters beside the surrogates; and those, for whose bytes, as ``ED A0 80``, a server writes three U+FFFD."""


@pytest.mark.parametrize("form", ["vllm", "tensorrt-llm"])
@pytest.mark.parametrize("bounds", [*BOUNDS, {"pattern": "^.+$"}, {"pattern": "^a[\\S]*$"}], ids=str)
def test_bytes_of_half_a_surrogate_pair_are_no_character_of_a_string_or_a_key(
    accepted, accepted_by_older, bounds, form
):
    schema = {"properties": {"p": {"type": "string", **bounds}}, "additionalProperties": {"type": "null"}}
    tag = enforced([tool("f", schema)], max_calls=1, tool_choice="required", loosen=True, form=form).tag
    pad = "a" * 130 if "130" in str(bounds) else "aa"
    inside = ('{{"p": "{}"}}', '{{"{}": null}}')["format" in bounds :]
    texts = [call(one.format(f"{pad}{letter}")) for one in inside for letter in (*WHOLE, *HALVES)]
    for judge in (accepted, accepted_by_older)[: 1 + (form != "vllm")]:
        assert judge(tag, texts) == ([True] * len(WHOLE) + [False] * len(HALVES)) * len(inside)


ALPHABET = ("a", "<", "|", "t", "i", "\\n", "é", "\\u00e9")
PIECES = [list(text) for size in range(5) for text in itertools.product(ALPHABET, repeat=size)]
PIECES += [
    list(f"<|{text}") for text in ("tool_call", "tool_cal", "im_", "im", "tool_calx", "im<|im_", "tool_<|tool_call")
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
    made = enforced([tool("f", p(string))], max_calls=1, tool_choice="required", form=form)
    texts = ["".join(pieces) for pieces in PIECES]
    fits = [
        len(pieces) >= least and (most is None or len(pieces) <= most) and not any(map(text.__contains__, MARKERS))
        for pieces, text in zip(PIECES, texts, strict=True)
    ]
    found = accepted(made.tag, [call(f'{{"p": "{text}"}}') for text in texts])
    assert [text for text, ok, fit in zip(texts, found, fits, strict=True) if ok and not fit] == []
    missed = [text for text, ok, fit in zip(texts, found, fits, strict=True) if fit and not ok]
    assert (missed == []) == LENGTHS[lengths][form != "vllm"] == (not made.losses)


SHORT = ["".join(text) for size in range(5) for text in itertools.product("abc", repeat=size)]
SHORT += ["<", "<|", "a<b", "<|tool_call", "b<|im_", "<|i", "<<", "b<|im"]


@pytest.mark.parametrize("macros", [True, False])
@given(asked=strategies.patterns(["a", "b", "c", "[ab]", "[bc]", '[^a"]'], anchored=False))
def test_random_patterns_admit_what_re_matches_but_for_markers(asked, accepted, macros):
    grammar = Grammar(macros=macros)
    whole = grammar.text(grammar.string({"pattern": asked}, ""))
    tag = {"type": "structural_tag", "format": {"type": "grammar", "grammar": whole}}
    found = accepted(tag, [f'"{text}"' for text in SHORT])
    fits = [bool(re.fullmatch(asked, text)) and not any(map(text.__contains__, MARKERS)) for text in SHORT]
    assert found == fits or (grammar.losses and all(fit for ok, fit in zip(found, fits, strict=True) if ok))

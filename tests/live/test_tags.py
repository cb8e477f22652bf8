"""The whole tag as it is sent, for every schema of the catalogue: guarded strings, keys in any order, one call."""

import itertools
import json
import random
import re

import pytest
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for

from k2lab import wire
from k2lab.enforcer import MARKERS
from k2lab.enforcer.grammar import Grammar
from k2lab.enforcer.schema import translate
from k2lab.errors import InputError
from tests.helpers.offered import enforced
from tests.helpers.schemas import SCHEMAS, p
from tests.helpers.writer import WALLE, Writer, blamed, changed

NO_ARGUMENTS = {"objects: odd names", "objects: additional to odd names", "TestAnyOf 4"}
"""Schemas with a property that begins like a marker, and one that no object fits."""


def parameters(schema):
    """A schema as a tool's: itself where it is about objects or has references, else as a property's."""
    is_object = isinstance(schema, dict) and (schema.get("type") == "object" or "$ref" in json.dumps(schema))
    return {"type": "object", **schema} if is_object else p(schema)


def call(arguments):
    inside = f"{wire.CALL_BEGIN}functions.f:0{wire.ARGUMENT_BEGIN}{arguments}{wire.CALL_END}"
    return wire.SECTION_BEGIN + inside + wire.SECTION_END


def test_the_whole_tag_takes_what_a_schema_admits_and_nothing_invalid(accepted):
    refused, missed, wrong, valid, invalid = set(), [], [], 0, 0
    for name, schema in [*SCHEMAS, *WALLE]:
        asked, rng = parameters(schema), random.Random(name)
        tool = {"type": "function", "function": {"name": "f", "parameters": asked}}
        try:
            made = enforced([tool], max_calls=1, tool_choice="required", loosen=True)
        except InputError:
            refused.add(name)
            continue
        writer = Writer(translate(asked, kind="object").schema, name)
        written = list(dict.fromkeys(writer.text() for _ in range(12)))
        values = [json.loads(text) for text in written]
        tried = [json.dumps(changed(rng.choice(values), rng), ensure_ascii=False) for _ in range(24)]
        found = accepted(made.tag, [call(text) for text in [*written, *tried]])
        lost = "<" if made.losses else "no loss"  # what a loss names begins with it
        missed += [(name, text) for text, ok in zip(written, found, strict=False) if not ok and lost not in text]
        judge = validator_for(asked, default=Draft202012Validator)(asked)
        named = {item.limit.keyword for item in made.limits}
        valid += len(written)
        for text, ok in zip(tried, found[len(written) :], strict=True):
            value = json.loads(text)
            if not judge.is_valid(value):
                invalid += 1
                wrong += [(name, text)] if ok and not named >= blamed(judge, value, named) else []
    assert (missed, wrong) == ([], []) and refused <= NO_ARGUMENTS
    assert valid > 2000 and invalid > 2000


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


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
def test_no_bound_lets_a_string_pass_that_is_none(accepted, bounds):
    tool = {"type": "function", "function": {"name": "f", "parameters": p({"type": "string", **bounds})}}
    tag = enforced([tool], max_calls=1, tool_choice="required", loosen=True).tag
    pad = "a" * 130 if "130" in str(bounds) else "aa"
    broken = ["\n", "\\q", "\\", "\t", f"{wire.CALL_END}"]
    texts = [call(f'{{"p": "{pad}{part}{end}"}}') for part in broken for end in ("", pad)]
    assert not any(accepted(tag, texts))
    assert accepted(tag, [call(f'{{"p": "{pad}"}}')]) == [True]


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
    tool = {"type": "function", "function": {"name": "f", "parameters": p(string)}}
    made = enforced([tool], max_calls=1, tool_choice="required", form=form)
    texts = ["".join(pieces) for pieces in PIECES]
    fits = [
        len(pieces) >= least and (most is None or len(pieces) <= most) and not any(map(text.__contains__, MARKERS))
        for pieces, text in zip(PIECES, texts, strict=True)
    ]
    found = accepted(made.tag, [call(f'{{"p": "{text}"}}') for text in texts])
    assert [text for text, ok, fit in zip(texts, found, fits, strict=True) if ok and not fit] == []
    missed = [text for text, ok, fit in zip(texts, found, fits, strict=True) if fit and not ok]
    assert (missed == []) == LENGTHS[lengths][form != "vllm"] == (not made.losses)


LETTERS = ("a", "b", "c", "[ab]", "[bc]", '[^a"]')


def pattern(rng, depth):
    """A random pattern over three letters."""
    kind = rng.random()
    if depth == 0 or kind < 0.3:
        return rng.choice(LETTERS)
    if kind < 0.5:
        return pattern(rng, depth - 1) + pattern(rng, depth - 1)
    if kind < 0.78:
        return f"(?:{pattern(rng, depth - 1)}|{pattern(rng, depth - 1) if kind < 0.7 else ''})"
    return f"(?:{pattern(rng, depth - 1)})" + rng.choice(["?", "*", "+", "{2}", "{1,2}", "{0,3}", "{2,}"])


@pytest.mark.parametrize("macros", [True, False])
def test_random_patterns_admit_what_re_matches_but_for_markers(accepted, macros):
    rng = random.Random(7)
    texts = ["".join(text) for size in range(5) for text in itertools.product("abc", repeat=size)]
    texts += ["<", "<|", "a<b", "<|tool_call", "b<|im_", "<|i", "<<", "b<|im"]
    for _ in range(150):
        asked = pattern(rng, 4)
        grammar = Grammar(macros=macros)
        whole = grammar.text(grammar.string({"pattern": asked}, ""))
        tag = {"type": "structural_tag", "format": {"type": "grammar", "grammar": whole}}
        found = accepted(tag, [f'"{text}"' for text in texts])
        fits = [bool(re.fullmatch(asked, text)) and not any(map(text.__contains__, MARKERS)) for text in texts]
        assert found == fits or (grammar.losses and all(fit for ok, fit in zip(found, fits, strict=True) if ok)), asked

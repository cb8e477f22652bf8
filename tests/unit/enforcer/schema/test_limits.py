"""What is refused, what is large, and how soon either is known."""

import math
import time

import pytest

from k2lab.enforcer.schema import translate
from k2lab.enforcer.schema.finite import only_finite
from k2lab.errors import InputError
from tests.helpers.schemas import I, S, arr, obj, p


def test_what_never_ends_is_taken_out():
    endless, ends = {"$ref": "#/$defs/n"}, {"$ref": "#/$defs/l"}
    definitions = {
        "n": obj({"n": endless}, ["n"]),
        "l": obj({"next": {"anyOf": [endless, ends, I]}, "all": arr(endless), "n": endless}, ["next"]),
        "unused": I,
    }
    kept, root = only_finite(definitions, {"anyOf": [endless, ends]})
    assert root == ends
    assert kept == {"l": obj({"next": {"anyOf": [ends, I]}, "all": arr(False)}, ["next"])}
    assert only_finite(definitions, arr(endless, minItems=1)) == ({}, False)
    assert only_finite(
        {"m": {"type": "object", "additionalProperties": {"$ref": "#/$defs/m"}, "minProperties": 1}},
        {"$ref": "#/$defs/m"},
    ) == ({}, False)


def deep(levels, wrap):
    schema = I
    for _ in range(levels):
        schema = wrap(schema)
    return schema


def defined(schema, **definitions):
    return {**p(schema), "$defs": definitions}


def ref(name):
    return {"$ref": f"#/$defs/{name}"}


def pairs_of_references(wrap, levels=25):
    return {f"d{i}": wrap(ref(f"d{i + 1}"), ref(f"d{i + 1}")) for i in range(levels)} | {f"d{levels}": I}


REFUSED = {
    "type dict": (p({"type": "dict"}), "the schema is not a valid JSON Schema: .*'dict'"),
    "no schema": ([1], "must be an object or a boolean, not list"),
    "$ref missing": (p(ref("x")), r"/properties/p \$ref: '#/\$defs/x' is not there"),
    "$ref remote": (p({"$ref": "https://example.com/x"}), "only references within the schema"),
    "$ref to a list": (p({"$ref": "#/required"}), "the schema is not a valid JSON Schema"),
    "$ref to no schema": ({**p({"$ref": "#/x-y"}), "x-y": {"type": 5}}, "the schema is not a valid JSON Schema"),
    "$ref to itself": (defined(ref("a"), a=ref("a")), "refers to itself"),
    "$ref circular": (
        defined(ref("a"), a={**ref("b"), "minimum": 1}, b={**ref("a"), "maximum": 2}),
        "refers to itself",
    ),
    "allOf circular": (defined(ref("a"), a={"allOf": [ref("a"), I]}), "refers to itself"),
    "never ending": (defined(ref("a"), a=obj({"n": ref("a")}, ["n"])), "never ends"),
    "enum empty": (p({"enum": []}), "/properties/p lists no value"),
    "enum of another type": (p({"enum": ["a"], "type": "integer"}), "/properties/p lists no value"),
    "enum checked by a missing $ref": (p({"enum": [1], **ref("x")}), "'#/\\$defs/x' is not there: a listed value"),
    "enum checked in a circle": (defined({"enum": [1], **ref("a")}, a=ref("a")), "cannot be checked"),
    "false": (False, "/ is false"),
    "required false": (obj({"a": False}, ["a"]), "/properties/a is false"),
    "bounds": (p({"type": "integer", "minimum": 5, "maximum": 1}), "/properties/p has bounds that no integer"),
    "narrow bounds": (p({"type": "number", "exclusiveMinimum": 5, "maximum": 5}), "no number is within"),
    "no multiple": (p({"type": "integer", "multipleOf": 5, "minimum": 1, "maximum": 4}), "no integer is within"),
    "lengths": (p({"type": "string", "minLength": 5, "maxLength": 1}), "no string is within"),
    "items": (p(arr(I, minItems=3, maxItems=1)), "no array is within"),
    "items without end": (p(arr(I, minItems=10**12)), "no array is within"),
    "too many properties asked for": (obj({"a": I}, minProperties=2), "no object is within"),
    "required beyond maxProperties": (obj({"a": I}, ["a"], maxProperties=0), "no object is within"),
    "types apart": (p({"allOf": [I, S]}), "admits no type"),
    "draft 3": ({"$schema": "http://json-schema.org/draft-03/schema#", "type": "object"}, "too old"),
    "not a number": (p({"enum": [math.nan]}), "not JSON: it has the number nan"),
    "infinite": (p({"maximum": math.inf}), "not JSON"),
    "surrogate": (p({"enum": ["\ud800"]}), "not valid Unicode"),
    "tuple": (p({"enum": (1,)}), "has a tuple"),
    "$id within": (defined({"$id": "https://example.com/x", "items": ref("x")}, x=I), "'#/.*/x' is not there"),
    "deep 200": (deep(200, lambda s: obj({"x": s}, ["x"])), "80 levels"),
    "deep 2000": (deep(2000, arr), "80 levels"),
    "deep 100000": (deep(100_000, lambda s: {"not": s}), "80 levels"),
    "deep 23 of two levels": (deep(23, lambda s: obj({"x": s}, ["x"])), "nests 47 levels of JSON"),
    "deep 30": (deep(30, arr), "24 levels"),
    "5000 properties": (obj({f"p{i}": S for i in range(5000)}), "2000 objects and lists"),
    "enum of 20000": (p({"enum": list(range(20_000))}), "10000 values"),
    "anyOf doubling": (p(deep(12, lambda s: {"anyOf": [s, arr(s)]})), "2000 objects and lists"),
    "anyOf multiplying": (
        {"allOf": [{"anyOf": [{"required": [f"a{i}"]}, {"required": [f"b{i}"]}]} for i in range(14)]},
        "2000 parts",
    ),
    "enum checked by 2^25 references": (
        defined({**ref("d0"), "enum": ["a"]}, **pairs_of_references(lambda a, b: {"anyOf": [a, b]})),
        "5000 times",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_translated_is_refused_soon_in_one_line(name):
    schema, said = REFUSED[name]
    began = time.process_time()
    with pytest.raises(InputError, match=said) as refused:
        translate(schema)
    assert time.process_time() - began < 3 and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "schema",
    [
        defined(ref("d0"), **pairs_of_references(lambda a, b: obj({"a": a, "b": b}, ["a", "b"]))),
        defined(ref("d0"), **pairs_of_references(lambda a, b: {"anyOf": [a, b]})),
        defined(ref("d0"), **pairs_of_references(lambda a, b: {"allOf": [a, b, {"minimum": 1}]}, 20)),
        defined(
            ref("a"),
            a=obj({"c": {"allOf": [ref("a"), ref("b")]}}),
            b=obj({"c": {"allOf": [ref("b"), obj({"c": ref("a")})]}}),
        ),
        p({"type": "string", "minLength": 10**6}),
        p({"type": "string", "pattern": "^" + "(" * 90 + "a" + ")?" * 90 + "$"}),
        obj({f"p{i}": S for i in range(1500)}, additionalProperties=True),
        obj({f"q{i}": S for i in range(400)}, patternProperties={f"^p{i}": I for i in range(400)}),
        p({"type": "string", "enum": [f"v{i}" for i in range(10_000)]}),
        {"oneOf": [obj({"k": {"const": f"v{i}"}}, ["k"]) for i in range(300)]},
        p(deep(8, lambda s: {"anyOf": [s, arr(s)]})),
    ],
)
def test_what_is_large_is_translated_soon(schema):
    began = time.process_time()
    translate(schema)
    assert time.process_time() - began < 3


def test_a_format_that_comes_often_counts_once():
    text = {"type": "string", "format": "iri-reference"}
    assert len(translate(obj({f"p{i}": text for i in range(200)})).schema["properties"]) == 200


def test_a_schema_too_large_as_a_grammar_is_refused_with_its_size():
    with pytest.raises(InputError, match="the schema takes 488 KiB as the grammar follows it, at most 256"):
        translate(p({"enum": [f"{i:04}" + "x" * 100_000 for i in range(5)]}))

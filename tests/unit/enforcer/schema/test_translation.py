"""Schemas that have an equal form a grammar can hold, and what is named where there is none."""

import json
import re

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from k2lab.enforcer.schema import formats, translate
from k2lab.errors import InputError
from tests.helpers import strategies
from tests.helpers.schemas import NULL, B, I, N, S, arr, obj, p
from tests.helpers.translated import limits, made
from tests.helpers.verdicts import blamed, judge_of


def closed(properties, required=(), **more):
    needed = {"required": list(required)} if required else {}
    return {"type": "object", "properties": properties, **needed, **more, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object", "properties": {}}, {"type": "object", "additionalProperties": False}),
        ({"type": "object"}, {"type": "object", "additionalProperties": {}}),
        (obj({"a": I}, ["a"]), closed({"a": I}, ["a"])),
        (obj({"a": I}, ["z"]), closed({"a": I, "z": {}}, ["z"])),
        ({"properties": {"a": True}}, closed({"a": {}})),
        (obj({"a": I, "b": False}), closed({"a": I})),
        ({"type": ["object", "null"], "properties": {"a": I}}, {"anyOf": [closed({"a": I}), {"type": "null"}]}),
        ({"minimum": 3}, {"type": "number", "minimum": 3}),
        (
            {"minLength": 2, "minimum": 3},
            {"anyOf": [{"type": "string", "minLength": 2}, {"type": "number", "minimum": 3}]},
        ),
        ({"type": ["integer", "number"]}, N),
        ({"type": "integer", "enum": [1, "a", 2.0, True]}, {"enum": [1, 2.0]}),
        ({"enum": [1, 2], "const": 2.0}, {"enum": [2.0]}),
        ({"enum": [0.5, 0.1, 2**80]}, {"anyOf": [{"enum": [0.5]}, {"type": "number", "minimum": 0.1, "maximum": 0.1}]}),
        (
            {"allOf": [{"type": "integer"}, {"minimum": 3}, {"minimum": 5, "maximum": 9}]},
            {"type": "integer", "minimum": 5, "maximum": 9},
        ),
        ({"allOf": [{"type": ["integer", "string"]}, {"type": ["number", "null"]}]}, I),
        ({"allOf": [{"enum": [1, True, "a"]}, {"enum": [1.0, "a"]}]}, {"enum": [1, "a"]}),
        (
            {"allOf": [obj({"a": I}, ["a"]), obj({"b": S, "a": {"minimum": 1}}, ["b"])]},
            closed({"a": {"type": "integer", "minimum": 1}, "b": S}, ["a", "b"]),
        ),
        ({"allOf": [obj({"a": I}, additionalProperties=False), obj({"b": S})]}, closed({"a": I})),
        (
            {"allOf": [arr(I), {"prefixItems": [{"minimum": 3}]}]},
            {"type": "array", "prefixItems": [{"type": "integer", "minimum": 3}], "items": I},
        ),
        (
            {"type": "integer", "anyOf": [{"minimum": 3}, {"maximum": -3}]},
            {"anyOf": [{"type": "integer", "minimum": 3}, {"type": "integer", "maximum": -3}]},
        ),
        (
            {**obj({"a": I, "b": S}), "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"anyOf": [closed({"a": I, "b": S}, ["a"]), closed({"a": I, "b": S}, ["b"])]},
        ),
        ({"anyOf": [I, False]}, I),
        ({"anyOf": [I, S], "allOf": [{"anyOf": [{"type": "integer"}, {"type": "null"}]}]}, I),
        ({"type": "array"}, {"type": "array", "items": {}}),
        ({"type": "array", "maxItems": 3}, {"type": "array", "items": {}, "maxItems": 3}),
        ({"type": "array", "prefixItems": [I, S]}, {"type": "array", "prefixItems": [I, S], "items": {}}),
        (
            {"type": "array", "prefixItems": [I, S, B], "maxItems": 2},
            {"type": "array", "prefixItems": [I, S], "items": False},
        ),
        ({"type": "array", "prefixItems": [I, False]}, {"type": "array", "prefixItems": [I], "items": False}),
        (
            {"type": "array", "prefixItems": [I], "unevaluatedItems": S},
            {"type": "array", "prefixItems": [I], "items": S},
        ),
        (
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "type": "array",
                "items": [I],
                "additionalItems": False,
            },
            {"type": "array", "prefixItems": [I], "items": False},
        ),
        (
            {
                "$schema": "http://json-schema.org/draft-04/schema#",
                "type": "integer",
                "minimum": 0,
                "exclusiveMinimum": True,
            },
            {"type": "integer", "minimum": 1},
        ),
        (obj({"a": I}, allOf=[obj({"b": S})], unevaluatedProperties=False), closed({"a": I, "b": S})),
        (obj({"a": I}, allOf=[{"properties": {"b": S}, "unevaluatedProperties": False}]), closed({"b": S})),
        (
            {"type": "object", "propertyNames": {"enum": ["a", "b"]}, "additionalProperties": I},
            closed({"a": I, "b": I}),
        ),
        (
            {"type": "integer", "exclusiveMinimum": 1.5, "maximum": 1e30},
            {"type": "integer", "minimum": 2, "maximum": 2**63 - 1},
        ),
        ({"type": "integer", "multipleOf": 5, "minimum": 1, "maximum": 20}, {"enum": [5, 10, 15, 20]}),
        ({"type": "number", "multipleOf": 2}, {"type": "integer", "multipleOf": 2}),
        ({"type": "number", "minimum": 5, "exclusiveMinimum": 5}, {"type": "number", "exclusiveMinimum": 5}),
        ({"type": "number", "minimum": 2**53 + 1}, {"type": "number", "minimum": 2**53 + 2}),
        ({"type": "string", "format": "color"}, S),
        ({"type": "string", "format": "uuid"}, {"type": "string", "pattern": formats.whole("uuid").text}),
        (
            {"type": "string", "format": "date", "minLength": 1, "maxLength": 10},
            {"type": "string", "pattern": formats.whole("date").text},
        ),
        (
            {"type": "string", "pattern": "^[a-z]{2,3}$", "minLength": 2},
            {"type": "string", "pattern": "(?:[a-z]){2,3}"},
        ),
        ({"$ref": "#/$defs/x", "$defs": {"x": I}}, {"$ref": "#/$defs/d0", "$defs": {"d0": I}}),
        (
            {**p({"$ref": "#/$defs/x", "minimum": 5}), "$defs": {"x": I}},
            {**closed({"p": {"$ref": "#/$defs/d0"}}, ["p"]), "$defs": {"d0": {"type": "integer", "minimum": 5}}},
        ),
        ({"oneOf": [{"const": "a", "title": "A"}, {"const": "b"}]}, {"anyOf": [{"enum": ["a"]}, {"enum": ["b"]}]}),
        (
            {**obj({"a": I, "n": {"$ref": "#/$defs/n"}}), "$defs": {"n": obj({"n": {"$ref": "#/$defs/n"}}, ["n"])}},
            closed({"a": I}),
        ),
        (
            {**arr({"$ref": "#/$defs/n"}), "$defs": {"n": arr({"$ref": "#/$defs/n"}, minItems=1)}},
            {"type": "array", "items": False},
        ),
        (
            obj({"a": obj({"x": I, "y": I}), "b": obj({"y": I, "x": I})}),
            closed({"a": closed({"x": I, "y": I}), "b": closed({"y": I, "x": I})}),
        ),
    ],
)
def test_what_has_an_equal_form_is_rewritten(schema, expected):
    assert made(schema) == expected


def test_keys_stand_in_the_order_in_which_they_are_declared():
    schema = obj({"b": I, "a": I}, ["z"], allOf=[obj({"c": I, "b": {"minimum": 1}})])
    assert list(made(schema)["properties"]) == ["b", "a", "c", "z"]


def test_other_keys_are_told_from_the_declared_ones():
    schema = made(obj({"a": I, "é": I, 'q"': I}, additionalProperties=S))
    [(pattern, value)] = schema["patternProperties"].items()
    assert value == S and schema["additionalProperties"] is False
    for key in ("", "b", "ab", "é ", "aa"):
        assert re.fullmatch(pattern, key)
    for key in ("a", "é", 'q"', "\\u0061"):
        assert not re.fullmatch(pattern, key)


@pytest.mark.parametrize(
    ("keyword", "schema"),
    [
        ("not", {"type": "string", "not": {"const": "a"}}),
        ("if", {"type": "string", "if": {"minLength": 3}, "then": {"pattern": "^a"}}),
        ("dependentRequired", obj({"a": I}, dependentRequired={"a": ["b"]})),
        ("dependentSchemas", obj({"a": I}, dependentSchemas={"a": {"required": ["b"]}})),
        ("uniqueItems", arr(I, uniqueItems=True)),
        ("contains", arr(I, contains={"minimum": 3})),
        ("$dynamicRef", {"$dynamicRef": "#x"}),
        ("propertyNames", obj({"a": I}, propertyNames={"maxLength": 2}, additionalProperties=True)),
        ("multipleOf", {"type": "number", "multipleOf": 0.5}),
        ("multipleOf", {"type": "integer", "multipleOf": 5, "minimum": 0}),
        ("minimum", {"type": "integer", "minimum": 2**63}),
        ("minLength", {"type": "string", "minLength": 10**6}),
        ("maxLength", {"type": "string", "maxLength": 3, "pattern": "^a+b+$"}),
        ("minProperties", {"type": "object", "minProperties": 2}),
        ("maxProperties", obj({f"p{i}": I for i in range(20)}, maxProperties=3)),
        ("patternProperties", obj({"xa": S}, patternProperties={"^x": I})),
        ("patternProperties", {"type": "object", "patternProperties": {"a": S, "b": I}}),
        ("patternProperties", {"type": "object", "patternProperties": {"(?=a)": S}}),
        (
            "additionalProperties",
            {"allOf": [obj({"a": I}, additionalProperties=False), {"patternProperties": {"^x": I}}]},
        ),
        ("additionalProperties", obj({"a" * 100: I}, additionalProperties=S)),
        (
            "unevaluatedProperties",
            {"allOf": [{"anyOf": [obj({"a": I})], "unevaluatedProperties": False}, obj({"b": I})]},
        ),
        ("oneOf", {"oneOf": [I, N]}),
        ("oneOf", {"oneOf": [{"const": 1}, {"const": 1.0}]}),
        ("oneOf", {"type": "object", "oneOf": [{"properties": {"a": I}}, {"properties": {"b": I}}]}),
    ],
)
def test_what_is_not_held_is_named_with_its_place(keyword, schema):
    assert limits(schema) == {("", keyword)} or keyword == "unevaluatedProperties"
    assert ("/properties/a~1b/items", keyword) in limits(obj({"a/b": arr(schema)}))
    assert keyword in str(translate(schema).limits[0])


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "uniqueItems": True},
        arr(I, uniqueItems=False),
        {**S, "if": {"minLength": 2}},
        obj({}, dependentRequired={}),
        {"enum": ["a", "b"], "not": {"const": "b"}},
        {"oneOf": [S, {"type": "null"}]},
        {"oneOf": [obj({"k": {"const": "a"}}, ["k"]), obj({"k": {"enum": ["b", "c"]}}, ["k"])]},
        {"oneOf": [obj({"k": I}, ["k"]), obj({"k": S}, ["k"])]},
        {"oneOf": [obj({"a": I}, ["a"]), obj({"b": I}, ["b"])]},
        {
            "type": "object",
            "required": ["k"],
            "oneOf": [{"properties": {"k": {"const": "a"}}}, {"properties": {"k": {"const": "b"}}}],
        },
        {"oneOf": [{"enum": ["a"]}, {"type": "string", "minLength": 2}]},
    ],
)
def test_what_says_nothing_more_is_no_limit(schema):
    assert limits(schema) == set()


OBJECT = {"type": "object", "additionalProperties": {}}


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        (True, OBJECT),
        ({}, OBJECT),
        ({"description": "nothing"}, OBJECT),
        ({"type": ["object", "string"]}, OBJECT),
        ({"type": ["null", "object"], "properties": {"a": I}}, closed({"a": I})),
        ({"properties": {"a": I}, "minLength": 3}, closed({"a": I})),
        ({"anyOf": [S, obj({"a": I}), NULL]}, closed({"a": I})),
        ({"oneOf": [obj({"a": I}, ["a"]), arr(I)]}, closed({"a": I}, ["a"])),
        ({"allOf": [{"type": ["object", "string"]}, {"properties": {"a": I}}]}, closed({"a": I})),
        ({"enum": [1, {"a": 1}, "x"]}, {"enum": [{"a": 1}]}),
        (
            {"$ref": "#/$defs/x", "$defs": {"x": {"anyOf": [obj({"a": I}), S]}}},
            {"$ref": "#/$defs/d0", "$defs": {"d0": closed({"a": I})}},
        ),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/x", "definitions": {"x": {}}},
            {"$ref": "#/$defs/d0", "$defs": {"d0": OBJECT}},
        ),
    ],
)
def test_arguments_are_an_object_whatever_else_a_root_admits(root, expected):
    assert translate(root, kind="object").schema == expected


def test_a_root_within_itself_is_narrowed_at_the_root_alone():
    found = translate({"type": ["object", "string"], "properties": {"n": {"$ref": "#"}}}, kind="object").schema
    inner = found["properties"]["n"]["$ref"].removeprefix("#/$defs/")
    assert {branch["type"] for branch in found["$defs"][inner]["anyOf"]} == {"object", "string"}


@pytest.mark.parametrize("root", [False, S, arr(I), {"enum": [1, "a"]}, {"anyOf": [S, NULL]}, {"const": None}])
def test_a_root_that_no_object_fits_is_refused(root):
    with pytest.raises(InputError, match="no object, which arguments always are, fits the schema: /"):
        translate(root, kind="object")


@given(schema=strategies.schemas(), data=st.data())
def test_what_is_written_by_any_translated_schema_is_valid_but_where_a_limit_names_it(schema, data):
    try:
        found = translate(schema)
    except InputError:
        reject()
    judge, named = judge_of(schema), {limit.keyword for limit in found.limits}
    for text in data.draw(st.lists(strategies.texts(found.schema), min_size=1, max_size=4)):
        assert named >= blamed(judge, json.loads(text), named), text


def test_a_declared_property_that_a_pattern_matches_too_is_told_by_the_limit_of_the_pattern():
    schema = {"type": "object", "properties": {"a": {"type": "array"}}, "patternProperties": {"^[ab]+$": True}}
    [limit] = translate(schema).limits
    assert blamed(judge_of(schema), {"a": None}, {limit.keyword}) == {"patternProperties"}
    assert blamed(judge_of({**schema, "patternProperties": {"^b": True}}), {"a": None}, {limit.keyword}) == {"type"}

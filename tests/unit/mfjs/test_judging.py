"""What is refused is what Moonshot's own cases say, at its place; anything else is judged in bounded time."""

import copy
import json

import pytest
from hypothesis import given

from k2lab.mfjs import refusals, refusals_of_text
from k2lab.mfjs.rulebook import RULES
from tests.conftest import ROOT
from tests.helpers.effort import within
from tests.helpers.strategies import schemas
from tests.unit.test_jsonread import VALUES

MESSAGES = {
    "additionalProperties must be": "additional_properties_not_a_schema",
    "minLength must be an integer": "bound_not_a_number",
    "minLength must be non-negative": "bound_negative",
    "minLength": "keyword_beside_any_of",
    "type should be defined in anyOf": "type_beside_any_of",
    "anyOf must be an array": "any_of_not_a_list",
    "schema in anyOf must be": "any_of_not_an_object",
    "reserved for JSON Schema": "property_reserved",
    "$defs must be an object": "defs_not_an_object",
    "properties must be an object": "properties_not_an_object",
    "must be an object": "property_not_an_object",
    "must be at root level": "not_at_root",
    "enum must be an array": "enum_not_a_list",
    "does not match any type": "enum_value_of_other_type",
    "not a valid number": "enum_value_of_other_type",
    "enum array cannot be empty": "enum_empty",
    "is not allowed in combination": "keyword_beside_types",
    "not allowed in combination with enum": "enum_types",
    "invalid type": "type_unknown",
    "type must be string or array": "type_not_a_name",
    "type array cannot be empty": "types_empty",
    "contain '/' character": "slash_in_definitions",
    "$defs property name cannot be empty": "definition_without_name",
    "$defs schema must be object": "definition_not_an_object",
    "$defs not found": "ref_not_found",
    "$ref must be a string": "ref_not_a_text",
    "description must be a string": "description_not_a_text",
    "unsupported keywords": "keyword_not_supported",
    "patternProperties": "keyword_not_supported",
    "$id must be a string": "id_not_a_text",
    "is not allowed at the same level as anyOf": "keyword_beside_any_of",
    "invalid keywords": "keyword_of_other_type",
    "schema depth exceeds": "too_many_levels",
    "greater than": "bounds_crossed",
    "non-negative": "bound_negative",
    "not a valid integer": "bound_not_whole",
    "must be a number": "bound_not_a_number",
    "must be an integer": "bound_not_a_number",
    "infinite recursion": "recursion_without_end",
    "required must be an array": "required_not_a_list",
    "is not defined in properties": "required_not_declared",
    "'properties' keyword is missing": "required_not_declared",
}
"""Moonshot's messages, by a part of each, and the rule that stands for them."""


def rule_of(case):
    return next(rule for part, rule in MESSAGES.items() if part in case["expect"])


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_moonshots_own_cases_are_judged_as_its_validator_does(shared):
    cases = read(shared / "walle" / "cases.jsonl")
    assert len(cases) == 197
    for case in cases:
        rules = {refusal.rule for refusal in refusals_of_text(case["schema"])}
        if case["valid"]:
            assert rules == set(), case
        elif case["unmarshal"]:
            assert rules <= {"not_json", "not_an_object"} and rules, case
        else:
            assert rule_of(case) in rules, case


def test_moonshots_other_schemas_are_accepted(shared):
    for path in (shared / "walle").glob("Test*.jsonl"):
        assert [found for schema in read(path) if (found := refusals(schema))] == []


@pytest.mark.parametrize(
    ("schema", "places"),
    [
        ({"type": "string", "const": 1}, {"/const": "keyword_not_supported"}),
        ({"type": "object", "properties": {"a/b~c": {}}}, {"/properties/a~1b~0c": "type_missing"}),
        ({"type": "object", "properties": {"a": {"enum": [1]}}}, {"/properties/a": "enum_without_type"}),
        ({"type": "array", "items": {}}, {"/items": "items_empty"}),
        ({"type": "object", "additionalProperties": {}}, {}),
        ({"type": ["number", "null"], "enum": [1, None]}, {"/enum/1": "enum_null_after_number"}),
        ({"type": ["null", "number"], "enum": [1, None]}, {}),
        ({"type": "integer", "enum": [2**53 + 1]}, {"/enum/0": "number_not_exact"}),
        ({"type": "string", "pattern": "^a"}, {}),
        ({"type": "string", "pattern": 1}, {"/pattern": "pattern_not_a_text"}),
        ({"type": "string", "title": 1}, {"/title": "title_not_a_text"}),
        ({"type": ["string", "string"]}, {"/type/1": "type_twice"}),
        ({"type": "object", "properties": {"": {"type": "null"}}}, {"/properties/": "property_without_name"}),
        (
            {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a", "a", 1]},
            {"/required/1": "required_twice", "/required/2": "required_not_a_name"},
        ),
        (
            {"anyOf": [{"type": "string", "description": "b"}], "description": "a"},
            {"/anyOf/0/description": "said_twice"},
        ),
        (
            {
                "type": "object",
                "properties": {"a": {"$ref": "#/$defs/A", "description": "mine"}},
                "$defs": {"A": {"type": "string", "description": "its"}},
            },
            {"/properties/a/description": "said_twice"},
        ),
        ({"type": "object", "$ref": "https://example.com/a"}, {"/type": "type_beside_ref", "/$ref": "ref_not_local"}),
        ({"anyOf": []}, {"/anyOf": "any_of_empty"}),
        ({"anyOf": [{"type": "null"}] * 11}, {"/anyOf": "too_many_branches"}),
        ({"type": "integer", "enum": list(range(1001))}, {"/enum": "too_many_values"}),
        ({"type": "string", "minLength": None, "maxLength": None}, {}),
    ],
    ids=range(21),
)
def test_each_refusal_has_its_place(schema, places):
    before = copy.deepcopy(schema)
    assert {refusal.path: refusal.rule for refusal in refusals(schema)} == places
    assert schema == before


def test_who_refuses_is_said():
    many = {"type": "object", "properties": {f"p{i}": {"type": "null"} for i in range(101)}}
    assert [refusal.by for refusal in refusals(many)] == ["documentation"]
    more = {"type": "object", "properties": {f"p{i}": {"type": "null"} for i in range(3001)}}
    assert [refusal.by for refusal in refusals(more)] == ["server"]
    assert [refusal.by for refusal in refusals({"type": "string", "format": "date"})] == ["validator"]


def test_how_a_text_is_written_is_judged_too():
    text = '{"type": "object", "properties": {"a": {"type": "null"}, "a": {"type": "number", "enum": [1E2]}}}'
    assert {refusal.path: refusal.rule for refusal in refusals_of_text(text)} == {
        "/properties/a": "property_twice",
        "/properties/a/enum/0": "number_notation",
    }
    assert [refusal.rule for refusal in refusals_of_text('\ufeff{"type": "null"}')] == ["not_json"]
    assert [refusal.rule for refusal in refusals_of_text(b"\xff")] == ["not_json"]


def deep(levels):
    schema = {"type": "null"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


def chain(length):
    links = {f"d{i}": {"$ref": f"#/$defs/d{i + 1}"} for i in range(length)}
    return {"$ref": "#/$defs/d0", "$defs": {**links, f"d{length}": {"type": "null"}}}


def ring(length):
    return {"$ref": "#/$defs/d0", "$defs": {f"d{i}": {"$ref": f"#/$defs/d{(i + 1) % length}"} for i in range(length)}}


def within_itself():
    schema = {"type": "object", "properties": {}}
    schema["properties"] |= {"a": schema, "b": schema}
    return schema


HOSTILE = {
    "none": (None, "not_an_object"),
    "deep": (deep(50_000), "nested_too_deeply"),
    "properties": ({"type": "object", "properties": {f"p{i}": {} for i in range(30_000)}}, "too_many_properties"),
    "keywords": ({f"k{i}": i for i in range(20_000)}, "keyword_not_supported"),
    "chain": (chain(2000), ""),
    "ring": (ring(2000), "recursion_without_end"),
    "itself": (within_itself(), "schema_too_large"),
    "huge": ({"type": "integer", "minimum": 10**5000}, "number_too_large"),
    "nan": ({"type": "number", "minimum": float("nan")}, "not_json"),
    "key": ({"type": "object", "properties": {1: {"type": "null"}}}, "not_json"),
    "bytes": ({"type": "string", "enum": [b"a"]}, "not_json"),
    "surrogate": ({"type": "string", "enum": ["\ud800"], "\udfff": 1}, "keyword_not_supported"),
    "long names": (
        {"x" * 200_000: {}, "properties": {"y" * 200_000: {str(i): 1 for i in range(3000)}}},
        "schema_too_large",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_hostile_is_judged_in_little_time(name):
    schema, rule = HOSTILE[name]
    with within(4):
        found = refusals(schema)
    assert (rule in {refusal.rule for refusal in found}) if rule else found == ()
    assert len(found) <= 501 and all(len(refusal.words) < 400 for refusal in found)


@given(VALUES | schemas())
def test_anything_is_judged_and_each_refusal_is_of_a_rule_with_a_place_that_is_there(value):
    before = copy.deepcopy(value)
    for refusal in refusals(value):
        assert refusal.rule in RULES and ";" in refusal.words
        at = value
        for step in refusal.path.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            at = at[int(key)] if isinstance(at, list) else at[key]
    assert value == before
    assert refusals_of_text(json.dumps(value)) == refusals(value)


VERDICTS = [json.loads(line) for line in (ROOT / "tests" / "data" / "mfjs.jsonl").read_text().splitlines()]
"""Schemas made at random, and what walle 196bb0c, built from its source, says of them at its levels."""


@pytest.mark.parametrize("by", ["accepted", "validator", "server"])
def test_random_schemas_are_judged_as_moonshots_validator_does_at_each_level(by):
    cases = [case["schema"] for case in VERDICTS if case["by"] == by]
    assert len(cases) >= 60
    for schema in cases:
        said = {refusal.by for refusal in refusals(schema)} - {"documentation"}
        assert said == set() if by == "accepted" else by in said and said <= {"validator", by}, schema

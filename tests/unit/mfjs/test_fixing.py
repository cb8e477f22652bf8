"""What is written anew is accepted, says the same where it says so, and names what it does not."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from k2lab.enforcer.schema import translate
from k2lab.errors import InputError
from k2lab.mfjs import fixed, refusals
from k2lab.prompt.typescript import function_text
from tests.helpers.effort import examples, within
from tests.helpers.schemas import SCHEMAS
from tests.helpers.strategies import ANYTHING, changed, schemas, texts
from tests.unit.mfjs.test_judging import HOSTILE, chain, deep, ring
from tests.unit.test_jsonread import VALUES

S = {"type": "string"}
ANY = ["null", "boolean", "object", "array", "number", "string"]


def obj(properties, **more):
    return {"type": "object", "properties": properties, **more}


EQUAL = {
    "const": (obj({"a": {"const": "C"}}), obj({"a": {"type": "string", "enum": ["C"]}})),
    "values without a type": ({"enum": [1, 2]}, {"type": "integer", "enum": [1, 2]}),
    "values of several types": (
        {"enum": ["a", 1.5, True]},
        {
            "anyOf": [
                {"type": "string", "enum": ["a"]},
                {"type": "number", "enum": [1.5]},
                {"type": "boolean", "enum": [True]},
            ]
        },
    ),
    "numbers and null": (
        {"type": ["integer", "null"], "enum": [1, None]},
        {"type": ["null", "integer"], "enum": [1, None]},
    ),
    "a listed object": (
        {"const": {"k": [1, 1]}},
        obj(
            {"k": {"type": "array", "items": {"type": "integer", "enum": [1]}, "minItems": 2, "maxItems": 2}},
            required=["k"],
            additionalProperties=False,
        ),
    ),
    "several types": (
        {"type": ["string", "null"], "maxLength": 5, "description": "d"},
        {"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}], "description": "d"},
    ),
    "anything": (obj({"a": {}}), obj({"a": {"type": ANY}})),
    "type beside anyOf": (
        {
            "type": "object",
            "properties": {"a": S, "b": S},
            "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
        },
        {
            "anyOf": [
                obj({"a": S, "b": S}, required=["a"]),
                obj({"a": S, "b": S}, required=["b"]),
            ]
        },
    ),
    "oneOf told apart by a property": (
        {
            "oneOf": [
                obj({"k": {"const": "a"}}, required=["k"]),
                obj({"k": {"const": "b"}}, required=["k"]),
            ]
        },
        {
            "anyOf": [
                obj({"k": {"type": "string", "enum": ["a"]}}, required=["k"]),
                obj({"k": {"type": "string", "enum": ["b"]}}, required=["k"]),
            ]
        },
    ),
    "allOf": (
        {"type": "object", "allOf": [obj({"a": {"minimum": 3}}), obj({"a": {"type": "integer", "maximum": 9}})]},
        obj({"a": {"type": "integer", "minimum": 3, "maximum": 9}}),
    ),
    "definitions": (
        obj({"a": {"$ref": "#/definitions/A"}}, definitions={"A": S}),
        obj({"a": {"$ref": "#/$defs/A"}}, **{"$defs": {"A": S}}),
    ),
    "a pointer into a property": (
        obj({"a": {"type": "string", "const": "x"}, "b": {"$ref": "#/properties/a"}}),
        obj(
            {"a": {"type": "string", "enum": ["x"]}, "b": {"$ref": "#/$defs/a"}},
            **{"$defs": {"a": {"type": "string", "enum": ["x"]}}},
        ),
    ),
    "keywords beside a reference": (
        obj({"a": {"$ref": "#/$defs/A", "maxLength": 3}}, **{"$defs": {"A": {"type": "string", "minLength": 1}}}),
        obj({"a": {"type": "string", "minLength": 1, "maxLength": 3}}),
    ),
    "a description beside a reference to one": (
        obj({"a": {"$ref": "#/$defs/A", "description": "d"}}, **{"$defs": {"A": {**S, "description": "e"}}}),
        obj(
            {"a": {"anyOf": [{"$ref": "#/$defs/A"}], "description": "d"}},
            **{"$defs": {"A": {**S, "description": "e"}}},
        ),
    ),
    "a name with a slash": (
        obj({"a": {"$ref": "#/$defs/x~1y"}}, **{"$defs": {"x/y": obj({"p/q": S})}}),
        obj({"a": obj({"p/q": S})}),
    ),
    "bounds of integers": (
        {"type": "integer", "exclusiveMinimum": 2.5, "exclusiveMaximum": 9, "multipleOf": 1},
        {"type": "integer", "minimum": 3, "maximum": 8},
    ),
    "format": ({**S, "format": "date", "description": "d"}, {**S, "description": "d (format: date)"}),
    "what is required and not declared": (obj({}, required=["a"]), obj({"a": {"type": ANY}}, required=["a"])),
    "a list of others like it": (
        obj({"c": {"type": "array", "items": {"$ref": "#"}}}, required=["c"]),
        obj(
            {"c": {"anyOf": [{"type": "array", "maxItems": 0}, {"type": "array", "items": {"$ref": "#"}}]}},
            required=["c"],
        ),
    ),
    "two lists of others like it": (
        obj(
            {
                "c": {"type": "array", "items": {"$ref": "#"}},
                "d": {"type": "array", "items": obj({"e": {"$ref": "#"}}, required=["e"])},
            },
            required=["c", "d"],
        ),
        obj(
            {
                "c": {"anyOf": [{"type": "array", "maxItems": 0}, {"type": "array", "items": {"$ref": "#"}}]},
                "d": {"type": "array", "items": obj({"e": {"$ref": "#"}}, required=["e"])},
            },
            required=["c", "d"],
        ),
    ),
    "a description of the root beside a reference": (
        {"$ref": "#/$defs/A", "description": "d", "$defs": {"A": {**S, "description": "e"}}},
        {"anyOf": [{"$ref": "#/$defs/A"}], "description": "d", "$defs": {"A": {**S, "description": "e"}}},
    ),
    "what no object fits": (
        obj({"a": {"required": ["b"], "additionalProperties": False}}),
        obj({"a": {"type": [name for name in ANY if name != "object"]}}),
    ),
    "many branches": (
        {"anyOf": [{"type": "string", "pattern": f"^{i}"} for i in range(12)]},
        {
            "anyOf": [
                {"anyOf": [{"type": "string", "pattern": f"^{i}"} for i in range(10)]},
                {"anyOf": [{"type": "string", "pattern": f"^{i}"} for i in range(10, 12)]},
            ]
        },
    ),
    "what never fits": (
        {"type": ["string", "array"], "minItems": 3, "maxItems": 2},
        {"type": "string"},
    ),
}


@pytest.mark.parametrize("name", EQUAL)
def test_where_there_is_an_equal_schema_it_is_written(name):
    before, after = EQUAL[name]
    made = fixed(before)
    assert made.schema == after
    assert made.equal and made.changes and refusals(after) == ()


LOSSES = {
    "oneOf": ({"oneOf": [S, {"minLength": 1, **S}]}, {"anyOf": [S, {**S, "minLength": 1}]}, "/oneOf", "wider"),
    "a type that is not said": (
        obj({"a": {"properties": {"b": S}}}),
        obj({"a": obj({"b": S})}),
        "/properties/a",
        "narrower",
    ),
    "not": ({**S, "not": {"const": "a"}}, None, "/not", "wider"),
    "uniqueItems": (
        {"type": "array", "uniqueItems": True},
        {"type": "array", "description": "(uniqueItems: true)"},
        "/uniqueItems",
        "wider",
    ),
    "fractions": (
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "number", "minimum": 0},
        "/exclusiveMinimum",
        "wider",
    ),
    "prefixItems": (
        {"type": "array", "prefixItems": [S, {"type": "null"}], "items": False},
        None,
        "/prefixItems",
        "wider",
    ),
    "a reference to elsewhere": ({"$ref": "https://x.example/a"}, {}, "/$ref", "wider"),
    "a condition": ({"type": "object", "if": {"required": ["a"]}, "then": {"required": ["b"]}}, None, "/if", "wider"),
    "an ill-formed keyword": ({**S, "minLength": "3"}, S, "/minLength", "wider"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_lost_is_said_with_its_place_and_whether_more_or_less_is_accepted(name):
    before, after, path, effect = LOSSES[name]
    made = fixed(before)
    assert after is None or made.schema == after
    assert not made.equal and [(loss.path, loss.effect) for loss in made.lost] == [(path, effect)]
    assert made.refusals == () == refusals(made.schema)
    assert path in {change.path for change in made.changes}


@pytest.mark.parametrize(
    ("schema", "rules"),
    [
        (obj({f"p{i}": S for i in range(101)}), ["too_many_properties"]),
        (obj({"required": {"const": 1}}), ["property_reserved"]),
        (obj({"a": {"$ref": "#"}}, required=["a"]), ["recursion_without_end"]),
        ({"type": "string", "enum": []}, ["enum_empty"]),
        ({"type": "integer", "const": 2**53 + 1}, ["number_not_exact"]),
        ("text", ["not_an_object"]),
    ],
    ids=range(6),
)
def test_what_cannot_be_made_acceptable_stays_refused_and_is_named(schema, rules):
    made = fixed(schema)
    assert [refusal.rule for refusal in made.refusals] == rules
    assert not made.reason or made.schema == schema


def test_the_root_of_parameters_becomes_one_object():
    before = {
        "description": "one of two",
        "anyOf": [
            obj({"name": S, "text": S}, required=["name", "text"], additionalProperties=False),
            obj({"name": S, "url": {"type": "integer"}}, required=["name", "url"], additionalProperties=False),
        ],
    }
    made = fixed(before, parameters=True)
    assert made.schema == {
        **obj({"name": S, "text": S, "url": {"type": "integer"}}, required=["name"], additionalProperties=False),
        "description": "one of two",
    }
    assert [(loss.keyword, loss.effect) for loss in made.lost] == [("anyOf", "wider")]
    assert fixed(before).schema == before
    assert fixed({"$ref": "#/$defs/A", "$defs": {"A": obj({"a": S})}}, parameters=True).schema == obj({"a": S})
    assert [loss.effect for loss in fixed({}, parameters=True).lost] == ["narrower"]


def test_moonshots_own_refused_schemas_become_accepted_where_they_can(shared):
    cases = [json.loads(line) for line in (shared / "walle" / "cases.jsonl").read_text(encoding="utf-8").splitlines()]
    refused = [json.loads(case["schema"]) for case in cases if not case["valid"] and not case["unmarshal"]]
    left = [rule for schema in refused for rule in {refusal.rule for refusal in fixed(schema).refusals}]
    assert len(refused) == 87
    hopeless = {"enum_empty", "bounds_crossed", "too_many_levels", "recursion_without_end", "property_reserved"}
    assert set(left) <= hopeless | {"enum_value_of_other_type"}


@pytest.mark.parametrize("schema", [deep(50_000), chain(500), ring(500), HOSTILE["huge"][0], HOSTILE["surrogate"][0]])
def test_what_is_hostile_is_rewritten_in_bounded_time_or_left(schema):
    with within(4):
        made = fixed(schema)
    assert made.refusals == refusals(made.schema)


def test_two_references_that_each_double_are_given_up():
    defs = {
        f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2, "anyOf": [{"minimum": i}, {"maxLength": i}]}
        for i in range(60)
    }
    with within(8):
        made = fixed({"$ref": "#/$defs/d0", "$defs": {**defs, "d60": S}})
    assert made.refusals and "unfolds" in made.reason


def test_a_schema_that_nothing_fits_is_left_and_said_to_be_one():
    never = {"type": "string", "enum": [1], "format": "x"}
    assert (fixed(never).schema, fixed(never).reason) == (never, "no value fits it")
    assert fixed(S, parameters=True).reason == "no object fits it"


def test_each_edit_of_the_catalogue_has_a_reason_of_its_own():
    for schema in SCHEMAS.values():
        made = fixed(schema)
        assert all(change.why != "it is written in another form" for change in made.changes)
        assert bool(made.changes) == (made.schema != schema)


def instances(schema):
    """JSON values that fit a schema or nearly do."""
    try:
        written = texts(translate(schema).schema).map(json.loads)
    except InputError:
        return st.sampled_from(ANYTHING)
    return written | written.flatmap(changed) | st.sampled_from(ANYTHING)


@examples(200)
@given(schema=schemas(), parameters=st.booleans(), data=st.data())
def test_what_is_written_is_accepted_and_says_the_same_unless_it_says_otherwise(schema, parameters, data):
    if not isinstance(schema, dict):
        return
    before = copy.deepcopy(schema)
    made = fixed(schema, parameters=parameters)
    assert schema == before
    assert made.refusals == refusals(made.schema)
    assert bool(made.changes) == (made.schema != schema)
    again = fixed(made.schema, parameters=parameters)
    assert made.refusals or made.reason or not parameters or made.schema["type"] == "object"
    assert made.refusals or (again.schema == made.schema and not again.changes)
    if not made.refusals:
        function_text({"name": "f", "parameters": made.schema})  # K2.5 declares it as TypeScript
    old, new = Draft202012Validator(before), Draft202012Validator(made.schema)
    effects = {loss.effect for loss in made.lost}
    for value in (data.draw(instances(source)) for source in (before, made.schema, before, made.schema)):
        fits, still = old.is_valid(value), new.is_valid(value)
        assert still or not fits or "narrower" in effects, value
        assert fits or not still or "wider" in effects, value


@given(VALUES)
def test_anything_is_taken(value):
    made = fixed(value)
    assert made.refusals == refusals(made.schema)

"""References, identifiers and anchors, each as its draft has them."""

import pytest

from k2lab.enforcer.schema import translate
from k2lab.errors import InputError
from tests.helpers.schemas import I, S, arr, obj, p
from tests.helpers.translated import made

HERE = "https://example.com/schemas/tool.json"


@pytest.mark.parametrize(
    "reference",
    [
        "#/$defs/x",
        f"{HERE}#/$defs/x",
        "tool.json#/$defs/x",
        "/schemas/tool.json#/$defs/x",
        "#x",
        f"{HERE}#x",
        "../schemas/./tool.json#x",
        "#/%24defs/x",
    ],
)
def test_a_reference_is_resolved_against_the_identifier_around_it(reference):
    schema = {"$id": HERE, **p({"$ref": reference}), "$defs": {"x": {"$anchor": "x", **I}}}
    assert made(schema)["$defs"] == {"d0": I}


@pytest.mark.parametrize("reference", ["#", HERE, "tool.json", f"{HERE}#", ""])
def test_a_reference_to_the_root_comes_upon_itself(reference):
    found = made({"$id": HERE, **obj({"v": I, "child": {"$ref": reference}}, ["v"])})
    child = found["properties"]["child"]
    assert found["$defs"][child["$ref"].removeprefix("#/$defs/")]["properties"]["child"] == child


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (
            {
                **p({"$ref": "item.json"}),
                "$defs": {"i": {"$id": "item.json", **arr({"$ref": "#/$defs/t"}), "$defs": {"t": I}}},
            },
            [I],
        ),
        ({**p({"$ref": "#x"}), "$defs": {"a": {"$dynamicAnchor": "x", **I}}}, [I]),
        (
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                **p({"$ref": "#x"}),
                "definitions": {"a": {"$id": "#x", **I}},
            },
            [I],
        ),
        (
            {
                "$schema": "http://json-schema.org/draft-04/schema#",
                "id": HERE,
                **p({"$ref": "tool.json#x"}),
                "definitions": {"a": {"id": "#x", **I}},
            },
            [I],
        ),
        (
            {
                "$id": HERE,
                "$ref": "more/a.json",
                "$defs": {"a": {"$id": "more/a.json", "$ref": "./b.json"}, "b": {"$id": "more/b.json", **I}},
            },
            [I],
        ),
        ({"$id": "http://[", **p({"$ref": "#/$defs/x"}), "$defs": {"x": I}}, [I]),
        ({"$id": "urn:example:tool", **p({"$ref": "urn:example:tool#/$defs/x"}), "$defs": {"x": I}}, [I]),
        (obj({"$id": S, "p": {"$ref": "#/properties/$id"}}), [S]),
        (
            {**p({"$ref": "#/$defs/x"}), "$defs": {"x": {"enum": [{"$id": "q", "$ref": "r"}]}}},
            [{"enum": [{"$id": "q", "$ref": "r"}]}],
        ),
    ],
)
def test_identifiers_and_anchors_are_those_of_the_draft(schema, expected):
    found = list(made(schema)["$defs"].values())
    assert [item for item in found if item in expected] == expected


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("other.json", "only references within the schema can be followed, not 'other.json'"),
        ("https://example.com/x", "only references within"),
        ("#nowhere", "no part of the schema has the anchor '#nowhere'"),
        ("tool.json#nowhere", "no part of the schema has the anchor 'tool.json#nowhere'"),
        ("#/$defs/q", "'#/\\$defs/q' is not there"),
    ],
)
def test_a_reference_that_leads_out_of_the_document_says_where_to(reference, said):
    with pytest.raises(InputError, match=said):
        translate({"$id": HERE, **p({"$ref": reference}), "$defs": {}})


def test_an_object_within_a_part_with_an_identifier_is_not_looked_up_from_the_root():
    inner = {"$id": "inner.json", **arr({"$ref": "#/$defs/x"})}
    with pytest.raises(InputError, match="is not there"):
        translate({**p({"$ref": "#/$defs/i"}), "$defs": {"i": inner, "x": I}})


def test_a_reference_to_another_document_is_not_fetched_for_a_listed_value_either(plain_server):
    plain_server.answers["/x"] = (200, {"type": "integer"})
    remote = plain_server.url.removesuffix("/v1") + "/x"
    with pytest.raises(InputError, match=r"only references within the schema .* a listed value cannot be checked"):
        translate(p({"enum": [1, "a"], "$ref": remote}))


@pytest.mark.parametrize("reference", ["#/$defs/x/minimum/y", "#/$defs/x/type/y", "#/required/7"])
def test_a_pointer_that_leads_through_no_object_is_not_there(reference):
    with pytest.raises(InputError, match="is not there"):
        translate({**p({"$ref": reference}), "$defs": {"x": {"type": "integer", "minimum": 3}}})

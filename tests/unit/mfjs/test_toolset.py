"""A list of tools is refused tool by tool, with the place in the tool."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2lab import wire
from k2lab.mfjs import refusals_of_tools
from tests.unit.test_jsonread import VALUES

EMPTY = {"type": "object", "properties": {}}


def tool(name, parameters=EMPTY):
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def rules(*tools):
    return [(why.index, why.refusal.path, why.refusal.rule) for why in refusals_of_tools(tools)]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("get_weather", []),
        ("_private-1", []),
        ("21st_magic", ["name_form"]),
        ("a b c", ["name_form", "name_not_in_id"]),
        ("files.read", ["name_form", "name_cut"]),
        ("mcp:read", ["name_form", "name_not_in_id"]),
        ("go", ["name_length"]),
        ("x" * 65, ["name_length"]),
        ("größe", ["name_form"]),
    ],
)
def test_a_name_is_refused_for_what_is_wrong_with_it(name, found):
    assert rules(tool(name)) == [(0, "/function/name", rule) for rule in found]
    assert ("name_not_in_id" in found) == (wire.ID.fullmatch(wire.call_id(name, 0)) is None)


def test_schemas_are_refused_with_their_place_in_the_tool():
    bad = {"type": "object", "properties": {"a": {"enum": [1]}}}
    assert rules(tool("get_it"), tool("set_it", bad)) == [(1, "/function/parameters/properties/a", "enum_without_type")]
    assert rules(tool("get_it", {})) == [(0, "/function/parameters", "root_not_an_object")]
    assert rules(tool("get_it", {"anyOf": [EMPTY]})) == [(0, "/function/parameters", "root_not_an_object")]
    assert rules(tool("get_it", [])) == [(0, "/function/parameters", "not_an_object")]
    assert rules({"type": "function", "function": {"name": "get_it"}}) == [
        (0, "/function/parameters", "parameters_missing")
    ]


def test_tools_are_too_many_or_called_alike():
    assert rules(tool("get_it"), tool("set_it"), tool("get_it")) == [
        (0, "/function/name", "name_repeated"),
        (2, "/function/name", "name_repeated"),
    ]
    assert rules(*(tool(f"tool_{i}") for i in range(129))) == [(128, "", "too_many_tools")]


@given(st.lists(VALUES | st.builds(tool, st.text(), VALUES), max_size=2))
def test_any_list_is_judged(tools):
    assert all(0 <= why.index < len(tools) and str(why) for why in refusals_of_tools(tools))

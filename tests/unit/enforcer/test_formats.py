"""Each format against its standard's grammar: what it admits and what not, in the pattern."""

import re

import pytest

from k2lab.enforcer.schema import formats, translate
from tests.helpers.formatted import INVALID, VALID


@pytest.mark.parametrize("name", formats.FORMATS)
def test_a_format_is_held_to_its_grammar_on_both_sides(name):
    pattern = re.compile(formats.FORMATS[name])
    assert [text for text in VALID[name] if not pattern.fullmatch(text)] == []
    assert [text for text in INVALID[name] if pattern.fullmatch(text)] == []


def test_what_a_format_leaves_open_is_named_and_no_assertion():
    for name in (*formats.FORMATS, *formats.OPEN):
        limits = translate({"type": "string", "format": name}).limits
        assert [limit.keyword for limit in limits] == ["format"] * (name in formats.OPEN)
        assert not any(limit.asserted for limit in limits)
    assert translate({"type": "string", "format": "regex"}).schema == {"type": "string"}
    assert translate({"type": "string", "format": "color"}) == translate({"type": "string"})


@pytest.mark.parametrize(
    ("beside", "schema", "limits"),
    [
        ({"minLength": 1}, {"pattern": formats.whole("uri").text}, []),
        ({"minLength": 9, "maxLength": 99}, {"minLength": 9, "maxLength": 99}, [("format", False)]),
        ({"maxLength": 2048}, {"pattern": formats.whole("uri").text}, [("maxLength", True)]),
        (
            {"pattern": "^http"},
            {"pattern": "http" + translate({"pattern": "^"}).schema["pattern"]},
            [("format", False)],
        ),
        ({"pattern": "(?=a)"}, {"pattern": formats.whole("uri").text}, [("pattern", True)]),
    ],
)
def test_what_is_asserted_beside_a_format_goes_first(beside, schema, limits):
    found = translate({"type": "string", "format": "uri", **beside})
    assert found.schema == {"type": "string", **schema}
    assert [(limit.keyword, limit.asserted) for limit in found.limits] == limits


def test_of_two_formats_the_one_that_is_known_is_held():
    both = {"allOf": [{"type": "string", "format": "phone"}, {"format": "ipv4"}]}
    assert translate(both) == translate({"type": "string", "format": "ipv4"})
    both["allOf"].append({"format": "ipv6"})
    assert [limit.keyword for limit in translate(both).limits] == ["format"]

"""Schemas are compiled once, whatever text they are found by."""

import math

from k2lab.findings.schemas import schema_error


def test_a_schema_is_told_from_another_whose_fast_text_is_the_same():
    assert schema_error({"const": None, "pattern": "a"}, None) == (True, "")
    assert schema_error({"const": math.nan, "pattern": "a"}, None)[1].endswith("nan was expected")
    assert schema_error({"const": None, "pattern": "a"}, math.nan)[1].endswith("None was expected")


def test_the_order_of_keys_and_the_way_a_number_is_written_change_no_verdict():
    one = {"type": "object", "properties": {"a": {"maximum": 2**70}, "b": {"enum": ["\ud800", 1.0]}}}
    two = {"properties": dict(reversed(one["properties"].items())), "type": "object"}
    for value in ({"a": 2**71}, {"b": 2}, {"a": 1, "b": 1}, []):
        assert schema_error(one, value) == schema_error(two, value)

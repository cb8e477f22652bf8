"""JSON from outside is a value that can be worked with, or one plain reason."""

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2lab.jsonread import MOST_LEVELS, MOST_PARTS, NotJSON, read_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff", "not UTF-8 at byte 1"),
        ("", "Expecting value at column 1"),
        ('{"a":\n x}', "Expecting value at line 2"),
        ("[NaN]", "NaN is not a number of JSON"),
        ('{"a": -Infinity}', "-Infinity is not a number of JSON"),
        ("1e999", "1e999 is not a number of JSON"),
        ("9" * 5000, "Exceeds the limit"),
        ("[" * 100_000, "nested deeper than 100 levels"),
        ("[" * (MOST_LEVELS + 1) + "]" * (MOST_LEVELS + 1), "nested deeper than 100 levels"),
        ('{"a":' * 330 + "1" + "}" * 330, "nested deeper than 100 levels"),
        ("[" + "0," * MOST_PARTS + "0]", "more than 4,000,000 values"),
    ],
    ids=range(11),
)
def test_what_cannot_be_worked_with_is_refused_in_a_few_words(data, said):
    with pytest.raises(NotJSON, match=said) as caught:
        read_json(data)
    assert len(str(caught.value)) < 100 and "\n" not in str(caught.value)


def test_the_deepest_value_that_passes_can_be_written_and_walked():
    deep = read_json("[" * MOST_LEVELS + "]" * MOST_LEVELS)
    assert json.loads(json.dumps(deep)) == deep


def test_many_brackets_are_not_deep_and_cost_little():
    started = time.process_time()
    assert len(read_json("[" + "[]," * 100_000 + "[]]")) == 100_001
    assert time.process_time() - started < 1


@given(VALUES)
def test_what_is_json_comes_through_unchanged(value):
    assert read_json(json.dumps(value)) == value
    assert read_json("\ufeff" + json.dumps(value, ensure_ascii=False)) == value


@given(st.text() | st.binary())
def test_anything_is_a_value_or_refused(data):
    with contextlib.suppress(NotJSON):
        read_json(data)

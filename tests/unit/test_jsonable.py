"""Any record as plain JSON data."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2lab.bench.metrics import Comparison, Flip
from k2lab.chat import ToolCall
from k2lab.findings import Finding
from k2lab.jsonable import as_json
from k2lab.server.endpoint import PromptIds
from k2lab.stats import mcnemar, share

FLIP = Flip(data_index=1, before="stop", after="tool_calls")


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (PromptIds(ids=(1, 2), how="/tokenize"), {"ids": [1, 2], "how": "/tokenize"}),
        (ToolCall(name="f", arguments={}), ToolCall(name="f", arguments={}).to_json()),
        ({"a": [Finding.of("prompt_differs", "absent", "equal")]},
         {"a": [Finding.of("prompt_differs", "absent", "equal").to_json()]}),
        ({1: Path("a/b"), "n": math.nan, "i": math.inf}, {"1": "a/b", "n": None, "i": None}),
        (int, "<class 'int'>"),
    ],
)  # fmt: skip
def test_a_record_is_its_fields_or_what_it_says_itself(value, data):
    assert as_json(value) == data


def test_what_a_record_computes_comes_along_where_it_is_asked_for():
    assert as_json(share(1, 2)).keys() == {"count", "total", "low", "high"}
    assert as_json({"x": share(0, 0)}, computed=True)["x"]["value"] is None


def test_what_its_repr_leaves_out_is_left_out_where_it_is_to_be_brief():
    made = Comparison(first=share(1, 2), second=share(2, 2), test=mcnemar(gained=1, lost=0), flips=(FLIP,))
    assert as_json(made)["flips"] == [{"data_index": 1, "before": "stop", "after": "tool_calls"}]
    assert as_json({"a step": [made]}, brief=True)["a step"][0].keys() == {"first", "second", "test", "arms"}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_it_is_can_be_written_and_plain_data_stays_as_it_is(value):
    text = json.dumps(as_json(value), allow_nan=False)
    assert as_json(json.loads(text)) == json.loads(text)

"""A body is changed where something changes, and keeps its text everywhere else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2lab.jsonread import NotJSON
from k2lab.traffic.guard.jsonbody import RawJSON, UnreadError, read
from tests.helpers.effort import examples

ODD = '{"a": 1.0, "big": 123456789012345678901234567890, "e": 1e400, "x":[1E2, -0.0],\n "u": "\\u00e9\\/", "a": 2 }'
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def body_of(text, worked_on=("messages",), most=1 << 20):
    return read(text.encode() if isinstance(text, str) else text, frozenset(worked_on), most)


def test_a_body_without_an_edit_is_the_bytes_that_it_was():
    assert body_of(ODD).written([]) == ODD.encode()


def test_what_is_added_comes_last_and_nothing_else_changes():
    body = body_of(ODD)
    assert body.written(body.with_members({"new": [1]})).decode() == ODD[:-1] + ',"new":[1]}'


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=6), st.data())
@examples(100)
def test_members_are_set_added_and_taken_out_as_in_a_mapping(fields, data):
    names = data.draw(st.lists(st.sampled_from([*fields, "new", "newer"]), unique=True)) if fields else ["new"]
    after = {name: data.draw(st.none() | st.just({"set": 1}) | st.just([])) for name in names}
    indent, spaced = data.draw(st.sampled_from([None, 1])), data.draw(st.booleans())
    text = json.dumps(fields, indent=indent, ensure_ascii=spaced)
    if "\ud800" <= max(text, default="") <= "\udfff":
        return
    body = body_of(text)
    expected = {**fields, **after}
    made = json.loads(body.written(body.with_members(after)))
    assert made == {name: value for name, value in expected.items() if name not in after or value is not None}


@given(st.lists(VALUES, min_size=1, max_size=4), st.data())
@examples(150)
def test_a_list_changes_where_its_elements_do(values, data):
    text = f'{{"before": 1.50, "messages": {json.dumps(values)}, "z": 0}}'
    changed = data.draw(st.integers(0, len(values) - 1))
    after = [*values[:changed], {"now": values[changed]}, *values[changed + 1 :]]
    body = body_of(text)
    made = body.written(body.with_list("messages", after, range(len(after)))).decode()
    assert json.loads(made)["messages"] == after
    assert made.startswith('{"before": 1.50, "messages": [') and made.endswith(', "z": 0}')
    assert body.with_list("messages", values, range(len(values))) == []


def test_within_a_message_that_changes_only_the_value_changes():
    message = '{"role": "user", "n": 1.0, "big": 12345678901234567890123, "content": [ {"e": "\\u00e9", "v": 2} ]}'
    body = body_of(f'{{"messages": [{message}]}}')
    after = json.loads(message)
    after["content"][0]["v"] = 3
    made = body.written(body.with_list("messages", [after], [0])).decode()
    assert made == body.text.replace('"v": 2', '"v": 3')
    del after["n"]
    after["new"] = None
    made = body.written(body.with_list("messages", [after], [0])).decode()
    expected = body.text.replace('"v": 2', '"v": 3').replace('"n": 1.0, ', "").replace(" ]}]", ' ],"new":null}]')
    assert made == expected


def test_text_that_is_json_already_is_put_in_as_it_is():
    body = body_of('{"a": 1}')
    assert body.written(body.with_members({"a": RawJSON("1.00"), "b": RawJSON("[ ]")})) == b'{"a": 1.00,"b":[ ]}'


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a"}', '{"a":1,}', '{"a":1} x', "nul", '{"a":01}', '{"a":"\n"}'])
def test_what_is_no_json_object_is_none_here_either(text):
    with pytest.raises(NotJSON) as caught:
        body_of(text)
    assert not isinstance(caught.value, UnreadError)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"\xff{}", "not UTF-8"),
        ("{}".encode("utf-16"), "not UTF-8"),
        ("\ufeff{}", "byte order mark"),
        ('{"messages": [], "messages": []}', "messages stands twice"),
        ('{"messages": ' + "[" * 150 + "]" * 150 + "}", "nested deeper"),
        ('{"x": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested deeper"),
        ('{"messages": [1e400]}', "larger than any number"),
        ('{"messages": [' + "9" * 5000 + "]}", "4,300 digits"),
        ('{"messages": [NaN]}', "NaN"),
        ('{"a": "' + "x" * (1 << 20) + '"}', "larger than 1 MiB"),
    ],
)
def test_what_a_server_may_read_and_the_guard_does_not_is_told(text, reason):
    with pytest.raises(UnreadError, match=reason):
        body_of(text)


def test_odd_numbers_where_nobody_looks_hinder_nothing():
    text = '{"x": [1e999, NaN, ' + "9" * 5000 + '], "messages": []}'
    body = body_of(text)
    assert body.written(body.with_members({"n": 1})).decode() == text[:-1] + ',"n":1}'

"""Schemas as grammars: each translated schema of the catalogue, judged by xgrammar and by a validator."""

import json
from dataclasses import dataclass
from functools import cache

import pytest
from hypothesis import assume, find, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from k2lab.enforcer.schema import Translated, translate
from k2lab.enforcer.schema.patterns import Unfollowed, whole
from tests.helpers import strategies
from tests.helpers.effort import FEW, one_in
from tests.helpers.schemas import CATALOGUE, exact
from tests.helpers.translated import TEXTS, as_javascript, spelled
from tests.helpers.verdicts import anchor, blamed, judge_of, reason


@dataclass(frozen=True, kw_only=True)
class Case:
    """A schema, and what to judge its texts with."""

    translated: Translated
    tag: object
    judge: object
    anchored: object

    @property
    def written(self):
        return strategies.texts(self.translated.schema)

    def valid(self, text):
        return self.judge.is_valid(json.loads(text))


@cache
def case(name):
    schema = CATALOGUE[name]
    translated = translate(schema)
    body = {"type": "json_schema", "json_schema": exact(translated.schema), "max_whitespace_cnt": 32}
    return Case(
        translated=translated,
        tag={"type": "structural_tag", "format": body},
        judge=judge_of(schema),
        anchored=Draft202012Validator(anchor(translated.schema)),
    )


def some(texts):
    return st.lists(texts, min_size=1, max_size=8, unique=True)


def test_every_translated_schema_compiles_soon(compiler):
    answers = {name: compiler({"tag": case(name).tag, "texts": []}) for name in CATALOGUE}
    assert len(CATALOGUE) >= 300 and {name: one["error"] for name, one in answers.items() if "error" in one} == {}
    assert {name: one["compile_ms"] for name, one in answers.items() if one["compile_ms"] > 2000} == {}


@pytest.mark.parametrize("name", one_in(12, CATALOGUE))
@FEW
@given(data=st.data())
def test_what_is_written_by_a_translated_schema_is_accepted_and_valid(name, data, accepted):
    one = case(name)
    texts = data.draw(some(one.written))
    assert accepted(one.tag, texts) == [True] * len(texts)
    if not one.translated.limits:
        assert [text for text in texts if not one.valid(text)] == []


@pytest.mark.parametrize("name", one_in(12, CATALOGUE))
@FEW
@given(data=st.data())
def test_nothing_invalid_is_accepted_but_where_a_limit_names_it_and_whatever_else_is_refused_has_a_reason(
    name, data, accepted
):
    one = case(name)
    texts = data.draw(some(strategies.tried(one.written)))
    named = {limit.keyword for limit in one.translated.limits}
    for text, taken in zip(texts, accepted(one.tag, texts), strict=True):
        if taken:
            assert named >= blamed(one.judge, json.loads(text), named), text
        elif one.valid(text):
            assert reason(one.translated.schema, text, one.anchored), text


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("objects: optional", "another key"),
        ("objects: optional", "order of keys"),
        ("objects: map", "a key twice"),
        ("numbers: range", "spelling of a number"),
        ("strings: pattern", "escape in a string"),
        ("values: enum of objects", "spelling of a listed value"),
    ],
)
def test_what_is_tried_comes_upon_each_reason(name, why):
    one = case(name)

    def refused_so(text):
        return one.valid(text) and reason(one.translated.schema, text, one.anchored) == why

    assert find(strategies.tried(one.written), refused_so)


@given(pattern=strategies.patterns(), data=st.data())
def test_the_engine_holds_a_pattern_exactly(pattern, data, accepted):
    try:
        schema = exact({"type": "string", "pattern": whole(pattern).text})
    except Unfollowed:
        assume(False)
    texts = data.draw(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=40, unique=True))
    tag = {"type": "structural_tag", "format": {"type": "json_schema", "json_schema": schema}}
    found = accepted(tag, [f'"{spelled(text)}"' for text in texts])
    assert found == [as_javascript(pattern).search(text) is not None for text in texts]

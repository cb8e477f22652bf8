"""Patterns over the characters themselves: what the text of a JSON string matches, without its escapes."""

import json
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from k2lab.enforcer.schema import formats, translate
from k2lab.enforcer.schema.patterns import Unfollowed, other_than, whole
from k2lab.enforcer.schema.spelling import one_of, plain, respelled
from tests.helpers import strategies
from tests.helpers.formatted import INVALID, VALID
from tests.helpers.translated import TEXTS, spelled


def fits(pattern, text):
    return bool(re.fullmatch(pattern, text))


@given(pattern=strategies.patterns(), data=st.data())
def test_a_plain_pattern_matches_what_the_written_one_does_in_json(pattern, data):
    try:
        written = whole(pattern).text
    except Unfollowed:
        assume(False)
    texts = data.draw(st.lists(st.sampled_from([*TEXTS, '\t"', "\\\\n", "\\n"]) | st.text(max_size=3), max_size=20))
    texts = [text for text in texts if not re.search("[\x00-\x1f\x7f]", re.sub("[\b\f\n\r\t]", "", text))]
    assert [fits(plain(written), text) for text in texts] == [fits(written, spelled(text)) for text in texts]


@pytest.mark.parametrize("name", formats.FORMATS)
def test_a_format_is_held_without_json_around_it(name):
    pattern = plain(formats.whole(name).text)
    assert [text for text in VALID[name] if not fits(pattern, text)] == []
    assert [text for text in INVALID[name] if fits(pattern, text)] == []


def test_names_that_others_are_told_from_stay_told():
    pattern = plain(other_than(["a", 'q"', "ab", "^["]))
    assert [fits(pattern, name) for name in ("a", "ab", "^[", "abc", "", "b", "^")] == [False] * 3 + [True] * 4


def test_a_translated_pattern_has_a_backslash_for_escapes_alone():
    pattern = translate({"pattern": r'^[\\"\n]\.\x01$'}).schema["pattern"]
    assert plain(pattern) == r"[\x22\x5c\x0a]\.[\x01]"
    assert fits(pattern, json.dumps('"."'[:2] + "\x01")[1:-1]) and fits(plain(pattern), '".\x01')


@pytest.mark.parametrize("pattern", ["a", "(?:ab|)c*", "[a-c]{2,3}", "(?:a|bc)+x{0,2}", "\\.\\[[x-z]"])
def test_a_pattern_that_is_respelled_as_it_is_matches_the_same(pattern):
    made = respelled(pattern, one_of)
    texts = ["", "a", "b", "ab", "abc", "c", "cc", "abcc", "aa", "bb", "bcabcxx", ".[y", ".[a"]
    assert [fits(made, text) for text in texts] == [fits(pattern, text) for text in texts]

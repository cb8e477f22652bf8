"""Patterns of a schema, written so that they match whole texts."""

import json
import re
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from k2lab.enforcer.schema import patterns, translate
from tests.helpers import strategies
from tests.helpers.schemas import I, S, obj, p
from tests.helpers.translated import TEXTS, as_javascript, limits, made, spelled


@pytest.mark.parametrize(
    ("pattern", "expected", "shortest", "longest"),
    [
        ("^ab$", "ab", 2, 2),
        ("^a", "aX*", 1, None),
        ("a$", "X*a", 1, None),
        ("a", "X*aX*", 1, None),
        ("", "X*", 0, None),
        ("^a|b$", "(?:aX*|X*b)", 1, None),
        ("^(ab|c)$", "(?:ab|c)", 1, 2),
        ("(^a$)|^bb$", "(?:a|bb)", 1, 2),
        ("^ab?$", "a(?:b)?", 1, 2),
        ("^a{0}(?:b|cc){1}$", "(?:b|cc)", 1, 2),
        ("^(a|bc?)+?$", "(?:(?:a|b(?:c)?))+", 1, None),
        ("^a{2,}b{,3}$", "(?:a){2,}(?:b){0,3}", 2, None),
        ("(^|,)a(,|$)", "(?:a,X*|a|X*,a,X*|X*,a)", 1, None),
        ("^(a|(b|^c))$", "(?:a|b|c)", 1, 1),
        ("^[ab]{2,9}\\d$", "(?:[a-b]){2,9}[0-9]", 3, 10),
        ("^[^b-\U0010fffe]$", '(?:[ -!#-\\[\\]-a\U0010ffff]|\\\\["\\\\bfnrt])', 1, 1),
        ('^"[\\\\a]\\n$', '\\\\"(?:a|\\\\\\\\)\\\\n', 3, 3),
        ("^\\x1b$", "\\\\u001b", 1, 1),
        ("^[<a]<$", "[<a]<", 2, 2),
        ("^\\.\\x41\\/$", "\\.A\\/", 3, 3),
    ],
)
def test_a_pattern_is_written_for_whole_texts(pattern, expected, shortest, longest):
    whole = patterns.whole(pattern)
    assert (whole.text.replace(patterns.ANY, "X"), whole.shortest, whole.longest) == (expected, shortest, longest)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(?=a)b", "a look-around assertion"),
        ("(a)\\1", "a back reference"),
        ("\\bab", "a word boundary"),
        ("(?i)a", "flags"),
        ("(?i:a)", "flags"),
        ("x(^a|b)", "an anchor that neither begins nor ends it"),
        ("a{600}", "600 characters with its repetitions written out, at most 512"),
        ("((a{40}b){40}|c){40}", "65640 characters"),
        ("a{4000000000,}", "at most 512"),
        ("[a-z]" * 2000, "10000 characters long, at most 8192"),
        ("(^|aa|bb|cc|dd|ee|ff|gg|hh)x($|aa|bb|cc|dd|ee|ff|gg|hh)", "64 choices around anchors"),
        ("([", "an unterminated set"),
    ],
)
def test_a_pattern_that_cannot_be_held_says_why(pattern, why):
    with pytest.raises(patterns.Unfollowed, match=why):
        patterns.whole(pattern)


MANY = "^$|(^(?:\\S+\\s+){0,99}\\S+$)"


def test_patterns_grow_with_their_source_alone_and_are_bounded_together():
    assert len(patterns.whole(MANY).text) < 300
    assert limits(obj({f"p{i}": {"type": "string", "pattern": MANY} for i in range(20)})) == set()
    words = {f"p{i}": {"type": "string", "pattern": f"^(?:\\S+\\s+){{0,{199 - i}}}\\S+$"} for i in range(20)}
    found = translate(obj(words))
    assert 0 < len(found.limits) < 20 and {limit.keyword for limit in found.limits} == {"pattern"}
    assert "patterns would have" in found.limits[0].reason and len(json.dumps(found.schema)) < 8192


@pytest.mark.parametrize(
    "pattern",
    ["(((a{30}){30}){30}){30}", "(a|b|c|d){9}" * 60, "[^\\W\\d_]" * 700, "(?:(?:x?y?z?){50}){50}", "\\D{600}"],
)
def test_a_pattern_that_would_be_large_is_named_at_once_and_not_built(pattern):
    began = time.process_time()
    found = translate(obj({"p": {"type": "string", "pattern": pattern}, "q": {"patternProperties": {pattern: I}}}))
    assert {limit.keyword for limit in found.limits} == {"pattern", "patternProperties"}
    assert all("at most 512" in limit.reason and len(str(limit)) < 400 for limit in found.limits)
    assert time.process_time() - began < 0.5


def test_sets_of_many_characters_are_written_at_once():
    began = time.process_time()
    letters = "".join(chr(0x4E00 + 2 * i) for i in range(2000))
    for pattern in ("[^\\d]" * 500, f"[^{letters}]{{3}}", f"[{letters}]", "\\W" * 400, "[^\\s\\d\\w]" * 300):
        patterns.whole(pattern)
    assert patterns.whole("^[\ud7ff-\udc00]$").text == "\ud7ff"
    with pytest.raises(patterns.Unfollowed, match="without a character"):
        patterns.whole("[\\ud800-\\udfff]")
    assert time.process_time() - began < 1


def test_names_to_tell_others_from_count_among_the_patterns():
    names = [{f"{place}{i:02}{'x' * 20}": I for i in range(50)} for place in "abcdefgh"]
    found = translate(obj({f"o{i}": obj(some, additionalProperties=S) for i, some in enumerate(names)}))
    assert {limit.keyword for limit in found.limits} == {"additionalProperties"} and 0 < len(found.limits) < 8


@given(pattern=strategies.patterns(), texts=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=50, unique=True))
def test_a_pattern_for_whole_texts_matches_where_the_original_is_found_and_nowhere_else(pattern, texts):
    try:
        whole = patterns.whole(pattern)
    except patterns.Unfollowed:
        assume(False)
    original, written = as_javascript(pattern), re.compile(whole.text)
    for text in texts:
        wanted = original.search(text) is not None
        assert bool(written.fullmatch(spelled(text))) == wanted, text
        if wanted:
            assert re.search(pattern, text)
            assert whole.shortest <= len(text) <= (len(text) if whole.longest is None else whole.longest)


@pytest.mark.parametrize(
    ("pattern", "least", "most", "expected"),
    [
        ("^[a-z]+$", 3, 9, "(?:[a-z]){3,9}"),
        ("^[a-z][a-z0-9]*$", 0, 63, "[a-z](?:[0-9a-z]){0,62}"),
        ("^(a{2,}bb)$", 6, None, "(?:a){4,}bb"),
        ("^(?:a{2,5})$", 3, 4, "(?:a){3,4}"),
        ("^ab$", 1, 3, "ab"),
        ("^a*$", 1, 600, None),
        ("^a+b+$", 0, 9, None),
        ("^(ab)+$", 0, 9, None),
        ("^a+", 0, 9, None),
        ("^a{5}b*$", 0, 3, None),
    ],
)
def test_a_length_beside_a_pattern_bounds_its_one_repetition(pattern, least, most, expected):
    bounds = {"minLength": least} | ({} if most is None else {"maxLength": most})
    found = translate({"type": "string", "pattern": pattern, **bounds})
    if expected is None:
        assert found.schema["pattern"] == patterns.whole(pattern).text and found.limits
    else:
        assert found.schema["pattern"] == expected and not found.limits


def test_a_pattern_that_goes_back_and_forth_holds_nothing_up():
    began = time.process_time()
    endless, name = "^(a+)+$", "a" * 60 + "!"
    assert list(made({**obj({name: I}), "patternProperties": {endless: S}})["properties"]) == [name]
    assert made(p({"type": "string", "pattern": endless, "enum": [name, "aa"]}))["properties"]["p"] == {"enum": ["aa"]}
    assert time.process_time() - began < 1

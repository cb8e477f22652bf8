"""Our reader of regular expressions, beside Python's own."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2lab.enforcer.schema import translate
from k2lab.enforcer.schema.ecma262 import Choice, Edge, Repeat, Unfollowed, read, width
from tests.helpers import strategies
from tests.helpers.schemas import I, S, obj
from tests.helpers.translated import TEXTS


def back(parts):
    """What was read, written for Python's own reader."""
    return "".join(map(one, parts))


def one(part):
    if isinstance(part, Edge):
        return "\\Z" if part.end else "\\A"
    if isinstance(part, Choice):
        return f"(?:{'|'.join(map(back, part.branches))})"
    if isinstance(part, Repeat):
        return f"(?:{back(part.part)}){{{part.least},{'' if part.most is None else part.most}}}"
    spans = [item if isinstance(item, tuple) else CLASSES[item.name, item.negated] for item in part.items]
    inside = "".join(span if isinstance(span, str) else f"\\U{span[0]:08x}-\\U{span[1]:08x}" for span in spans)
    return f"[{'^' if part.negated else ''}{inside}]"


CLASSES = {
    (name, no): f"\\{letter.upper() if no else letter}"
    for name, letter in (("digit", "d"), ("space", "s"), ("word", "w"))
    for no in (True, False)
}


@given(pattern=strategies.patterns(), texts=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=30))
def test_what_was_read_matches_what_the_pattern_does(pattern, texts):
    original, again = re.compile(pattern.replace("$", "\\Z")), re.compile(back(read(pattern)))
    for text in texts:
        found = original.search(text)
        assert bool(found) == bool(again.search(text)), text
        if whole := again.fullmatch(text):
            least, most = width(read(pattern))
            assert least <= len(whole[0]) <= (len(text) if most is None else most)


@pytest.mark.parametrize(
    ("pattern", "same"),
    [
        ("(?<year>a)b", "(?:ab)"),
        ("(?P<year>a)b", "ab"),
        ("a|b|[cd]", "[abcd]"),
        ("ab|ac", "a(?:b|c)"),
        ("\\u{1F600}", "\U0001f600"),
        ("\\cJ", "\\n"),
        ("[\\b]", "\\x08"),
        ("a{,3}", "a{0,3}"),
        ("a{x}", "a\\{x\\}"),
        ("a*?b{2}?", "a*b{2}"),
        ("\\Aa\\Z", "^a$"),
        ("[a-]", "[a\\-]"),
    ],
)
def test_two_spellings_are_read_alike(pattern, same):
    assert read(pattern) == read(same)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("a)", "opens nowhere"),
        ("(a", "unterminated group"),
        ("[a", "unterminated set"),
        ("[]a]", "begins with ], which JavaScript and Python read differently"),
        ("[^]", "begins with ]"),
        ("[z-a]", "a set with a range that is not valid"),
        ("[\\w-z]", "a set with a range that is not valid"),
        ("*a", "nothing to repeat"),
        ("^*", "nothing to repeat"),
        ("a**", "a repetition of a repetition"),
        ("a++", "possessive"),
        ("a{3,2}", "ends below its beginning"),
        ("a{" + "9" * 5000 + "}", "more than 18 digits"),
        ("(?>a)", "a group of another kind"),
        ("(?#a)", "a group of another kind"),
        ("(?<=a)b", "a look-around assertion"),
        ("(?P<n>a)(?P=n)", "a back reference"),
        ("(?<n>a)\\k<n>", "a back reference"),
        ("\\p{L}", "the escape \\p"),
        ("\\", "the escape \\"),
        ("\\07", "the escape \\0"),
        ("\\u{110000}", "beyond Unicode"),
        ("(" * 5000, "without end"),
    ],
)
def test_what_cannot_be_read_is_said_in_plain_words(pattern, why):
    with pytest.raises(Unfollowed) as said:
        read(pattern)
    assert why in str(said.value)


def test_a_group_with_a_name_in_javascripts_form_is_held_for_values_and_for_keys():
    named = "^(?<digit>[0-9])$"
    found = translate({"type": "string", "pattern": named})
    assert found.schema == {"type": "string", "pattern": "[0-9]"} and not found.limits
    keys = translate(obj({"1": {}, "a": S}, patternProperties={named: I}, additionalProperties=False))
    assert keys.schema["properties"] == {"1": I, "a": S}


def test_how_long_the_shortest_and_the_longest_text_are():
    widths = [width(read(pattern)) for pattern in ("", "a?", "(?:ab|c)+", "a{2,3}$", "(?:a*){0}")]
    assert widths == [(0, 0), (0, 1), (1, None), (2, 3), (0, 0)]

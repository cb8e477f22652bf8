"""Text that is shown: nothing moves a cursor, turns the writing or hides itself, and letters stay as they are."""

import doctest
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2lab import legible
from k2lab.legible import HIDDEN, one_line, shortened, visible
from tests.helpers.effort import assert_linear

TEXTS = (
    st.text() | st.text(st.characters(codec="latin-1")) | st.text(st.characters(categories=["Cc", "Cf", "Cs", "Lo"]))
)
JOINERS = "\u200c\u200d"


@given(TEXTS)
def test_nothing_that_is_hidden_is_left_and_the_rest_is_as_it_was(text):
    shown = visible(text)
    assert not [char for char in shown if unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t"]
    assert HIDDEN.search(text) or shown == text
    shown.encode()


def test_every_format_character_is_written_out_but_for_marks_that_show_in_their_script():
    kept = {char for char in map(chr, range(0x110000)) if unicodedata.category(char) == "Cf" and visible(char) == char}
    assert {unicodedata.name(char).split()[0] for char in kept} == {"ARABIC", "SYRIAC", "KAITHI", "EGYPTIAN"}


@pytest.mark.parametrize("text", ["中文 日本語\n\té", "می‌خواهم", "👨‍👩‍👧", "क्‍ष", "e\u0301", "❤️", "x" * 5000])
def test_what_people_write_stays(text):
    assert visible(text) == text


@pytest.mark.parametrize("text", ["pay\u200dpal", "pay\u200cpal", "\u200d", "a\u200d\u200db", "中\u200d"])
def test_a_joiner_that_joins_nothing_is_shown(text):
    assert "\\u200" in visible(text) and not set(JOINERS) & set(visible(text))


@given(TEXTS, st.integers(40, 400))
def test_a_line_is_one_line_of_bounded_length(text, most):
    shown = one_line(text * 50, most)
    assert len(shown) <= most and len(shown.splitlines()) <= 1 and len(shortened(text * 50, most)) <= most


def test_long_text_takes_time_as_its_length_does():
    assert_linear(visible, "a\u200d\x1b")


def test_the_examples_run():
    found = doctest.testmod(legible)
    assert found.attempted and not found.failed

"""Findings as cards and repairs as diffs: what is said, in HTML as in text, and how much of it."""

import html
import re
from dataclasses import replace

import pytest

from k2lab.findings import Finding
from k2lab.repairs import Change
from k2lab.show import views
from k2lab.show.edits import MOST_LINES, difference
from tests.helpers.effort import within

FINDING = Finding.of("content_printed_as_list", "present", "1 content part", place="messages[1]")


def plain(page):
    return html.unescape(re.sub(r"<[^>]+>", "", page))


def test_a_finding_says_where_it_is_why_what_to_do_and_who_tells_it():
    made = views.finding(FINDING)
    for said in ("✗ present: ", FINDING.layer, "messages[1]", "1 content part", FINDING.fix, *FINDING.sources):
        assert said in made.text and said in plain(made.html)
    assert made.html.count('<a href="https://') == len(FINDING.sources)
    absent = views.finding(replace(FINDING, state="absent", place="", fix="", sources=("javascript:alert(1)",)))
    assert "Place" not in absent.text + absent.html and "✓ absent" in absent.text and "href" not in absent.html


def test_the_words_that_changed_in_a_line_are_set_off_on_both_sides():
    made = difference("one\nthe tool f is called\nlast", "one\nthe tool g is called\nlast")
    assert made.text.splitlines() == ["  one", "- the tool f is called", "+ the tool g is called", "  last"]
    assert "<b>\N{MINUS SIGN}</b> the tool <del>f</del> is called" in made.html
    assert "<b>+</b> the tool <ins>g</ins> is called" in made.html


def test_a_line_that_changed_is_compared_where_another_follows_it():
    made = difference("the tool f is called", "the tool g is called\nand more")
    assert made.text.splitlines() == ["- the tool f is called", "+ the tool g is called", "+ and more"]
    assert "the tool <del>f</del> is called" in made.html and "the tool <ins>g</ins> is called" in made.html
    assert made.html.endswith("<b>+</b> and more</div></div>")


def test_equal_lines_far_from_what_differs_are_counted():
    lines = [str(number) for number in range(30)]
    shown = difference("\n".join(lines), "\n".join([*lines[:15], "new", *lines[15:]])).text.splitlines()
    assert shown == ["⋮ 12 equal lines", "  12", "  13", "  14", "+ new", "  15", "  16", "  17", "⋮ 12 equal lines"]


def test_a_line_at_the_end_stands_behind_those_before_it():
    lines = "\n".join(map(str, range(20)))
    assert difference(lines, f"{lines}\nnew").text.splitlines() == ["⋮ 17 equal lines", "  17", "  18", "  19", "+ new"]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (None, "x", ["- no value (null, or not there)", '+ "x"']),
        ("", "x", ["- '' (an empty text)", "+ x"]),
        ('{"a": 1}', {"a": 1}, ['- "{\\"a\\": 1}"', "+ {", '+  "a": 1', "+ }"]),
        (["a", 1], ["a", "1"], ["  [", '   "a",', "-  1", '+  "1"', "  ]"]),
        ("same", "same", ["  same"]),
    ],
)
def test_a_value_that_is_no_text_stands_as_json(before, after, said):
    assert difference(before, after).text.splitlines() == said


def test_a_change_deep_in_a_long_line_is_shown_and_the_rest_of_the_line_is_not():
    with within(2.0):
        made = difference("a b " * 10_000 + "old" + " c" * 10_000, "a b " * 10_000 + "new" + " c" * 10_000)
    assert "<del>old</del>" in made.html and "new" in made.text and len(made.text) < 2000


def test_a_diff_of_many_lines_is_bounded():
    with within(2.0):
        made = difference("\n".join("a" * 9 for _ in range(20_000)), "\n".join(map(str, range(20_000))))
    assert len(made.text.splitlines()) == MOST_LINES + 1 and "more lines are left out" in made.text


def test_many_changes_are_counted_and_none_is_said():
    change = Change(message=1, field="content", before="a", after="b", reason="why", finding="text_in_parts")
    many = views.changes([change] * 300)
    assert many.text.count("message 1, content: why") == 200 and "100 more changes are left out" in many.text
    assert "300 changes" in many.text and views.changes([]).text == "The repair changed nothing."

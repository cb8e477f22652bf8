"""Two prompts side by side: the first difference on top, equal runs that open, and how large it grows."""

import html
import re

import pytest

from k2lab.chat import Request
from k2lab.nano import folders
from k2lab.prompt.alignment import diff
from k2lab.prompt.rendering import render
from k2lab.prompt.source import open_source
from k2lab.show import sides, views
from tests.helpers.effort import within

TOKEN = re.compile(r"<([bu])>[^<]*<i>(\d+)</i></[bu]>")


def prompt(content, **options):
    request = Request.of([{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}])
    return render(open_source(folders.assemble("current")), request, **options)


def lines(count):
    return [f"Line {number}: it is {number % 40} degrees.\n" for number in range(count)]


@pytest.fixture(scope="module")
def pair():
    said = lines(60)
    return prompt("".join(said)), prompt("".join([*said[:30], "Line 30: <b>new</b>.\n", *said[31:]]))


def test_the_first_difference_stands_on_top_with_whose_it_is_and_links_to_its_row(pair):
    shown = views.side_by_side(diff(*pair), left="old", right="new")
    top = shown.html[: shown.html.index("<thead>")]
    anchor = re.search(r'<a href="#(k2-first-\w+)">first difference at token \d+, .* in message 1 \(user\)</a>', top)[1]
    row = re.search(f'<tr id="{anchor}">.*?</tr>', shown.html)[0]
    first = diff(*pair).first
    assert f'<td class="id">{first.index}</td><td class="id left">{first.left}</td>' in row
    assert f"<i>{first.left}</i>" in top and f"<i>{first.right}</i>" in top
    assert "in message 1 (user)" in shown.text.splitlines()[0] and "▸" in shown.text.splitlines()[1]


def test_a_side_that_no_server_gave_is_called_none(pair):
    made, served = diff(*pair), diff(pair[0].token_ids, pair[1])
    assert views.side_by_side(made).text.startswith(f"left: {len(made.left)} ids; right: {len(made.right)} ids")
    assert views.side_by_side(served).text.startswith(f"server: {len(made.left)} ids; by hand: {len(made.right)} ids")
    assert views.side_by_side(made, right="new").text.startswith(f"left: {len(made.left)} ids; new: ")
    assert made == served


def test_an_equal_run_is_folded_and_holds_all_its_tokens(pair):
    made = diff(*pair)
    shown = views.side_by_side(made)
    folded = re.findall(r"<details><summary>(.*?)</summary>(.*?)</details>", shown.html)
    equal = [made.left[hunk.left_start + 3 : hunk.left_end - 3] for hunk in made.hunks if hunk.tag == "equal"]
    assert [tuple(int(token) for _, token in TOKEN.findall(body)) for _, body in folded] == [
        run for run in equal if len(run) > 1
    ]
    assert all(html.unescape(re.sub(r"<[^>]+>", "", said)) in shown.text for said, _ in folded)


def test_both_forms_have_the_same_rows(pair):
    shown = views.side_by_side(diff(*pair))
    said = [line for line in shown.text.splitlines() if " |" in line]
    rows = re.findall(r"<tr[^>]*><td class=\"id\">|<tr[^>]*><td></td>", shown.html)
    assert len(rows) == len(said)


def test_a_hundred_thousand_ids_a_side_are_soon_shown_in_a_small_page():
    said = lines(4600)
    other = list(said)
    for place in range(10):
        other[100 + 450 * place] = "Something else.\n"
    left, right = prompt("".join(said)), prompt("".join(other))
    assert len(left.token_ids) > 90_000
    with within(2.0):
        shown = views.side_by_side(diff(left, right))
    assert len(shown.html) < 1_000_000 and shown.html.count("k2-first-") == 2
    assert "tokens are left out" in shown.html and shown.text.count("equal tokens") == 11


def test_sides_that_have_nothing_in_common_are_a_short_table():
    right = prompt("".join(lines(400)))
    with within(2.0):
        shown = views.side_by_side(diff(range(50_000, 90_000), right))
    assert len(shown.html) < 500_000 and "more rows that differ" in shown.text and "left out" in shown.html


def test_more_runs_than_a_table_holds_are_counted():
    right = prompt("".join(lines(2500)))
    left = [0 if place % 10 == 5 else token for place, token in enumerate(right.token_ids)]
    with within(4.0):
        shown = views.side_by_side(diff(left, right))
    assert re.search(r"\d{3,} more runs that differ, and what lies between them, are left out", shown.text)
    assert shown.html.count("<tr") < sides.MOST_ROWS + 50

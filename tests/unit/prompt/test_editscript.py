"""Equal runs of two sequences: that they are, that no fewer edits would do, and that long sides are soon done."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Indel

from k2lab.prompt import editscript
from k2lab.prompt.alignment import align
from tests.helpers.effort import examples, within

IDS = st.lists(st.integers(0, 6), max_size=60)


def checked(left, right):
    """The blocks, and how many ids they leave on one side alone."""
    x = y = 0
    found = list(editscript.equal_runs(left, right))
    for block in found:
        assert block.length and block.left >= x and block.right >= y and (not x or block[:2] != (x, y))
        x, y = block.left + block.length, block.right + block.length
        assert left[block.left : x] == right[block.right : y]
    return len(left) + len(right) - 2 * sum(block.length for block in found)


@pytest.fixture(params=["by the table", "by the search", "by anchors"])
def way(request, monkeypatch):
    if request.param != "by the table":
        monkeypatch.setattr(editscript, "SMALL", -1)
    if request.param == "by anchors":
        monkeypatch.setattr(editscript, "MOST_EDITS", -1)
        monkeypatch.setattr(editscript, "ANCHOR", 3)
    return request.param


@pytest.mark.parametrize("seed", range(5))
def test_each_way_gives_runs_that_are_equal_and_a_shortest_script_where_it_says_so(way, seed):
    chance = random.Random(seed)
    for _ in range(60):
        left = [chance.randrange(6) for _ in range(chance.randrange(50))]
        right = [token for token in left if chance.random() > 0.2] if chance.random() < 0.5 else left[5:] + left[:5]
        right[len(right) // 2 : len(right) // 2] = [9] * chance.randrange(3)
        edits = checked(left, right)
        assert edits >= Indel.distance(left, right)
        if way != "by anchors":
            assert edits == Indel.distance(left, right)


@examples(200)
@given(IDS, IDS)
def test_a_shortest_script_is_found_for_whatever_is_short(left, right):
    assert checked(left, right) == Indel.distance(left, right)


def long_sides(differences, length=100_000):
    chance = random.Random(1)
    left = [chance.randrange(160_000) for _ in range(length)]
    right = list(left)
    for place in sorted(chance.sample(range(length), differences), reverse=True):
        right[place : place + chance.randrange(3)] = [200_000 + place] * chance.randrange(3)
    return left, right


def test_two_of_a_hundred_thousand_ids_that_differ_in_ten_places_are_soon_beside_each_other():
    left, right = long_sides(10)
    with within(1.0):
        hunks = list(align(left, right))
    assert sum(hunk.tag != "equal" for hunk in hunks) <= 10 and checked(left, right) < 50


@pytest.mark.parametrize("differences", [300, 5000])
def test_many_differences_are_found_each_by_itself(differences):
    left, right = long_sides(differences)
    with within(5.0):
        edits = checked(left, right)
    assert edits < 5 * differences


def test_sides_that_have_nothing_in_common_are_soon_said_to_differ():
    with within(2.0):
        assert checked(list(range(100_000)), list(range(100_000, 200_000))) == 200_000
        assert checked([], list(range(100_000))) == 100_000


def test_what_repeats_without_end_is_aligned_all_the_same():
    unit = list(range(7))
    with within(3.0):
        assert checked(unit * 8000, [*(unit * 4000), 99, *(unit * 4010)]) == 71

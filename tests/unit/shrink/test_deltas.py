"""Delta debugging by itself: what is left is needed, and few tries are taken."""

from hypothesis import given
from hypothesis import strategies as st

from k2lab.shrink.deltas import fewest


@given(st.integers(0, 60), st.sets(st.integers(0, 59), max_size=6))
def test_of_a_list_exactly_the_needed_items_are_left_in_their_order(length, needed):
    needed = {item for item in needed if item < length}
    assert fewest(range(length), lambda kept: needed <= set(kept)) == sorted(needed)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.integers(0, 60))
def test_no_item_of_what_is_left_can_be_left_out_alone(items, bound):
    def holds(kept):
        return sum(kept) >= min(bound, sum(items))

    left = fewest(items, holds)
    assert holds(left) and not any(holds(left[:at] + left[at + 1 :]) for at in range(len(left)))


def test_one_of_a_thousand_is_found_in_few_tries():
    tried = []
    assert fewest(range(1000), lambda kept: tried.append(kept) or 700 in kept) == [700]
    assert len(tried) < 60


def test_at_least_so_many_are_left():
    assert fewest("abc", lambda kept: True, least=1) == ["a"]

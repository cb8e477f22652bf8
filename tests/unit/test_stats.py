import pytest

from k2lab.stats import share


@pytest.mark.slow
@pytest.mark.parametrize(("count", "total"), [(0, 10), (3, 10), (10, 10), (1, 1), (203, 4000), (3999, 4000)])
def test_wilson_interval_agrees_with_scipy(count, total):
    from scipy.stats import binomtest  # takes as long to import as all else here

    want = binomtest(count, total).proportion_ci(method="wilson")
    found = share(count, total)
    assert found.low == pytest.approx(want.low, abs=1e-12)
    assert found.high == pytest.approx(want.high, abs=1e-12)


def test_hand_computed_example():
    # p = 1/2, n = 4, z = 1.959964: centre 0.5, half width z/(1+z²/4)·sqrt(1/16+z²/64)
    found = share(2, 4)
    assert (round(found.low, 4), round(found.high, 4)) == (0.1500, 0.8500)
    assert str(found) == "2 of 4 = 50.0% [15.0%, 85.0%]"


def test_nothing_of_nothing_is_unknown_not_zero():
    found = share(0, 0)
    assert (found.low, found.high) == (0.0, 1.0) and str(found) == "0 of 0"


@pytest.mark.parametrize(("count", "total"), [(-1, 3), (4, 3)])
def test_impossible_counts_are_refused(count, total):
    with pytest.raises(ValueError, match="not between"):
        share(count, total)

import math
from collections import Counter

import numpy as np
import pytest

from k2lab.stats import difference, mcnemar, needed_against, needed_each, needed_pairs, share


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


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [  # statsmodels 0.15.0: confint_proportions_2indep(..., method="newcomb", compare="diff")
        ((56, 70), (48, 80), 0.05243147240236498, 0.33387265403690614),
        ((9, 10), (3, 10), 0.1705227239345029, 0.809017973535488),
        ((10, 10), (0, 20), 0.6790860371419145, 1.0),
        ((1274, 1274), (1007, 1325), 0.2175741612645505, 0.26372666561962066),
        ((0, 10), (0, 10), -0.27753279986288926, 0.27753279986288926),
    ],
)
def test_the_interval_of_a_difference_is_statsmodels(first, second, low, high):
    assert difference(share(*first), share(*second)) == pytest.approx((low, high), abs=1e-12)
    assert difference(share(*second), share(*first)) == pytest.approx((-high, -low), abs=1e-12)


@pytest.mark.parametrize(
    ("first", "second", "usual", "strict"),
    [  # statsmodels 0.15.0: samplesize_proportions_2indep_onetail at half of 0.05 and 0.01, power 0.8 and 0.9
        (0.85, 0.80, 905.3657779642253, 1716.0957116386141),
        (0.50, 0.10, 19.380842441647864, 36.49956314459808),
        (0.99, 0.97, 768.0102224631053, 1455.706115686115),
        (0.84, 0.80, 1446.9388146356077, 2742.7740967181066),
    ],
)
def test_the_requests_of_two_arms_are_statsmodels(first, second, usual, strict):
    assert needed_each(first, second) == needed_each(second, first) == math.ceil(usual)
    assert needed_each(first, second, alpha=0.01, power=0.9) == math.ceil(strict)


@pytest.mark.parametrize(("flips", "want"), [(0.1, 351), (0.3, 980)])
def test_the_pairs_that_are_planned_find_the_difference_so_often(flips, want):
    planned = needed_pairs(0.8, 0.85, flips)
    drawn = np.random.default_rng(1).multinomial(planned, [flips / 2 + 0.025, flips / 2 - 0.025, 1 - flips], size=1000)
    times = Counter((int(gained), int(lost)) for gained, lost, _ in drawn)
    found = sum(n for (gained, lost), n in times.items() if mcnemar(gained=gained, lost=lost).p_value < 0.05) / 1000
    assert planned == want and 0.76 < found < 0.85


@pytest.mark.parametrize(("value", "bar"), [(0.70, 0.73), (0.84, 0.80), (0.5, 0.8), (1.0, 0.99)])
def test_a_bar_is_left_outside_the_interval_as_often_as_was_planned(value, bar):
    total = needed_against(value, bar)
    times = Counter(np.random.default_rng(2).binomial(total, value, size=2000).tolist())
    outside = sum(n for count, n in times.items() if not (found := share(count, total)).low < bar < found.high) / 2000
    assert outside == 1.0 if value == 1.0 else 0.75 < outside < 0.85


@pytest.mark.parametrize(
    ("needed", "given", "said"),
    [
        (needed_each, {"first": 0.8, "second": 0.8}, "no difference to find"),
        (needed_each, {"first": 1.2, "second": 0.8}, "1.2 is no share"),
        (needed_each, {"first": math.nan, "second": 0.8}, "nan is no share"),
        (needed_each, {"first": 0.5, "second": 0.5000001}, "takes more than 1,000,000,000,000"),
        (needed_each, {"first": 0.5, "second": 0.6, "alpha": 1.0}, "the level lies between"),
        (needed_each, {"first": 0.5, "second": 0.6, "power": 0.02}, "no more than chance"),
        (needed_pairs, {"first": 0.8, "second": 0.9, "flips": 0.01}, "between 0.1 and 0.3"),
        (needed_pairs, {"first": 0.8, "second": 0.9, "flips": math.nan}, "cannot be"),
        (needed_against, {"value": 0.7, "bar": 1.0}, "no bar"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_in_a_line(needed, given, said):
    with pytest.raises(ValueError, match=said) as raised:
        needed(**given)
    assert "\n" not in str(raised.value)

import math
import random

import pytest

from k2lab.audit.changepoints import log_fisher, steps
from k2lab.audit.summary import summed_up
from k2lab.audit.tallies import Cell, Tally


@pytest.mark.parametrize("seed", range(5))
def test_the_p_value_is_that_of_the_hypergeometric_distribution(seed):
    from scipy.stats import hypergeom  # takes as long to import as all else here

    rng = random.Random(seed)
    for _ in range(60):
        first_total, second_total = rng.randint(1, 3000), rng.randint(1, 3000)
        first, second = rng.randint(0, first_total), rng.randint(0, second_total)
        law = hypergeom(first_total + second_total, first + second, first_total)
        tail = law.cdf(first) if first <= law.mean() else law.sf(first - 1)
        found = math.exp(log_fisher(first, first_total, second, second_total))
        assert found == pytest.approx(min(1, 2 * tail), rel=1e-6, abs=1e-300)


def test_where_nothing_changed_an_alarm_is_rare():
    rng = random.Random(7)
    alarms = trials = 0
    for _ in range(200):
        rates = [rng.choice((0.01, 0.05, 0.3)) for _ in range(5)]
        series = {
            str(n): [(sum(rng.random() < rate for _ in range(40)), 40) for _ in range(14)]
            for n, rate in enumerate(rates)
        }
        alarms += bool(steps(series))
        trials += 1
    assert alarms <= 0.05 * trials, f"{alarms} of {trials}"


def test_a_step_is_found_at_its_day_and_a_pulse_at_both_of_its_ends():
    rng = random.Random(3)

    def days(rates):
        return [(sum(rng.random() < rate for _ in range(2000)), 2000) for rate in rates]

    found = steps({"step": days([0.02] * 10 + [0.08] * 10), "pulse": days([0.02] * 8 + [0.2] * 3 + [0.02] * 8),
                   "flat": days([0.02] * 20)})  # fmt: skip
    assert {name: [step.at for step in made] for name, made in found.items()} == {"step": [10], "pulse": [8, 11]}
    assert all(step.p_value < 1e-6 for made in found.values() for step in made)


def test_a_change_is_told_with_its_day_its_vendor_and_both_shares():
    tally = Tally()
    for day in range(1, 21):
        for vendor in ("a", "b"):
            count = 300 if vendor == "b" and day >= 12 else 20
            cell = Cell(looked=1000, faulty=count)
            cell.by["code:A005"] = count
            tally.cells["kimi-k2", vendor, f"2026-11-{day:02d}"] = cell
    (change,) = summed_up(tally).changes
    assert (change.code, change.vendor, change.day) == ("A005", "b", "2026-11-12")
    assert (change.before.count, change.before.total, change.after.total) == (220, 11_000, 9_000)

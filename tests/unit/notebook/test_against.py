"""What is said of two runs of a notebook: figures are compared only where both were asked the same."""

import pytest

from k2lab.errors import InputError
from k2lab.notebook import figures
from k2lab.notebook.against import changes_between
from k2lab.notebook.runs import Run, read_runs
from k2lab.stats import share
from tests.helpers.hostile import TEXTS


def part(count, total=200):
    made = share(count, total)
    return {"count": count, "total": total, "low": made.low, "high": made.high, "value": count / total}


def run(results, *, versions=None, **entry):
    given = {"status": "passed", "parameters": {"requests": 200, "seed": 1}, "results": results, **entry}
    return Run.of("one", given, versions or {"k2lab": "0.2.0"})


def said(before, after):
    return {change.name: (change.kind, change.said) for change in changes_between(before, after).figures}


def test_figures_stand_before_and_after_with_what_their_intervals_allow_to_say():
    before = run({"called": {"a": part(100), "b": part(100), "c": part(100)}, "n": 4, "gone": 1})
    after = run({"called": {"a": part(100), "b": part(104), "c": part(200)}, "n": 5, "new": 1})
    assert said(before, after) == {
        "called · b": ("moved", "+2.0 points; the intervals overlap"),
        "called · c": ("apart", "+50.0 points; the intervals do not meet"),
        "n": ("moved", "+1 (+25.0 %)"),
        "gone": ("gone", "not there any more"),
        "new": ("new", "new"),
    }
    assert changes_between(before, after).same == 1


@pytest.mark.parametrize("parameters", [{"requests": 400, "seed": 1}, {"requests": 200, "seed": 2}, {"requests": 200}])
def test_of_other_parameters_nothing_is_called_equal_or_changed(parameters):
    before, after = run({"called": part(1), "n": 2}), run({"called": part(1), "n": 3}, parameters=parameters)
    made = changes_between(before, after)
    assert {change.kind for change in made.figures} == {"unlike"} and made.same == 0 and len(made.figures) == 2
    assert made.asked and "none compared" in made.summary and made.asked[0] in made.summary
    assert f"parameter {made.asked[0]}" in {fact.name for fact in made.facts}


def test_a_share_of_another_number_says_so_where_the_parameters_do_not():
    assert said(run({"called": part(50, 100)}), run({"called": part(100, 200)})) == {
        "called": ("moved", "+0.0 points, of another number; the intervals overlap")
    }


def test_verdict_versions_and_servers_are_said():
    before = run({}, status="failed", error="cell 3 raised X", versions={"k2lab": "0.1.0"}, servers=["0.11.0 old"])
    made = changes_between(before, run({}, servers=["0.32.0 old"]))
    assert {fact.name: (fact.before, fact.after) for fact in made.facts} == {
        "verdict": ("failed", "passed"),
        "error": ("cell 3 raised X", "(none)"),
        "servers": ("0.11.0 old", "0.32.0 old"),
        "k2lab": ("0.1.0", "0.2.0"),
    }
    assert made.summary.startswith("verdict failed → passed")
    assert "no run of this notebook" in changes_between(None, before).summary


DAMAGED = [
    None, [], "x", {"status": 3, "results": []}, {"results": {"a": {"count": "1", "total": None}}},
    {"results": {"a": {"count": 1, "total": -1, "low": 2, "high": 0}}, "parameters": [1], "servers": {"a": 1}},
    {"seconds": "long", "finished": {}, "error": [1], "made_with": 4},
    {"results": {"a": 10**4000, "b": -(10**400), "c": {"count": 10**400, "total": 10**401, "low": 0, "high": 1}}},
    {"results": {text: {text: [text]} for text in TEXTS.values()}, "error": TEXTS["long"], "seconds": 1e300},
]  # fmt: skip


@pytest.mark.parametrize("entry", DAMAGED)
def test_a_damaged_entry_is_a_run_with_what_is_left_of_it(entry):
    made = Run.of(TEXTS["long"], entry, {"k2lab": ["x"]})
    assert made.state == "unfinished" and len(made.name) <= 220 and len(made.took) < 30
    assert all(len(figure.said) < 400 for group in made.groups for figure in group.figures)
    changes_between(made, run({"a": 1}))
    changes_between(run({"a": 1}), made)


@pytest.mark.parametrize("text", ["", "garbage", "[1]", "{}", '{"reports": 4}', '{"reports": {}', "\x00"])
def test_a_file_that_is_no_summary_is_one_line(tmp_path, text):
    path = tmp_path / "summary.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_runs(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_a_result_of_many_figures_keeps_its_shares_and_tests():
    many = {
        str(number): {"n": number, "called": part(1), "test": {"gained": 1, "lost": 0, "p_value": 1.0}}
        for number in range(20)
    }
    [group] = figures.groups({"many": many})
    assert len(group.figures) == 40 and group.columns == ("called", "test") and len(group.rows) == 20
    [named] = figures.groups({"few": {"a": 1, "b": True, "c": "word", "d": 0.25}})
    assert [one.said for one in named.figures] == ["1", "True", "word", "0.25"] and named.columns == ()

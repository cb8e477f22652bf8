"""Where an arm stands beside what was published, and how many requests it takes to say."""

from dataclasses import replace

import numpy as np
import pytest

from k2lab.bench import planning, published
from k2lab.bench.metrics import K2vv, Trigger, f1_of, overlap_of
from k2lab.bench.standing import Asked, model_of, standings, unplaced
from k2lab.errors import InputError
from k2lab.jsonable import as_json

RELEASE, THINKING = "kimi-k2-0905-preview", "kimi-k2-thinking"


def counts(successful, calls, requests=2000):
    return K2vv(
        success_count=requests,
        failure_count=0,
        finish_stop=requests - calls,
        finish_tool_calls=calls,
        finish_others=0,
        finish_others_detail={},
        schema_validation_error_count=calls - successful,
        successful_tool_call_count=successful,
    )


def trigger(tp, fp, fn, requests=2000):
    return Trigger(tp=tp, fp=fp, fn=fn, tn=requests - tp - fp - fn, same=tp)


def placed(tp, fp, fn, *, successful=None, requests=2000, model=RELEASE, temperature=0.6, **reference):
    asked = Asked(requests=requests, values={"temperature": frozenset({temperature})}, **reference)
    calls = tp + fp
    good = calls if successful is None else successful
    return standings(model, counts(good, calls, requests), trigger(tp, fp, fn, requests), asked)


@pytest.mark.parametrize(("requests", "calling", "overlap"), [(40, 0.4, 0.7), (400, 0.6, 0.57), (2000, 0.37, 0.72)])
def test_the_interval_of_f1_holds_the_true_one_as_often_as_it_says(requests, calling, overlap):
    cells = [calling * overlap, calling * (1 - overlap) * 0.3, calling * (1 - overlap) * 0.7, 1 - calling]
    drawn = np.random.default_rng(7).multinomial(requests, cells, size=2000).tolist()
    intervals = [Trigger(tp=tp, fp=fp, fn=fn, tn=tn, same=0).f1_interval for tp, fp, fn, tn in drawn]
    held = sum(low <= f1_of(overlap) <= high for low, high in intervals) / len(intervals)
    assert 0.935 < held < 0.967


def test_f1_and_overlap_are_each_others_inverse():
    assert trigger(30, 8, 12).f1 == pytest.approx(2 * 30 / (2 * 30 + 8 + 12)) == pytest.approx(f1_of(30 / 50))
    assert overlap_of(f1_of(0.37)) == pytest.approx(0.37)


@pytest.mark.parametrize(
    ("cells", "stand"),
    [
        ((540, 100, 100), "within"),  # F1 84.4 %
        ((460, 180, 180), "below"),  # 71.9 %
        ((520, 120, 120), "cannot be said"),  # 81.3 %
        ((640, 0, 0), "above"),
    ],
)
def test_f1_stands_where_its_whole_interval_is(cells, stand):
    f1, _ = placed(*cells)
    assert (f1.figure, f1.stand, f1.bar, f1.average) == ("tool_call_f1", stand, 0.80, 0.84)
    assert (f1.needed is not None) == (stand == "cannot be said") and f1.low <= f1.value <= f1.high


def test_what_cannot_be_said_says_how_many_requests_would():
    few, _ = placed(10, 2, 2, requests=40)
    assert few.said == "cannot be said with n = 40: it takes about 2,200"
    assert few.needed == planning.f1_against(few.value, 0.80, 14 / 40).requests
    (at_bar,) = (item for item in placed(200, 50, 50) if item.figure == "tool_call_f1")
    assert at_bar.value == pytest.approx(0.80) and "at the bar itself" in at_bar.said and at_bar.needed is None


@pytest.mark.parametrize(
    ("successful", "calls", "stand"), [(640, 640, "within"), (495, 641, "below"), (40, 40, "cannot be said")]
)
def test_schema_accuracy_is_held_to_a_point_less_than_the_official(successful, calls, stand):
    *_, accuracy = placed(calls, 0, 0, successful=successful)
    assert (accuracy.figure, accuracy.stand, accuracy.bar) == ("schema_accuracy", stand, pytest.approx(0.99))
    if stand == "cannot be said":  # 381 calls without an error, 40 of 2,000 requests call
        assert accuracy.needed == 381 * 50
    if stand == "below":
        assert set(accuracy.alike) >= {"vLLM", "SGLang"} and "Groq" not in accuracy.alike


def test_what_no_file_says_is_a_condition_and_what_does_not_hold_compares_nothing():
    f1, accuracy = placed(540, 100, 100)
    assert {item.what: item.holds for item in f1.conditions} == {
        "the 2,000 requests are K2VV's own": None,
        "temperature is 0.6": True,
        "the reference is a run of Moonshot's API": None,
    }
    assert "drawn at random" in placed(10, 2, 2, requests=40)[0].conditions[0].what
    f1, accuracy = placed(540, 100, 100, official=False)
    assert f1.said == "not comparable: the reference is no run of Moonshot's API" and accuracy.stand == "within"
    other = placed(540, 100, 100, reference_models=frozenset({RELEASE, "Kimi-K2-Thinking"}))[0]
    assert other.said == "not comparable: the reference asked Kimi-K2-Thinking"
    assert placed(540, 100, 100, reference_models=frozenset({"", "default", "kimi-k2-0905"}))[0].stand == "within"
    asked = Asked(requests=2000, values={})
    broken = standings(RELEASE, replace(counts(640, 640), failure_count=30), trigger(540, 100, 100), asked)
    assert [item.what for item in broken[0].conditions][-1].startswith("the 30 requests that failed count as")
    warm = placed(540, 100, 100, temperature=1.0)
    assert {item.said for item in warm} == {"not comparable: temperature was 1.0, and 0.6 in the published run"}
    more = placed(540, 100, 100, requests=5000)
    assert {item.said for item in more} == {"not comparable: 5,000 requests are more than K2VV's 4,000"}
    silent = placed(540, 100, 100, temperature=None)[0]
    assert silent.stand == "within" and silent.conditions[1].holds is None
    assert as_json(silent, computed=True)["said"] == "within"


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("kimi-k2-0905-preview", RELEASE),
        ("moonshotai/Kimi-K2-Instruct-0905", RELEASE),
        ("/models/Kimi-K2-Thinking", THINKING),
        ("moonshotai/kimi-k2-thinking-turbo", THINKING),
        ("moonshotai/Kimi-K2-Instruct", None),
        ("kimi-k2.5", None),
        ("kimi-k2.5-thinking", None),
        ("k2-nano", None),
        ("kimi-k2-0905-tiny", None),
        ("llama-0905", None),
        ("", None),
    ],
)
def test_a_model_is_known_by_its_name_or_nothing_is_set_beside_it(model, known):
    assert published.published_name(model) == known
    assert bool(unplaced(model)) == (known is None)
    assert [item.model for item in placed(540, 100, 100, model=model, temperature=None)] == (
        [known] * 2 if known else []
    )


def test_a_stand_in_and_another_model_stay_what_they_are_called():
    assert "not a Kimi model" in unplaced("k2-nano")
    assert model_of("k2-nano", RELEASE) == "k2-nano" and model_of("kimi-k2.5", RELEASE) == "kimi-k2.5"
    assert model_of("default", RELEASE) == model_of("kimi-k2", RELEASE) == RELEASE
    assert model_of("kimi-k2-thinking", RELEASE) == "kimi-k2-thinking" and model_of("x", None) == "x"


def test_the_published_figures_come_with_source_date_and_model():
    assert {
        (table.model, table.date, table.f1_accepted, table.f1_average) for table in published.published_tables()
    } == {
        (RELEASE, "2025-10-23", 0.80, 0.84),
        (THINKING, "2025-11-15", 0.73, 0.76),
        (RELEASE, "2025-11-15", 0.80, 0.84),
    }
    assert published.published_tables()[0].date == "2025-10-23"
    thinking = published.table_of(THINKING)
    assert (thinking.official.calls, thinking.f1_lowest, thinking.requests) == (1958, 0.7581, 4000)
    assert dict(thinking.settings) == {"temperature": 1.0, "max_tokens": 64000} and "ba4618c" in thinking.url
    vendors = {vendor.name: vendor for vendor in published.table_of(RELEASE).vendors}
    assert len(vendors) == 15 and vendors["Nebius"].f1 == 0.506 and vendors["vLLM"].successful == 1007
    assert published.table_of(RELEASE, "2025-10-23").vendors != published.table_of(RELEASE).vendors
    assert published.table_of(RELEASE, "2025-01-01") is None


def test_plans_say_what_they_count():
    assert planning.two_shares(0.8, 0.85).requests == 906
    assert planning.pairs(0.8, 0.85, 0.1).requests == 351 and planning.pairs(0.8, 0.85, 0.1).notes == ()
    unknown = planning.pairs(0.8, 0.85)
    assert unknown.given["flips"] == pytest.approx(0.29) and "unrelated" in unknown.notes[0]
    alone, among = planning.f1_against(0.70, 0.73), planning.f1_against(0.70, 0.73, 0.6)
    assert "arm or its reference calls" in alone.each and among.requests == pytest.approx(alone.requests / 0.6, abs=1)
    for wrong in (lambda: planning.f1_against(1.2, 0.7), lambda: planning.f1_against(0.6, 0.7, 0.0)):
        with pytest.raises(InputError):
            wrong()


@pytest.fixture
def no_figures(tmp_path, monkeypatch):
    monkeypatch.setenv("K2LAB_DATA", str(tmp_path))
    published.rows.cache_clear(), published.published_tables.cache_clear()
    yield tmp_path
    published.rows.cache_clear(), published.published_tables.cache_clear()


def test_where_the_data_have_no_published_figures_nothing_is_set_beside_a_run_and_a_line_says_so(no_figures):
    assert placed(540, 100, 100, model=THINKING, temperature=None) == ()
    assert unplaced(THINKING) == f"{no_figures} has no folder published, whose figures are set beside a run"

"""Rungs, and what becomes of them in one file."""

import itertools
from dataclasses import replace

import pytest

from k2lab.bench import store
from k2lab.errors import UnsupportedError
from k2lab.notebook import ladder
from k2lab.notebook.questions import Questions
from k2lab.notebook.subjects import Subject
from k2lab.server.endpoint import Endpoint
from tests.helpers.stub_server import stub


@pytest.fixture(scope="module")
def climbed(tmp_path_factory):
    asked = Questions.of("own", out=str(tmp_path_factory.mktemp("climbed")), requests=12)
    with stub() as server:
        endpoint, seen = Endpoint(server.url, "m"), []
        made = ladder.climb_on(endpoint, ladder.REPAIRED, asked, show=lambda name, progress: seen.append(name))
        return asked, made, seen, endpoint


def test_each_rung_is_run_and_summed_up_and_shown_by_its_name(climbed):
    _, made, seen, _ = climbed
    assert (
        [*made.went] == [*made.summaries] == [*made.judged] == ["as sent", "history repaired"] == [*dict.fromkeys(seen)]
    )
    assert all(summary.requests == 12 for summary in made.summaries.values())
    assert all(summary.trigger is not None for summary in made.summaries.values())


@pytest.mark.parametrize("side_by_side", [False, True])
def test_rungs_are_told_in_their_order_whoever_was_asked_first(climbed, tmp_path, side_by_side):
    asked, *_ = climbed
    with stub() as server:
        subjects = {
            name: Subject(name=name, engine="x", variant="v", endpoint=Endpoint(server.url, "m"), folder=tmp_path)
            for name in ("a", "b")
        }
        rungs = [ladder.Rung(name=name, server=name, change="") for name in ("b", "a")]
        files = replace(asked, answers=tmp_path / "run.db")
        ladder.climb(rungs[1:], subjects, files, show=lambda name, progress: None)
        made = ladder.climb(rungs, subjects, files, show=lambda name, progress: None, side_by_side=side_by_side)
    assert [*made.went] == [*made.summaries] == [*made.judged] == ["b", "a"]
    assert [progress.had for progress in made.went.values()] == [0, 12]


def test_a_ladder_that_is_interrupted_does_not_go_on_with_the_next_rung(climbed, tmp_path):
    asked, *_ = climbed
    thrown = [KeyboardInterrupt()]

    def show(name, progress):
        if thrown:
            raise thrown.pop()

    with stub("--delay-ms", 400) as server, pytest.raises(KeyboardInterrupt):
        files = replace(asked, answers=tmp_path / "run.db")
        ladder.climb_on(Endpoint(server.url, "m"), ladder.REPAIRED, files, concurrency=1, show=show)
    with store.reading(tmp_path / "run.db") as file:
        assert [run.arm for run in file.arms()] == ["as sent"]


def test_steps_are_compared_by_name(climbed):
    _, made, _, _ = climbed
    compared = made.compared([("as sent", "history repaired")])
    assert compared.keys() == {"as sent → history repaired"} and compared.popitem()[1].first.total == 12


def test_successes_are_held_against_what_the_labels_call(climbed):
    asked, made, *_ = climbed
    wanted = sum(made.finish_reason == "tool_calls" for made in [asked.reference[i] for i in range(1, 13)])
    assert [*made.successes()] == [*made.summaries] and [*made.successes(["as sent"])] == ["as sent"]
    assert all((run.requests, run.wanted) == (12, wanted) for run in made.successes().values())


def test_requests_that_flip_say_how_many_calls_were_asked_for(climbed):
    asked, _, _, _ = climbed
    flips = [ladder.Flip(data_index=index, before="stop", after="tool_calls") for index in (1, 99)]
    text = ladder.table_of(flips, asked).text
    assert str(asked.reference[1].count) in text.splitlines()[1] and "not known" in text.splitlines()[2]


def test_a_server_that_takes_no_tag_is_refused_before_anything_is_asked(climbed):
    asked, *_ = climbed
    with stub() as server, pytest.raises(UnsupportedError, match="does not obey a grammar"):
        ladder.climb_on(Endpoint(server.url, "m"), ladder.PINNED, asked)


@pytest.mark.parametrize("rungs", [ladder.RUNGS, ladder.ENFORCED, ladder.REPAIRED, ladder.PINNED])
def test_every_rung_differs_from_the_one_before_in_more_than_its_words(rungs):
    bare = [replace(rung, name="", change="") for rung in rungs]
    assert all(before != after for before, after in itertools.pairwise(bare))

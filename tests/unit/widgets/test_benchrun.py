"""A run in a notebook: its bar, its numbers, and Stop, which loses nothing."""

import os
import signal
import sys
import threading
import traceback

import pytest

from k2lab.bench.arm import Arm
from k2lab.bench.limits import Limits
from k2lab.errors import EndpointError
from k2lab.widgets import benchrun
from tests.helpers.processes import until
from tests.helpers.runs import request, stored, tries, written
from tests.helpers.stub_server import stub


def waits_in(function):
    """Whether the main thread is within a function."""
    frames = traceback.walk_stack(sys._current_frames()[threading.main_thread().ident])
    return function in {frame.f_code.co_name for frame, _ in frames}


@pytest.fixture
def made(monkeypatch):
    """The benches that were displayed, and what was brought up to date."""
    benches = []
    plain = benchrun.RunningBench.__init__

    def note(self, *words):
        plain(self, *words)
        benches.append(self)

    monkeypatch.setattr(benchrun.RunningBench, "__init__", note)
    return benches


def test_a_run_shows_how_far_it_came_and_how(tmp_path, made):
    with stub() as server:
        samples = written(tmp_path, [request(), request("500"), request()])
        arm = Arm(name="<b>arm", base_url=server.url, model="m")
        final = benchrun.run_bench(samples, arm, tmp_path / "run.db", limits=Limits(concurrency=2)).result()
    assert (final.got, final.ended) == (3, "")
    [bench] = made
    assert (bench.bar.value, bench.bar.max, bench.button.disabled) == (3, 3, True)
    assert "done, 3 of 3" in bench.live.said
    shown = bench.view()
    assert "3 of 3 (100%)" in shown.text and "failed" in shown.text and "<b>arm" not in shown.html


@pytest.mark.parametrize("how", ["button", "interrupt"])
def test_a_run_that_is_stopped_keeps_every_answer_and_goes_on_without_asking_twice(tmp_path, made, how):
    count = 120
    with stub("--delay-ms", 40) as server:
        samples = written(tmp_path, [request() for _ in range(count)])
        arm = Arm(name="arm", base_url=server.url, model="m")

        def stop():
            assert until(lambda: waits_in("_waited") and made[0].progress and made[0].progress.got)
            made[0].button.click() if how == "button" else os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=stop).start()
        final = benchrun.run_bench(samples, arm, tmp_path / "run.db", limits=Limits(concurrency=2)).result()
        assert final.ended == "interrupted" and 0 < final.got < count
        kept = stored(tmp_path)
        assert len(kept) == final.got == tries(tmp_path)
        assert f"stopped early at {final.got} of {count}" in made[0].view().text
        assert f"stopped early at {final.got} of {count}" in made[0].live.said
        posts = server.seen("posts")
        assert posts - final.got <= 2  # those that were under way
        again = benchrun.run_bench(samples, arm, tmp_path / "run.db", limits=Limits(concurrency=2)).result()
        assert (again.had, again.got, again.ended) == (final.got, count - final.got, "")
        assert server.seen("posts") == posts + count - final.got
    answers = {result.data_index: result.response["choices"][0]["message"]["content"] for result in stored(tmp_path)}
    assert len(answers) == tries(tmp_path) == count
    assert all(answers[result.data_index] == result.response["choices"][0]["message"]["content"] for result in kept)


def test_a_server_that_is_not_there_ends_the_widget_too(tmp_path, made):
    with stub() as server:
        url = server.url
    with pytest.raises(EndpointError):
        benchrun.run_bench(
            written(tmp_path, [request()]), Arm(name="arm", base_url=url, model="m"), tmp_path / "run.db"
        ).result()
    assert "ended by an error" in made[0].view().text and made[0].button.disabled

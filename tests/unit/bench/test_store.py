"""A benchmark file: what is asked again, what survives being killed, and who may write."""

import contextlib
import itertools
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from k2lab.bench import runner, store
from k2lab.bench.arm import Arm
from k2lab.engine.server import free_port
from k2lab.errors import EndpointError, InputError
from tests.conftest import ROOT
from tests.helpers.effort import THOROUGH
from tests.helpers.runs import TOOLS, ask, request, restored, stored, table, tries, written

FORKS = """
import json, os, sys, aiohttp
from pathlib import Path
from k2lab.bench import arm, runner, samples
for line in sys.stdin:
    path, url, out = json.loads(line)
    child = os.fork()
    if not child:
        here = arm.Arm(name="arm", base_url=url, model="m")
        runner.run_benchmark(samples.open_samples(path), here, Path(out), limits=runner.Limits(rate=100))
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Runs in processes of their own, which need not import everything again."""


@pytest.fixture(scope="module")
def forks():
    with subprocess.Popen(
        [sys.executable, "-c", FORKS], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.stdin.close()


def test_nothing_is_asked_twice_but_what_failed_where_that_is_wished(server, tmp_path):
    requests, before = [request() for _ in range(12)], server.seen("posts")
    steps = [({"limit": 5}, 0, 5), ({}, 5, 7), ({}, 12, 0), ({"limit": 5}, 5, 0), ({"trials": 2}, 12, 12)]
    for options, had, got in steps:
        end = ask(tmp_path, server.url, requests, options=options)
        assert (end.had, end.got, end.wanted) == (had, got, had + got)
    assert tries(tmp_path) == server.seen("posts") - before == 24
    assert {(r.data_index, r.trial) for r in stored(tmp_path)} == set(itertools.product(range(1, 13), (0, 1)))
    requests = [request("500-once" if number % 3 else "ok") for number in range(9)]
    assert ask(tmp_path, server.url, requests).counts == {"stop": 3, "failed": 6}
    assert ask(tmp_path, server.url, requests).got == 0
    again = ask(tmp_path, server.url, requests, options={"rerun_failed": True})
    assert (again.had, again.got, again.counts) == (3, 6, {"stop": 9}) and tries(tmp_path) == 15


def test_a_changed_arm_reuses_no_answer_and_one_changed_back_goes_on(server, tmp_path):
    requests = [request() for _ in range(3)]
    ask(tmp_path, server.url, requests, arm="another")
    ask(tmp_path, server.url, requests, options={"limit": 2})
    first = stored(tmp_path)
    for changed in ({"extra_body": {"seed": 1}}, {"repair": "ids"}, {"stream": True}, {"model": "n"}, {"serves": "x"}):
        assert ask(tmp_path, server.url, requests, **changed).got == 3
    assert ask(tmp_path, server.url.replace("127.0.0.1", "localhost"), requests).got == 3
    assert [ask(tmp_path, server.url, requests, arm="another", serves=other).got for other in ("x", "")] == [3, 0]
    back = ask(tmp_path, server.url, requests)
    assert (back.had, back.got) == (2, 1) and stored(tmp_path)[:2] == first
    with pytest.raises(EndpointError):
        ask(tmp_path, f"http://127.0.0.1:{free_port()}/v1", requests)
    with store.reading(tmp_path / "run.db") as file:
        assert [run.arm for run in file.arms()] == ["another", "arm"] and len(file.runs()) == 9
    assert len(stored(tmp_path)) == 3


def test_the_latest_run_of_an_arm_is_that_which_was_gone_on_with_last_in_older_files_too(tmp_path):
    path = restored(tmp_path / "run.db")
    before = path.read_bytes()
    with store.reading(path) as file:
        runs = file.runs()
        assert {len(list(file.results(run))) for run in runs} == {7} and len(file.arms()) == len(runs) == 9
    assert path.read_bytes() == before
    with store.writing(path) as file:
        assert file.runs() == runs
        first = runs[0]
        other = file.begin(first.arm, {"model": "other"}, first.samples, first.samples_sha256)
        assert file.run_of(first.arm) == other != first
        again = file.begin(first.arm, first.config, first.samples, first.samples_sha256)
        assert again == first == file.run_of(first.arm) and file.runs() == [*runs[1:], other, first]
        assert len(list(file.results(first))) == file.attempts(first) == 7


def test_a_changed_samples_file_reuses_answers_of_unchanged_lines_alone(server, tmp_path):
    twin = request()
    requests = [twin, twin, request("500"), request(tools=TOOLS)]
    ask(tmp_path, server.url, requests)
    first = stored(tmp_path)
    grown = ask(tmp_path, server.url, [*requests, request()])
    assert (grown.had, grown.got, grown.counts) == (3, 2, {"stop": 3, "tool_calls": 1, "failed": 1})
    now = stored(tmp_path)
    assert [now[line] for line in (0, 1, 3)] == [first[line] for line in (0, 1, 3)]  # each twin its own
    changed = ask(tmp_path, server.url, [twin, {**twin, "seed": 1}, requests[3]])
    assert (changed.had, changed.got) == (2, 1)
    assert stored(tmp_path)[1].request["seed"] == 1 and stored(tmp_path)[2].finish_reason == "tool_calls"


def test_answers_of_an_earlier_run_are_looked_up_quickly(server, tmp_path):
    requests = [request(pad="x" * 5000) for _ in range(1000)]
    first, second = (ask(tmp_path, server.url, requests, extra_body={"seed": seed}) for seed in (1, 2))
    assert second.got == 1000 and second.elapsed_s < 4 * first.elapsed_s


@contextlib.contextmanager
def child(forks, samples, server, out):
    """A run in a process of its own, which is killed at the end of the block, if it has not ended."""
    print(json.dumps([str(samples.path), server.url, str(out)]), file=forks.stdin, flush=True)
    running = int(forks.stdout.readline())
    try:
        yield
    finally:
        os.kill(running, signal.SIGKILL)
        assert int(forks.stdout.readline()) == -signal.SIGKILL


def asked(folder):
    with contextlib.suppress(InputError):
        return tries(folder)
    return 0  # no file yet, or no run in it


def test_a_run_killed_many_times_ends_in_the_same_table(server, forks, tmp_path):
    modes = itertools.islice(itertools.cycle(("ok", "ok", "400", "no-finish")), 1000)
    requests = [request(mode, tools=TOOLS if n % 3 else None, stream=n % 5 == 0) for n, mode in enumerate(modes)]
    samples, out, moments, had = written(tmp_path, requests), tmp_path / "run.db", random.Random(20), [0]
    for _ in range(20 if THOROUGH else 7):
        with child(forks, samples, server, out):
            goal = had[-1] + moments.choice((0, 1, 10, 40))
            while asked(tmp_path) < goal:
                time.sleep(0.01)
            time.sleep(moments.uniform(0, 0.03))  # between two answers or in the middle of one
        had.append(len(stored(tmp_path)))
    assert had == sorted(had) and len(set(had)) > 3 and 0 < had[-1] < 1000
    end = ask(tmp_path, server.url, requests)
    assert (end.had, end.got) == (had[-1], 1000 - had[-1]) and tries(tmp_path) == 1000
    ask(tmp_path / "whole", server.url, requests)
    assert table(tmp_path) == table(tmp_path / "whole") and len(table(tmp_path)) == 1000


def test_a_second_writer_is_refused_and_a_reader_is_not(server, forks, tmp_path):
    samples, out = written(tmp_path, [request() for _ in range(1000)]), tmp_path / "run.db"
    with child(forks, samples, server, out):
        while len(stored(tmp_path)) < 5:
            time.sleep(0.05)
        with pytest.raises(InputError, match=r"run\.db is being written by another run: wait for it, or [^\n]*$"):
            runner.run_benchmark(samples, Arm(name="other", base_url=server.url, model="m"), out)
    with store.reading(out) as file:
        reader, started = file.results(file.run_of("arm")), time.monotonic()
        next(reader)  # in the middle of the file
        assert ask(tmp_path, server.url, [request()], arm="other").got == 1 and time.monotonic() - started < 5


@pytest.mark.parametrize("opening", [store.reading, store.writing])
def test_a_file_that_is_no_benchmark_file_is_refused_as_it_is(tmp_path, opening):
    text, database, later = tmp_path / "text.db", tmp_path / "other.db", tmp_path / "later.db"
    text.write_text("no database " * 100)
    with contextlib.closing(sqlite3.connect(database)) as file:
        file.execute("CREATE TABLE things (a)")
    with store.writing(later), contextlib.closing(sqlite3.connect(later)) as file:
        file.execute("PRAGMA user_version = 99")
    said = {
        text: "is not a benchmark file of k2lab: file is not",
        database: "but not a benchmark file",
        later: "has format 99",
    }
    for path, why in {
        **said,
        tmp_path: "it is a folder",
        text / "in" / "run.db": "a bench|no bench|cannot write",
    }.items():
        before = path.is_file() and path.read_bytes()
        with pytest.raises(InputError, match=why) as no, opening(path):
            pass
        assert "\n" not in str(no.value) and str(path) in str(no.value) and before == (before and path.read_bytes())

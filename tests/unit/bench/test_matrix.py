"""Many vendors at once: each within its one limit, each model in its own file, and one report."""

import asyncio
import contextlib
import importlib.util
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import tomllib

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2lab.bench import matrix_file, store, vendor_runs
from k2lab.bench.limits import Pace
from k2lab.bench.matrix_file import file_of, read_matrix
from k2lab.bench.vendor_report import report_of
from k2lab.errors import InputError
from k2lab.show.matrices import matrix_view
from tests.conftest import ROOT
from tests.helpers.effort import examples
from tests.helpers.runs import TOOLS, request
from tests.helpers.stub_server import stub

VENDOR = """
[vendors.{name}]
base_url = "{url}"
requests_per_minute = {rpm}
concurrency = {concurrency}
retries = 0
{more}
[vendors.{name}.models]
{models}
"""


def vendor(name, url, models=("kimi-k2",), rpm=60_000, concurrency=4, more=""):
    named = "\n".join(f'"{model}" = "{model}"' for model in models)
    return VENDOR.format(name=name, url=url, rpm=rpm, concurrency=concurrency, more=more, models=named)


def written(folder, *parts, requests=6, top=""):
    asked = [request(**({"tools": TOOLS} if place % 2 else {})) for place in range(requests)]
    (folder / "samples.jsonl").write_text("".join(json.dumps(one) + "\n" for one in asked))
    path = folder / "m.toml"
    path.write_text(f'samples = "samples.jsonl"\n{top}\n' + "".join(parts))
    return path


def results(folder, name, model):
    with store.reading(file_of(folder, name, model)) as file:
        return list(file.results(file.arms()[0]))


@given(st.integers(20, 400), st.integers(1, 8), st.integers(1, 12))
@examples(40)
def test_no_window_of_time_has_more_starts_than_the_rate_says(rate, workers, count):
    starts = []

    async def work(pace):
        for _ in range(count):
            await pace.wait()
            starts.append(time.monotonic())

    async def run():
        pace = Pace(rate)
        await asyncio.gather(*(work(pace) for _ in range(workers)))

    with_clock(run())
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert len(starts) == workers * count and all(gap > 0.98 / rate for gap in gaps)


class Clock:
    """A loop's time that passes at once, and sleeps that end late by what a seed says."""

    def __init__(self):
        self.now = 0.0

    async def sleep(self, seconds):
        self.now += seconds + 0.003 * (hash(self.now) % 7 == 0)
        await REAL_SLEEP(0)


REAL_SLEEP = asyncio.sleep


def with_clock(main):
    """Run on a clock that needs no time: whoever sleeps, all others are as late."""
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "sleep", clock.sleep)
        patch.setattr(time, "monotonic", lambda: clock.now)
        with asyncio.Runner() as runner:
            runner.run(main)


def test_every_vendor_is_asked_every_model_and_one_report_has_them_all(tmp_path, server):
    top = "trials = 2\n[extra_body]\ntemperature = 0.5\n"
    with stub("--model", "b") as other:
        path = written(tmp_path, vendor("one", server.url, ("a", "b")), vendor("two", other.url, ("a", "b")), top=top)
        read, told = read_matrix(path), []
        ended = vendor_runs.run_matrix(read, tmp_path / "out", tell=told.append)
    assert [(stand.vendor, stand.model) for stand in ended] == [("one", "a"), ("one", "b"), ("two", "a"), ("two", "b")]
    assert [bool(stand.why) for stand in ended] == [False, False, True, False] and "no model a" in ended[2].why
    assert {stand.vendor for stand in told} == {"one", "two"} and all(stand.ended for stand in ended)
    found = results(tmp_path / "out", "two", "b")
    assert len(found) == 12 and {result.trial for result in found} == {0, 1}
    assert {result.request["temperature"] for result in found} == {0.5} and {r.request["model"] for r in found} == {"b"}
    cells = report_of(read, tmp_path / "out", ended)
    assert [(cell.results, cell.wanted) for cell in cells] == [(12, 12), (12, 12), (0, 12), (12, 12)]
    shown = matrix_view(cells).text
    assert "100.0% [43.9%, 100.0%]" in shown and "two" in shown and "no model a" in shown and "two: b" in shown


def test_a_vendors_limit_holds_over_all_of_its_models_and_trials_and_in_each_of_its_windows(tmp_path, server):
    rpm = 1200
    path = written(tmp_path, vendor("one", server.url, ("a", "b"), rpm=rpm, concurrency=8), top="trials = 2")
    before = server.seen("posts")
    vendor_runs.run_matrix(read_matrix(path), tmp_path / "out")
    times = server.seen("times")[before:]
    assert len(times) == 24 and times[-1] - times[0] >= 24 * 60 / rpm - 0.02  # and a list of models before the second
    for window_s in (0.1, 0.25, 0.5):
        most = max(sum(start <= time < start + window_s for time in times) for start in times)
        assert most <= window_s * rpm / 60 + 2  # a start that the network held up meets the next one


def test_a_stopped_matrix_goes_on_and_asks_nothing_twice(tmp_path, server):
    path = written(tmp_path, vendor("one", server.url, ("a",)), requests=8)
    out, before = tmp_path / "out", server.seen("posts")
    first = read_matrix(path)
    vendor_runs.run_matrix(matrix_file.Matrix(**{**fields(first), "limit": 3}), out)
    assert server.seen("posts") - before == 3
    vendor_runs.run_matrix(first, out)
    assert server.seen("posts") - before == 8
    assert len(results(out, "one", "a")) == 8


def fields(value):
    return {name: getattr(value, name) for name in value.__slots__}


def test_a_key_goes_to_its_vendor_alone_and_stands_nowhere(tmp_path, monkeypatch, k2lab):
    monkeypatch.setenv("FIRST_KEY", "sk-first-secret")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    with stub("--key", "sk-first-secret") as keyed, stub("--key", "sk-of-somebody-else") as other:
        path = written(tmp_path, vendor("one", keyed.url, more='key = "FIRST_KEY"'), vendor("two", other.url))
        done = k2lab("bench", "matrix", path, "--html", tmp_path / "page.html")
    assert done.returncode == 1
    assert len(results(tmp_path / "m", "one", "kimi-k2")) == 6
    assert "two" in done.stdout and "401" in done.stdout  # a vendor without a key is sent none
    files = b"".join(found.read_bytes() for found in tmp_path.rglob("*") if found.is_file())
    for key in ("sk-first-secret", "sk-of-somebody-else"):
        assert key not in done.stdout + done.stderr and key.encode() not in files


def test_the_command_prints_an_example_a_report_and_json(tmp_path, server, k2lab):
    printed = k2lab("bench", "matrix", "--example").stdout
    assert set(tomllib.loads(printed)["vendors"]) == {"moonshot", "self-hosted"}
    (tmp_path / "example.toml").write_text(printed)
    assert read_matrix(tmp_path / "example.toml").vendors[0].limits.rate == pytest.approx(200 / 60)
    path = written(tmp_path, vendor("one", server.url), top='reference = "official.jsonl"')
    (tmp_path / "official.jsonl").write_text("")
    refused = k2lab("bench", "matrix", path)
    assert refused.returncode == 1 and "official.jsonl" in refused.stderr
    path.write_text(path.read_text().replace('reference = "official.jsonl"', ""))
    done = k2lab("bench", "matrix", path, "--html", tmp_path / "page.html")
    assert done.returncode == 0, done.stderr
    assert "Schema accuracy" in done.stdout and "Every cell is whole." in done.stdout
    assert "<main" in (tmp_path / "page.html").read_text()
    data = json.loads(k2lab("bench", "matrix", path, "--report-only", "--json").stdout)
    assert data["cells"][0]["summary"]["k2vv"]["schema_accuracy"]["value"] == 1.0
    assert k2lab("bench", "matrix", path, "--report-only", "--only", "none").stderr.strip().endswith("it has one")


REFUSED = {
    "trials = 0": "m.toml: trials must be a whole number from 1, such as 3, not 0",
    "wish = 1": "m.toml: wish is no setting: there are samples, vendors, reference,",
    'extra_body = {messages = []}': "m.toml: extra_body must be a table of fields of a request, without messages",
    "[vendors.a]\nconcurrency = 1": "m.toml: vendors.a.base_url is missing: add a URL",
    '[vendors."a/b"]': "m.toml: vendors has the name 'a/b': take letters",
    "[vendors]\na = 1": "m.toml: vendors.a must be a table, [vendors.a], not 1",
    '[vendors.a]\nbase_url = "x"\nmodels = {m = "m"}': "m.toml: vendors.a.base_url: what was given is not a base URL",
    '[vendors.a]\nbase_url = "http://h/v1"\nmodels = {}': "m.toml: vendors.a.models must be a table with the vendor's",
    '[vendors.a]\nrequests_per_minute = "many"': "vendors.a.requests_per_minute must be a number above 0, such as 60",
    '[vendors.a]\nkey = "sk-secret-key"': "vendors.a.key must be the NAME of an environment variable",
    "[vendors.a]\nconcurrency = true": "vendors.a.concurrency must be a whole number from 1, such as 8, not True",
    "= 1": "is not TOML: Invalid statement (at line 2, column 1); k2lab bench matrix --example prints one",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_wrong_in_the_file_is_one_line_with_its_place_and_never_a_key(tmp_path, text):
    path = tmp_path / "m.toml"
    path.write_text(f'samples = "s.jsonl"\n{text}\n')
    with pytest.raises(InputError) as raised:
        read_matrix(path)
    said = str(raised.value)
    assert REFUSED[text] in said and "\n" not in said and "secret" not in said


@given(st.text(max_size=200) | st.binary(max_size=200))
@examples(100)
def test_any_file_is_a_matrix_or_one_line(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    with contextlib.suppress(InputError):
        read_matrix(path)


def test_a_missing_key_and_missing_samples_are_said_before_anybody_is_asked(tmp_path, k2lab):
    path = written(tmp_path, vendor("one", "http://127.0.0.1:9/v1", more='key = "NO_SUCH_KEY"'))
    assert "vendor one: the environment has no NO_SUCH_KEY" in k2lab("bench", "matrix", path).stderr
    (tmp_path / "samples.jsonl").unlink()
    assert "cannot read samples" in k2lab("bench", "matrix", path).stderr


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.long)])
def test_a_signal_ends_every_process_and_what_was_got_is_kept(tmp_path, number):
    with stub("--delay-ms", 30) as slow:
        parts = [vendor(name, slow.url, concurrency=1) for name in ("one", "two")]
        path = written(tmp_path, *parts, requests=2000)
        command = [sys.executable, "-m", "k2lab", "bench", "matrix", str(path)]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        until(lambda: slow.seen("posts") > 40)
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 2
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children))
    assert "Traceback" not in err
    if number == signal.SIGINT:
        assert process.returncode == 130 and "run the same command again to go on" in err and "Not whole" in out
    got = [len(results(tmp_path / "m", name, "kimi-k2")) for name in ("one", "two")]
    assert sum(got) >= 10


def until(holds, within_s=60):
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_vendors_process_that_is_killed_is_said_and_stops_no_other(tmp_path, server):
    with stub("--delay-ms", 50) as slow:
        path = written(tmp_path, vendor("slow", slow.url, concurrency=1), vendor("fast", server.url), requests=60)
        killed = []

        def kill(stand):
            if stand.vendor == "slow" and stand.progress and stand.progress.got and not killed:
                killed.extend(p for p in psutil.Process().children() if is_open_to(p, slow.port))
                killed[0].kill()

        ended = vendor_runs.run_matrix(read_matrix(path), tmp_path / "out", tell=kill)
    assert "the process of slow ended by signal 9" in ended[0].why and not ended[1].why
    assert len(results(tmp_path / "out", "fast", "kimi-k2")) == 60


def is_open_to(process, port):
    return any(link.raddr and link.raddr.port == port for link in process.net_connections())


def hosts():
    """Where what this process started for Ray listens: others on this machine may have a cluster, too."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if any("ray" in word for word in process.cmdline()):
                yield from (c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN)


@pytest.mark.long
@pytest.mark.xdist_group("ray")
def test_on_ray_it_is_the_same(tmp_path, server, monkeypatch):
    if importlib.util.find_spec("ray") is None:  # to import it here would be too early
        pytest.skip("Ray is not installed")
    monkeypatch.setenv("FIRST_KEY", "sk-first")
    with stub("--key", "sk-first", "--delay-ms", 300) as keyed:
        parts = (vendor("one", keyed.url, ("a", "b"), more='key = "FIRST_KEY"'), vendor("two", server.url))
        path = written(tmp_path, *parts)
        read, heard = read_matrix(path), set()
        ended = vendor_runs.run_matrix(read, tmp_path / "ray", engine="ray", tell=lambda stand: heard.update(hosts()))
        assert heard and heard <= {"127.0.0.1", "::ffff:127.0.0.1"}  # a local cluster is nobody else's
        local = vendor_runs.run_matrix(read, tmp_path / "local")
    assert [(s.vendor, s.model, s.why, s.progress.counts) for s in ended] == [
        (s.vendor, s.model, s.why, s.progress.counts) for s in local
    ]
    for name, model in (("one", "a"), ("one", "b"), ("two", "kimi-k2")):
        ray, here = (results(tmp_path / folder, name, model) for folder in ("ray", "local"))
        assert [(r.data_index, r.request, r.response) for r in ray] == [
            (r.data_index, r.request, r.response) for r in here
        ]

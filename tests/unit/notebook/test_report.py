"""A report: its parameters, what it leaves behind, and who owns its servers."""

import json
import os
import re
import shutil
import subprocess
import sys

import nbformat
import psutil
import pytest

from k2lab.engine import running
from k2lab.errors import EngineError, InputError
from k2lab.notebook import report
from k2lab.notebook.fetching import fetched
from tests.conftest import ROOT

NOTEBOOKS = ROOT / "notebooks"


def notebook(*cells, parameters="n = 1\nname = 'x'\nshare = 0.5\nflag = True\nservers = {}\nbase_url = ''\n"):
    made = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
    )
    first = nbformat.v4.new_code_cell(parameters)
    first.metadata["tags"] = ["parameters"]
    made.cells = [first]
    for source in cells:
        source, *tags = source if isinstance(source, tuple) else (source,)
        cell = nbformat.v4.new_code_cell(source)
        cell.metadata["tags"] = tags
        made.cells.append(cell)
    return made


@pytest.fixture
def folder(tmp_path):
    def write(name, *cells):
        nbformat.write(notebook(*cells), tmp_path / f"{name}.ipynb")
        return tmp_path

    return write


def test_an_unknown_notebook_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(InputError, match=r"no notebook 'nope' in .*1_generation_prompt"):
        report.run("nope", folder=NOTEBOOKS, out=tmp_path)


def test_a_passing_notebook_leaves_report_notebook_and_summary(folder, tmp_path):
    place = folder("good", "from k2lab.notebook.outcome import record\nrecord('answer', n + 1)", "assert n == 41")
    made = report.run("good", [("n", "41")], folder=place, out=tmp_path / "out")
    assert made.ok and made.results == {"answer": 42}
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["reports"]["good"]["status"] == "passed"
    assert summary["reports"]["good"]["results"] == {"answer": 42}
    assert summary["reports"]["good"]["parameters"]["n"] == 41
    page = made.html.read_text()
    assert 'data-status="passed"' in page and not fetched(page)
    assert str(tmp_path) not in page + made.notebook.read_text()
    assert ">42<" in page and ">42<" in (tmp_path / "out" / "index.html").read_text()


def test_what_is_recorded_comes_back_as_it_is_and_keeps_the_order_of_its_names_in_the_summary(folder, tmp_path):
    imports = "from k2lab.notebook.outcome import record\nfrom k2lab.stats import share\n"
    cell = "called = record('called', {'b': share(1, 2), 'a': share(0, 2)})\nassert called['b'] == share(1, 2)"
    made = report.run("good", folder=folder("good", imports + cell), out=tmp_path / "out")
    assert made.ok, made.error
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    for results in (made.results, summary["reports"]["good"]["results"]):
        assert [(name, item["value"]) for name, item in results["called"].items()] == [("b", 0.5), ("a", 0)]


def test_a_failing_cell_leaves_the_notebook_and_a_report_marked_as_failed(folder, tmp_path):
    place = folder("bad", "print('before the fault')", "raise ValueError('<b>the fault</b>')", "print('never')")
    made = report.run("bad", folder=place, out=tmp_path / "out")
    assert not made.ok and "ValueError" in made.error
    page = made.html.read_text()
    assert 'data-status="failed"' in page and "before the fault" in page and "never</span>" not in page
    assert "&lt;b&gt;the fault" in page
    executed = nbformat.read(made.notebook, as_version=4)
    assert any(o.output_type == "error" for c in executed.cells for o in c.get("outputs", ()))
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["reports"]["bad"]["status"] == "failed"


def test_a_text_that_speaks_of_an_address_is_shown_and_a_tag_that_fetches_it_fails_the_report(folder, tmp_path):
    out = tmp_path / "out"
    place = folder("said", "print('@import url(http://example.org/x) <img src=//example.org/y>')")
    made = report.run("said", folder=place, out=out)
    assert made.ok and "@import url(http://example.org/x)" in made.html.read_text()
    folder("said", "from IPython.display import HTML", "HTML('<img src=\"http://example.org/y\">')")
    made = report.run("said", folder=place, out=out)
    page = made.html.read_text()
    assert not made.ok and "would fetch from outside" in made.error
    assert 'data-status="failed"' in page and 'data-status="passed"' not in page and not fetched(page)
    assert json.loads((out / "summary.json").read_text())["reports"]["said"]["status"] == "failed"


@pytest.mark.parametrize("stage", ["waiting", "running"])
def test_nothing_says_passed_of_a_run_that_is_broken_off(folder, tmp_path, stage):
    place, out = folder("one", "1"), tmp_path / "out"
    passed = report.run("one", folder=place, out=out)
    assert passed.ok and passed.html.exists()

    def interrupt(progress):
        if progress.state in (stage, "running"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        report.run_report(["one"], folder=place, out=out, watch=interrupt)
    assert not passed.html.exists() and not passed.notebook.exists()
    left = json.loads((out / "summary.json").read_text())["reports"]["one"]
    assert left["status"] == "unfinished" and left["results"] == {}
    assert "✓ passed" not in (out / "index.html").read_text()


def test_a_kernel_that_dies_is_a_failed_report(folder, tmp_path):
    made = report.run("dead", folder=folder("dead", "import os; os._exit(3)"), out=tmp_path / "out")
    assert not made.ok and 'data-status="failed"' in made.html.read_text()


@pytest.mark.long
def test_the_summary_keeps_other_notebooks_and_survives_garbage(folder, tmp_path):
    out = tmp_path / "out"
    place = folder("one", "1")
    report.run("one", folder=place, out=out)
    folder("two", "1")
    report.run("two", folder=place, out=out)
    assert list(json.loads((out / "summary.json").read_text())["reports"]) == ["one", "two"]
    (out / "summary.json").write_text("garbage")
    report.run("two", folder=place, out=out)
    assert list(json.loads((out / "summary.json").read_text())["reports"]) == ["two"]


def test_cells_of_the_other_kind_of_reader_are_left_out(folder, tmp_path):
    place = folder("cells", ("print('local part')", "local-engines"), ("print('server part')", "own-server"))
    page = report.run("cells", folder=place, out=tmp_path / "a").html.read_text()
    assert "local part" in page and "server part" not in page
    own = [("base_url", "http://127.0.0.1:9/v1")]
    page = report.run("cells", own, folder=place, out=tmp_path / "b").html.read_text()
    assert "server part" in page and "local part" not in page


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A vllm module that this interpreter can run: what is under test is who starts a server and who ends it."""
    package = tmp_path / "path" / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    shutil.copyfile(ROOT / "tests" / "helpers" / "fake_vllm.py", package / "api_server.py")
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join(filter(None, [str(tmp_path / "path"), os.environ.get("PYTHONPATH")]))
    )
    monkeypatch.setenv("K2LAB_CACHE", str(tmp_path / "cache"))
    return lambda variant: f"{sys.executable} {variant}"


SEE = (
    "from k2lab import engine\n"
    "from k2lab.notebook.outcome import record\n"
    "from k2lab.notebook.servers import connect\n"
    "urls = [subject.endpoint.base_url for subject in connect(servers).values()]\n"
    "record('urls', urls)\n"
    "record('running', [server.base_url for server in engine.running()])"
)
"""A cell that records the servers it was given, and those that run."""
LEFT = (
    "import time\n"
    "end = time.monotonic() + 30\n"
    "while len(engine.running()) > len(urls) and time.monotonic() < end: time.sleep(0.02)\n"
    "record('left', [server.base_url for server in engine.running()])"
)
"""A cell that waits for the servers of earlier notebooks to end, which they do in the background."""


def served(folder, name, servers, *cells):
    place = folder(name, SEE, *cells)
    path = place / f"{name}.ipynb"
    path.write_text(path.read_text().replace("servers = {}", f"servers = {dict.fromkeys(servers, '')}"))
    return place


def test_a_report_starts_its_server_outside_the_kernel_and_ends_it(folder, tmp_path, stand_in):
    place = served(folder, "served", [stand_in("current")], "assert False, 'on purpose'")
    made = report.run("served", folder=place, out=tmp_path / "out")
    assert "on purpose" in made.error
    assert len(made.results["urls"]) == 1 and made.results["running"] == made.results["urls"]
    assert running() == []


def test_notebooks_share_a_server_and_a_failing_one_does_not_stop_the_others(folder, tmp_path, stand_in):
    legacy, current, declared = map(stand_in, ("legacy", "current", "declared"))
    served(folder, "1_first", [legacy, current], "raise ValueError('the fault')")
    served(folder, "2_second", [current])
    place = served(folder, "3_third", [declared], LEFT)
    told = []
    made = report.run_report(report.names_in(place), folder=place, out=tmp_path / "out", watch=told.append)
    assert [one.ok for one in made] == [False, True, True] and running() == []
    first, second, third = (one.results for one in made)
    assert second["urls"] == first["urls"][1:]
    assert third["left"] == third["urls"]  # the others are ended after their last use
    assert third["urls"][0] not in first["urls"]
    assert [one.state for one in told if one.notebook == "2_second"][-2:] == ["running", "done"]
    assert {(one.number, one.of) for one in told} == {(1, 3), (2, 3), (3, 3)}
    assert list(json.loads((tmp_path / "out" / "summary.json").read_text())["reports"]) == [one.name for one in made]


def test_a_server_that_does_not_come_up_fails_its_notebook_alone(folder, tmp_path, stand_in, monkeypatch):
    monkeypatch.setenv("FAKE_VLLM", "dies")
    served(folder, "1_served", [stand_in("current")])
    place = folder("2_plain", "1")
    first, second = report.run_report(["1_served", "2_plain"], folder=place, out=tmp_path / "out")
    assert "ended before it was ready" in first.error and 'data-status="failed"' in first.html.read_text()
    assert second.ok


def test_an_engine_that_is_not_there_is_refused_before_anything_runs(folder, tmp_path, stand_in):
    folder("1_plain", "1")
    place = served(folder, "2_served", ["9.9.9 current"])
    with pytest.raises(EngineError, match=re.escape("9.9.9")):
        report.run_report(["1_plain", "2_served"], folder=place, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_interrupt_ends_the_servers_that_run_and_those_that_start(folder, tmp_path, stand_in, monkeypatch):
    monkeypatch.setenv("FAKE_VLLM", "hangs")
    place = served(folder, "served", [stand_in("current"), stand_in("legacy")])

    def interrupt(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        report.run_report(["served"], folder=place, out=tmp_path / "out", watch=interrupt)
    assert not [line for line in processes() if str(tmp_path / "cache") in line]


def processes():
    return [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]


@pytest.mark.long
def test_the_time_of_a_notebook_is_known_from_its_last_run_with_the_same_parameters(folder, tmp_path):
    place, out, told = folder("one", "1"), tmp_path / "out", []
    report.run("one", folder=place, out=out)
    report.run_report(["one"], folder=place, out=out, watch=told.append)
    report.run_report(["one"], [("n", "3")], folder=place, out=out, watch=told.append)
    known, unknown = (one for one in told if one.state == "running")
    assert known.usual_s == known.left_s > 0 and unknown.usual_s is unknown.left_s is None


def test_what_a_report_leaves_is_its_owners_alone_to_read_whatever_the_umask(folder, tmp_path):
    out = tmp_path / "out"
    before = os.umask(0)
    try:
        made = report.run("one", folder=folder("one", "'what was asked'"), out=out)
    finally:
        os.umask(before)
    assert made.ok and sorted(file.name for file in out.iterdir()) == [
        "index.html",
        "one.html",
        "one.ipynb",
        "summary.json",
    ]
    assert {file.stat().st_mode & 0o777 for file in out.iterdir()} == {0o600}


ALONE = ("unshare", "--user", "--map-root-user", "--mount")
ON_A_SMALL_DISK = """
import os, subprocess, sys
from pathlib import Path
from tests.fuzz._commands import run
books, place = map(Path, sys.argv[1:])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], check=True)
print(run("report", "small", "--notebooks", books, "--out", place / "out").checked(0).out.split()[2])
for room in (1200, 900):
    (place / "rest").unlink(missing_ok=True)
    free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
    (place / "rest").write_bytes(bytes(free - room * 1024))
    ran = run("report", "large", "--notebooks", books, "--out", place / "out").checked(1)
    print(ran.err.strip().splitlines()[-1], *sorted(file.name for file in (place / "out").iterdir()), sep="|")
"""


@pytest.mark.long
def test_on_a_full_disk_a_report_says_so_on_a_line_and_leaves_nothing_half_written(folder, tmp_path):
    if subprocess.run([*ALONE, "true"], capture_output=True).returncode:
        pytest.skip("no mounts of one's own here")
    folder("small", "1")
    folder("large", "print('x' * 3_000_000)")
    (tmp_path / "disk").mkdir()
    command = [*ALONE, sys.executable, "-c", ON_A_SMALL_DISK, tmp_path, tmp_path / "disk"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    whole = "|index.html|small.html|small.ipynb|summary.json"
    next_step = "no space left on device: make room there, or choose another folder for the reports (--out)"
    assert told.stdout.replace(str(tmp_path), "").splitlines() == [
        "passed",
        f"k2lab: cannot write /disk/out/large.ipynb: {next_step}{whole}",
        f"k2lab: cannot write /disk/out: {next_step}{whole}",
    ]

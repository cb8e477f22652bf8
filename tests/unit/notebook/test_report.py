"""A report: its parameters, what it leaves behind, and who owns its servers."""

import json
import re
import shutil
import sys

import nbformat
import pytest

from k2lab.engine import running
from k2lab.errors import InputError, ReportError
from k2lab.notebook import report
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


KNOWN = {"n": 1, "name": "x", "share": 0.5, "flag": True, "servers": {"a": "", "b": ""}}


def test_parameters_are_read_as_the_type_of_their_default():
    given = [("n", "7"), ("name", "7"), ("share", "2"), ("flag", "false"), ("servers", '{"a": "http://x"}')]
    made = report.typed(given, KNOWN, "nb")
    assert made == {"n": 7, "name": "7", "share": 2.0, "flag": False, "servers": {"a": "http://x", "b": ""}}


def test_relative_paths_are_those_of_the_caller(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    known = {"samples_file": "", "out": "", "source": "", "model": ""}
    given = [("samples_file", "a/s.jsonl"), ("out", "runs"), ("source", "model"), ("model", "model")]
    wanted = {"samples_file": "a/s.jsonl", "out": "runs", "source": "model"}
    made = report.typed(given, known, "nb")
    assert made == {name: str(tmp_path / path) for name, path in wanted.items()} | {"model": "model"}
    assert report.typed([("source", "hub:a/b@c"), ("out", "")], known, "nb") == {**known, "source": "hub:a/b@c"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("m", "1"), "nb has no parameter 'm': it has flag, n, name, servers, share"),
        (("n", "1.5"), "parameter n must be of type int, not '1.5'; its default is 1"),
        (("flag", "1"), "parameter flag must be true or false"),
        (("share", "much"), "parameter share must be of type float"),
        (("servers", "[1]"), "parameter servers must be a JSON object"),
        (("servers", "http://x"), "parameter servers must be a JSON object"),
    ],
)
def test_unknown_and_ill_typed_parameters_are_refused(given, said):
    with pytest.raises(InputError, match=re.escape(said)):
        report.typed([given], KNOWN, "nb")


def test_an_unknown_notebook_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(InputError, match=r"no notebook 'nope' in .*1_generation_prompt"):
        report.run("nope", folder=NOTEBOOKS, out=tmp_path)


def test_a_passing_notebook_leaves_report_notebook_and_summary(folder, tmp_path):
    place = folder("good", "from k2lab.notebook.report import record\nrecord('answer', n + 1)", "assert n == 41")
    made = report.run("good", [("n", "41")], folder=place, out=tmp_path / "out", say=lambda _: None)
    assert made.ok and made.results == {"answer": 42}
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["reports"]["good"]["status"] == "passed"
    assert summary["reports"]["good"]["results"] == {"answer": 42}
    assert summary["reports"]["good"]["parameters"]["n"] == 41
    page = made.html.read_text()
    assert 'data-status="passed"' in page and not report.OUTSIDE.search(page)
    assert str(tmp_path) not in page + made.notebook.read_text()


def test_a_failing_cell_leaves_the_notebook_and_a_report_marked_as_failed(folder, tmp_path):
    place = folder("bad", "print('before the fault')", "raise ValueError('<b>the fault</b>')", "print('never')")
    made = report.run("bad", folder=place, out=tmp_path / "out", say=lambda _: None)
    assert not made.ok and "ValueError" in made.error
    page = made.html.read_text()
    assert 'data-status="failed"' in page and "before the fault" in page and "never</span>" not in page
    assert "&lt;b&gt;the fault" in page
    executed = nbformat.read(made.notebook, as_version=4)
    assert any(o.output_type == "error" for c in executed.cells for o in c.get("outputs", ()))
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["reports"]["bad"]["status"] == "failed"


def test_a_kernel_that_dies_is_a_failed_report(folder, tmp_path):
    made = report.run("dead", folder=folder("dead", "import os; os._exit(3)"), out=tmp_path / "out", say=lambda _: None)
    assert not made.ok and 'data-status="failed"' in made.html.read_text()


def test_the_summary_keeps_other_notebooks_and_survives_garbage(folder, tmp_path):
    out = tmp_path / "out"
    place = folder("one", "1")
    report.run("one", folder=place, out=out, say=lambda _: None)
    folder("two", "1")
    report.run("two", folder=place, out=out, say=lambda _: None)
    assert list(json.loads((out / "summary.json").read_text())["reports"]) == ["one", "two"]
    (out / "summary.json").write_text("garbage")
    report.run("two", folder=place, out=out, say=lambda _: None)
    assert list(json.loads((out / "summary.json").read_text())["reports"]) == ["two"]


def test_cells_of_the_other_kind_of_reader_are_left_out(folder, tmp_path):
    place = folder("cells", ("print('local part')", "local-engines"), ("print('server part')", "own-server"))
    page = report.run("cells", folder=place, out=tmp_path / "a", say=lambda _: None).html.read_text()
    assert "local part" in page and "server part" not in page
    own = [("base_url", "http://127.0.0.1:9/v1")]
    page = report.run("cells", own, folder=place, out=tmp_path / "b", say=lambda _: None).html.read_text()
    assert "server part" in page and "local part" not in page


def test_a_page_that_would_fetch_from_outside_is_refused():
    made = notebook()
    html = {"text/html": '<script src="https://cdn.example/x.js"></script>'}
    made.cells[0].outputs = [nbformat.v4.new_output("display_data", data=html)]
    with pytest.raises(ReportError, match="would fetch from outside"):
        report.to_html(made, "page")


def test_widgets_give_way_to_their_static_twin():
    made = notebook()
    data = {"text/html": "<p>static twin</p>", "application/vnd.jupyter.widget-view+json": {"model_id": "x"}}
    made.cells[0].outputs = [nbformat.v4.new_output("display_data", data=data)]
    made.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    page = report.to_html(made, "page")
    assert "static twin" in page and "widget-view" not in page


def test_a_report_starts_its_server_outside_the_kernel_and_ends_it(folder, tmp_path, monkeypatch):
    """With a stand-in for vLLM's module: what is under test is who starts and who ends it."""
    package = tmp_path / "path" / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    shutil.copyfile(ROOT / "tests" / "helpers" / "fake_vllm.py", package / "api_server.py")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    monkeypatch.setenv("K2LAB_CACHE", str(tmp_path / "cache"))
    name = f"{sys.executable} current"
    code = (
        "from k2lab import engine\n"
        "from k2lab.notebook import report, servers as lab\n"
        f"url = lab.connect(servers)[{name!r}].endpoint.base_url\n"
        "report.record('urls', [url, *[server.base_url for server in engine.running()]])"
    )
    path = folder("served", code, "assert False, 'on purpose'") / "served.ipynb"
    path.write_text(path.read_text().replace("servers = {}", f"servers = {{'{name}': ''}}"))
    made = report.run("served", folder=tmp_path, out=tmp_path / "out", say=lambda _: None)
    assert "on purpose" in made.error
    assert len(made.results["urls"]) == 2 and len(set(made.results["urls"])) == 1
    assert running() == []

"""The list of reports, and pages that are made anew: from summary.json, pages and executed notebooks alone."""

import json
import re

import nbformat
import pytest
from click.testing import CliRunner

from k2lab.cli.reports import report_command
from k2lab.errors import InputError
from k2lab.notebook import listing, page, pagefiles
from k2lab.notebook.fetching import fetched, run_by
from tests.helpers.hostile import TEXTS

PICTURE = "<figure class='k2-figure'><svg viewBox='0 0 4 4'><path d='M0 0'/></svg></figure><script>alert(1)</script>"


@pytest.fixture
def out(tmp_path):
    """A folder of two reports: one passed with a picture and a figure, one failed."""
    figured = nbformat.v4.new_output("display_data", data={"text/html": PICTURE})
    cells = [nbformat.v4.new_markdown_cell("# The one"), nbformat.v4.new_code_cell("1", outputs=[figured])]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "one.ipynb")
    nbformat.write(nbformat.v4.new_notebook(cells=cells[:1]), tmp_path / "two.ipynb")
    passed = {"status": "passed", "seconds": 61.0, "parameters": {"n": 1}, "results": {"called": 41}}
    reports = {
        "one": passed,
        "two": {"status": "failed", "error": "cell 1 raised <b>X</b>"},
        "three": {"status": "unfinished"},
    }
    (tmp_path / "summary.json").write_text(json.dumps({"k2lab": "0.2.0", "reports": reports}))
    return tmp_path


def index(out):
    return (out / listing.FILE).read_text(encoding="utf-8")


def test_the_list_has_each_run_with_verdict_figures_and_picture(out):
    made = pagefiles.renew(out=out)
    assert [(one.name, bool(one.error)) for one in made] == [("one", False), ("two", True)]
    text = index(out)
    assert re.findall(r"✓ passed|✗ failed|… unfinished", text) == ["✓ passed", "✗ failed", "… unfinished"]
    assert "&lt;b&gt;X" in text and "called" in text and ">41<" in text and "1 min 1 s" in text
    assert 'href="one.html">The one' in text and "three.html" not in text
    assert "M0 0" in text and not fetched(text) and not run_by(text, {page.own_script()})


def test_pages_and_list_say_what_changed_and_none_says_it_unasked(out):
    assert "Since the earlier" not in (pagefiles.renew(out=out)[0].html.read_text() + index(out))
    old = out / "old.json"
    old.write_text(
        json.dumps({"reports": {"one": {"status": "failed", "parameters": {"n": 1}, "results": {"called": 40}}}})
    )
    ran = CliRunner().invoke(report_command, ["--render-only", "--out", str(out), "--against", str(old)])
    assert ran.exit_code == 0, ran.output
    text = (out / "one.html").read_text()
    assert "Since the earlier run" in text and "+1 (+2.5 %)" in text and "failed → passed" in text
    assert "failed → passed" in index(out) and "no run of this notebook" in index(out)


def test_what_is_damaged_or_not_there_is_refused_in_a_line(out):
    for names, words in ((["nope"], "no run of 'nope'"), (["three"], "three.ipynb")):
        with pytest.raises(InputError, match=words):
            pagefiles.renew(names, out=out)
    (out / "old.json").write_text("{")
    ran = CliRunner().invoke(report_command, ["--render-only", "--out", str(out), "--against", str(out / "old.json")])
    assert isinstance(ran.exception, InputError) and not (out / "one.html").exists()
    ran = CliRunner().invoke(report_command, ["--render-only", "-p", "n", "1", "--out", str(out)])
    assert ran.exit_code == 2 and "runs nothing" in ran.output


def test_no_name_of_a_summary_leads_out_of_the_folder(out):
    text = (out / "summary.json").read_text().replace('"two"', '"../two"')
    (out / "summary.json").write_text(text)
    with pytest.raises(InputError, match="no name of a notebook"):
        pagefiles.renew(out=out)
    assert listing.write_listing(out, out / "summary.json") and "../two.html" not in index(out)


def test_a_page_that_would_fetch_is_failed_where_it_is_made_anew(out):
    fetches = nbformat.v4.new_output("display_data", data={"text/html": "<img src=//x.example/a.png>"})
    nbformat.write(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", outputs=[fetches])]), out / "one.ipynb"
    )
    assert "would fetch" in pagefiles.renew(["one"], out=out)[0].error
    assert json.loads((out / "summary.json").read_text())["reports"]["one"]["status"] == "failed"
    assert "passed" not in re.findall(r"[✓✗…] \w+", index(out))


def test_hostile_names_figures_and_pages_are_text_in_the_list(out):
    reports = {
        f"r{n}": {"status": "passed", "error": text, "results": {text: text}} for n, text in enumerate(TEXTS.values())
    }
    for n, text in enumerate(TEXTS.values()):
        (out / f"r{n}.html").write_text(f"<title>{text}</title>{text}{PICTURE}", errors="backslashreplace")
    (out / "summary.json").write_text(
        json.dumps({"reports": {**reports, "<img onerror=x>": {"servers": list(TEXTS.values())}}})
    )
    listing.write_listing(out, out / "summary.json")
    text = index(out)
    assert not fetched(text) and not run_by(text, {page.own_script()}) and len(text) < 300_000
    assert text.count("</li>") == len(reports) + 1

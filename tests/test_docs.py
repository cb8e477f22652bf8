"""The pages, which `make docs` builds: links lead somewhere, what is made from code is current, what is told runs."""

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from itertools import groupby
from types import ModuleType

import click
import pytest

from k2lab.cli import root
from tests.conftest import ROOT
from tests.helpers import pages

by_page = pytest.mark.parametrize("page", pages.WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))
FOLDERS = "k2lab|docs|data|notebooks|benchmarks|tests/unit|tests/live|tests/helpers"
RUN_GUIDES = [
    pytest.param(page, id=page.stem, marks=pytest.mark.long) for page in pages.WRITTEN if pages.marked(page, "run")
]


@by_page
def test_links_lead_to_files_and_headings_that_are_there(page):
    for token in pages.tokens(page):
        target = str(token.attrGet("href") or token.attrGet("src") or "")
        if not target or re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists() and ROOT in (path, *path.parents), target
        assert not anchor or anchor in pages.anchors(path), target


@by_page
def test_pictures_that_stand_in_html_are_there(page):
    html = "\n".join(token.content for token in pages.tokens(page) if token.type == "html_block")
    for name in re.findall(r'(?:src|srcset)="([^"]+)"', html):
        assert (page.parent / name).exists(), name


@by_page
def test_paths_of_the_project_that_are_named_are_there(page):
    inline = [token.content for token in pages.tokens(page) if token.type == "code_inline"]
    for path in re.findall(rf"^(?:{FOLDERS})/[\w./-]*$", "\n".join(inline), re.MULTILINE):
        assert "VERSION" in path or (ROOT / path).exists(), path


@by_page
def test_make_targets_that_are_named_are_there(page):
    makefile = (ROOT / "Makefile").read_text()
    inline = [token.content for token in pages.tokens(page) if token.type == "code_inline"]
    for target in re.findall(r"^make ([a-z][a-z-]*)", "\n".join([*inline, *pages.shell_lines(page)]), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@by_page
def test_commands_and_options_that_are_named_are_there(page):
    for line in pages.shell_lines(page):
        for words in simple_commands(line):
            if words[0] == "k2lab":
                command, rest = command_of(words[1:])
                known = {
                    option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
                }
                given = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
                assert given <= known | {"--help", "--version"}, line


def simple_commands(line: str) -> list[list[str]]:
    """The words of each command of a shell line, without what stands between them."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    groups = groupby(lexer, key=lambda word: set(word) <= set("|&;<>()"))
    return [list(words) for between, words in groups if not between]


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that a line names, and the words behind its name."""
    command: click.Command = root
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        member = command.get_command(click.Context(command), words[0])
        assert member is not None, words
        command, words = member, words[1:]
    return command, words


@pytest.mark.parametrize("page", RUN_GUIDES)
def test_a_guides_blocks_run_and_print_what_stands_behind_them(page, tmp_path):
    pages.check(pages.marked(page, "run"), tmp_path)


@pytest.mark.long
def test_what_is_made_from_code_is_current():
    made = [str(page.relative_to(ROOT)) for page in pages.WRITTEN if "[[[cog" in page.read_text(encoding="utf-8")]
    assert "docs/commands.md" in made and "docs/architecture.md" in made
    command = [sys.executable, "-m", "cogapp", "--check", "--diff", "-I", "docs", *made]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"run make pages:\n{done.stdout}{done.stderr}"


def test_a_report_is_published_whole_or_with_every_reason_not_at_all(tmp_path):
    publish = script("publish")
    reports, folder = tmp_path / "reports", tmp_path / "published"
    for path in (reports, folder):
        path.mkdir()
    with pytest.raises(SystemExit, match="run make report first"):
        publish.publish(reports, folder)
    page = '<div data-status="passed"></div><a href="https://example.org">a link is no fetch</a>'
    (reports / "1.html").write_text(page)
    assert [path.name for path in publish.publish(reports, folder)] == ["1.html"]
    (reports / "2.html").write_text(page + '<img src="https://example.org/x.png">')
    (reports / "3.html").write_text(page + " " * publish.LARGEST_BYTES)
    (reports / "4.html").write_text(page.replace("passed", "failed"))
    with pytest.raises(SystemExit) as refused:
        publish.publish(reports, folder)
    assert [line.split()[0] for line in str(refused.value).splitlines()] == ["2.html", "3.html", "4.html"]
    assert [path.name for path in folder.iterdir()] == ["1.html"]


def test_published_reports_may_be_published():
    for report in (ROOT / "docs" / "reports").glob("*.html"):
        assert script("publish").refusal(report) == ""


def test_the_readmes_picture_is_drawn_from_a_reports_figures(tmp_path):
    called = {"0.11.0 legacy": {"count": 1, "total": 60}, "0.32.0 current": {"count": 60, "total": 60}}
    summary = tmp_path / "summary.json"
    summary.write_text(json.dumps({"reports": {"1_generation_prompt": {"results": {"called": called}}}}))
    drawn = script("picture").write(summary, tmp_path)
    assert drawn.name in (ROOT / "README.md").read_text() and drawn.read_text().startswith("<svg")


def script(name: str) -> ModuleType:
    """A script of ``docs`` as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

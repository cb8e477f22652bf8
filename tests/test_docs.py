"""The pages: they build, links lead somewhere, what is made from code is current, what they tell to run is there."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import click
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from k2lab.cli import root
from k2lab.notebook.report import OUTSIDE
from tests.conftest import ROOT

MADE_WHEN_BUILT = ROOT / "docs" / "api"
WRITTEN = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "data").rglob("*.md"))
    if MADE_WHEN_BUILT not in path.parents
)
MARKDOWN = MarkdownIt("gfm-like", {"linkify": False})
by_page = pytest.mark.parametrize("page", WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))


def tokens(page: Path) -> list[Token]:
    """Blocks, and what stands in them."""
    blocks = MARKDOWN.parse(page.read_text(encoding="utf-8"))
    return [token for block in blocks for token in (block, *(block.children or ()))]


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as GitHub and MyST make them."""
    blocks = MARKDOWN.parse(page.read_text(encoding="utf-8"))
    titles = [after.content for block, after in pairwise(blocks) if block.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def shell_lines(page: Path) -> Iterator[str]:
    """The commands of a page's shell blocks, continued lines joined."""
    for token in tokens(page):
        if token.type == "fence" and token.info.split()[:1] == ["sh"]:
            yield from token.content.replace("\\\n", " ").splitlines()


@by_page
def test_links_lead_to_files_and_headings_that_are_there(page):
    for token in tokens(page):
        target = str(token.attrGet("href") or token.attrGet("src") or "")
        if not target or re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists() and ROOT in (path, *path.parents), target
        assert not anchor or anchor in anchors(path), target


@by_page
def test_make_targets_that_are_named_are_there(page):
    makefile = (ROOT / "Makefile").read_text()
    inline = [token.content for token in tokens(page) if token.type == "code_inline"]
    for target in re.findall(r"^make ([a-z][a-z-]*)", "\n".join([*inline, *shell_lines(page)]), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@by_page
def test_commands_and_options_that_are_named_are_there(page):
    for line in shell_lines(page):
        for part in re.split(r"\|\|?|&&|;", line):
            words = shlex.split(part, comments=True)
            if words[:1] == ["k2lab"]:
                command, rest = command_of(words[1:])
                known = {
                    option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
                }
                given = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
                assert given <= known | {"--help", "--version"}, line


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that a line names, and the words behind its name."""
    command: click.Command = root
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        command, words = command.commands[words[0]], words[1:]
    return command, words


def test_what_is_made_from_code_is_current():
    pages = [str(page.relative_to(ROOT)) for page in WRITTEN if "[[[cog" in page.read_text(encoding="utf-8")]
    assert "docs/commands.md" in pages and "docs/architecture.md" in pages
    command = [sys.executable, "-m", "cogapp", "--check", "--diff", "-I", "docs", *pages]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"run make pages:\n{done.stdout}{done.stderr}"


@pytest.mark.slow
def test_the_pages_build_without_a_warning_and_fetch_nothing(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-n", "-b", "html", "docs", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    built = sorted(tmp_path.rglob("*.html"))
    assert {"index.html", "commands.html", "architecture.html"} <= {path.name for path in built}
    for path in built:
        assert not OUTSIDE.search(path.read_text(encoding="utf-8")), path

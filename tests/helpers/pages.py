"""What stands in a page of Markdown: links' targets, the commands it names, the blocks that are to be run."""

import doctest
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.conftest import ROOT

MADE_WHEN_BUILT = ROOT / "docs" / "api"
WRITTEN = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "data").rglob("*.md"))
    if MADE_WHEN_BUILT not in path.parents
)
MARKDOWN = MarkdownIt("gfm-like", {"linkify": False})
SHELLS = {"sh": ("bash", "-eo", "pipefail", "-c"), "python": (sys.executable, "-c")}


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block that is run, and what it is to print where a ``text`` block follows it."""

    language: str
    code: str
    output: str | None


def blocks(page: Path) -> list[Token]:
    """The blocks of a page."""
    return MARKDOWN.parse(page.read_text(encoding="utf-8"))


def tokens(page: Path) -> Iterator[Token]:
    """Blocks, and what stands in them."""
    for block in blocks(page):
        yield from (block, *(block.children or ()))


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as GitHub and MyST make them."""
    titles = [inline.content for opening, inline in pairwise(blocks(page)) if opening.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def shell_lines(page: Path) -> Iterator[str]:
    """The commands of a page's shell blocks, continued lines joined."""
    for block in blocks(page):
        if block.type == "fence" and block.info.split()[:1] == ["sh"]:
            yield from without_here_documents(block.content).replace("\\\n", " ").splitlines()


def without_here_documents(code: str) -> str:
    """Shell code without the texts that are fed to commands."""
    return re.sub(r"<<'EOF'(.*)\n(?:.*\n)*?EOF$", r"\1", code, flags=re.MULTILINE)


def marked(page: Path, word: str) -> list[Block]:
    """The blocks of a page that are marked so, as in ```` ```sh run ````."""
    return [
        Block(language=block.info.split()[0], code=block.content, output=after.content if is_output(after) else None)
        for block, after in pairwise([*blocks(page), Token("end", "", 0)])
        if block.type == "fence" and block.info.split()[1:] == [word]
    ]


def is_output(block: Token) -> bool:
    return block.type == "fence" and block.info == "text"


def check(run: list[Block], folder: Path, env: Mapping[str, str] = {}) -> None:
    """Run blocks in order, as in a clone with its environment active; each must end well and print what it says."""
    (folder / "data").symlink_to(ROOT / "data")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", **env}
    for block in run:
        command = [*SHELLS[block.language], block.code]
        done = subprocess.run(
            command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
        )
        assert done.returncode == 0, done.stdout
        if block.output is not None:
            assert doctest.OutputChecker().check_output(block.output, done.stdout, doctest.ELLIPSIS), done.stdout

"""How far a command is: a bar of rich's in a terminal, a line now and then elsewhere.

What a server or a file says is shown without control characters, and never
read as markup.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import Protocol

import click

from k2lab.cli.printing import print_aside
from k2lab.legible import one_line

PLAIN_EVERY_S = 10.0
"""Where nobody watches a terminal, progress is a line now and then."""

REDRAWN_A_SECOND = 4
LONGEST_LINE = 300


class Tell(Protocol):
    """Says how far it is: ``done`` of ``of``, and a line; ``now`` is for a line that is not to be left out."""

    def __call__(self, line: str, *, done: float = 0, of: float | None = None, now: bool = False) -> None:
        """Show it."""


@contextlib.contextmanager
def show_progress() -> Iterator[Tell]:
    """For as long as the block runs, progress on standard error; the last line is always shown.

    >>> with show_progress() as tell:
    ...     tell("1 of 2", done=1, of=2)
    """
    with _nothing() if _is_quiet() else _bar() if _is_terminal() else _lines() as tell:
        yield tell


def _is_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _is_quiet() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.find_root().params.get("quiet"))


@contextlib.contextmanager
def _nothing() -> Iterator[Tell]:
    yield lambda line, *, done=0, of=None, now=False: None


@contextlib.contextmanager
def _lines() -> Iterator[Tell]:
    last_s, kept = time.monotonic(), ""

    def tell(line: str, *, done: float = 0, of: float | None = None, now: bool = False) -> None:
        nonlocal last_s, kept
        kept = one_line(line, LONGEST_LINE)
        if now or time.monotonic() - last_s > PLAIN_EVERY_S:
            print_aside(kept)
            last_s, kept = time.monotonic(), ""

    yield tell
    if kept:  # an error says itself why there is no more
        print_aside(kept)


@contextlib.contextmanager
def _bar() -> Iterator[Tell]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = BarColumn(bar_width=20), TextColumn("{task.description}", markup=False)
    with Progress(
        *columns, console=Console(stderr=True, highlight=False), refresh_per_second=REDRAWN_A_SECOND
    ) as drawn:
        task = drawn.add_task("", total=None)

        def tell(line: str, *, done: float = 0, of: float | None = None, now: bool = False) -> None:
            drawn.update(task, description=one_line(line, LONGEST_LINE), completed=done, total=of)

        yield tell

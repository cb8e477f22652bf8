"""Text on a terminal: results, notes and the library's log, without what would move its cursor."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click

from k2lab.server.keys import masked

UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters (C0, DEL, C1), those that turn the direction of writing, and lone surrogates."""


MOST = 2000
"""Characters of a line for a person: whatever a file or a server says, it leaves the rest of the terminal."""


def safe(text: str) -> str:
    r"""A text of one line as a terminal may have it.

    >>> safe("a\tb\x1b[2J")
    'a   b?[2J'
    """
    return UNSAFE.sub("?", text.expandtabs(4))


def print_text(text: str) -> None:
    """Lines on standard output."""
    click.echo("\n".join(map(safe, text.split("\n"))))


def note(text: str) -> None:
    """A line for a person, on standard error, without a key."""
    click.echo(f"k2lab: {safe(shortened(masked(' '.join(text.splitlines()))))}", err=True)


def shortened(text: str, most: int = MOST) -> str:
    """A text of at most ``most`` characters: of a longer one the beginning and the end, and how much is left out.

    >>> shortened("a" * 30 + "b" * 30, 40)
    'aaaaaaaa… 44 characters …bbbbbbbb'
    """
    if len(text) <= most:
        return text
    kept = (most - 24) // 2
    return f"{text[:kept]}… {len(text) - 2 * kept} characters …{text[-kept:]}"


def print_notes(notes: Iterable[str]) -> None:
    """What a person should know of a result, on standard error, each once."""
    for text in dict.fromkeys(notes):
        note(f"note: {text}")


@contextmanager
def shown_log(level: int) -> Iterator[None]:
    """What k2lab logs at ``level`` and above is on standard error, for the length of the block.

    A message is a plain line; a warning begins with ``k2lab:``. At ``DEBUG`` a
    line says the time and the module, too.
    """
    logger, handler = logging.getLogger("k2lab"), _Echo(detailed=level <= logging.DEBUG)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class _Echo(logging.Handler):
    def __init__(self, *, detailed: bool) -> None:
        super().__init__()
        if detailed:
            self.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s", "%H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "k2lab: " if record.levelno >= logging.WARNING else ""
        for line in masked(self.format(record)).splitlines():
            click.echo(prefix + safe(line), err=True)

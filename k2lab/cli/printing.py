"""The one place that writes for a person or a pipe: results, notes, the library's log, and faults of k2lab itself.

Text is made legible first, whoever wrote it: nothing of a server, a model, a
file or a name moves the cursor, and a character that the output's encoding
lacks is written out. JSON says exactly what it was made from, since it is
escaped by JSON's own rules; a path is exact bytes to a pipe, and legible at a
terminal.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from k2lab.legible import HIDDEN, one_line, shortened, visible
from k2lab.server.keys import masked

LONGEST_LINE = 20_000
"""Characters of a line of a result, such as a row of a table."""


def print_text(text: str) -> None:
    """Lines on standard output."""
    _write("\n".join(_line(line) for line in text.split("\n")))


def print_line(text: str) -> None:
    """One line on standard output, whatever stands in it; its columns stay."""
    _write(shortened(visible(" ".join(text.splitlines()))))


def terminal_width() -> int | None:
    """Cells of a line of the terminal that standard output is; ``None`` where it is a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_json(value: object) -> None:
    """JSON for a person and for a program; what does not show itself is escaped, and says the same."""
    text = HIDDEN.sub(_escaped, json.dumps(value, ensure_ascii=False, indent=2))
    try:
        text.encode(_encoding(err=False))
    except UnicodeEncodeError:
        text = re.sub("[^\x00-\x7f]+", _escaped, text)
    _write(text)


def print_path(path: Path) -> None:
    """A path: its bytes for a pipe, whatever they are, and legible at a terminal."""
    pipe = getattr(sys.stdout, "buffer", None)
    if pipe is None or sys.stdout.isatty():
        print_line(str(path))
    else:
        sys.stdout.flush()
        pipe.write(os.fsencode(path) + os.linesep.encode())
        pipe.flush()


def note(text: str) -> None:
    """A line for a person, on standard error, without a key."""
    print_aside(f"k2lab: {text}")


def print_aside(text: str) -> None:
    """A line on standard error as it is, without a key."""
    _write(one_line(masked(text)), err=True)


def print_notes(notes: Iterable[str]) -> None:
    """What a person should know of a result, on standard error, each once."""
    for text in dict.fromkeys(notes):
        note(f"note: {text}")


def print_usage(error: click.ClickException) -> None:
    """What click says of words that are no command: the usage, and what is wrong; what was typed may hold a key."""
    context = getattr(error, "ctx", None)
    if context is not None:
        _write(f"{context.get_usage()}\nTry '{context.command_path} --help' for help.\n", err=True)
    print_aside(f"Error: {error.format_message()}")


def print_fault(error: BaseException) -> None:
    """A bug of k2lab: its traceback, and where to take it."""
    for line in "".join(traceback.format_exception(error)).splitlines():
        _write(_line(masked(line)), err=True)
    note("this is a bug of k2lab: please report it as an issue, with these lines and the command")


@contextmanager
def shown_log(level: int) -> Iterator[None]:
    """What k2lab logs at ``level`` and above is on standard error, for the length of the block.

    A message is a plain line; a warning begins with ``k2lab:``. At ``DEBUG`` a
    line says the time and the module, too. Warnings of libraries go the same way.
    """
    detailed = level <= logging.DEBUG
    logger, handler = logging.getLogger("k2lab"), _Echo(detailed=detailed)
    before, others = logger.level, _Others(detailed=detailed)
    logger.addHandler(handler)
    logger.setLevel(level)
    logging.getLogger().addHandler(others)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(others)
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
            _write(prefix + shortened(visible(line.expandtabs(4))), err=True)


class _Others(_Echo):
    """Warnings of libraries, which would else reach the terminal as they are."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] != "k2lab":
            super().emit(record)


def _line(text: str) -> str:
    return shortened(visible(shortened(text, LONGEST_LINE).expandtabs(4)), LONGEST_LINE)


def _write(text: str, *, err: bool = False) -> None:
    """Text that is legible, in what the stream can say."""
    encoding = _encoding(err=err)
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding), err=err)


def _encoding(*, err: bool) -> str:
    return getattr(sys.stderr if err else sys.stdout, "encoding", None) or "utf-8"


def _escaped(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]

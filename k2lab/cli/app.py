"""The root of the command line: its own options, the library's log, and errors as one line."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from k2lab import interrupts
from k2lab.cli import streams
from k2lab.cli.commands import COMMANDS, LazyGroup
from k2lab.errors import K2LabError

READER_GONE = 141
"""As a program ends that writes into a pipe which nobody reads: 128 and the number of SIGPIPE."""

OUTSIDE = (
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.EIO,
    errno.EBADF, errno.ENOMEM, errno.EFBIG, errno.EAGAIN,
)  # fmt: skip
"""What a system refuses without naming a file."""


@click.group(cls=LazyGroup)
@click.option("-q", "--quiet", is_flag=True, help="Show warnings and errors only, no progress.")
@click.option("-v", "--verbose", is_flag=True, help="Show more of what k2lab does, with times.")
@click.version_option(package_name="k2lab")
def root(quiet: bool, verbose: bool) -> None:
    """Find which layer breaks a Kimi model's tool calls, and prove it on token ids."""
    import logging

    from k2lab.cli.printing import shown_log

    if quiet and verbose:
        raise click.UsageError("--quiet and --verbose exclude each other: choose one.")
    level = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
    click.get_current_context().with_resource(shown_log(level))


def main() -> NoReturn:
    """Entry point: our errors are one clear line and exit status 1, wrong usage is 2.

    An interrupt is 130, or 128 and the number of another signal, as a shell
    has it. A fault of k2lab itself keeps its traceback.
    """
    status = 1
    try:
        try:
            status = _status()
        finally:
            interrupts.leave_to_system()
    except KeyboardInterrupt:  # once more, while the first was being said
        status = interrupts.status()
    sys.exit(status)


def _status() -> int:
    """The exit status of the command that was typed, whose output is written."""
    interrupts.raise_from_now()
    try:
        status = root(prog_name="k2lab", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except BaseException as error:
        if interrupts.came():  # what an interrupted library makes of it is no fault of its own
            return _interrupted()
        return _status_of(error)


def _status_of(error: BaseException) -> int:
    """What is said of an error, and the exit status that goes with it."""
    match error:
        case click.Abort() | KeyboardInterrupt():
            return _interrupted()
        case streams.ReaderGone() | BrokenPipeError():
            streams.give_up()
            return READER_GONE
        case streams.OutputError():
            streams.give_up()
            return _refused(str(error))
        case K2LabError():
            return _refused(str(error))
        case ModuleNotFoundError() if (advice := _advice(error)) is not None:
            return _refused(advice, plain=True)
        case click.ClickException():
            return _misused(error)
        case OSError() if error.filename is not None or error.errno in OUTSIDE:
            return _refused(_cause(error))
        case MemoryError():
            return _refused("there is not enough memory for this: give it less at a time")
        case Exception():  # not foreseen: whoever reads the traceback can report it
            return _failed(error)
    raise error


def _cause(error: OSError) -> str:
    """What the system refused, and of which file."""
    what = (error.strerror or str(error)).lower()
    name = error.filename if error.filename2 is None else error.filename2  # of a copy, where to
    return f"{name}: {what}" if name is not None else what


def _interrupted() -> int:
    streams.give_up()
    _refused("interrupted")
    return interrupts.status()


def _misused(error: click.ClickException) -> int:
    from k2lab.cli.printing import print_usage

    print_usage(error)
    return error.exit_code


def _refused(text: str, *, plain: bool = False) -> int:
    from k2lab.cli.printing import note, print_aside

    (print_aside if plain else note)(text)
    return 1


def _failed(error: Exception) -> int:
    from k2lab.cli.printing import print_fault

    print_fault(error)
    return 1


def _advice(error: ModuleNotFoundError) -> str | None:
    """How to get a library that is missing; ``None`` where k2lab never asks for it."""
    from k2lab.cli import extras

    return extras.advice(error, _command_of(sys.argv[1:]))


def _command_of(words: Sequence[str]) -> str:
    """The command that was typed, for a person: ``k2lab bench``."""
    return " ".join(["k2lab", *[word for word in words if word in COMMANDS][:1]])

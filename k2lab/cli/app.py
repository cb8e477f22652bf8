"""The root of the command line: its own options, the library's log, and errors as one line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from k2lab.cli.commands import COMMANDS, LazyGroup
from k2lab.errors import K2LabError


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
    """Entry point: our errors are one clear line and exit status 1, wrong usage is 2."""
    try:
        status = root(prog_name="k2lab", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except K2LabError as error:
        _refuse(str(error))
    except ModuleNotFoundError as error:
        _refuse(_advice(error), plain=True)
    except click.ClickException as error:
        _misused(error)
    except (click.Abort, KeyboardInterrupt):
        _refuse("interrupted", status=130)
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:  # not foreseen: whoever reads the traceback can report it
        _failed(error)


def _misused(error: click.ClickException) -> NoReturn:
    from k2lab.cli.printing import print_usage

    print_usage(error)
    sys.exit(error.exit_code)


def _refuse(text: str, *, plain: bool = False, status: int = 1) -> NoReturn:
    from k2lab.cli.printing import note, print_aside

    (print_aside if plain else note)(text)
    sys.exit(status)


def _failed(error: Exception) -> NoReturn:
    from k2lab.cli.printing import print_fault

    print_fault(error)
    sys.exit(1)


def _advice(error: ModuleNotFoundError) -> str:
    """How to get a library that is missing; raises the error again where k2lab never asks for it."""
    from k2lab.cli import extras

    advice = extras.advice(error, _command_of(sys.argv[1:]))
    if advice is None:
        raise error
    return advice


def _command_of(words: Sequence[str]) -> str:
    """The command that was typed, for a person: ``k2lab bench``."""
    return " ".join(["k2lab", *[word for word in words if word in COMMANDS][:1]])

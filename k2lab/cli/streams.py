"""Standard input, output and error: there even where they were closed, and able to say every character."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO

from k2lab.errors import InputError, K2LabError


class OutputError(K2LabError):
    """Standard output takes nothing more: a full disk, a closed descriptor."""


class ReaderGone(OutputError):
    """Whoever read standard output has ended, as ``head`` does."""


class _Output(io.FileIO):
    """Standard output, whose errors are told from those of other files."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise ReaderGone("nobody reads standard output any more") from None
        except OSError as error:
            raise OutputError(f"cannot write to standard output: {(error.strerror or str(error)).lower()}") from None


class _Notes(io.FileIO):
    """Standard error: where it takes nothing, there is nobody to be told."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def set_up() -> None:
    """Open what was closed, so that no file gets its number, and make standard output write whatever it is given.

    A closed input or output is an error where it is read or written; a closed error output takes and loses all.
    """
    for number, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, mode)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
    sys.stdout = _writer(_Output(1, "w", closefd=False), sys.stdout)
    sys.stderr = _writer(_Notes(2, "w", closefd=False), sys.stderr)
    sys.stderr.reconfigure(line_buffering=True)


def read() -> bytes:
    """All of standard input; raises :class:`InputError` where there is none."""
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise InputError(f"cannot read standard input: {(error.strerror or str(error)).lower()}") from None


def give_up() -> None:
    """Let what is held back go, so that the interpreter's end does not try again."""
    if isinstance(getattr(getattr(sys.stdout, "buffer", None), "raw", None), _Output):
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.close(silent)


def _writer(raw: io.FileIO, instead_of: TextIO | None) -> io.TextIOWrapper:
    encoding = getattr(instead_of, "encoding", None) or "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=encoding, errors="backslashreplace", line_buffering=raw.isatty()
    )

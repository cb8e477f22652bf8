"""Files that others made: the one door through which they are read, within limits of kind and size.

A folder, a device, a pipe that nobody writes to, a file of many gigabytes: each
is refused before anything is read. The pipes of a shell (``<(...)``,
``/dev/stdin``) are read up to the same size.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from k2lab import jsonread
from k2lab.errors import InputError

MAX_BYTES = 256 << 20
"""Of a whole document."""

MAX_LINE_BYTES = 64 << 20
"""Of a line, where a file of any size is read a line at a time."""

KINDS = {
    stat.S_ISDIR: "is a folder, not a file",
    stat.S_ISFIFO: "is a pipe, not a file: write what comes from it into a file",
    stat.S_ISSOCK: "is a socket, not a file",
    stat.S_ISCHR: "is a device, not a file",
    stat.S_ISBLK: "is a device, not a file",
}
_OWN = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
"""Where a shell puts what this process was given open."""


@contextmanager
def opened(path: str | Path, what: str, *, error: type[InputError] = InputError) -> Iterator[BinaryIO]:
    """A file of others, open for reading bytes; ``what`` says in an error what it was wanted as.

    Raises ``error`` where it cannot be read, or stops being readable within the block.

    >>> with opened("/dev/zero", "conversation") as file:
    ...     pass
    Traceback (most recent call last):
    k2lab.errors.InputError: cannot read conversation /dev/zero: it is a device, not a file
    """
    try:
        with _open(path) as file:
            yield file
    except (OSError, _NotPlainError) as failed:
        raise error(f"cannot read {what} {path}: {getattr(failed, 'strerror', None) or failed}") from failed


def read_bytes(path: str | Path, what: str, *, most: int = MAX_BYTES, error: type[InputError] = InputError) -> bytes:
    """All of a file; raises ``error`` where it cannot be read or has more than ``most`` bytes."""
    with opened(path, what, error=error) as file:
        size = os.fstat(file.fileno()).st_size
        data = b"" if size > most else file.read(most + 1)
    if size > most or len(data) > most:
        raise error(f"cannot read {what} {path}: it has more than {most >> 20} MiB")
    return data


def read_text(path: str | Path, what: str, *, most: int = MAX_BYTES, error: type[InputError] = InputError) -> str:
    """A file of UTF-8, line ends as they are; raises ``error`` as :func:`read_bytes` does, and for what is no UTF-8."""
    data = read_bytes(path, what, most=most, error=error)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as failed:
        raise error(f"cannot read {what} {path}: byte {failed.start + 1} is not UTF-8") from None


def read_json(path: str | Path, what: str, *, error: type[InputError] = InputError) -> object:
    """The value of a JSON file (:func:`k2lab.jsonread.read_json`); raises ``error`` where it holds none."""
    data = read_bytes(path, what, error=error)
    try:
        return jsonread.read_json(data)
    except jsonread.NotJSON as failed:
        raise error(f"{what} {path} is not JSON: {failed if data.strip() else 'it is empty'}") from None


def lines(
    path: str | Path, what: str, *, every: Callable[[bytes], object] = len, error: type[InputError] = InputError
) -> Iterator[tuple[int, bytes]]:
    """Each line that is not blank, with its number from 1; ``every`` is called with blank ones, too.

    Raises ``error`` for a line of more than ``MAX_LINE_BYTES``.
    """
    with opened(path, what, error=error) as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise error(f"{what} {path}, line {number} has more than {MAX_LINE_BYTES >> 20} MiB")
            every(line)
            if line.strip():
                yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


class _NotPlainError(Exception):
    """What stands at a path is no plain file."""


def _open(path: str | Path) -> BinaryIO:
    given = os.fspath(path).startswith(_OWN)
    if not given:
        _check(os.stat(path).st_mode)
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if given else os.O_NONBLOCK)), "rb")
    try:
        if not given:
            _check(os.fstat(file.fileno()).st_mode)
    except _NotPlainError:
        file.close()
        raise
    return file


def _check(mode: int) -> None:
    for holds, said in KINDS.items():
        if holds(mode):
            raise _NotPlainError(f"it {said}")

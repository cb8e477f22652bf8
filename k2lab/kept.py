"""Files as k2lab leaves them: whole or not at all, and what holds prompts readable by their owner alone."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from k2lab.errors import InputError

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
OTHERS_MAY_WRITE = 0o002


def write_whole(path: Path, text: str | bytes, *, private: bool = False) -> Path:
    """Write a file that is there as a whole or not at all, in place of one that is there; returns its path.

    A link at ``path`` is replaced, not followed. With ``private`` nobody but the
    owner reads it; else it has the rights that the user's umask gives, and
    others never write to it. Raises :class:`OSError`.

    >>> write_whole(Path("note.txt"), "whole").read_text()
    'whole'
    """
    with replacing(path, private=private) as fresh:
        fresh.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    return path


@contextlib.contextmanager
def replacing(path: Path, *, private: bool = False) -> Iterator[Path]:
    """A new file beside ``path``, which takes its place at the end of the block, or goes where the block fails.

    >>> with replacing(Path("list.txt")) as fresh:
    ...     print("one", file=fresh.open("a"))
    """
    fresh = path.with_name(f".{path.name[:80]}.{secrets.token_hex(6)}.tmp")
    with _named(path, fresh):
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, PRIVATE_FILE))
        with _goes(fresh):
            yield fresh
            if not private:
                fresh.chmod(_usual_rights())
            os.replace(fresh, path)


@contextlib.contextmanager
def _goes(fresh: Path) -> Iterator[None]:
    """Remove a file where the block fails."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise


@contextlib.contextmanager
def _named(path: Path, fresh: Path) -> Iterator[None]:
    """Have what the system refuses name the file that was to be written: the other is nobody's, or none is named."""
    try:
        yield
    except OSError as error:
        if error.filename in (None, str(fresh)):
            error.filename, error.filename2 = str(path), None
        raise


def private_folder(path: Path) -> Path:
    """A folder that its owner alone opens, made where it is missing, with what an older k2lab left open in it closed.

    Raises :class:`InputError` where it is somebody else's, or a link to somebody else's.
    """
    path.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
    _check_owner(path)
    _close(path, PRIVATE_FOLDER)
    for file in path.iterdir():
        with contextlib.suppress(OSError):
            if stat.S_ISREG(file.lstat().st_mode):
                _close(file, PRIVATE_FILE)
    return path


def begin(path: Path) -> None:
    """Make an empty file that its owner alone reads, where nothing is there yet and one can be made."""
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE))


def close(path: Path) -> None:
    """Take others' rights from a file that is there and ours."""
    with contextlib.suppress(OSError):
        _close(path, PRIVATE_FILE)


def _close(path: Path, rights: int) -> None:
    """Leave no rights but these."""
    now = stat.S_IMODE(path.stat().st_mode)
    if now & ~rights:
        path.chmod(now & rights)


def _check_owner(path: Path) -> None:
    for state in (path.lstat(), path.stat()):
        if state.st_uid not in (os.geteuid(), 0):
            raise InputError(f"{path} belongs to another user: choose a place of your own")


def _usual_rights() -> int:
    """What the umask leaves of a new file's rights, without those of others to write."""
    umask = os.umask(0o077)
    os.umask(umask)
    return 0o666 & ~umask & ~OTHERS_MAY_WRITE

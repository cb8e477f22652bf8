"""The command line in this process as a terminal sees it, and what must hold of every run whatever it was given."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from k2lab import cli
from tests.fuzz.frame import KEY, HangError

CPU_S, WALL_S = 20.0, 120.0
"""What one command may take: far more than any of them needs, far less than for ever."""

MOVES = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
"""What moves a terminal's cursor, changes its state, or turns the direction of writing; a line feed is none."""

LONGEST = 4000
"""Characters of a line on standard error."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a command left: its exit status and what stood on the two streams."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str

    def checked(self, *codes: int) -> Ran:
        """Itself, where all holds that must hold of every run."""
        told = f"{str(self.words)[:1000]} ended with {self.code}:\n{_cut(self.err)}"
        assert self.code in (codes or (0, 1, 2)), told
        assert "Traceback" not in self.err and "panicked" not in self.err, told
        for text in (self.out, self.err):
            moved = MOVES.search(text)
            assert not moved, (
                f"{moved[0]!r} reaches the terminal: {text[max(moved.start() - 200, 0) :][:400]!r}\n{told}"
            )
            assert KEY not in text, told
        longest = max(map(len, self.err.splitlines()), default=0)
        assert longest <= LONGEST, f"a line of {longest} characters; {told}"
        if self.code:
            assert self.err.strip() or self.out.strip(), f"no word of why: {told}"
        return self


def run(*words: object, stdin: bytes = b"", stdout: str | None = None, encoding: str = "utf-8") -> Ran:
    """Call the command line's entry point; ``stdout`` is a path in place of what is read back."""
    given = tuple(os.fspath(word) if isinstance(word, Path) else str(word) for word in words)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, _at(1, out.fileno()), _at(2, err.fileno()):
        code = _status(given, stdin, stdout, encoding)
        texts = [_read(file) for file in (out, err)]
    return Ran(words=given, code=code, out=texts[0], err=texts[1])


def fails(*words: object, stdin: bytes = b"") -> Ran:
    """A run that must end with one line on what is wrong."""
    ran = run(*words, stdin=stdin).checked(1, 2)
    if ran.code == 1:
        lines = [line for line in ran.err.splitlines() if not line.startswith("k2lab: note: ")]
        assert len(lines) == 1 and lines[0].startswith("k2lab: "), ran
    return ran


def written(folder: Path) -> Iterator[Path]:
    """The files below a folder, none of which shows the key."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_blocks * 512 < 64 << 20:
            if path.stat().st_size < 64 << 20:
                assert KEY.encode() not in path.read_bytes(), path
            yield path


def _status(words: tuple[str, ...], stdin: bytes, stdout: str | None, encoding: str) -> int:
    into = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    with (
        open(stdout or 1, "w", encoding=encoding, closefd=stdout is not None) as out,
        open(2, "w", encoding=encoding, errors="backslashreplace", closefd=False) as err,
        mock.patch.multiple(sys, argv=["k2lab", *words], stdin=into, stdout=out, stderr=err),
        _limited(" ".join(words)),
    ):
        try:
            cli.main()
        except SystemExit as ended:
            return _code(ended.code)
    raise AssertionError(f"{words} came back without an exit status")


def _code(code: object) -> int:
    return code if isinstance(code, int) else 0 if code is None else 1


def _cut(text: str) -> str:
    return "\n".join(line[:500] for line in text.splitlines()[-60:])


def _read(file: io.BufferedRandom) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "backslashreplace")


@contextmanager
def _at(descriptor: int, file: int) -> Iterator[None]:
    """A file in the place of a standard stream, for what is written below Python, too."""
    kept = os.dup(descriptor)
    os.dup2(file, descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)


@contextmanager
def _limited(what: str) -> Iterator[None]:
    """Raises :class:`HangError` in the block after too much CPU time, or too long a wait."""

    def stop(*_: object) -> None:
        raise HangError(f"{what} takes more than {CPU_S} s of CPU time, or waits for more than {WALL_S} s")

    main = threading.main_thread().ident
    assert main is not None and main == threading.get_ident()
    before = {number: signal.signal(number, stop) for number in (signal.SIGPROF, signal.SIGUSR2)}
    clock = threading.Timer(WALL_S, signal.pthread_kill, (main, signal.SIGUSR2))
    clock.daemon = True
    clock.start()
    signal.setitimer(signal.ITIMER_PROF, CPU_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        clock.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)

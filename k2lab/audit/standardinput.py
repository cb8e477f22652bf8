"""Standard input as a source of an audit: read once, and kept packed in the audit's folder until it is done."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from k2lab import files, kept
from k2lab.audit.sources import MAGIC, PARQUET, SQLITE, InputSource, source_of
from k2lab.errors import InputError

PATH, NAME = "-", "standard input"

SPOOL, PIECES = "stdin", "stdin.json"
"""In the state of an audit: what came, and where pieces of it begin."""

LEVEL = 1
"""Of zstd: sooner done than gzip unpacks, and lines take a fraction of their room."""

READ_BYTES = 1 << 20

Tell = Callable[[str, float, float], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """Lines of the spool: the byte of the frame that they begin in, the first one's number, how many begin there."""

    start: int
    row: int
    rows: int


def opened() -> BinaryIO:
    """Standard input, with something to read; raises :class:`InputError` where nobody gives anything."""
    if sys.stdin.isatty():
        raise InputError(
            "standard input is a terminal: pipe exchanges into it, as in zcat day.jsonl.gz | k2lab audit -"
        )
    stream: Any = sys.stdin.buffer
    with _reading():
        if not stream.peek(1):
            raise InputError("standard input is empty: what should have come by the pipe did not")
    return stream  # type: ignore[no-any-return]


def source_from(
    stream: BinaryIO, state: Path, begun: Mapping[str, Any] | None, form: str | None, piece_bytes: int, tell: Tell
) -> InputSource:
    """What comes by a stream, kept in ``state``; raises :class:`InputError` for what holds no exchanges.

    ``begun`` is what an audit in ``state`` is of: there it is read to be known
    again, and not kept a second time.
    """
    chunks = _Chunks(stream, tell)
    if begun is not None:
        return _known_again(chunks, begun)
    with _kept_or_gone(state):
        is_packed = _keep(chunks, state, piece_bytes)
        told = source_of(str(state / SPOOL), form)
    packed = "" if is_packed else told.packed
    return replace(told, path=PATH, name=NAME, packed=packed, size=chunks.size, mtime_ns=0, digest=chunks.digest())


def kept_in(source: InputSource, state: Path) -> InputSource:
    """A source as it is read: what came by standard input lies in ``state``, any other where it was."""
    if not source.digest:
        return source
    return replace(source, path=str(state / SPOOL), packed="zstd" if (state / PIECES).is_file() else source.packed)


def pieces_of(source: InputSource) -> list[Stretch] | None:
    """The pieces of a source that :func:`kept_in` gives; ``None`` for one that was kept as it came."""
    path = Path(source.path).with_name(PIECES)
    if not source.digest or not path.is_file():
        return None
    found: Any = files.read_json(path, "pieces of standard input")
    return [Stretch(**one) for one in found]


def forget(state: Path) -> None:
    """Remove what was kept."""
    for name in (SPOOL, PIECES):
        (state / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _kept_or_gone(state: Path) -> Iterator[None]:
    """Leave nothing of a pipe that was not read to its end, and nothing that nobody can read."""
    forget(state)
    try:
        yield
    except BaseException as failed:
        forget(state)
        if isinstance(failed, InputError):
            raise InputError(str(failed).replace(str(state / SPOOL), NAME)) from None
        if isinstance(failed, OSError):
            why = (failed.strerror or str(failed)).lower()
            raise InputError(f"cannot keep standard input in {state}: {why}; give files by their paths") from None
        raise


class _Chunks:
    """A stream in chunks; counts them, and knows them again."""

    def __init__(self, stream: BinaryIO, tell: Tell) -> None:
        self._stream, self._tell, self._digest = stream, tell, hashlib.blake2b(digest_size=16)
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            with _reading():
                chunk = self._stream.read(READ_BYTES)
            if not chunk:
                return
            self.size += len(chunk)
            self._digest.update(chunk)
            self._tell(f"{self.size >> 20:,} MiB of standard input", 0, 0)
            yield chunk

    def digest(self) -> str:
        """Of what was read so far."""
        return self._digest.hexdigest()


def _known_again(chunks: _Chunks, begun: Mapping[str, Any]) -> InputSource:
    """As the audit was begun with it, where it is the same; nothing is read where it was begun without."""
    found = [source for source in begun.get("sources") or () if source.get("path") == PATH]
    if not found:
        return InputSource(path=PATH, name=NAME, container="lines", form="", size=0, mtime_ns=0)
    for _ in chunks:
        pass
    return replace(InputSource(**found[0]), size=chunks.size, digest=chunks.digest())


def _keep(chunks: _Chunks, state: Path, piece_bytes: int) -> bool:
    """Write what comes: lines packed by piece, other files as they are; whether it was packed."""
    kept.begin(state / SPOOL)
    with (state / SPOOL).open("wb") as file:
        coming = iter(chunks)
        head = next(coming, b"")
        if head.startswith((*MAGIC, SQLITE, PARQUET)):
            file.write(head)
            file.writelines(coming)
            return False
        frames = _Frames(file, piece_bytes)
        frames.take(head)
        for chunk in coming:
            frames.take(chunk)
        frames.end()
    kept.write_whole(state / PIECES, json.dumps([asdict(piece) for piece in frames.pieces]), private=True)
    return True


class _Frames:
    """Writes frames of zstd that end with a line where they can; a line that is longer goes on in the next."""

    def __init__(self, file: BinaryIO, piece_bytes: int) -> None:
        self._file, self._piece_bytes, self._held = file, piece_bytes, bytearray()
        self._codec = pa.Codec("zstd", compression_level=LEVEL)
        self._row, self._begins_a_line = 1, True
        self.pieces: list[Stretch] = []

    def take(self, chunk: bytes) -> None:
        self._held += chunk
        if len(self._held) >= self._piece_bytes:
            self._write(self._held.rfind(b"\n") + 1 or len(self._held))

    def end(self) -> None:
        if self._held:
            self._write(len(self._held))

    def _write(self, size: int) -> None:
        lines = bytes(self._held[:size])
        del self._held[:size]
        ends_a_line = lines.endswith(b"\n")
        rows = lines.count(b"\n") + (not ends_a_line) - (not self._begins_a_line)
        if self._begins_a_line:
            self.pieces.append(Stretch(start=self._file.tell(), row=self._row, rows=rows))
        else:
            self.pieces[-1] = replace(self.pieces[-1], rows=self.pieces[-1].rows + rows)
        self._row, self._begins_a_line = self._row + rows, ends_a_line
        self._file.write(self._codec.compress(lines, asbytes=True))


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise InputError(f"cannot read standard input: {why}") from None

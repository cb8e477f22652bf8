"""Bodies as the record keeps them: no more than so many bytes, and their encoding undone where it can be."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from k2lab.server.gunzip import Gunzip, GzipError


class Kept:
    """The parts of a body that passes by, up to ``most`` bytes; ``cut`` is how many were left out behind those.

    >>> kept = Kept(4)
    >>> kept.add(b"abc"), kept.add(b"def"), kept.data(), kept.cut
    (None, None, b'abcd', 2)
    """

    __slots__ = ("_left", "_parts", "cut")

    def __init__(self, most: int) -> None:
        self._left, self._parts, self.cut = most, list[bytes](), 0

    def add(self, data: bytes) -> None:
        """The next part."""
        if len(data) > self._left:
            self.cut += len(data) - self._left
            data = data[: self._left]
        self._left -= len(data)
        if data:
            self._parts.append(data)

    def data(self) -> bytes:
        """All that was kept."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """A body for the record: its bytes, its content type, and how many bytes of it are missing at the end."""

    data: bytes
    type: str
    cut: int


def body_of(data: bytes, content_type: str, encoding: str, *, cut: int, most: int) -> Body:
    """A body with its content encoding undone; one that cannot be undone is as it came, and its type says so.

    >>> import gzip
    >>> body_of(gzip.compress(b"{}"), "application/json", "gzip", cut=0, most=100)
    Body(data=b'{}', type='application/json', cut=0)
    >>> body_of(b"...", "application/json", "br", cut=0, most=100).type
    'application/json; encoding=br'
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return Body(data=data, type=content_type, cut=cut)
    plain = Kept(most)
    try:
        for piece in _pieces(data, encoding):
            plain.add(piece)
            if plain.cut:
                break
    except (GzipError, zlib.error, _UnknownError):
        return Body(data=data, type=f"{content_type}; encoding={encoding[:40]}", cut=cut)
    return Body(data=plain.data(), type=content_type, cut=cut + plain.cut)


class _UnknownError(Exception):
    """An encoding that the standard library does not know."""


def _pieces(data: bytes, encoding: str) -> Iterator[bytes]:
    if encoding in ("gzip", "x-gzip"):
        yield from Gunzip().pieces(data)
    elif encoding == "deflate":
        unzip = zlib.decompressobj()
        while data:
            yield unzip.decompress(data, 1 << 20)
            data = unzip.unconsumed_tail
    else:
        raise _UnknownError

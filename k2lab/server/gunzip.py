"""An answer's gzip in bounded pieces: no small part of it becomes a large one at once."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

PIECE_BYTES = 1 << 20
"""What is decompressed at once."""

MOST_MEMBERS = 1000
"""Of a gzip, each of which may be empty and takes time."""


class GzipError(ValueError):
    """Why what came cannot be decompressed, in a few words."""


class Gunzip:
    """Decompresses what comes in parts.

    >>> import gzip
    >>> b"".join(Gunzip().pieces(gzip.compress(b"whole")))
    b'whole'
    """

    def __init__(self) -> None:
        self._members = 1
        self._unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)

    def pieces(self, part: bytes) -> Iterator[bytes]:
        """What a part holds, at most ``PIECE_BYTES`` at a time; raises :class:`GzipError` where it is no gzip."""
        while part:
            try:
                yield self._unzip.decompress(part, PIECE_BYTES)
            except zlib.error as error:
                raise GzipError(f"an answer that is not gzip: {error}") from None
            part = self._unzip.unconsumed_tail
            if self._unzip.eof:  # another member may follow
                self._members += 1
                if self._members > MOST_MEMBERS:
                    raise GzipError(f"a gzip of more than {MOST_MEMBERS} members")
                part, self._unzip = self._unzip.unused_data, zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)

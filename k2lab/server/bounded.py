"""The openai client for those who want it, with bounds: an answer's body has a largest size and a last moment.

What a server sends is counted after decompression, and read until the whole
answer is there or its time is over, however slowly the parts come. A redirect
is not followed. k2lab's own requests go another way: :mod:`k2lab.server.session`.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import httpx2
import openai

from k2lab.server.gunzip import Gunzip, GzipError
from k2lab.server.keys import Key
from k2lab.server.transport import CONNECT_TIMEOUT_S, MAX_ANSWER_BYTES

NO_KEY = "none"
"""The openai client wants a key; servers without one take any."""

STARTED = "k2lab_started"


def openai_client(base_url: str, key: Key, timeout_s: float) -> openai.OpenAI:
    """A client without hidden retries; ``timeout_s`` is for each whole answer."""
    timeout = httpx2.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S)
    http = openai.DefaultHttpxClient(
        timeout=timeout,
        headers={"accept-encoding": "gzip"},
        follow_redirects=False,
        event_hooks={"request": [_start], "response": [lambda response: _bound(response, timeout_s)]},
    )
    return openai.OpenAI(
        base_url=base_url, api_key=key.value or NO_KEY, max_retries=0, timeout=timeout, http_client=http
    )


def _start(request: httpx2.Request) -> None:
    request.extensions[STARTED] = time.monotonic()


def _bound(response: httpx2.Response, timeout_s: float) -> None:
    """Put bounds on an answer whose head has come."""
    encoding = response.headers.pop("content-encoding", "identity").strip().lower()
    if encoding not in ("gzip", "identity"):
        raise httpx2.DecodingError(f"an answer in the encoding {encoding[:40]!r}, which was not asked for")
    assert isinstance(response.stream, httpx2.SyncByteStream)
    left_s = response.request.extensions[STARTED] + timeout_s - time.monotonic()
    stream = response.extensions.get("network_stream")
    connection = stream.get_extra_info("socket") if stream else None
    response.stream = _Bounded(response.stream, gzipped=encoding == "gzip", left_s=left_s, connection=connection)


class _Bounded(httpx2.SyncByteStream):
    """The parts of an answer, decompressed and counted."""

    def __init__(
        self, parts: httpx2.SyncByteStream, *, gzipped: bool, left_s: float, connection: socket.socket | None
    ) -> None:
        self._parts = parts
        self._gzipped = gzipped
        self._late = threading.Event()
        self._connection = connection
        self._timer = threading.Timer(max(left_s, 0), self._end)
        self._timer.daemon = True

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        self._timer.start()
        try:
            for part in _gunzipped(self._parts) if self._gzipped else self._parts:
                size += len(part)
                if size > MAX_ANSWER_BYTES:
                    raise httpx2.DecodingError(f"an answer of more than {MAX_ANSWER_BYTES >> 20} MiB")
                if self._late.is_set():
                    break
                yield part
        except httpx2.TransportError:
            if not self._late.is_set():
                raise
        finally:
            self._timer.cancel()
        if self._late.is_set():
            raise httpx2.ReadTimeout("the answer's time is over")

    def close(self) -> None:
        self._timer.cancel()
        self._parts.close()

    def _end(self) -> None:
        """Wake the reader: a read that waits for the next part ends when its connection does."""
        self._late.set()
        if self._connection is not None:
            with contextlib.suppress(OSError):  # it has ended by itself
                self._connection.shutdown(socket.SHUT_RDWR)


def _gunzipped(parts: httpx2.SyncByteStream) -> Iterator[bytes]:
    unzip = Gunzip()
    try:
        for part in parts:
            yield from unzip.pieces(part)
    except GzipError as error:
        raise httpx2.DecodingError(str(error)) from None

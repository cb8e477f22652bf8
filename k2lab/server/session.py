"""The one way to a server: every request of every command goes through here, and has its bounds here.

A whole answer has so many seconds from the request's first byte, however slowly
its parts come, and so many bytes before and after decompression. Nothing is
retried. A redirect is followed on the same server alone, with the method that
it was asked with: neither a body nor a key goes anywhere else.
"""

from __future__ import annotations

import contextlib
import ipaddress
import time
import urllib.request
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from k2lab.server.gunzip import Gunzip, GzipError
from k2lab.server.keys import Key
from k2lab.server.transport import (
    CONNECT_TIMEOUT_S,
    MAX_ANSWER_BYTES,
    Failed,
    Failure,
    origin_of,
    plain,
    refusal,
)

if TYPE_CHECKING:
    import aiohttp

MAX_EVENT_BYTES = 4 << 20
KEEP_ALIVE_S = 4.0
"""Shorter than the five seconds after which common servers close an idle connection."""

MOST_REDIRECTS = 3
SAME_METHOD = (307, 308)
REDIRECTS = (301, 302, 303, *SAME_METHOD)

HEADERS: Mapping[str, str] = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "accept-encoding": "gzip",
}


class Session:
    """Connections to one server, for as long as an ``async with`` block."""

    def __init__(self, base_url: str, key: Key, *, timeout_s: float, connections: int = 1) -> None:
        self.base_url = base_url.rstrip("/")
        self.key = key
        self._timeout_s = timeout_s
        self._connections = connections
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Session:
        import aiohttp

        authorization = {"authorization": f"Bearer {self.key.value}"} if self.key.value else {}
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=KEEP_ALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={**HEADERS, **authorization},
            auto_decompress=False,  # it would fill the memory with what a small part becomes
            proxy=proxy_of(self.base_url),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    @contextlib.asynccontextmanager
    async def answered(self, url: str, body: bytes | None) -> AsyncIterator[aiohttp.ClientResponse]:
        """A 200 answer; everything else is raised as :class:`Failed`, its words without the key."""
        import aiohttp

        ends = time.monotonic() + self._timeout_s
        try:
            for _ in range(MOST_REDIRECTS + 1):
                left_s = max(ends - time.monotonic(), 0.001)
                timeout = aiohttp.ClientTimeout(total=left_s, sock_connect=CONNECT_TIMEOUT_S)
                method = "GET" if body is None else "POST"
                async with self._session.request(
                    method, url, data=body, allow_redirects=False, timeout=timeout
                ) as answer:
                    if answer.status == 200:
                        yield answer
                        return
                    if answer.status not in REDIRECTS:
                        raise Failed(await self._refusal(answer))
                    url = self._redirected(answer, url, body)
                    answer.close()  # not kept: its body has not been read
            raise Failed.of("garbage", f"more than {MOST_REDIRECTS} redirects")
        except (aiohttp.ClientError, OSError, UnicodeError) as error:  # TimeoutError is an OSError
            raise Failed(self._told(_failure_of(error, self._timeout_s))) from None
        except Failed as failed:
            raise Failed(self._told(failed.failure)) from None

    async def whole(self, url: str, body: bytes | None) -> bytes:
        """A whole answer's body; raises :class:`Failed`."""
        async with self.answered(url, body) as answer:
            return await read(answer)

    def _redirected(self, answer: aiohttp.ClientResponse, url: str, body: bytes | None) -> str:
        """Where a redirect leads, on the same server; raises :class:`Failed` for one that is not followed."""
        try:
            place = urljoin(url, answer.headers.get("location", ""))
        except ValueError:
            place = ""
        origin = origin_of(place)
        if origin != origin_of(url):
            detail = f"a redirect to {origin or 'nowhere'}, another server, where no request and no key is sent"
        elif set("@?#") & set(place):
            detail = "a redirect to a URL with more than a path"
        elif body is not None and answer.status not in SAME_METHOD:
            detail = "a redirect that drops the request"
        elif place == url:
            detail = "a redirect to itself"
        else:
            return place
        raise Failed(Failure(kind="status", detail=plain(detail), status=answer.status))

    def _told(self, failure: Failure) -> Failure:
        return replace(failure, detail=self.key.masked(failure.detail))

    async def _refusal(self, answer: aiohttp.ClientResponse) -> Failure:
        try:
            text = (await read(answer)).decode("utf-8", "replace")
        except Failed as failed:
            text = failed.failure.detail
        return refusal(answer.status, self.key.masked(text), answer.headers)


async def read(answer: aiohttp.ClientResponse) -> bytes:
    """The body, decompressed; raises :class:`Failed` for one too long."""
    return b"".join([part async for part in pieces(answer)])


async def events(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The data of each server-sent event; one too long is refused."""
    rest = bytearray()
    async for part in pieces(answer):
        if b"\n" not in part:
            rest += part
        else:
            *lines, last = part.split(b"\n")
            lines[0] = bytes(rest) + lines[0]
            rest = bytearray(last)
            for line in lines:
                if line.startswith(b"data:"):
                    yield line[5:].strip()
        if len(rest) > MAX_EVENT_BYTES:
            raise Failed.of("garbage", f"an event of more than {MAX_EVENT_BYTES >> 20} MiB")
    if rest.startswith(b"data:"):
        yield bytes(rest[5:]).strip()


async def pieces(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The parts of an answer as they come, decompressed; an answer too long is refused."""
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("gzip", "identity"):
        raise Failed.of("garbage", f"an answer in the encoding {encoding[:40]!r}, which was not asked for")
    unzip = Gunzip() if encoding == "gzip" else None
    packed = size = 0
    try:
        async for part in answer.content.iter_any():
            packed += len(part)
            for piece in unzip.pieces(part) if unzip else (part,):
                size += len(piece)
                if max(size, packed) > MAX_ANSWER_BYTES:
                    raise Failed.of("garbage", f"an answer of more than {MAX_ANSWER_BYTES >> 20} MiB")
                yield piece
    except GzipError as error:
        raise Failed.of("garbage", str(error)) from None


def _failure_of(error: Exception, timeout_s: float) -> Failure:
    """What an error of aiohttp means."""
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorError):
        return Failure(kind="connect", detail=plain(error.os_error or error))
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return Failure(kind="connect", detail=f"no connection within {CONNECT_TIMEOUT_S:g} s")
    if isinstance(error, TimeoutError):
        return Failure(kind="timeout", detail=f"no whole answer within {timeout_s:g} s")
    if isinstance(error, aiohttp.ClientResponseError):
        return Failure(kind="garbage", detail=_words_of(error))
    if isinstance(error, aiohttp.InvalidURL | UnicodeError):  # a host or port that there cannot be
        return Failure(kind="connect", detail="a host or port that there cannot be")
    return Failure(kind="disconnect", detail=_words_of(error))


def _words_of(error: Exception) -> str:
    """What a library says of bytes that it could not read, without the bytes, which may hold the key in part."""
    return plain(str(error).split("b'")[0].split('b"')[0].rstrip(" :") or type(error).__name__)


def proxy_of(url: str) -> str | None:
    """The proxy that the environment names for a URL; none for this machine's own servers."""
    split = urlsplit(url)
    host = split.hostname or ""
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return None
    if host == "localhost" or urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get(split.scheme)

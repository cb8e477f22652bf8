"""One request to a server, once: an answer that can be judged, or a failure with its kind and reason.

Built on aiohttp without a client library in between, as the benchmark's own
work must not be what limits it. Nothing is retried here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING

from k2lab.bench.arm import Arm, Prepared
from k2lab.bench.shapes import Failed, as_chat, finish_reason, json_object
from k2lab.bench.stream import Assembly
from k2lab.server.transport import CONNECT_TIMEOUT_S, MAX_ANSWER_BYTES, Failure, Key, error_of, explain, plain, refusal

if TYPE_CHECKING:
    import aiohttp

MAX_EVENT_BYTES = 4 << 20
PIECE_BYTES = 1 << 20
"""What is decompressed at once, so that no small part becomes a large one."""

KEEP_ALIVE_S = 4.0
"""Shorter than the five seconds after which common servers close an idle connection."""

HELLO_TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One try of a request: an answer's JSON text, or a failure.

    ``first_ms`` is the time to the first event of a streamed answer.
    """

    started_at: str
    duration_ms: float
    first_ms: float | None = None
    response: str | None = None
    finish_reason: str | None = None
    usage: Mapping[str, object]
    failure: Failure | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Got:
    """An answer's JSON text and what it says, and when the first event of a stream came."""

    text: str
    data: Mapping[str, object]
    first_s: float | None = None


class Client:
    """Connections to one server, for as long as an ``async with`` block."""

    def __init__(self, arm: Arm, *, connections: int, timeout_s: float, api_key: str | None = None) -> None:
        self._arm = arm
        self._connections = connections
        self._timeout_s = timeout_s
        self._key = Key.of(api_key)
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Client:
        import aiohttp

        headers = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "accept-encoding": "gzip",
        }
        if self._key.value:
            headers["authorization"] = f"Bearer {self._key.value}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=KEEP_ALIVE_S),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=CONNECT_TIMEOUT_S),
            headers=headers,
            auto_decompress=False,  # it would fill the memory with what a small part becomes
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def hello(self) -> None:
        """Ask for the list of models; raises :class:`EndpointError` where nobody answers or the key is refused.

        A server that has no such list, or answers it badly, may still chat.
        """
        url = f"{self._arm.base_url.rstrip('/')}/models"
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S), self._answered(url, None) as answer:
                await _read(answer)
        except TimeoutError:
            failure = Failure(kind="timeout", detail=f"no list of models within {HELLO_TIMEOUT_S:g} s")
        except Failed as failed:
            failure = failed.failure
        else:
            return
        if failure.kind in ("connect", "timeout") or failure.status in (401, 403):
            raise error_of(self._arm.base_url, failure, self._key)

    async def ask(self, prepared: Prepared) -> Attempt:
        """Send a request once; never raises for what a server does."""
        started_at, started = datetime.now(UTC).isoformat(timespec="milliseconds"), time.perf_counter()
        try:
            async with self._answered(self._arm.url, prepared.body) as answer:
                got = await self._got(answer, prepared)
            ended = finish_reason(got.data)
        except Failed as failed:
            duration_ms = (time.perf_counter() - started) * 1000
            return Attempt(started_at=started_at, duration_ms=duration_ms, usage={}, failure=failed.failure)
        usage = got.data.get("usage")
        return Attempt(
            started_at=started_at,
            duration_ms=(time.perf_counter() - started) * 1000,
            first_ms=None if got.first_s is None else (got.first_s - started) * 1000,
            response=got.text,
            finish_reason=ended,
            usage=usage if isinstance(usage, dict) else {},
        )

    def explain(self, failure: Failure) -> str:
        """A failure as one line for a person, with the next step."""
        return self._key.masked(explain(self._arm.base_url, failure))

    async def _got(self, answer: aiohttp.ClientResponse, prepared: Prepared) -> _Got:
        if prepared.stream and answer.content_type.startswith("text/event-stream"):
            return await self._streamed(answer)
        text = self._clean(await _read(answer))  # a server that does not stream answers at once
        data = json_object(text)
        if self._arm.source:
            data = as_chat(data, prepared.tools)
            text = self._key.masked(json.dumps(data))
        return _Got(text=text, data=data)

    async def _streamed(self, answer: aiohttp.ClientResponse) -> _Got:
        """The answer that a stream of events stands for."""
        assembly, first_s = Assembly(), None
        async for event in _events(answer):
            first_s = first_s or time.perf_counter()
            if event == b"[DONE]":
                break
            data = json_object(self._clean(event))
            if data.get("error"):
                raise Failed.of("incomplete", f"the stream ended in an error: {plain(data['error'])}")
            try:
                assembly.event(data)
            except (TypeError, AttributeError, ValueError) as error:
                raise Failed.of("garbage", f"an event of another shape: {plain(error)}") from None
        if assembly.finish_reason is None:
            raise Failed.of("incomplete", "the stream ended without a finish_reason")
        response = assembly.response()
        return _Got(text=self._key.masked(json.dumps(response)), data=response, first_s=first_s)

    @contextlib.asynccontextmanager
    async def _answered(self, url: str, body: bytes | None) -> AsyncIterator[aiohttp.ClientResponse]:
        """A 200 answer; everything else is raised as :class:`Failed`."""
        import aiohttp

        try:
            async with self._session.request("GET" if body is None else "POST", url, data=body) as answer:
                if answer.status != 200:
                    raise Failed(await self._refusal(answer))
                yield answer
        except (aiohttp.ClientError, OSError, UnicodeError) as error:  # TimeoutError is an OSError
            failure = _failure_of(error, self._timeout_s)
            raise Failed.of(failure.kind, self._key.masked(failure.detail)) from None

    async def _refusal(self, answer: aiohttp.ClientResponse) -> Failure:
        try:
            text = self._clean(await _read(answer))
        except Failed as failed:
            text = failed.failure.detail
        return refusal(answer.status, text, answer.headers)

    def _clean(self, data: bytes) -> str:
        """What a server sent, as text without the key: a benchmark file is handed on."""
        return self._key.masked(data.decode("utf-8", "replace"))


def _failure_of(error: Exception, timeout_s: float) -> Failure:
    """What an error of aiohttp means."""
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorError):
        return Failure(kind="connect", detail=plain(error.os_error or error))
    if isinstance(error, aiohttp.InvalidURL | UnicodeError):  # a host or port that there cannot be
        return Failure(kind="connect", detail=plain(error))
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return Failure(kind="connect", detail=f"no connection within {CONNECT_TIMEOUT_S:g} s")
    if isinstance(error, TimeoutError):
        return Failure(kind="timeout", detail=f"no whole answer within {timeout_s:g} s")
    if isinstance(error, aiohttp.ClientResponseError):
        return Failure(kind="garbage", detail=plain(error))
    return Failure(kind="disconnect", detail=plain(error))


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    return b"".join([part async for part in _parts(answer)])


async def _events(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The data of each server-sent event; one too long is refused."""
    rest = b""
    async for part in _parts(answer):
        *lines, rest = (rest + part).split(b"\n")
        if len(rest) > MAX_EVENT_BYTES:
            raise Failed.of("garbage", f"an event of more than {MAX_EVENT_BYTES >> 20} MiB")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()
    if rest.startswith(b"data:"):
        yield rest[5:].strip()


async def _parts(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The parts of an answer as they come, decompressed; an answer too long is refused."""
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("gzip", "identity"):
        raise Failed.of("garbage", f"an answer in the encoding {encoding[:40]!r}, which was not asked for")
    unzip = _Gunzip() if encoding == "gzip" else None
    size = 0
    async for part in answer.content.iter_any():
        for piece in unzip.pieces(part) if unzip else (part,):
            size += len(piece)
            if size > MAX_ANSWER_BYTES:
                raise Failed.of("garbage", f"an answer of more than {MAX_ANSWER_BYTES >> 20} MiB")
            yield piece


class _Gunzip:
    """Decompresses what comes in parts, in pieces of a bounded size."""

    def __init__(self) -> None:
        self._unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)

    def pieces(self, part: bytes) -> Iterator[bytes]:
        """What a part holds; raises :class:`Failed` where it is no gzip."""
        while part:
            try:
                yield self._unzip.decompress(part, PIECE_BYTES)
            except zlib.error as error:
                raise Failed.of("garbage", f"an answer that is not gzip: {error}") from None
            part = self._unzip.unconsumed_tail
            if self._unzip.eof:  # another member may follow
                part, self._unzip = self._unzip.unused_data, zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)

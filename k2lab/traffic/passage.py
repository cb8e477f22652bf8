"""One exchange on its way through the proxy: asked, answered, recorded, counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import aiohttp
from aiohttp import http_exceptions, web

from k2lab.traffic.accesslog import fault
from k2lab.traffic.bodies import Kept
from k2lab.traffic.caught import Caught
from k2lab.traffic.downstream import CLOSES, Downstream, refuse
from k2lab.traffic.exchanges import Ending
from k2lab.traffic.heads import EMPTY_STATUS, backward, onward
from k2lab.traffic.own_errors import Refused
from k2lab.traffic.targets import GUARDED, kind_of
from k2lab.traffic.upstream import broken

if TYPE_CHECKING:
    from multidict import CIMultiDict

    from k2lab.traffic.proxy import Proxy
    from k2lab.traffic.turns import AnswerStream, Turn

UNREAD = "x-k2lab-unread"
"""Why the guard did not look, where it should have."""

GARBAGE = (aiohttp.ClientError, http_exceptions.HttpProcessingError, OSError)
_numbers = iter(range(1 << 62))
_NONE: Mapping[str, str] = {}


class _BrokenError(Exception):
    """The upstream's answer ended before its end."""

    def __init__(self, ended: Ending) -> None:
        super().__init__(ended)
        self.ended = ended


class Passage:
    """A request that has been let in, until its answer has been given."""

    __slots__ = (
        "_answer", "_asked_s", "_began_s", "_body", "_body_s", "_client", "_ended", "_first_s", "_given", "_headers",
        "_kind", "_last_s", "_path", "_proxy", "_recorded", "_request", "_response", "_started_at", "_status", "_turn",
        "_unread",
    )  # fmt: skip

    def __init__(self, proxy: Proxy, request: web.BaseRequest, client: Downstream, path: str) -> None:
        self._proxy, self._request, self._client, self._path = proxy, request, client, path
        self._kind = kind_of(path)
        self._started_at, self._began_s = time.time(), time.perf_counter()
        self._body_s = self._asked_s = self._first_s = self._last_s = 0.0
        self._body = b""
        self._turn: Turn | None = None
        self._unread = ""
        self._response: aiohttp.ClientResponse | None = None
        self._answer: Kept | None = None
        self._given: Kept | None = None
        self._status = 0
        self._ended: Ending = "whole"
        self._recorded = False

    async def run(self) -> web.StreamResponse:
        """Pass it, and account for it however it ends."""
        try:
            return await self._pass()
        except Refused as refused:
            return self._refuse(refused)
        except asyncio.CancelledError:
            self._ended = "stopped" if self._proxy.stopping else "client_left"
            raise
        except ConnectionError:
            self._ended = "client_left"
            return CLOSES
        except Exception as error:
            return self._fail(error)
        finally:
            self._close()

    async def _pass(self) -> web.StreamResponse:
        request, proxy = self._request, self._proxy
        self._body = await self._client.body()
        self._body_s = time.perf_counter()
        headers = onward(request.headers, proxy.upstream.name)
        proxy.admission.pass_on(headers)
        if proxy.guard is not None and self._path in GUARDED and request.method == "POST":
            await self._guard(headers)
        body = self._body if self._turn is None else self._turn.body
        self._asked_s = time.perf_counter()
        response = await proxy.upstream.ask(request.method, request.raw_path, headers, body)
        self._first_s, self._response = time.perf_counter(), response
        try:
            return await self._forward(response)
        except _BrokenError as error:
            return self._broke(error.ended)
        finally:
            proxy.upstream.leave(response)

    async def _guard(self, headers: CIMultiDict[str]) -> None:
        """Ask the guard for a turn; raises :class:`Refused` where it refuses, or fails and may not be passed by."""
        assert self._proxy.guard is not None
        encoding = headers.get("content-encoding", "identity")
        if encoding.strip().lower() != "identity":
            self._unread = f"content-encoding {encoding}"[:80]
            return
        given = (self._path, headers.get("content-type", ""), self._body)
        try:
            turn = cast("Turn | None", await self._proxy.work(len(self._body), self._proxy.guard.turn, *given))
        except Exception as error:
            self._guard_failed(error)
            return
        self._turn = turn
        if turn is None:
            return
        if turn.refusal is not None:
            raise Refused(turn.refusal.status, "not_held", turn.refusal.message, headers=turn.headers)
        if turn.holds_answer:
            headers["accept-encoding"] = "identity"

    def _guard_failed(self, error: Exception) -> None:
        fault("the guard", error)
        self._proxy.metrics.guard_failed()
        if self._proxy.fails_closed:
            raise Refused(500, "guard_fault", "the guard failed at this request: look into the proxy's log") from None
        self._unread = "the guard failed"

    async def _forward(self, response: aiohttp.ClientResponse) -> web.StreamResponse:
        """Give the upstream's answer, however it comes."""
        self._status = response.status
        if self._proxy.recorder is not None:
            self._answer = Kept(self._proxy.limits.recorded_bytes)
        headers = response.headers
        length = None if "transfer-encoding" in headers else _length(headers.get("content-length"))
        if self._request.method == "HEAD" or response.status in EMPTY_STATUS:
            self._client.begin(self._lines(response), length if response.status != 204 else None, empty=True)
            return await self._end(b"")
        if self._turn is None or not self._turn.holds_answer:
            return await self._plain(response, length)
        encoding = headers.get("content-encoding", "identity")
        if encoding.strip().lower() != "identity":
            self._unread = f"content-encoding {encoding}"[:80]
            return await self._plain(response, length)
        if headers.get("content-type", "").lower().startswith("text/event-stream"):
            return await self._streamed(response, self._turn)
        return await self._whole(response, length, self._turn)

    async def _plain(self, response: aiohttp.ClientResponse, length: int | None) -> web.StreamResponse:
        """Every byte as it came. The last ones of a known length wait for the record, else the end does."""
        content, client, kept, left = response.content, self._client, self._answer, length
        client.begin(self._lines(response), length)
        if length is None and not content.total_bytes:
            client.flush()
        lost = broken(response)
        streams = length is None
        if streams:
            self._proxy.metrics.open_streams += 1
        try:
            while chunk := await self._read(content):
                if kept is not None:
                    kept.add(chunk)
                if left is not None:
                    left -= len(chunk)
                    if left <= 0:
                        return await self._end(chunk)
                client.write(chunk)
                if client.full:
                    await client.drain()
        finally:
            if streams:
                self._proxy.metrics.open_streams -= 1
        if left or lost():
            raise _BrokenError("upstream_broke")
        return await self._end(b"")

    async def _streamed(self, response: aiohttp.ClientResponse, turn: Turn) -> web.StreamResponse:
        """A stream of events as the guard gives it."""
        client, stream = self._client, turn.stream()
        client.begin(self._lines(response), None)
        client.flush()
        if self._answer is not None:
            self._given = Kept(self._proxy.limits.recorded_bytes)
        lost = broken(response)
        self._proxy.metrics.open_streams += 1
        try:
            while chunk := await self._read(response.content):
                if self._answer is not None:
                    self._answer.add(chunk)
                await self._give(stream.feed(chunk))
            if lost():
                raise _BrokenError("upstream_broke")
        except _BrokenError:
            await self._give(stream.end())
            raise
        finally:
            self._proxy.metrics.open_streams -= 1
        return await self._end_given(stream)

    async def _end_given(self, stream: AnswerStream) -> web.StreamResponse:
        rest = stream.end()
        if self._given is not None:
            self._given.add(rest)
        return await self._end(rest)

    async def _give(self, data: bytes) -> None:
        """Write what the guard lets go."""
        if not data:
            return
        if self._given is not None:
            self._given.add(data)
        self._client.write(data)
        if self._client.full:
            await self._client.drain()

    async def _whole(self, response: aiohttp.ClientResponse, length: int | None, turn: Turn) -> web.StreamResponse:
        """A whole answer as the guard gives it; one that is too large passes as it is."""
        most, parts, size = self._proxy.limits.answer_bytes, list[bytes](), 0
        while chunk := await self._read_whole(response, parts):
            parts.append(chunk)
            size += len(chunk)
            if self._answer is not None:
                self._answer.add(chunk)
            if size > most:
                return await self._too_large(response, length, parts)
        body = b"".join(parts)
        if length is not None and size < length:
            return await self._half(response, parts)
        self._last_s = time.perf_counter()
        kind = response.headers.get("content-type", "")
        try:
            given = cast(bytes, await self._proxy.work(size, turn.whole, response.status, kind, body))
        except Exception as error:
            self._guard_failed(error)
            given = body
        if self._answer is not None and given != body:
            self._given = Kept(self._proxy.limits.recorded_bytes)
            self._given.add(given)
        self._client.begin(self._lines(response), len(given))
        return await self._end(given)

    async def _read_whole(self, response: aiohttp.ClientResponse, parts: list[bytes]) -> bytes:
        try:
            return await self._read(response.content)
        except _BrokenError:
            self._begin_half(response, parts)
            raise

    async def _half(self, response: aiohttp.ClientResponse, parts: list[bytes]) -> web.StreamResponse:
        self._begin_half(response, parts)
        raise _BrokenError("upstream_broke")

    def _begin_half(self, response: aiohttp.ClientResponse, parts: list[bytes]) -> None:
        """Half an answer goes on as it came, for its client to see that it is one."""
        self._client.begin(self._lines(response), _length(response.headers.get("content-length")))
        if parts:
            self._client.write(b"".join(parts))

    async def _too_large(
        self, response: aiohttp.ClientResponse, length: int | None, parts: list[bytes]
    ) -> web.StreamResponse:
        self._unread = f"more than {self._proxy.limits.answer_bytes} bytes"
        self._client.begin(self._lines(response), length)
        self._client.write(b"".join(parts))
        parts.clear()
        while chunk := await self._read(response.content):
            if self._answer is not None:
                self._answer.add(chunk)
            self._client.write(chunk)
            if self._client.full:
                await self._client.drain()
        return await self._end(b"")

    async def _read(self, content: aiohttp.StreamReader) -> bytes:
        """What has come, at least a byte of it; empty at the end."""
        try:
            return await content.readany()
        except TimeoutError:
            raise _BrokenError("timed_out") from None
        except GARBAGE:
            raise _BrokenError("upstream_broke") from None

    def _broke(self, ended: Ending) -> web.StreamResponse:
        """The client sees the break that the upstream made, or is told where it has seen nothing yet."""
        if ended == "timed_out" and not self._client.began:
            between_s, url = self._proxy.limits.between_s, self._proxy.upstream.url
            line = f"{url} sent nothing of its answer for {between_s:g} s: look into its log"
            return self._refuse(Refused(504, "upstream_timeout", line, ended=ended))
        self._ended = ended
        return self._client.break_off()

    def _refuse(self, refused: Refused) -> web.StreamResponse:
        self._status, self._ended = refused.status, refused.ended
        try:
            return refuse(self._client, refused)
        except ConnectionError:
            return CLOSES

    def _fail(self, error: Exception) -> web.StreamResponse:
        """A fault of k2lab: said where nothing was given yet, and a break where something was."""
        fault("the proxy", error)
        if not self._client.began:
            return self._refuse(Refused(500, "proxy_fault", "the proxy failed at this request: look into its log"))
        self._ended = "stopped"
        return self._client.break_off()

    def _lines(self, response: aiohttp.ClientResponse) -> list[bytes]:
        if self._proxy.draining:
            self._client.close_after()
        ours: Mapping[str, str] = {} if self._turn is None else self._turn.headers
        if self._unread:
            ours = {**ours, UNREAD: self._unread}
        return [*backward(response.status, response.reason, response.raw_headers, ours)]

    async def _end(self, last: bytes) -> web.StreamResponse:
        """Give the answer's end, once the record has it all, or has had its time."""
        self._last_s = self._last_s or time.perf_counter()
        waiting = self._record()
        if waiting is not None:
            try:
                await self._proxy.hold.wait(waiting)
            except TimeoutError:
                self._proxy.metrics.record_late()
        return self._client.end(last)

    def _record(self) -> asyncio.Future[Any] | None:
        recorder = self._proxy.recorder
        if recorder is None or self._recorded:
            return None
        self._recorded = True
        try:
            return recorder.take(self._caught())
        except Exception as error:
            fault("the recorder", error)
            self._proxy.metrics.record_refused()
            return None

    def _close(self) -> None:
        """Count it, and hand it to the record where it has not come so far."""
        self._client.leave()
        done_s = time.perf_counter()
        upstream_s = (self._last_s or done_s) - self._asked_s if self._asked_s else 0.0
        if self._asked_s or self._turn is not None:
            self._last_s = self._last_s or done_s
            self._record()
        proxy, changes = self._proxy, () if self._turn is None else self._turn.changes
        added_s = max(done_s - self._began_s - upstream_s, 0.0)
        proxy.metrics.passed(
            self._kind, self._status, self._ended, upstream_s=upstream_s, added_s=added_s,
            first_s=self._first_s - self._asked_s if self._first_s else None, changes=changes,
        )  # fmt: skip
        proxy.log.passed(
            self._request.method, self._path, self._status, self._ended, 1000 * (done_s - self._began_s), len(changes)
        )

    def _caught(self) -> Caught:
        turn, kept, given, most = self._turn, self._answer, self._given, self._proxy.limits.recorded_bytes
        asked, answered = self._request.headers, _NONE if self._response is None else self._response.headers
        return Caught(
            key=f"{time.time_ns():016x}-{next(_numbers):08x}",
            started_at=self._started_at,
            method=self._request.method,
            path=self._path,
            status=self._status,
            ended=self._ended,
            request=self._body[:most],
            answer=b"" if kept is None else kept.data(),
            most=most,
            sent=None if turn is None or turn.body == self._body else turn.body[:most],
            given=None if given is None else given.data(),
            request_type=asked.get("content-type", ""),
            answer_type=answered.get("content-type", ""),
            request_encoding=asked.get("content-encoding", ""),
            answer_encoding=answered.get("content-encoding", ""),
            changes=() if turn is None else tuple(turn.changes),
            upstream_ms=1000 * (self._last_s - self._asked_s) if self._asked_s else 0.0,
            first_ms=1000 * (self._first_s - self._asked_s) if self._first_s else None,
            added_ms=1000 * max((self._asked_s or self._last_s) - self._body_s, 0.0),
            request_cut=max(len(self._body) - most, 0),
            answer_cut=0 if kept is None else kept.cut,
        )


def _length(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None

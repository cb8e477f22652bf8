"""The client's side of an exchange: its body within limits, and its answer, framed and with back-pressure."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterable

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from k2lab.traffic.heads import backward
from k2lab.traffic.limits import Limits, Room
from k2lab.traffic.own_errors import Refused

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: what is not sent yet is dropped, and the peer sees a reset."""

CLOSING = frozenset((400, 408, 413, 417, 501))
"""After an error of these kinds nothing that follows on the connection is read: it might be a part of the request."""


class Sent(web.StreamResponse):
    """Tells aiohttp that an answer has been written, and whether the connection takes another request."""

    def __init__(self, *, stays: bool) -> None:
        super().__init__()
        self._stays = stays

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open."""
        return self._stays

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Nothing: it is written."""
        return None

    async def write_eof(self, data: bytes | bytearray | memoryview = b"") -> None:
        """Nothing: it is written."""


STAYS, CLOSES = Sent(stays=True), Sent(stays=False)


class Downstream:
    """A client that waits for its answer.

    The head is kept until the first bytes of the body are there, and both are
    written at once; :meth:`flush` writes it alone.
    """

    __slots__ = ("_chunked", "_endless", "_head", "_limits", "_request", "_room", "_stays", "_taken", "began")

    def __init__(self, request: web.BaseRequest, limits: Limits, room: Room) -> None:
        self._request, self._limits, self._room = request, limits, room
        self._head = b""
        self._chunked = self._endless = False
        self._stays = request.keep_alive
        self._taken = 0
        self.began = False
        """Whether a byte of the answer has been written."""

    async def body(self) -> bytes:
        """All of the request's body; raises :class:`Refused`."""
        request = self._request
        if not request.body_exists:
            return b""
        length = request.content_length
        if length is not None and length > self._limits.body_bytes:
            raise self._too_large()
        content = request.content
        if not content.is_eof():
            self._expected()
            return await self._arriving()
        data = await content.readany()
        self._take(len(data))
        return data

    def leave(self) -> None:
        """Give back the room that the body took."""
        self._room.give_back(self._taken)
        self._taken = 0

    def begin(self, lines: Iterable[bytes], length: int | None, *, empty: bool = False) -> None:
        """The head of an answer of ``length`` bytes, or of as many as come; ``empty``: no body follows."""
        head = [*lines]
        modern = self._request.version >= HttpVersion11
        self._chunked = self._endless = False
        if length is not None:
            head.append(b"content-length: %d\r\n" % length)
        elif not empty and modern:
            head.append(b"transfer-encoding: chunked\r\n")
            self._chunked = True
        elif not empty:
            self._endless, self._stays = True, False  # the end of the connection is the end of the answer
        if not self._stays:
            head.append(b"connection: close\r\n")
        elif not modern:
            head.append(b"connection: keep-alive\r\n")
        head.append(b"\r\n")
        self._head = b"".join(head)

    def close_after(self) -> None:
        """Take no other request on this connection."""
        self._stays = False

    def flush(self) -> None:
        """Write the head, where it is not yet."""
        if self._head:
            head, self._head = self._head, b""
            self._write(head)

    def write(self, data: bytes) -> None:
        """Write a part of the body, which is not empty."""
        head, self._head = self._head, b""
        if self._chunked:
            data = b"%b%x\r\n%b\r\n" % (head, len(data), data)
        elif head:
            data = head + data
        self._write(data)

    def end(self, data: bytes = b"") -> web.StreamResponse:
        """Write the last part of the body and its end."""
        head, self._head = self._head, b""
        if self._chunked:
            data = b"%b%x\r\n%b\r\n0\r\n\r\n" % (head, len(data), data) if data else head + b"0\r\n\r\n"
        elif head:
            data = head + data
        if data:
            self._write(data)
        return STAYS if self._stays else CLOSES

    def break_off(self) -> web.StreamResponse:
        """End the connection in the middle of an answer, so that the client sees that it is one."""
        with contextlib.suppress(ConnectionError):
            self.flush()
        if self._endless and (transport := self._request.transport) is not None:
            _reset(transport)
        return CLOSES

    def answer(self, lines: Iterable[bytes], body: bytes) -> web.StreamResponse:
        """Write an answer of the proxy's own; the connection ends where a part of the request was not read."""
        self._stays = self._stays and (not self._request.body_exists or self._request.content.is_eof())
        self.begin(lines, len(body))
        return self.end(b"" if self._request.method == "HEAD" else body)

    @property
    def full(self) -> bool:
        """Whether the client takes less than it is given, so that the next part has to wait."""
        return self._request.protocol.writing_paused

    async def drain(self) -> None:
        """Wait until the client has taken what it was given; raises ``ConnectionError`` where it never does."""
        try:
            async with asyncio.timeout(self._limits.client_s):
                await self._request.writer.drain()
        except TimeoutError:
            if (transport := self._request.transport) is not None:
                transport.abort()
            raise ConnectionResetError("the client takes nothing of its answer") from None

    async def _arriving(self) -> bytes:
        """A body that is still on its way."""
        content, parts, wait_s = self._request.content, [], self._limits.client_s
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(wait_s) as bound:
                while part := await content.readany():
                    self._take(len(part))
                    parts.append(part)
                    bound.reschedule(loop.time() + wait_s)
        except TimeoutError:
            line = f"nothing of the request came for {wait_s:g} s: send it anew"
            raise Refused(408, "slow_request", line) from None
        except (web.RequestPayloadError, web.PayloadAccessError):
            raise Refused(400, "bad_framing", "the request's body is not framed as HTTP wants it") from None
        return b"".join(parts)

    def _take(self, size: int) -> None:
        if self._taken + size > self._limits.body_bytes:
            raise self._too_large()
        if not self._room.take(size):
            line = "too many large requests are open at once: send it again in a moment"
            raise Refused(503, "no_room", line, headers={"retry-after": "1"})
        self._taken += size

    def _too_large(self) -> Refused:
        most = self._limits.body_bytes
        return Refused(413, "too_large", f"the request has more than {most} bytes: raise --max-body, or send less")

    def _expected(self) -> None:
        """Say that the body may come, where the client waits for that."""
        expectation = self._request.headers.get("expect")
        if expectation is None:
            return
        if expectation.strip().lower() != "100-continue":
            raise Refused(417, "bad_expectation", "an expectation other than 100-continue is not known: leave it out")
        if self._request.version >= HttpVersion11 and (transport := self._request.transport) is not None:
            transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _write(self, data: bytes) -> None:
        transport = self._request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has left")
        self.began = True
        transport.write(data)


def refuse(client: Downstream, refused: Refused) -> web.StreamResponse:
    """Give the proxy's own error; raises ``ConnectionError`` where the client has left."""
    ours = {"content-type": "application/json", **refused.headers}
    if refused.status in CLOSING:
        client.close_after()
    return client.answer(backward(refused.status, None, (), ours), refused.body())


def _reset(transport: asyncio.Transport) -> None:
    """An answer that the connection's end ends is told from a broken one by a reset alone."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

"""An upstream that answers as it is told, byte for byte, and a client that reads HTTP/1.1 without a library.

Both are asyncio streams in the test's own loop, and keep what came as it came: neither shares a parser with the proxy.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

Head = dict[str, list[bytes]]


@dataclass(kw_only=True)
class Message:
    """A request or an answer as it was read: ``first`` its first line, ``whole`` whether it came to its end."""

    first: bytes
    head: Head
    body: bytes
    raw: bytes
    whole: bool
    parts: list[bytes] = field(default_factory=list)
    """The body as it was read: chunk by chunk where it was chunked."""

    @property
    def status(self) -> int:
        return int(self.first.split()[1])

    def one(self, name: str) -> bytes | None:
        """The value of a header that stands there once; ``None`` where there is none."""
        values = self.head.get(name, [])
        assert len(values) < 2, (name, values)
        return values[0] if values else None


class _Ended(Exception):
    """The other side closed, or reset, its connection."""


class Reader:
    """Reads messages from a connection."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self.reader = reader
        self.raw = bytearray()
        self.was_reset = False

    async def message(self, *, answers: str = "") -> Message | None:
        """The next one; ``answers`` is the method of the request that it answers; ``None`` at the end."""
        self.raw.clear()
        try:
            first = await self._line()
        except _Ended:
            return None
        head: Head = {}
        message = Message(first=first, head=head, body=b"", raw=b"", whole=False)
        try:
            while line := await self._line():
                name, _, value = line.partition(b":")
                head.setdefault(name.decode("latin-1").lower(), []).append(value.strip(b" \t"))
            if answers and first.split()[1].startswith(b"1") and not first.split()[1].startswith(b"101"):
                return await self.message(answers=answers)
            await self._body(message, answers)
            message.whole = True
        except _Ended:
            pass
        message.raw = bytes(self.raw)
        return message

    async def _body(self, message: Message, answers: str) -> None:
        length, coding = message.one("content-length"), message.one("transfer-encoding")
        assert length is None or coding is None, "a message with two lengths"
        bare = answers == "HEAD" or (answers and message.status in (204, 304))
        try:
            if coding is not None and not bare:
                await self._chunks(message.parts)
            elif length is not None and not bare:
                await self._counted(message.parts, int(length))
            elif answers and not bare:
                await self._endless(message.parts)
        finally:
            message.body = b"".join(message.parts)

    async def _chunks(self, parts: list[bytes]) -> None:
        while size := int((await self._line()).split(b";")[0], 16):
            parts.append(await self._some(size))
            assert await self._line() == b""
        while await self._line():
            pass

    async def _counted(self, parts: list[bytes], left: int) -> None:
        while left:
            parts.append(await self._some(left, least=1))
            left -= len(parts[-1])

    async def _endless(self, parts: list[bytes]) -> None:
        with contextlib.suppress(_Ended):
            while True:
                parts.append(await self._some(1 << 16, least=1))
        if self.was_reset:
            raise _Ended

    async def _line(self) -> bytes:
        return (await self._read(self.reader.readuntil(b"\r\n"))).removesuffix(b"\r\n")

    async def _some(self, size: int, least: int | None = None) -> bytes:
        return await self._read(self.reader.readexactly(size) if least is None else self.reader.read(size))

    async def _read(self, reading: Awaitable[bytes]) -> bytes:
        try:
            data = await reading
        except asyncio.IncompleteReadError as error:
            self.raw += error.partial
            raise _Ended from None
        except ConnectionError:
            self.was_reset = True
            raise _Ended from None
        if not data:
            raise _Ended
        self.raw += data
        return data


Step = bytes | float | str
"""Bytes to write, seconds to wait, ``go`` to wait for that event, or what becomes of the connection: ``close``,
``reset``, or ``stall`` until the other side leaves."""


@dataclass(kw_only=True)
class Scripted:
    """``script`` says what a request gets; ``seen`` are the requests in their order, ``open`` the connections."""

    script: Callable[[Message], list[Step]]
    url: str = ""
    seen: list[Message] = field(default_factory=list)
    open: int = 0
    connections: int = 0
    written: int = 0
    stalled: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.connections += 1
        try:
            requests = Reader(reader)
            while request := await requests.message():
                self.seen.append(request)
                for step in self.script(request):
                    if not await self._step(step, reader, writer):
                        return
        except ConnectionError:
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _step(self, step: Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if isinstance(step, bytes):
            writer.write(step)
            await writer.drain()
            self.written += len(step)
        elif isinstance(step, float):
            await asyncio.sleep(step)
        elif step == "go":
            await asyncio.wait_for(self.go.wait(), 20)
        elif step == "stall":
            self.stalled.set()
            await reader.read()
            return False
        elif step == "reset":
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        else:
            return False
        return True


@contextlib.asynccontextmanager
async def scripted(script: Callable[[Message], list[Step]]) -> AsyncIterator[Scripted]:
    """An upstream for the length of the block."""
    made = Scripted(script=script)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, limit=1 << 20)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()


class Client:
    """A connection to a server, on which requests are written as bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.answers, self.writer = Reader(reader), writer

    async def ask(self, request: bytes, within_s: float = 20.0) -> Message | None:
        """Send a request, and read the answer to it; ``None`` where there is none."""
        self.writer.write(request)
        return await self.read(request.split(b" ")[0].decode("latin-1"), within_s)

    async def read(self, method: str = "POST", within_s: float = 20.0) -> Message | None:
        async with asyncio.timeout(within_s):
            return await self.answers.message(answers=method)

    async def closed(self, within_s: float = 20.0) -> bool:
        """Whether the server ends the connection without another byte."""
        async with asyncio.timeout(within_s):
            try:
                return not await self.answers.reader.read(1)
            except ConnectionError:
                return True


@contextlib.asynccontextmanager
async def client(url: str) -> AsyncIterator[Client]:
    """A connection for the length of the block."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 20)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


def post(path: str, body: bytes, *headers: str, method: str = "POST") -> bytes:
    """A request with a body."""
    lines = [f"{method} {path} HTTP/1.1", "host: x", f"content-length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def get(path: str, *headers: str) -> bytes:
    """A request without a body."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "host: x", *headers, "", ""]).encode("latin-1")


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer."""
    return (
        "\r\n".join([f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers, "", ""]).encode("latin-1") + body
    )


def chunk(data: bytes) -> bytes:
    """A chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


async def becomes(true: Callable[[], object], within_s: float = 20.0) -> None:
    """Wait until it is true."""
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.005)

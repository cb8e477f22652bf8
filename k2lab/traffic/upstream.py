"""The way to the upstream: one pool of connections, its timeouts, and what each failure is called."""

from __future__ import annotations

import asyncio
import functools
import io
import os
import secrets
import weakref
from collections.abc import Callable, Iterable
from types import TracebackType
from urllib.parse import urlsplit

import aiohttp
from aiohttp.base_protocol import BaseProtocol
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict
from yarl import URL

from k2lab.server.session import KEEP_ALIVE_S, proxy_of
from k2lab.server.transport import checked_url, origin_of, plain
from k2lab.traffic.limits import Limits
from k2lab.traffic.own_errors import Refused

READ_BYTES = 32 << 10
"""Of an answer that the client does not take yet: beyond twice that, the upstream is not read."""

LARGE_BYTES = 1 << 20
"""A body above that is sent in parts, so that the other exchanges go on."""

AUTO = CIMultiDict[None]({"content-type": None})
"""What aiohttp would add where a client sent none, besides those headers that :class:`_Asked` leaves out."""


class _Asked(aiohttp.ClientRequest):
    """A request with the headers of the client and none of the library's."""

    def update_auto_headers(self, skip_auto_headers: Iterable[str] | None) -> None:
        self._skip_auto_headers = AUTO


class Upstream:
    """A server, for as long as an ``async with`` block. ``base_url`` may end in ``/v1``, as clients are told it.

    What stands before ``/v1`` in the URL is put before each path that a client asks for.
    """

    def __init__(self, base_url: str, limits: Limits) -> None:
        checked = checked_url(base_url)
        self.url = checked.removesuffix("/v1")
        self.origin, self._prefix = origin_of(checked), urlsplit(self.url).path.rstrip("/")
        self.name = f"k2lab-{secrets.token_hex(6)}"
        self._limits = limits
        self._session: aiohttp.ClientSession
        self._reading: dict[BaseProtocol, aiohttp.StreamReader] = {}
        self._watched: weakref.WeakSet[BaseProtocol] = weakref.WeakSet()

    async def __aenter__(self) -> Upstream:
        limits = self._limits
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            request_class=_Asked,
            timeout=aiohttp.ClientTimeout(
                total=None, connect=limits.connect_s, sock_connect=limits.connect_s, sock_read=limits.first_s
            ),
            read_bufsize=READ_BYTES,
            max_line_size=16 << 10,
            max_field_size=64 << 10,
            max_headers=256,
            proxy=proxy_of(self.origin),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def ask(self, method: str, target: str, headers: CIMultiDict[str], body: bytes) -> aiohttp.ClientResponse:
        """The head of the answer to a request, whose body is still to be read; raises :class:`Refused`.

        ``target`` is a path with its query, which has been checked; the server is the upstream whatever it is.
        """
        url = URL(f"{self.origin}{self._prefix}{target if target != '*' else '/'}", encoded=True)
        data = (io.BytesIO(body) if len(body) > LARGE_BYTES else body) if body else None
        try:
            response = await self._session.request(method, url, headers=headers, data=data, allow_redirects=False)
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            raise self.refused(error) from None
        except ValueError:
            raise Refused(400, "bad_header", "a header cannot be passed on: it holds a control character") from None
        if response.status == 101 or _coded(response):
            response.close()
            raise Refused(502, "upstream_garbage",
                          f"{self.url} answered in a way that was not asked for: look into its log",
                          ended="upstream_broke")  # fmt: skip
        if not response.content.is_eof():
            self._await_rest(response)
        return response

    def leave(self, response: aiohttp.ClientResponse) -> None:
        """Be done with an answer: one that was not read to its end ends with its connection."""
        if self._reading and (connection := response.connection) is not None:
            self._reading.pop(connection.protocol, None)  # type: ignore[arg-type]
        response.close()

    def _await_rest(self, response: aiohttp.ClientResponse) -> None:
        connection = response.connection
        protocol = connection.protocol if connection is not None else None
        if protocol is not None:
            protocol.read_timeout = self._limits.between_s
            protocol.start_timeout()
            self._watch(protocol, response.content)

    def _watch(self, protocol: ResponseHandler, content: aiohttp.StreamReader) -> None:
        """Have the reader of an answer told when its connection ends.

        aiohttp 3.14 does not do that where it ends since a chunk is malformed,
        and whoever reads the answer waits for ever.
        """
        self._reading[protocol] = content
        if protocol not in self._watched and (closed := protocol.closed) is not None:
            self._watched.add(protocol)
            closed.add_done_callback(functools.partial(self._lost, weakref.ref(protocol)))

    def _lost(self, watched: weakref.ref[BaseProtocol], closed: asyncio.Future[None]) -> None:
        _ = closed.cancelled() or closed.exception()
        protocol = watched()
        content = self._reading.pop(protocol, None) if protocol is not None else None
        if content is not None and not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError())

    def refused(self, error: Exception) -> Refused:
        """What a failure on the way to the upstream is to the client: 502, or 504 where time is over."""
        limits = self._limits
        match error:
            case aiohttp.ConnectionTimeoutError():
                line = f"no connection to {self.url} within {limits.connect_s:g} s: start the server or check the URL"
                return Refused(504, "upstream_unreachable", line, ended="unreachable")
            case TimeoutError():
                line = f"{self.url} did not begin to answer within {limits.first_s:g} s: look into its log"
                return Refused(504, "upstream_timeout", line, ended="timed_out")
            case aiohttp.ClientConnectorError():
                number = error.os_error.errno if error.os_error is not None else None
                reason = os.strerror(number) if number and number > 0 else plain(error.os_error or error)
                line = f"nobody answers at {self.url} ({reason}): start the server or check the URL"
                return Refused(502, "upstream_unreachable", line, ended="unreachable")
            case aiohttp.ClientResponseError():
                line = f"{self.url} answered what is no HTTP: is it an OpenAI-compatible server?"
                return Refused(502, "upstream_garbage", line, ended="upstream_broke")
            case aiohttp.InvalidURL() | UnicodeError():
                line = f"{self.url} has a host or port that there cannot be: check the URL"
                return Refused(502, "upstream_unreachable", line, ended="unreachable")
        line = f"{self.url} broke the connection off before it answered: look into its log"
        return Refused(502, "upstream_broke", line, ended="upstream_broke")


def broken(response: aiohttp.ClientResponse) -> Callable[[], bool]:
    """Asked after the last byte: whether an answer without a length ended because its connection was lost."""
    connection = response.connection
    protocol = connection.protocol if connection is not None else None
    return lambda: protocol is not None and isinstance(protocol.exception(), aiohttp.ClientOSError)


def _coded(response: aiohttp.ClientResponse) -> bool:
    """Whether the body has a transfer coding that would have to be undone."""
    coding = response.headers.getall("transfer-encoding", ())
    return bool(coding) and [value.strip().lower() for value in coding] != ["chunked"]

"""The proxy's server: aiohttp's, with limits on heads, and what is no HTTP answered in one line and logged in none."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from k2lab.traffic.downstream import Downstream, refuse
from k2lab.traffic.limits import Limits, Room
from k2lab.traffic.metrics import Metrics
from k2lab.traffic.own_errors import Refused

LINE_BYTES = 16 << 10
FIELD_BYTES = 32 << 10
"""Of one header; a token of some kilobytes is usual."""

MOST_HEADERS = 128
LINGER_S = 1.0
"""How long the rest of a request is taken and thrown away, so that its client reads why it was refused."""

READ_BYTES = 64 << 10
NO_LOG = logging.Logger("k2lab.traffic.none", logging.CRITICAL)
_log = logging.getLogger("k2lab.traffic.http")

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connection(web.RequestHandler):
    """A client's connection."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what is no request; what came is not repeated, neither to the client nor in a log."""
        if request.writer.output_size > 0:
            raise ConnectionError
        manager = self._manager
        if isinstance(manager, Connections):
            manager.metrics.refused(400)
        line = "this is no HTTP/1.1 request that can be passed on: its head is malformed, ambiguous or too long"
        return refuse(Downstream(request, Limits(), Room(0)), Refused(400, "bad_request", line))

    def finish(self) -> None:
        """Take no other request: end now where none is open, else after its answer."""
        self.close()
        if not self._request_in_progress and self.transport is not None:
            self.transport.close()

    def log_exception(self, *args: object, **kw: object) -> None:
        """For whoever looks for a fault alone."""
        _log.debug("connection", exc_info=True)


class Connections(web.Server):
    """All connections of a listener; a client that leaves ends what was asked for it."""

    def __init__(self, handler: Handler, limits: Limits, metrics: Metrics) -> None:
        super().__init__(handler, handler_cancellation=True)
        self.metrics = metrics
        self._idle_s = limits.idle_s

    def __call__(self) -> web.RequestHandler:
        """A protocol for a new connection."""
        return Connection(
            self,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=self._idle_s,
            access_log=NO_LOG,
            max_line_size=LINE_BYTES,
            max_field_size=FIELD_BYTES,
            max_headers=MOST_HEADERS,
            lingering_time=LINGER_S,
            read_bufsize=READ_BYTES,
            auto_decompress=False,
            logger=_log,
        )

    def finish(self) -> None:
        """Have every connection end after the answer that is open on it."""
        for connection in self.connections:
            if isinstance(connection, Connection):
                connection.finish()

    def drop(self) -> None:
        """Cut off every connection now."""
        for transport in [*self._connections.values()]:
            transport.abort()

"""The proxy: what a request becomes on its way to the upstream, and its answer on the way back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from aiohttp import web

from k2lab.traffic.accesslog import AccessLog
from k2lab.traffic.admission import Admission
from k2lab.traffic.caught import Caught
from k2lab.traffic.downstream import Downstream, refuse
from k2lab.traffic.heads import backward, check_coding, loops
from k2lab.traffic.limits import Hold, Limits, Room
from k2lab.traffic.metrics import Metrics, Recorded
from k2lab.traffic.own_errors import Refused
from k2lab.traffic.passage import Passage
from k2lab.traffic.targets import HEALTH, METRICS, OWN, check_target, path_of
from k2lab.traffic.turns import Guard
from k2lab.traffic.upstream import Upstream

INLINE_BYTES = 8 << 10
"""Of a body that the guard reads at once; it reads a larger one in a thread, so that other exchanges go on.

A grammar for new tools costs 1.4 ms of CPU for each kB of them, known ones 0.07 ms (20 tools of 32 kB: 42 and 1.9 ms).
"""

THREADS = 2
"""More would keep the interpreter from the event loop."""


class Taker(Recorded, Protocol):
    """Takes what passed."""

    def take(self, caught: Caught) -> asyncio.Future[Any]:
        """Take an exchange at once; what comes back is done once it is safe on disk. Never raises."""

    def close(self) -> None:
        """Write what is still waiting; may block."""


class Proxy:
    """Answers requests as the upstream does; an aiohttp server calls it with each.

    Without a guard no byte of a body is changed. ``fails_closed``: a request
    that the guard cannot read through a fault of its own is refused, and not
    passed on as it came. ``own_paths``: what begins with ``/k2lab/`` is
    answered here and never by the upstream.
    """

    def __init__(
        self,
        upstream: Upstream,
        *,
        limits: Limits | None = None,
        guard: Guard | None = None,
        recorder: Taker | None = None,
        admission: Admission | None = None,
        fails_closed: bool = False,
        own_paths: bool = True,
    ) -> None:
        self.upstream, self.guard, self.recorder = upstream, guard, recorder
        self.limits = limits or Limits()
        self.room = Room(self.limits.room_bytes)
        self.hold = Hold(self.limits.hold_s)
        self.admission = admission or Admission()
        self.fails_closed = fails_closed
        self.metrics, self.log = Metrics(), AccessLog()
        self.draining = False
        """Whether each answer says that its connection ends with it."""
        self.stopping = False
        """Whether what is cut off now is cut off by k2lab."""
        self._own_paths = own_paths
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="k2lab-guard")
        self.open = 0
        """Requests that are open."""
        self._idle = asyncio.Event()
        if recorder is not None:
            self.metrics.watch(recorder)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request of the main listener."""
        client = Downstream(request, self.limits, self.room)
        self._begin()
        try:
            target = request.raw_path
            check_target(target)
            path = path_of(target)
            if self._own_paths and path.startswith(OWN):
                return self._own(request, client, path)
            self._admit(request)
        except Refused as refused:
            self.metrics.refused(refused.status)
            return refuse(client, refused)
        else:
            return await Passage(self, request, client, path).run()
        finally:
            self._end()

    async def own(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request of the listener that has the proxy's own paths alone, with ``/k2lab`` before them or not."""
        client, path = Downstream(request, self.limits, self.room), path_of(request.raw_path)
        try:
            return self._own(request, client, path if path.startswith(OWN) else f"{OWN}{path.removeprefix('/')}")
        except Refused as refused:
            return refuse(client, refused)

    def close(self) -> None:
        """Let go of what it holds, when nothing is asked of it any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def finished(self, within_s: float) -> None:
        """Wait until nothing is open, no longer than that."""
        self._idle.clear()
        with contextlib.suppress(TimeoutError):
            if self.open:
                await asyncio.wait_for(self._idle.wait(), within_s)

    async def work(self, size: int, do: Callable[..., object], *given: object) -> object:
        """What ``do`` returns, called in a thread where what it is given is large."""
        if size <= INLINE_BYTES:
            return do(*given)
        return await asyncio.get_running_loop().run_in_executor(self._threads, do, *given)

    def _begin(self) -> None:
        self.open += 1
        self.metrics.open_requests += 1

    def _end(self) -> None:
        self.open -= 1
        self.metrics.open_requests -= 1
        if not self.open:
            self._idle.set()

    def _admit(self, request: web.BaseRequest) -> None:
        headers = request.headers
        self.admission.check(headers)
        if request.method == "CONNECT":
            raise Refused(501, "no_tunnel", "this is a reverse proxy: it opens no tunnels")
        if headers.get("upgrade", "").strip().lower() == "websocket":
            line = f"websockets are not passed on: connect to {self.upstream.url} itself"
            raise Refused(501, "no_websocket", line)
        check_coding(headers)
        if loops(headers, self.upstream.name):
            raise Refused(
                508,
                "loop",
                "this request has been here before: the upstream leads back to this proxy, check --upstream",
            )

    def _own(self, request: web.BaseRequest, client: Downstream, path: str) -> web.StreamResponse:
        if path == HEALTH:
            data, kind = b"ok\n", "text/plain"
        elif path == METRICS:
            self.admission.check(request.headers)
            data, kind = self.metrics.shown(request.headers.get("accept", ""))
        else:
            raise Refused(404, "no_such_path", f"the proxy's own paths are {METRICS} and {HEALTH}")
        if request.method not in ("GET", "HEAD"):
            raise Refused(405, "wrong_method", "ask with GET", headers={"allow": "GET, HEAD"})
        return client.answer(backward(200, None, (), {"content-type": kind, "cache-control": "no-store"}), data)

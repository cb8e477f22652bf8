"""A proxy's life: it listens, lets open answers finish when it is asked to stop, and ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from k2lab import interrupts
from k2lab.errors import InputError
from k2lab.traffic.admission import Admission
from k2lab.traffic.connections import Connections
from k2lab.traffic.limits import Limits
from k2lab.traffic.proxy import Proxy, Taker
from k2lab.traffic.turns import Guard
from k2lab.traffic.upstream import Upstream

BACKLOG = 1024
DRAIN_S = 0.25
"""How long a request is still taken on an open connection: its client cannot know yet, and its answer tells it."""

CLEAN_S = 2.0
"""How long what was cut off may take to clean up."""

SWITCH_S = 0.001
"""How long a thread of the guard may keep the event loop waiting for the interpreter."""

_log = logging.getLogger("k2lab.traffic")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where to listen: a host, and a port, which is 0 for any that is free."""

    host: str
    port: int

    @classmethod
    def of(cls, text: str, option: str = "--listen") -> Place:
        """From ``HOST:PORT``, ``[HOST]:PORT`` or ``PORT``; raises :class:`InputError`.

        >>> Place.of("127.0.0.1:8001"), Place.of("[::1]:0").host
        (Place(host='127.0.0.1', port=8001), '::1')
        """
        host, _, port = text.strip().rpartition(":")
        host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
        if not (port.isascii() and port.isdigit() and int(port) < 1 << 16) or not host.isprintable() or " " in host:
            raise InputError(f"{option} {text!r} is no place to listen: one looks like 127.0.0.1:8001")
        return cls(host=host, port=int(port))

    @property
    def is_loopback(self) -> bool:
        """Whether this machine alone reaches it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def open(self) -> socket.socket:
        """A socket that is bound there; raises :class:`InputError`."""
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            opened = socket.socket(family, kind, protocol)
        except OSError as error:
            raise InputError(f"cannot listen at {self}: {error.strerror or error}") from None
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(address)
            opened.listen(BACKLOG)
        except OSError as error:
            opened.close()
            raise InputError(
                f"cannot listen at {self}: {(error.strerror or str(error)).lower()}; choose another port"
            ) from None
        return opened

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What a proxy is started with.

    ``status_listen`` is a listener for its own paths alone, which leaves every
    path of the main one to the upstream. ``key`` is wanted of clients,
    ``upstream_key`` given to the upstream where a client shows none of its own.
    ``fails_closed`` is as in :class:`~k2lab.traffic.proxy.Proxy`.
    """

    upstream: str
    listen: Place
    status_listen: Place | None = None
    key: str = ""
    upstream_key: str = ""
    limits: Limits = field(default_factory=Limits)
    fails_closed: bool = False

    def __post_init__(self) -> None:
        for place in (self.listen, self.status_listen):
            if place is not None and not place.is_loopback and not self.key:
                raise InputError(
                    f"{place} can be reached from other machines: give the proxy a key of its own with --key-file"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """A proxy that listens. ``url`` has no path, ``status_url`` is where ``/metrics`` and ``/healthz`` are."""

    proxy: Proxy
    url: str
    status_url: str


@contextlib.asynccontextmanager
async def serving(
    setting: Setting, *, guard: Guard | None = None, recorder: Taker | None = None, cut: asyncio.Event | None = None
) -> AsyncIterator[Running]:
    """A proxy, for the length of the block; then it stops listening and lets what is open finish.

    That takes no longer than the setting's ``grace_s``, nor than until ``cut``
    is set. Raises :class:`InputError` where it cannot listen. The recorder is
    the caller's to close.
    """
    cut = cut or asyncio.Event()
    with setting.listen.open() as main, contextlib.ExitStack() as stack:
        status = stack.enter_context(setting.status_listen.open()) if setting.status_listen is not None else None
        async with Upstream(setting.upstream, setting.limits) as upstream:
            proxy = Proxy(
                upstream,
                limits=setting.limits,
                guard=guard,
                recorder=recorder,
                admission=Admission(setting.key, setting.upstream_key),
                fails_closed=setting.fails_closed,
                own_paths=status is None,
            )
            async with _listening(proxy, main, cut), _status(proxy, status, cut):
                own = f"{_url(main)}/k2lab" if status is None else _url(status)
                yield Running(proxy=proxy, url=_url(main), status_url=own)


def run(setting: Setting, *, guard: Guard | None = None, recorder: Taker | None = None,
        told: Callable[[Running], None] = lambda running: None) -> int:  # fmt: skip
    """Serve until a signal asks to stop; the exit status: 0, or that of an interrupt where a second signal came."""
    try:
        import uvloop
    except ModuleNotFoundError:  # there is none for Windows
        return asyncio.run(_run(setting, guard, recorder, told))
    return uvloop.run(_run(setting, guard, recorder, told))


async def _run(setting: Setting, guard: Guard | None, recorder: Taker | None, told: Callable[[Running], None]) -> int:
    signals = _Signals()
    sys.setswitchinterval(SWITCH_S)
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)  # a request makes hundreds of objects and no cycles to speak of
    try:
        async with serving(setting, guard=guard, recorder=recorder, cut=signals.cut) as running:
            told(running)
            await signals.stop.wait()
            running.proxy.log.flush()
            _log.info(
                "stopping: open answers have %g s to finish, a second signal cuts them off", setting.limits.grace_s
            )
    finally:
        if recorder is not None:
            await asyncio.get_running_loop().run_in_executor(None, recorder.close)
    return 128 + signals.last if signals.cut.is_set() else 0


class _Signals:
    """The first asks to stop, the second cuts off what is open."""

    def __init__(self) -> None:
        self.stop, self.cut, self.last = asyncio.Event(), asyncio.Event(), 0
        loop = asyncio.get_running_loop()
        for number in interrupts.ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._came, int(number))

    def _came(self, number: int) -> None:
        (self.cut if self.stop.is_set() else self.stop).set()
        self.last = number


@contextlib.asynccontextmanager
async def _listening(proxy: Proxy, main: socket.socket, cut: asyncio.Event) -> AsyncIterator[None]:
    connections = Connections(proxy, proxy.limits, proxy.metrics)
    server = await asyncio.get_running_loop().create_server(connections, sock=main, backlog=BACKLOG)
    try:
        yield
    finally:
        server.close()
        proxy.draining = True
        if connections.connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(cut.wait(), DRAIN_S)
        connections.finish()
        await _finished(proxy, cut)
        proxy.stopping = True
        connections.drop()
        await connections.shutdown(CLEAN_S)
        proxy.log.flush()
        proxy.close()


async def _finished(proxy: Proxy, cut: asyncio.Event) -> None:
    """Wait until nothing is open, the time is over, or nobody wants to wait."""
    waits = [asyncio.ensure_future(proxy.finished(proxy.limits.grace_s)), asyncio.ensure_future(cut.wait())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for one in waits:
        one.cancel()
    if proxy.open:
        _log.warning("%d open answers are cut off", proxy.open)


@contextlib.asynccontextmanager
async def _status(proxy: Proxy, status: socket.socket | None, cut: asyncio.Event) -> AsyncIterator[None]:
    """The listener for the proxy's own paths, where there is one."""
    if status is None:
        yield
        return
    connections = Connections(proxy.own, proxy.limits, proxy.metrics)
    server = await asyncio.get_running_loop().create_server(connections, sock=status, backlog=BACKLOG)
    try:
        yield
    finally:
        server.close()
        connections.drop()
        await connections.shutdown(CLEAN_S)


def _url(opened: socket.socket) -> str:
    host, port = opened.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

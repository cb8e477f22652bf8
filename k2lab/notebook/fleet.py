"""Servers that come up in the background, are waited for by name, and are ended: none outlives its fleet."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event
from types import TracebackType

from k2lab import engine
from k2lab.engine import Server, warm
from k2lab.notebook import subjects

STARTING_AT_ONCE = 4
"""A forked start waits longer than it computes (1 s of CPU in 3 s), and two releases import side by side."""

logger = logging.getLogger(__name__)

Waiting = Callable[[tuple[str, ...]], None]
"""Told which servers are still waited for, whenever they become fewer."""


class Fleet:
    """Servers by name, as :mod:`k2lab.notebook.subjects` reads it; all end with the ``with`` block.

    So do the warm processes that they are forked from, unless the servers are handed over.
    """

    def __init__(self) -> None:
        self._starting = ThreadPoolExecutor(STARTING_AT_ONCE, thread_name_prefix="k2lab-start")
        self._ending = ThreadPoolExecutor(thread_name_prefix="k2lab-end")
        self._cancel = Event()
        self._servers: dict[str, Future[Server]] = {}
        self._keeps_warm = False

    def begin(self, names: Iterable[str]) -> None:
        """Start servers in this order, some at a time, and come back at once."""
        for name in names:
            self._servers[name] = self._starting.submit(self._start, name)

    def urls(self, names: Collection[str], waiting: Waiting = lambda names: None) -> dict[str, str]:
        """Base URLs by name, once all answer; raises the :class:`EngineError` of one that cannot be started."""
        futures = {self._servers[name]: name for name in names}
        pending = set(futures)
        while pending := {future for future in pending if not future.done()}:
            waiting(tuple(name for future, name in futures.items() if future in pending))
            wait(pending, return_when=FIRST_COMPLETED)
        return {name: future.result().base_url for future, name in futures.items()}

    def end(self, names: Iterable[str]) -> None:
        """End servers, in the background."""
        for name in names:
            self._servers.pop(name).add_done_callback(self._end)

    def release(self) -> dict[str, Server]:
        """Hand over the servers that run: they now end with this process, not with the block."""
        kept = {name: future.result() for name, future in self._servers.items()}
        self._servers.clear()
        self._keeps_warm = True
        return kept

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._cancel.set()
        self._starting.shutdown(cancel_futures=True)
        self.end(list(self._servers))
        self._ending.shutdown()
        if not self._keeps_warm:
            warm.end_all()

    def _start(self, name: str) -> Server:
        began = time.monotonic()
        logger.info("%s: starting", name)
        server = subjects.start(name, self._cancel)
        logger.info("%s: ready at %s after %.0f s", name, server.base_url, time.monotonic() - began)
        return server

    def _end(self, future: Future[Server]) -> None:
        if not future.cancelled() and future.exception() is None:
            self._ending.submit(engine.stop, future.result())

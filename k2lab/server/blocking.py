"""A coroutine for a caller that waits: one event loop in a thread of its own runs them all.

A notebook's kernel has a loop that runs already, and a thread of a pool has none.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from functools import cache
from typing import Any, TypeVar

Result = TypeVar("Result")


def wait_for(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine; an interrupt of the caller ends it."""
    future = begin(coroutine)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def begin(coroutine: Coroutine[Any, Any, Result]) -> Future[Result]:
    """The coroutine under way, for a caller that does not wait; cancelling the future ends it."""
    return asyncio.run_coroutine_threadsafe(coroutine, _loop_of(os.getpid()))


_one_at_a_time = threading.Lock()


def _loop_of(process: int) -> asyncio.AbstractEventLoop:
    with _one_at_a_time:
        return _started(process)


@cache
def _started(process: int) -> asyncio.AbstractEventLoop:
    """A fork has its parent's memory and none of its threads, so each process has a loop of its own."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="k2lab-requests", daemon=True).start()
    return loop

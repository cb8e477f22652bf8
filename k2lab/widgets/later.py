"""Work beside the kernel's own: it runs in a thread, and its end is told on the kernel's loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable


class Later:
    """Runs work in threads; where a loop runs already, as in a kernel, what follows is called on it."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        with contextlib.suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()

    def run(self, work: Callable[[], object], then: Callable[[Exception | None], object]) -> threading.Thread:
        """Do ``work`` in a thread, and then tell how it ended: ``None``, or the error."""

        def both() -> None:
            error: Exception | None = None
            try:
                work()
            except Exception as raised:
                error = raised
            self.call(lambda: then(error))

        thread = threading.Thread(target=both, name="k2lab-later", daemon=True)
        thread.start()
        return thread

    def call(self, told: Callable[[], object]) -> None:
        """Call a function on the kernel's loop; at once, where there is none."""
        if self._loop is None or self._loop.is_closed():
            told()
        else:
            self._loop.call_soon_threadsafe(told)

"""What the proxy logs: a line for each exchange without its contents, some at a time, and its own faults."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from k2lab.legible import one_line

if TYPE_CHECKING:
    from k2lab.traffic.exchanges import Ending

FLUSH_S = 0.2
LONGEST_PATH = 200
_log = logging.getLogger("k2lab.traffic")


class AccessLog:
    """Lines at level ``INFO``: method, path, status, milliseconds, how it ended, changes."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._on = _log.isEnabledFor(logging.INFO)

    def passed(self, method: str, path: str, status: int, ended: Ending, whole_ms: float, changes: int) -> None:
        """Take down an exchange."""
        if not self._on:
            return
        if not self._lines:
            asyncio.get_running_loop().call_later(FLUSH_S, self.flush)
        self._lines.append(line_of(method, path, status, ended, whole_ms, changes))

    def flush(self) -> None:
        """Hand on what is there."""
        if self._lines:
            lines, self._lines = self._lines, []
            _log.info("\n".join(lines))


def line_of(method: str, path: str, status: int, ended: Ending, whole_ms: float, changes: int) -> str:
    """An exchange in a line.

    >>> line_of("POST", "/v1/messages", 200, "whole", 12.34, 2)
    'POST /v1/messages 200 12.3 ms, 2 changes'
    >>> line_of("GET", "/v1/models", 0, "client_left", 1.0, 0)
    'GET /v1/models - 1.0 ms, client left'
    """
    shown = path if len(path) <= LONGEST_PATH and path.isprintable() else one_line(path, LONGEST_PATH)
    how = "" if ended == "whole" else f", {ended.replace('_', ' ')}"
    changed = f", {changes} change{'s' if changes > 1 else ''}" if changes else ""
    return f"{method} {shown} {status or '-'} {whole_ms:.1f} ms{how}{changed}"


def fault(where: str, error: Exception) -> None:
    """Log a fault of k2lab's own: its type and place, and no contents."""
    _log.error("%s failed (%s): this is a bug of k2lab, please report it; -v shows where", where, type(error).__name__)
    _log.debug("%s", where, exc_info=error)

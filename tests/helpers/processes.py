"""Waiting for what other processes do, with a limit."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil


def until(true: Callable[[], object], within_s: float = 15.0) -> bool:
    """Whether it becomes true in that time."""
    deadline = time.monotonic() + within_s
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(true())


def gone(pid: int, within_s: float = 15.0) -> bool:
    """Whether a process ends in that time; one that its parent has not yet asked about has ended."""
    return until(lambda: _ended(pid), within_s)


def _ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True

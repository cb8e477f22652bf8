"""An audit in this machine's processes: units one after the other, a few at once, and again where a process died."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for

from k2lab.audit.units import Unit
from k2lab.audit.work import AHEAD, Died, Told, Work, alone, end_when_late, worked
from k2lab.errors import EngineError
from k2lab.interrupts import ENDING


def run_locally(units: Sequence[Unit], work: Work, tell: Told, *, workers: int | None = None) -> None:
    """Work units off in ``workers`` processes, by default one for each core; raises what a worker raises."""
    count = min(workers or cores(), len(units))
    waiting = list(reversed(units))
    while waiting:
        suspects = _until_one_dies(waiting, work, tell, count)
        for unit in suspects:
            alone(unit, work, tell, _in_one)


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _until_one_dies(waiting: list[Unit], work: Work, tell: Told, count: int) -> list[Unit]:
    """Take units from the end of ``waiting``; those that were under way when a process died."""
    running: dict[Future[int], Unit] = {}
    with _pool(count) as pool:
        try:
            while waiting or running:
                while waiting and len(running) < count * AHEAD:
                    unit = waiting.pop()
                    running[pool.submit(worked, work, unit)] = unit
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    rows = future.result()
                    tell(running.pop(future), rows)
        except BrokenProcessPool:
            return sorted(running.values(), key=lambda unit: unit.number)
    return []


def _in_one(function: Callable[..., int], *given: object) -> int:
    """A function's value, from a process of its own."""
    with _pool(1) as pool:
        try:
            return pool.submit(function, *given).result()
        except BrokenProcessPool as error:
            raise Died from error


@contextlib.contextmanager
def _pool(count: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with the block, and with this process however it ends."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_begin)
    try:
        yield pool
    except BaseException:
        _kill(pool)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _kill(pool: ProcessPoolExecutor) -> None:
    """What is under way is done anew the next time: nobody waits for it."""
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        with contextlib.suppress(OSError):
            process.kill()


def _begin() -> None:
    """In a worker: signals are the parent's, and it ends when the parent does."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    end_when_late()
    parent = multiprocessing.parent_process()
    if parent is None:
        raise EngineError("a worker of an audit has no parent")
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait_for([sentinel])
    os._exit(1)

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

from k2lab.audit.forms.base import unread
from k2lab.audit.looking import findings_of
from k2lab.audit.parts import PartWriter
from k2lab.audit.tables import Builder
from k2lab.audit.units import Unit
from k2lab.audit.work import DIED, Work, carefully, end_when_late, worked
from k2lab.errors import EngineError
from k2lab.interrupts import ENDING

AHEAD = 2
"""Units for each process that are begun or wait: so many are done anew after a kill."""

MOST_DEATHS = 20
"""Of one unit; then it is given up, and named."""

Told = Callable[[Unit, int], None]
"""Is told of a unit that is done, and how many rows it had."""


def run_locally(units: Sequence[Unit], work: Work, tell: Told, *, workers: int | None = None) -> None:
    """Work units off in ``workers`` processes, by default one for each core; raises what a worker raises."""
    count = min(workers or cores(), len(units))
    waiting = list(reversed(units))
    while waiting:
        suspects = _until_one_dies(waiting, work, tell, count)
        for unit in suspects:
            _alone(unit, work, tell)


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


def _alone(unit: Unit, work: Work, tell: Told) -> None:
    """A unit by itself, batch by batch: whichever batch kills its process is passed over and named."""
    said = work.folder / f"careful-{unit.number:07d}"
    deadly: frozenset[int] = frozenset()
    for _ in range(MOST_DEATHS):
        said.unlink(missing_ok=True)
        with _pool(1) as pool:
            try:
                tell(unit, pool.submit(carefully, work, unit, deadly, said).result())
                said.unlink(missing_ok=True)
                return
            except BrokenProcessPool:
                at = int(said.read_text()) if said.is_file() else -1
        if at < 0 or at in deadly:
            break
        deadly |= {at}
    said.unlink(missing_ok=True)
    _give_up(unit, work)
    tell(unit, 0)


def _give_up(unit: Unit, work: Work) -> None:
    builder = Builder(unit.source.shown, unit.source.form, work.vendor)
    last = f" to {unit.row + unit.rows - 1:,}" if unit.rows > 0 else " on"
    builder.add(unit.row, unread(DIED, f"from row {unit.row:,}{last} nothing was looked at"))
    writer = PartWriter(work.folder, [unit.number])
    writer.take(findings_of(builder.table(), work.look))
    writer.finish()


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

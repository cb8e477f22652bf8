"""Vendors of a matrix as processes: one each, told to stop by a pipe, which also says that nobody waits any more."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from k2lab.bench.vendor_runs import Job, Stand, Told, run_vendor
from k2lab.interrupts import ENDING

LOOKED_S = 0.5
GRACE_S = 20.0
"""How long a vendor's process may take to end what it was told to stop: it stores what it has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Running:
    job: Job
    process: SpawnProcess


def run_in_processes(jobs: Sequence[Job], tell: Told) -> list[Stand]:
    """Each job in a process of its own; returns how each model ended, also where a process was killed."""
    running: dict[Connection, _Running] = {}
    ended: list[Stand] = []
    try:
        for job in jobs:
            running.update([_started(job)])
        try:
            _heard(running, ended, tell)
        except KeyboardInterrupt:
            _stop(running)
            _heard(running, ended, tell, within_s=GRACE_S)
    finally:
        _end(running)
    return ended


def _started(job: Job) -> tuple[Connection, _Running]:
    """A process; no signal reaches it, not even in its first moments: the pipe ends it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(job, theirs), name=f"k2lab {job.vendor.name}", daemon=True)
    with _signals_held():
        process.start()
    theirs.close()
    return ours, _Running(job=job, process=process)


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """What is started in the block inherits that signals wait; here they come at its end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _heard(running: dict[Connection, _Running], ended: list[Stand], tell: Told, within_s: float | None = None) -> None:
    """Take what the processes tell until each has ended, or for so long."""
    until_s = time.monotonic() + within_s if within_s is not None else float("inf")
    while running and time.monotonic() < until_s:
        for connection in wait(list(running), LOOKED_S):
            assert isinstance(connection, Connection)
            stand = _received(connection)
            if stand is None:
                one = running.pop(connection)
                connection.close()
                ended += _died(one, ended)
            else:
                ended += [stand] if stand.ended else []
                tell(stand)


def _received(connection: Connection) -> Stand | None:
    """The next message; ``None`` where there are no more."""
    try:
        stand = connection.recv()
    except (EOFError, OSError):
        return None
    assert isinstance(stand, Stand)
    return stand


def _died(one: _Running, ended: Sequence[Stand]) -> list[Stand]:
    """What is to be said of the models that a process did not come to the end of."""
    one.process.join()
    status = one.process.exitcode
    if not status:
        return []
    vendor, said = one.job.vendor, {(stand.vendor, stand.model) for stand in ended}
    how = f"by signal {-status}" if status < 0 else f"with status {status}"
    why = f"the process of {vendor.name} ended {how}: what it stored is kept, run it again to go on"
    left = [model for model in vendor.models if (vendor.name, model) not in said]
    return [Stand(vendor=vendor.name, model=model, ended=True, why=why) for model in left]


def _stop(running: dict[Connection, _Running]) -> None:
    for connection in running:
        with contextlib.suppress(OSError):
            connection.send(None)


def _end(running: dict[Connection, _Running]) -> None:
    """End what still runs."""
    for connection in running:
        connection.close()
    for one in running.values():
        one.process.join(GRACE_S if one.process.is_alive() else 0)
        one.process.kill()
        one.process.join()


def _serve(job: Job, connection: Connection) -> None:
    """In the process: run the vendor, tell of it, and stop when the pipe says so or nobody holds its other end."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    stop = threading.Event()
    threading.Thread(target=_watch, args=(connection, stop), daemon=True).start()

    def tell(stand: Stand) -> None:
        with contextlib.suppress(OSError):
            connection.send(stand)

    run_vendor(job, tell, stop)


def _watch(connection: Connection, stop: threading.Event) -> None:
    with contextlib.suppress(EOFError, OSError):
        connection.recv()
    stop.set()

"""Vendors of a matrix on Ray: one actor each, so that a vendor's limit holds over a whole cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from k2lab.bench.vendor_runs import Job, Stand, Told, run_vendor
from k2lab.errors import EngineError, InputError, first_line
from k2lab.interrupts import ENDING

LOOPBACK_ALONE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Of the environment, read when Ray is imported: with 0 it listens on every system as it does on macOS, on loopback."""

LOOKED_S = 0.5
GRACE_S = 20.0


class VendorActor:
    """One vendor's run; its two other methods are called while it lasts."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._stands: dict[str, Stand] = {}

    def run(self, job: Job) -> list[Stand]:
        """How each model ended."""
        run_vendor(job, self._tell, self._stop)
        return [stand for stand in self._stands.values() if stand.ended]

    def stands(self) -> list[Stand]:
        """How far each model is."""
        return list(self._stands.values())

    def stop(self) -> None:
        """Have the run end with what it has."""
        self._stop.set()

    def _tell(self, stand: Stand) -> None:
        self._stands = {**self._stands, stand.model: stand}


def run_in_actors(jobs: Sequence[Job], tell: Told) -> list[Stand]:
    """Each job as an actor, anywhere on the cluster; files must lie where every node and this process find them.

    A key is read from the environment of the node, and never sent.
    """
    with connected():
        import ray  # not before: what Ray reads as it is imported is set there

        remote: Any = ray.remote
        kind = remote(max_concurrency=2, num_cpus=0, scheduling_strategy="SPREAD")(VendorActor)
        actors = [kind.remote() for _ in jobs]
        runs = {actor.run.remote(job): (actor, job) for actor, job in zip(actors, jobs, strict=True)}
        ended: list[Stand] = []
        try:
            _heard(ray, dict(runs), ended, tell)
        except KeyboardInterrupt:
            ray.get([actor.stop.remote() for actor in actors], timeout=GRACE_S)
            ended.clear()
            _heard(ray, dict(runs), ended, tell)
        return ended


def _heard(ray: Any, runs: dict[Any, tuple[Any, Job]], ended: list[Stand], tell: Told) -> None:
    while runs:
        done, _ = ray.wait(list(runs), timeout=LOOKED_S)
        for run in done:
            actor, job = runs.pop(run)
            ended += _ending(ray, run, job)
        for actor, _ in runs.values():
            for stand in ray.get(actor.stands.remote()):
                tell(stand)


def _ending(ray: Any, run: Any, job: Job) -> list[Stand]:
    try:
        stands: list[Stand] = ray.get(run)
    except ray.exceptions.RayActorError as error:  # its node went, or its process
        why = f"the actor of {job.vendor.name} is gone ({type(error).__name__}): what it stored is kept, run it again"
        return [Stand(vendor=job.vendor.name, model=model, ended=True, why=why) for model in job.vendor.models]
    return stands


def _start(ray: Any, local: Mapping[str, Any]) -> None:
    """Start or join Ray; a local one twice: it gives its parts half a minute, too little on a busy machine."""
    attempts = 2 if local else 1
    for attempt in range(attempts):
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **local)
            return
        except Exception as error:  # of many kinds, a bare one among them
            ray.shutdown()
            if attempt + 1 == attempts:
                said = f"Ray did not start: {first_line(error)}; run this again, or take --engine local"
                raise EngineError(said) from error


@contextlib.contextmanager
def connected() -> Iterator[None]:
    """Ray for the block: the cluster of ``RAY_ADDRESS``, one that is connected already, or a local one that then ends.

    It sends no usage statistics, and this process keeps its own handling of
    signals. A local one listens on 127.0.0.1 alone, where Ray was not imported before.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")  # a busy machine is not a broken one
    if not os.environ.get("RAY_ADDRESS"):
        os.environ.setdefault(LOOPBACK_ALONE, "0")
    try:
        import ray
    except ModuleNotFoundError:
        raise InputError("Ray is not installed: pip install 'k2lab[cluster]', or take --engine local") from None
    if ray.is_initialized():
        yield
        return
    own = {number: signal.getsignal(number) for number in ENDING}
    local: dict[str, Any] = {} if os.environ.get("RAY_ADDRESS") else {"include_dashboard": False}
    _start(ray, local)
    try:
        for number, handler in own.items():
            signal.signal(number, handler)
        yield
    finally:
        ray.shutdown()

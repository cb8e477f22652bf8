"""A matrix at work: a vendor's models one after another within its one limit, and all vendors side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from k2lab import kept
from k2lab.bench.limits import Pace
from k2lab.bench.matrix_file import Matrix, Vendor, asked_of, file_of
from k2lab.bench.progress import Progress
from k2lab.bench.runner import run_benchmark
from k2lab.bench.samples import Samples, open_samples
from k2lab.errors import InputError, K2LabError

Engine = Literal["local", "ray"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One vendor's part, as a process or an actor is handed it."""

    matrix: Matrix
    vendor: Vendor
    samples: Samples
    out: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Stand:
    """How far a vendor is with a model; ``ended``: it is done with it for now, ``why``: before its end, and why."""

    vendor: str
    model: str
    progress: Progress | None = None
    ended: bool = False
    why: str = ""


Told = Callable[[Stand], None]


def run_matrix(
    matrix: Matrix, out: Path, *, engine: Engine = "local", tell: Told = lambda stand: None
) -> tuple[Stand, ...]:
    """Ask every vendor, each in a process or a Ray actor of its own, and say how each model of each ended.

    Answers go to ``out``, a file for each vendor and model; what stands there is
    not asked again. ``tell`` is called about twice a second a vendor. A vendor
    that fails stops no other. Ctrl-C ends all, with what they have.
    Raises :class:`InputError` for samples, a key or a folder that cannot be used.
    """
    samples = open_samples(matrix.samples)
    for vendor in matrix.vendors:
        vendor.secret()
    kept.private_folder(out)
    jobs = [Job(matrix=matrix, vendor=vendor, samples=samples, out=out) for vendor in matrix.vendors]
    ended = _asked(jobs, engine, tell)
    known = {(stand.vendor, stand.model): stand for stand in ended}
    return tuple(
        known.get((vendor.name, model)) or Stand(vendor=vendor.name, model=model, ended=True, why="it was not begun")
        for vendor, model in asked_of(matrix)
    )


def _asked(jobs: Sequence[Job], engine: Engine, tell: Told) -> list[Stand]:
    if engine == "ray":
        from k2lab.bench.vendor_actors import run_in_actors

        return run_in_actors(jobs, tell)
    from k2lab.bench.vendor_processes import run_in_processes

    return run_in_processes(jobs, tell)


def run_vendor(job: Job, tell: Told, stop: threading.Event) -> None:
    """Ask a vendor for each of its models, one after the other, all within one pace; never raises for what a run says.

    ``tell`` has each model's end as well.
    """
    pace = Pace(job.vendor.limits.rate)
    for model in job.vendor.models:
        if stop.is_set():
            return
        tell(_run_model(job, model, pace, tell, stop))


def _run_model(job: Job, model: str, pace: Pace, tell: Told, stop: threading.Event) -> Stand:
    vendor, matrix = job.vendor, job.matrix
    try:
        final = run_benchmark(
            job.samples,
            matrix.arm(vendor, model),
            file_of(job.out, vendor.name, model),
            limits=vendor.limits,
            limit=matrix.limit,
            trials=matrix.trials,
            show=lambda progress: tell(Stand(vendor=vendor.name, model=model, progress=progress)),
            stop=stop,
            pace=pace,
            key=vendor.secret(),
        )
    except K2LabError as error:
        return Stand(vendor=vendor.name, model=model, ended=True, why=str(error))
    return Stand(vendor=vendor.name, model=model, progress=final, ended=True, why=final.ended)


def check_engine(name: str) -> Engine:
    """The engine of that name; raises :class:`InputError` for another."""
    if name == "local":
        return "local"
    if name == "ray":
        return "ray"
    raise InputError(f"there is no engine {name!r}: local and ray are there")

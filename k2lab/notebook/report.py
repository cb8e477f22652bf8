"""From parameters to reports: notebooks run one after the other, on servers that are owned here, outside the kernels.

A failing notebook leaves the executed notebook and a report that says so, and
does not stop the others.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import psutil

from k2lab import paths
from k2lab.errors import EngineError, InputError, ReportError, first_line
from k2lab.notebook import execution, ipynb, listing, outcome, pagefiles, parameters, subjects, summary
from k2lab.notebook.fleet import Fleet
from k2lab.notebook.runs import read_runs
from k2lab.notebook.schedule import Step, plan

AT_ONCE = 7
"""Servers alive at once where memory allows: those of a notebook, and the next ones coming up."""

SERVER_GB = 2.0
"""What a server of k2-nano takes at most, measured with both releases under load; several share some of it."""

LEAST_FREE = 1 << 20
"""Bytes that are free where a run begins: about what the smallest page and its notebook take."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the run of a notebook left behind."""

    name: str
    ok: bool
    error: str
    html: Path
    notebook: Path
    seconds: float
    """Of its run, without the wait for its servers."""
    waited_s: float
    results: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a run of notebooks stands: told when a notebook begins to wait or to run, and when it is done."""

    notebook: str
    number: int
    of: int
    state: Literal["waiting", "running", "done"]
    waiting_for: tuple[str, ...] = ()
    """Servers that are not up yet."""
    usual_s: float | None = None
    """What this notebook took when it last ran with these parameters."""
    left_s: float | None = None
    """What it and those after it took then; ``None`` where one of them never ran so."""
    report: Report | None = None
    """Of a notebook that is done."""


Watch = Callable[[Progress], None]


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One notebook with the parameters that it runs with."""

    path: Path
    notebook: Any
    parameters: Mapping[str, Any]
    missing: tuple[str, ...]
    """Servers that are to be started for it."""

    @property
    def name(self) -> str:
        return self.path.stem


def names_in(folder: Path) -> list[str]:
    """Names of the notebooks of a folder, in order."""
    return sorted(path.stem for path in folder.glob("*.ipynb"))


def run(name: str, given: parameters.Given = (), *, folder: Path, out: Path) -> Report:
    """Run one notebook: :func:`run_report` with nothing else."""
    return run_report([name], given, folder=folder, out=out)[0]


def run_report(
    names: Sequence[str] = (),
    given: parameters.Given = (),
    *,
    folder: Path | None = None,
    out: Path = Path("reports"),
    watch: Watch = lambda progress: None,
    against: Path | None = None,
) -> list[Report]:
    """Run notebooks, all where none is named; ``NAME.html``, ``NAME.ipynb`` and ``summary.json`` go into ``out``.

    ``folder`` is where they are, k2lab's own where left out. ``given`` goes to
    each of them; a name such as ``4_benchmark.requests`` is for one. ``against`` is
    the ``summary.json`` of earlier runs, with which each page is compared. Servers come
    up while the notebook before runs, and end after their last use. Raises
    :class:`InputError` for an unknown notebook or parameter and for a value of
    the wrong type or a file that is no summary, :class:`EngineError` for a server whose engine is not there,
    before anything runs. A failing cell, or a server that does not come up, is
    no exception: see ``Report.ok``.

    >>> k2lab.run_report(["4_benchmark"], [("requests", "100")])[0].ok  # doctest: +SKIP
    True
    >>> k2lab.run_report(["4_benchmark"], [("asks", "100")])
    Traceback (most recent call last):
    k2lab.errors.InputError: 4_benchmark has no parameter 'asks': it has base_url, ...
    """
    place = folder or paths.notebooks_dir()
    earlier = read_runs(against) if against is not None else None
    jobs = _jobs(names or names_in(place), list(given), place)
    if not jobs:
        raise InputError(f"there are no notebooks in {place}: `k2lab notebooks {place}` copies k2lab's own there")
    with _writes(out):
        _check_place(out)
    usual = summary.usual_seconds(out / summary.FILE, {job.name: job.parameters for job in jobs})
    steps = plan([(job.name, job.missing) for job in jobs], at_once=_room())
    with Fleet() as fleet:
        return [
            _take(step, job, fleet, out, watch, _progress(jobs, number, usual), earlier)
            for number, (step, job) in enumerate(zip(steps, jobs, strict=True))
        ]


def _check_place(out: Path) -> None:
    """Make the folder of the reports, and have room for one: a run that cannot be kept need not begin."""
    out.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(out).free < LEAST_FREE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(out))


@contextlib.contextmanager
def _writes(out: Path) -> Iterator[None]:
    """What the system refuses of a report's files, as one line."""
    try:
        yield
    except OSError as error:
        place = error.filename if isinstance(error.filename, str) else out
        cause = (error.strerror or str(error)).lower()
        next_step = "make room there, or choose another folder for the reports (--out)"
        raise InputError(f"cannot write {place}: {cause}: {next_step}") from error


def _jobs(names: Sequence[str], given: Sequence[tuple[str, str]], folder: Path) -> list[_Job]:
    files = [_find(name, folder) for name in dict.fromkeys(names)]
    parameters.check_places(given, [file.stem for file in files])
    jobs = [_job(file, parameters.given_for(file.stem, given)) for file in files]
    for server in dict.fromkeys(server for job in jobs for server in job.missing):
        subjects.check_name(server)
    return jobs


def _job(path: Path, given: Iterable[tuple[str, str]]) -> _Job:
    notebook = ipynb.read_notebook(path)
    try:
        known = parameters.defaults(notebook)
    except ValueError as error:
        raise InputError(f"notebook {path}: {error}") from None
    values = parameters.typed(given, known, path.stem)
    own_server = bool(values.get("base_url"))
    kept = execution.without_cells(notebook, execution.LOCAL_TAG if own_server else execution.SERVER_TAG)
    servers = {} if own_server else parameters.servers_of(values, path.stem)
    missing = tuple(server for server, url in servers.items() if not url)
    return _Job(path=path, notebook=kept, parameters=values, missing=missing)


def _room() -> int:
    """How many servers the free memory holds, up to a number that is enough."""
    return max(1, min(AT_ONCE, int(psutil.virtual_memory().available / (SERVER_GB * 1e9))))


def _progress(jobs: Sequence[_Job], number: int, usual: Mapping[str, float]) -> Progress:
    """The place of a notebook in the run, and its times."""
    name, rest = jobs[number].name, [job.name for job in jobs[number:]]
    left_s = sum(usual[job] for job in rest) if all(job in usual for job in rest) else None
    usual_s = usual.get(name)
    return Progress(notebook=name, number=number + 1, of=len(jobs), state="waiting", usual_s=usual_s, left_s=left_s)


def _take(
    step: Step, job: _Job, fleet: Fleet, out: Path, watch: Watch, place: Progress, earlier: pagefiles.Earlier
) -> Report:
    """One step of the plan: its servers up, its notebook run, what nobody needs any more ended."""
    fleet.begin(step.starts)
    began = time.monotonic()
    with _writes(out):
        _clear(job, out, earlier)
    try:
        urls = fleet.urls(step.needs, lambda names: watch(replace(place, waiting_for=names)))
        error = ""
    except EngineError as failed:
        logger.error("%s: %s", job.name, failed)
        urls, error = {}, first_line(failed)
    ready = time.monotonic()
    if not error:
        watch(replace(place, state="running"))
        with _writes(out):
            error = _executed(job, urls, out)
    with _writes(out):
        if not (out / f"{job.name}.ipynb").exists():
            execution.keep(job.notebook, out / f"{job.name}.ipynb")
        fleet.end(step.ends)
        made = _report(job, error, out, earlier, seconds=time.monotonic() - ready, waited_s=ready - began)
    watch(replace(place, state="done", report=made))
    return made


def _executed(job: _Job, urls: Mapping[str, str], out: Path) -> str:
    values = dict(job.parameters)
    if urls:
        values["servers"] = {**values["servers"], **urls}
    try:
        return execution.execute(job.notebook, values, out / f"{job.name}.ipynb", job.path)
    except ReportError as failed:
        return first_line(failed)


def _report(job: _Job, error: str, out: Path, earlier: pagefiles.Earlier, *, seconds: float, waited_s: float) -> Report:
    import nbformat

    notebook = out / f"{job.name}.ipynb"
    executed = nbformat.read(notebook, as_version=4)
    html = out / f"{job.name}.html"
    results = outcome.recorded(executed)
    entry = summary.Entry(
        name=job.name, error=error, seconds=seconds, waited_s=waited_s, parameters=job.parameters, results=results
    )
    error = pagefiles.write_page(html, executed, summary.run_of(entry), earlier)
    summary.write(out / summary.FILE, replace(entry, error=error))
    pagefiles.write_list(out, earlier)
    return Report(
        name=job.name,
        ok=not error,
        error=error,
        html=html,
        notebook=notebook,
        seconds=seconds,
        waited_s=waited_s,
        results=results,
    )


def _clear(job: _Job, out: Path, earlier: pagefiles.Earlier) -> None:
    """What an earlier run left under a notebook's name goes before this one begins: it says nothing of this one."""
    for suffix in (".html", ".ipynb"):
        (out / f"{job.name}{suffix}").unlink(missing_ok=True)
    summary.begin(out / summary.FILE, job.name)
    if (out / listing.FILE).exists():
        pagefiles.write_list(out, earlier)


def _find(name: str, folder: Path) -> Path:
    path = folder / f"{Path(name).name.removesuffix('.ipynb')}.ipynb"
    if not os.path.lexists(path):
        raise InputError(f"no notebook {name!r} in {folder}: there is {', '.join(names_in(folder)) or 'none'}")
    return path

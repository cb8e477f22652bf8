"""A run's page and the list of all runs as files; pages made anew from notebooks that were executed before."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k2lab import kept
from k2lab.errors import InputError, ReportError, first_line
from k2lab.notebook import listing, page, summary
from k2lab.notebook.against import changes_between
from k2lab.notebook.ipynb import read_notebook
from k2lab.notebook.runs import Run, read_runs

logger = logging.getLogger(__name__)

Earlier = Mapping[str, Run] | None
"""The runs of an earlier summary by notebook; ``None`` where nothing is compared."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Renewed:
    """A page that was made anew; ``error`` is of its run, or why the page shows no outputs."""

    name: str
    error: str
    html: Path


def write_page(html: Path, executed: Any, run: Run, earlier: Earlier) -> str:
    """Write a run's page; returns what went wrong, which may be the page itself."""
    error = run.error
    changes = ""
    if earlier is not None:
        changes = page.filled("changes.html.j2", changes=changes_between(earlier.get(run.name), run))
    try:
        text = page.to_html(executed, run.name, error, run=run, changes=changes)
    except ReportError as refused:
        error = first_line(refused)
        text = page.without_outputs(run.name, error)
    kept.write_whole(html, text.encode("utf-8", "backslashreplace"), private=True)  # a lone surrogate has no bytes
    return error


def write_list(out: Path, earlier: Earlier) -> None:
    """Write ``index.html``; what keeps it from being written is logged, and takes no report away."""
    try:
        if listing.write_listing(out, out / summary.FILE, earlier) is None:
            logger.warning("no list of the reports is written: a notebook is called %s", Path(listing.FILE).stem)
    except (InputError, ReportError) as error:
        logger.warning("the list of the reports could not be written: %s", first_line(error))


def renew(names: Sequence[str] = (), *, out: Path, earlier: Earlier = None) -> list[Renewed]:
    """Make the pages of a folder of reports anew, all where none is named, without running anything.

    Raises :class:`InputError` where ``summary.json`` or an executed notebook is not there.
    """
    runs = read_runs(out / summary.FILE)
    if unknown := [name for name in names if name not in runs]:
        known = ", ".join(runs) or "none"
        raise InputError(f"{out / summary.FILE} tells of no run of {unknown[0]!r}: it has {known}")
    wanted = names or [name for name, run in runs.items() if run.state != "unfinished"]
    if strange := [name for name in wanted if Path(name).name != name or runs[name].name != name]:
        raise InputError(f"{out / summary.FILE} tells of a run of {strange[0]!r}, which is no name of a notebook")
    notebooks = {name: read_notebook(out / f"{name}.ipynb") for name in wanted}
    made = [_renewed(out, runs[name], notebook, earlier) for name, notebook in notebooks.items()]
    write_list(out, earlier)
    return made


def _renewed(out: Path, run: Run, notebook: Any, earlier: Earlier) -> Renewed:
    html = out / f"{run.name}.html"
    error = write_page(html, notebook, run, earlier)
    if error != run.error:
        summary.mark_failed(out / summary.FILE, run.name, error)
    return Renewed(name=run.name, error=error, html=html)

"""``k2lab report``: notebooks run on live servers, and where the run stands meanwhile."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from k2lab.cli.printing import print_line
from k2lab.cli.progress import Tell, show_progress
from k2lab.errors import first_line

if TYPE_CHECKING:
    from k2lab.notebook.report import Progress, Report


@click.command(name="report")
@click.argument("names", nargs=-1)
@click.option(
    "-p",
    "parameters",
    type=(str, str),
    multiple=True,
    metavar="NAME VALUE",
    help="A parameter of the notebooks; NOTEBOOK.NAME is for one of several, as in -p 4_benchmark.requests 4000.",
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("reports"), show_default=True)
@click.option("--notebooks", "folder", type=click.Path(path_type=Path), default=None, help="Where the notebooks are.")
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="SUMMARY.JSON",
    default=None,
    help="The summary.json of earlier runs: each page and the index say what changed since.",
)
@click.option(
    "--render-only", is_flag=True, help="Run nothing: make the pages of --out anew from their executed notebooks."
)
def report_command(
    names: tuple[str, ...],
    parameters: tuple[tuple[str, str], ...],
    out: Path,
    folder: Path | None,
    against: Path | None,
    render_only: bool,
) -> None:
    """Run notebooks (all, where none is named) and write reports; exits with 1 when one fails.

    Each becomes a page of its own, listed in index.html; none fetches anything when it is opened.
    """
    from k2lab.notebook import report

    if render_only:
        if parameters or folder:
            raise click.UsageError("--render-only runs nothing: leave out -p and --notebooks")
        return _render(names, out, against)
    with show_progress() as tell:
        reports = report.run_report(
            names, parameters, folder=folder, out=out, watch=partial(_show, tell), against=against
        )
    if not all(made.ok for made in reports):
        raise click.exceptions.Exit(1)


def _render(names: tuple[str, ...], out: Path, against: Path | None) -> None:
    """Pages anew; a run that failed is no failure of this."""
    from k2lab.notebook import pagefiles, runs

    earlier = runs.read_runs(against) if against is not None else None
    for made in pagefiles.renew(names, out=out, earlier=earlier):
        print_line(
            f"{made.name}: {f'of a failed run: {first_line(made.error)}' if made.error else 'passed'}, see {made.html}"
        )


def _show(tell: Tell, progress: Progress) -> None:
    """What a notebook waits for or takes, as progress; what became of it, as a line of output."""
    line = f"[{progress.number}/{progress.of}] {progress.notebook}: {_state(progress)}"
    if progress.state == "done":
        print_line(line)
    else:
        tell(line, done=progress.number - 1, of=progress.of, now=True)


def _state(progress: Progress) -> str:
    if progress.report is not None:
        return _ended(progress.report)
    if progress.state == "waiting":
        return f"waiting for {', '.join(progress.waiting_for)}"
    usual = "" if progress.usual_s is None else f", {_span(progress.usual_s)} the last time"
    return f"running{usual}{_end(progress.left_s)}"


def _end(left_s: float | None) -> str:
    """When all is done, by the clock, which stays true while nothing is printed."""
    if left_s is None:
        return ""
    end = datetime.now() + timedelta(seconds=left_s)
    return f"; all of them until about {end:%H:%M}"


def _ended(made: Report) -> str:
    state = "passed" if made.ok else f"FAILED: {first_line(made.error)}"
    waited = f", {_span(made.waited_s)} of waiting before" if made.waited_s >= 1 else ""
    return f"{state} ({_span(made.seconds)}{waited}), see {made.html}"


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"

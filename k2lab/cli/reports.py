"""``k2lab report``: notebooks run on live servers, and where the run stands meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

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
def report_command(
    names: tuple[str, ...], parameters: tuple[tuple[str, str], ...], out: Path, folder: Path | None
) -> None:
    """Run notebooks (all, where none is named) and write reports; exits with 1 when one fails."""
    from k2lab.notebook import report

    reports = report.run_report(names, parameters, folder=folder, out=out, watch=_tell)
    if not all(made.ok for made in reports):
        raise click.exceptions.Exit(1)


def _tell(progress: Progress) -> None:
    """A line for each thing that happens."""
    click.echo(f"[{progress.number}/{progress.of}] {progress.notebook}: {_state(progress)}")


def _state(progress: Progress) -> str:
    if progress.report is not None:
        return _ended(progress.report)
    if progress.state == "waiting":
        return f"waiting for {', '.join(progress.waiting_for)}"
    usual = "" if progress.usual_s is None else f", {_span(progress.usual_s)} the last time"
    left = "" if progress.left_s is None else f"; about {_span(progress.left_s)} to the end of all"
    return f"running{usual}{left}"


def _ended(made: Report) -> str:
    state = "passed" if made.ok else f"FAILED: {made.error.splitlines()[0]}"
    waited = f", {_span(made.waited_s)} of waiting before" if made.waited_s >= 1 else ""
    return f"{state} ({_span(made.seconds)}{waited}), see {made.html}"


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"

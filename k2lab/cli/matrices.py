"""``k2lab bench matrix``: many vendors and models, each within its limit, and one report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from k2lab import interrupts, jsonable, kept
from k2lab.cli.common import as_record
from k2lab.cli.printing import note, print_json, print_line, print_notes, print_text
from k2lab.cli.progress import show_progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k2lab.bench.matrix_file import Matrix
    from k2lab.bench.vendor_runs import Engine, Stand


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """Where the report goes, and in which form."""

    html: Path | None
    as_json: bool


def _print_example(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    from k2lab.bench.matrix_file import EXAMPLE

    if wanted and not context.resilient_parsing:
        print_text(EXAMPLE.rstrip("\n"))
        context.exit()


@click.command(name="matrix")
@click.argument("file", metavar="MATRIX.toml", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=None,
              help="Folder of the answers, a file for each vendor and model; by default MATRIX beside it.")  # fmt: skip
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True,
              help="A process for each vendor, or an actor on Ray (RAY_ADDRESS, or one of this machine).")  # fmt: skip
@click.option("--only", "vendors", multiple=True, metavar="VENDOR", help="Only these vendors.")
@click.option("--report-only", is_flag=True, help="Ask nobody: the report of what is there.")
@click.option("--html", type=click.Path(path_type=Path), default=None, metavar="PAGE", help="Write a page as well.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--example", is_flag=True, is_eager=True, expose_value=False, callback=_print_example,
              help="Print a MATRIX.toml to begin with.")  # fmt: skip
@as_record("shown", Shown)
def matrix_command(
    file: Path, out: Path | None, engine: Engine, vendors: tuple[str, ...], report_only: bool, shown: Shown
) -> None:
    """Ask many vendors for many models, each vendor within one rate limit, and report on all of them.

    MATRIX.toml names samples, vendors, their models and limits, and the environment
    variables of their keys. Each vendor is a process of its own, each of its models
    a file as of k2lab bench run. Killed at any moment and started again it goes on
    where it was. Exits with 1 where something is missing in the end.
    """
    from k2lab.bench.matrix_file import read_matrix
    from k2lab.bench.vendor_report import report_of

    matrix = read_matrix(file).only(vendors)
    folder = out or file.parent / file.stem
    ended = () if report_only else _run(matrix, folder, engine)
    cells = report_of(matrix, folder, ended)
    _print(cells, shown)
    if interrupts.came() or any(stand.why == "interrupted" for stand in ended):
        note("ended early (interrupted): run the same command again to go on")
        raise click.exceptions.Exit(interrupts.status())
    if any(cell.why or cell.results < cell.wanted for cell in cells):
        raise click.exceptions.Exit(1)


def _run(matrix: Matrix, out: Path, engine: Engine) -> Sequence[Stand]:
    from k2lab.bench.vendor_runs import run_matrix

    print_notes(matrix.notes)
    stands: dict[str, Stand] = {}
    with show_progress() as tell:

        def told(stand: Stand) -> None:
            stands[stand.vendor] = stand
            tell("; ".join(map(_said, stands.values())), now=stand.ended)

        return run_matrix(matrix, out, engine=engine, tell=told)


def _said(stand: Stand) -> str:
    done = stand.progress
    far = f" {done.had + done.got}/{done.wanted} ({done.rate * 60:.0f}/min)" if done else ""
    return f"{stand.vendor} {stand.model}{far}{f': {stand.why}' if stand.why else ''}"


def _print(cells: Sequence[object], shown: Shown) -> None:
    from k2lab.show.matrices import matrix_view
    from k2lab.show.parts import whole_page

    view = matrix_view(cells)  # type: ignore[arg-type]
    if shown.as_json:
        print_json({"cells": jsonable.as_json(list(cells), computed=True)})
    else:
        print_text(view.text)
    if shown.html is not None:
        kept.write_whole(shown.html, whole_page("Vendors and models", view), private=True)
        if not shown.as_json:
            print_line(f"page: {shown.html}")

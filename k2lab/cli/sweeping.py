"""Commands that ask every installed release the same: which faults it has, and which release first reads an output."""

from __future__ import annotations

from pathlib import Path

import click

from k2lab import kept
from k2lab.cli.printing import note, print_json, print_text

ENGINES = click.option("--engine", "engines", multiple=True, help="An engine to ask; by default all installed ones.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print every answer as JSON.")


@click.command(name="sweep")
@ENGINES
@click.option("--catalogue", type=click.Path(path_type=Path), default=None, help="A file of outputs of your own.")
@click.option("--html", type=click.Path(path_type=Path), default=None, help="Write the table as a page, too.")
@AS_JSON
def sweep_command(engines: tuple[str, ...], catalogue: Path | None, html: Path | None, as_json: bool) -> None:
    """Look for known faults in every installed vLLM, and draw fault by release.

    No model runs: each release's own code makes prompts of fixed requests, and its
    parser reads the catalogue of recorded outputs (k2lab parsers), whole and in
    chunks. A release that cannot be asked is unknown, with the reason.
    """
    from k2lab import doctor, engine
    from k2lab.server import parsers
    from k2lab.show import sweeps
    from k2lab.show.parts import whole_page

    for name in engines:
        engine.resolve(name)
    found = doctor.sweep(engines, parsers.catalogue(catalogue), told=lambda name: note(f"{name} has been asked"))
    shown = sweeps.sweep_view(found)
    if html is not None:
        kept.write_whole(html, whole_page("Faults by release", shown))
    if as_json:
        print_json(found.to_json())
    else:
        print_text(shown.text)


@click.command(name="bisect")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--tools", type=click.Path(path_type=Path), default=None, help="A JSON file: the list of tools on offer.")
@click.option("--expect", type=click.Path(path_type=Path), default=None,
              help='A JSON file of the calls that are right: [{"name": ..., "arguments": {...}}].'
                   " What k2lab reads, where left out.")  # fmt: skip
@click.option("--case", default="", help="The id of a line, where FILE is a catalogue of several.")
@ENGINES
@AS_JSON
def bisect_command(
    file: Path, tools: Path | None, expect: Path | None, case: str, engines: tuple[str, ...], as_json: bool
) -> None:
    """Say which installed vLLM first reads the raw output in FILE, or first loses it.

    FILE holds the text that a model wrote, markers included, or is a catalogue
    (k2lab parsers --help). Every release is asked, in its order, and each change is
    said, with the releases between that are not installed.
    """
    from k2lab import doctor, engine
    from k2lab.doctor.bisection import output_of
    from k2lab.show import sweeps

    for name in engines:
        engine.resolve(name)
    found = doctor.bisect(output_of(file, tools, expect, case), engines)
    if as_json:
        print_json(found.to_json())
    else:
        print_text(sweeps.bisection_view(found).text)

"""``k2lab doctor``: experiments on a live server, and what they say of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from k2lab.cli.common import MODEL, SOURCE_HELP, TRUST
from k2lab.cli.printing import note, print_aside, print_json, print_text
from k2lab.cli.prompts import FAMILY, SourceOptions

if TYPE_CHECKING:
    from k2lab.doctor.examination import Examination


@click.command(name="doctor")
@click.option("--base-url", default=None, help="URL of an OpenAI-compatible server.")
@click.option("--files", "folder", default=None, metavar="SOURCE",
              help="Read a model folder, or hub:REPO@SHA, in place of asking a server.")  # fmt: skip
@click.option("--render", "rendered", type=click.Path(path_type=Path), default=None, metavar="FOLDER",
              help="Start vLLM's own renderer and parser on a folder without weights, and ask that.")  # fmt: skip
@click.option("--engine", default="0.32.0", show_default=True, help="The vLLM that --render starts.")
@MODEL
@click.option("--source", default=None, help=f"Whose prompts are right: {SOURCE_HELP[0].lower()}{SOURCE_HELP[1:]}")
@FAMILY
@TRUST
@click.option("--budget", type=click.IntRange(min=1), default=None,
              help="Most requests that are sent; by default as many as all experiments need.")  # fmt: skip
@click.option("--select", multiple=True, metavar="CODE", help="Look for these findings alone: P001, or P for all.")
@click.option("--ignore", multiple=True, metavar="CODE", help="Do not look for these.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor_command(
    base_url: str | None,
    folder: str | None,
    rendered: Path | None,
    engine: str,
    model: str | None,
    source: str | None,
    family: str | None,
    trust_remote_code: bool,
    budget: int | None,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    as_json: bool,
) -> None:
    """Find out what is wrong with a running server, or what a model folder will do on one.

    Give one of --base-url (a server), --render (a folder, by vLLM's own code,
    without weights) and --files (a folder, by reading alone; with
    --trust-remote-code what makes a Kimi K3's prompts is run, too).

    A server is asked a few short requests; what, is said beforehand on standard
    error. Exits with 1 where a fault is present, with 2 where nothing could be
    found out.
    """
    from k2lab.findings import chosen
    from k2lab.show import examinations

    if [base_url, folder, rendered].count(None) != 2:
        raise click.UsageError("give one of --base-url, --files and --render")
    wanted = chosen(select, ignore)
    if folder is not None:
        from k2lab import families
        from k2lab.doctor.folder import examined_files

        whose = families.named(family) if family else None
        found = examined_files(folder, family=whose, trust_remote_code=trust_remote_code).of(wanted)
    elif rendered is not None:
        options = SourceOptions(source=source or str(rendered), trust_remote_code=trust_remote_code, family=family)
        found = _rendered(rendered, engine, options, wanted, budget)
    else:
        assert base_url is not None
        options = SourceOptions(source=source or "", trust_remote_code=trust_remote_code, family=family)
        found = _asked(base_url, model, options, wanted, budget)
    if as_json:
        print_json(found.to_json())
    else:
        print_text(examinations.examination_view(found).text)
    raise click.exceptions.Exit(found.status)


def _asked(
    base_url: str, model: str | None, source: SourceOptions, wanted: frozenset[str], budget: int | None
) -> Examination:
    """What a server's answers say; what will be asked is said first."""
    from k2lab import families
    from k2lab.doctor import examination
    from k2lab.server.transport import checked_url
    from k2lab.show import examinations

    checked_url(base_url)
    opened = source.opened() if source.source else None
    named = families.named(source.family) if source.family else None
    whose = named or (opened.family if opened else families.of_model(model or ""))
    plan = examination.planned(wanted, budget or examination.BUDGET, family=whose)
    for text in examinations.plan_text(plan):
        print_aside(text)
    return examination.examined(
        base_url, opened, plan, wanted, model=model, family=named, told=lambda name: note(f"asking about the {name}")
    )


def _rendered(
    folder: Path, engine: str, source: SourceOptions, wanted: frozenset[str], budget: int | None
) -> Examination:
    """What vLLM's own code makes of a folder: of its prompts, and of outputs."""
    from k2lab import engine as engines
    from k2lab.doctor.examination import WITHOUT_MODEL
    from k2lab.errors import EngineError

    python = engines.resolve(engine).python
    if python is None:
        raise EngineError(f"{engine} is a URL: ask it with --base-url")
    trusts = source.trust_remote_code
    with engines.serving(python, engine, folder, renders=True, trust_remote_code=trusts) as server:
        return _asked(server.base_url, None, source, wanted & WITHOUT_MODEL, budget)

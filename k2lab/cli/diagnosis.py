"""``k2lab doctor``: experiments on a live server, and what they say of it."""

from __future__ import annotations

import click

from k2lab.cli.common import MODEL, SOURCE_HELP, TRUST
from k2lab.cli.printing import note, print_aside, print_json, print_text

DEFAULT_BUDGET = 60


@click.command(name="doctor")
@click.option("--base-url", required=True, help="URL of an OpenAI-compatible server.")
@MODEL
@click.option("--source", default=None, help=f"Whose prompts are right: {SOURCE_HELP[0].lower()}{SOURCE_HELP[1:]}")
@TRUST
@click.option("--budget", type=click.IntRange(min=1), default=DEFAULT_BUDGET, show_default=True,
              help="Most requests that are sent.")  # fmt: skip
@click.option("--select", multiple=True, metavar="CODE", help="Look for these findings alone: P001, or P for all.")
@click.option("--ignore", multiple=True, metavar="CODE", help="Do not look for these.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor_command(
    base_url: str,
    model: str | None,
    source: str | None,
    trust_remote_code: bool,
    budget: int,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    as_json: bool,
) -> None:
    """Find out what is wrong with a running server, by a few short requests.

    What will be asked is said beforehand, on standard error. Exits with 1 where
    a fault is present, with 2 where nothing could be found out.
    """
    from k2lab.doctor import examination
    from k2lab.findings import chosen
    from k2lab.prompt.source import open_source
    from k2lab.server.transport import checked_url
    from k2lab.show import examinations

    checked_url(base_url)
    wanted = chosen(select, ignore)
    opened = open_source(source, trust_remote_code=trust_remote_code) if source else None
    plan = examination.planned(wanted, budget)
    for text in examinations.plan_text(plan):
        print_aside(text)
    found = examination.examined(
        base_url, opened, plan, wanted, model=model, told=lambda name: note(f"asking about the {name}")
    )
    if as_json:
        print_json(found.to_json())
    else:
        print_text(examinations.examination_view(found).text)
    raise click.exceptions.Exit(found.status)

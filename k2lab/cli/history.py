"""``k2lab repair``: mend a history, and say what could not be."""

from __future__ import annotations

from pathlib import Path

import click

from k2lab.cli.common import TEMPLATE_KWARGS, conversation_of
from k2lab.cli.printing import note, print_json


@click.command(name="repair")
@click.argument("conversation", type=click.Path(path_type=Path))
@click.option(
    "--model",
    default=None,
    help="Says what the history needs, such as kimi-k2.5, or kimi-k3, whose ids stay;"
    " the request's own, or kimi-k2, where left out.",
)
@TEMPLATE_KWARGS
def repair_command(conversation: Path, model: str | None, template_kwargs: str) -> None:
    """Repair a history where there is one right way: prints the conversation, the changes, and the problems left.

    Exits with 1 when problems are left; each is a line on standard error, too.
    """
    from k2lab.repairs import repair

    repaired = repair(conversation_of(conversation, template_kwargs), model=model)
    print_json(repaired.to_json())
    for problem in repaired.problems:
        note(f"problem: {problem}")
    for problem in repaired.unsure:
        note(f"not known: {problem}")
    if repaired.problems:
        raise click.exceptions.Exit(1)

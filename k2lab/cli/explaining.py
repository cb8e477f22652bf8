"""``k2lab explain``: what a code of a finding means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from k2lab.cli.printing import print_json, print_text

if TYPE_CHECKING:
    from k2lab.findings import Entry


@click.command(name="explain")
@click.argument("codes", nargs=-1, metavar="[CODE]...")
@click.option("--json", "as_json", is_flag=True, help="Print the entries as JSON.")
def explain_command(codes: tuple[str, ...], as_json: bool) -> None:
    """What a finding means, why it hurts and what to do, by its code or name; without one, the list of all.

    A code is a letter for what is looked at (R request, T tools, P prompt, O
    output, A answer, S server, E enforcement) and a number. The beginning of
    one, such as R or A12, stands for all that begin so.
    """
    from k2lab.findings import CATALOGUE, chosen
    from k2lab.jsonable import as_json as plain

    names = chosen(codes) if codes else frozenset(CATALOGUE)
    entries = [entry for name, entry in CATALOGUE.items() if name in names]
    if as_json:
        print_json(plain(entries))
    elif codes and len(entries) <= max(3, len(codes)):
        print_text("\n\n".join(map(_whole, entries)))
    else:
        widest = max(len(entry.name) for entry in entries)
        print_text("\n".join(f"{entry.code}  {entry.name:<{widest}}  {entry.title}" for entry in entries))


def _whole(entry: Entry) -> str:
    rows = {
        "looks at": entry.looks_at,
        "why it hurts": entry.why,
        "at fault": f"{' or '.join(entry.layers)} ({entry.level})",
        "what to do": entry.fix,
        "sources": "\n              ".join(entry.sources),
    }
    told = "\n".join(f"  {head + ':':<14}{words}" for head, words in rows.items() if words)
    return f"{entry.code} {entry.name}: {entry.title}\n{told}"

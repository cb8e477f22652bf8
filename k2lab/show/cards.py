"""Cards: a finding with its evidence and its fix, and what a repair changed with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from k2lab.findings import Finding
from k2lab.legible import one_line, shortened
from k2lab.repairs import Change, Repaired
from k2lab.show.edits import difference
from k2lab.show.parts import LONGEST_CELL, View, escape, joined, line, table

STATE_SIGN = {"present": "✗", "absent": "✓", "unknown": "?"}

MOST_CHANGES = 200
"""Changes that are shown one by one; those after them are counted."""


def finding_card(value: Finding) -> View:
    """A verdict: its state, what and where it is, the evidence, the fix, and where it is told."""
    title = f"{STATE_SIGN[value.state]} {value.state}: {value.code} {value.problem}"
    told = {"Layer": value.layer, "Place": value.place, "Evidence": value.evidence, "Fix": value.fix}
    held = {name: shortened(said, LONGEST_CELL) for name, said in told.items() if said}
    facts = "".join(f"<dt>{name}</dt><dd>{escape(said)}</dd>" for name, said in held.items())
    sources = "<br>".join(map(_source, value.sources))
    rest = f"<dt>Sources</dt><dd>{sources}</dd>" if sources else ""
    lines = [title, *(f"  {name}: {_indented(said)}" for name, said in held.items())]
    lines += [f"  Sources: {' '.join(value.sources)}"] if value.sources else []
    return View(
        html=f'<div class="k2-card {value.state}"><p><b>{escape(title)}</b></p><dl>{facts}{rest}</dl></div>',
        text="\n".join(lines),
    )


def finding_cards(values: Iterable[Finding]) -> View:
    """Findings under each other."""
    shown = [finding_card(value) for value in values]
    return View(html="".join(view.html for view in shown), text="\n".join(view.text for view in shown))


def change_cards(made: Sequence[Change]) -> View:
    """What a repair changed, each as a diff under its reason."""
    if not made:
        return line("The repair changed nothing.")
    more = len(made) - MOST_CHANGES
    left_out = [line(f"{more} more changes are left out")] if more > 0 else []
    return joined(
        line(f"what the repair changed: {_counted(len(made))}"), *map(_change, made[:MOST_CHANGES]), *left_out
    )


def repaired_cards(value: Repaired) -> View:
    """What a repair changed, the faults that it left, and what may be one."""
    told = {"faults without one right repair": value.problems, "what may be a fault": value.unsure}
    tables = [
        table([{"where": item.path, "what": item.problem, "what to do": item.fix} for item in items], title)
        for title, items in told.items()
        if items
    ]
    return joined(change_cards(value.changes), *tables)


def _change(value: Change) -> View:
    where, why = one_line(f"message {value.message}, {value.field}", 300), one_line(value.reason)
    body = difference(value.before, value.after)
    return View(
        html=f'<div class="k2-card"><p><b>{escape(where)}</b>: {escape(why)}</p>{body.html}</div>',
        text=f"{where}: {why}\n{body.text}",
    )


def _indented(said: str) -> str:
    return said.replace("\n", "\n    ")


def _counted(count: int) -> str:
    return f"{count} change{'s' * (count != 1)}"


def _source(said: str) -> str:
    """An address as a link; anything else is text."""
    shown = escape(shortened(said))
    return f'<a href="{shown}">{shown}</a>' if said.startswith("https://") and len(said) < 300 else shown

"""A sweep and a bisection: faults by release, and where each was mended or came back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from k2lab.doctor import Bisection, Sweep
from k2lab.doctor.releases import Change, Kind, in_order
from k2lab.doctor.sweeping import AT, RIGHT, Cell
from k2lab.legible import one_line
from k2lab.show.cards import STATE_SIGN
from k2lab.show.parts import View, joined, line, note, table

ONLY_FED = "≠"
"""Right where the parser is given the whole text, and not in chunks of tokens."""

LEGEND = f"✓ right, ✗ the fault is there, {ONLY_FED} only where tokens come in chunks of that many, ? not known"


def sweep_view(value: Sweep) -> View:
    """The table of faults by release, the counts under it, what changed, and why a release could not be asked."""
    rows: list[Mapping[str, object]] = [
        {"fault": fault, **{cell.release: sign(cell) for cell in row}} for fault, row in value.rows.items()
    ]
    there = {
        release: "?" if release in value.reasons and not count else str(count)
        for release, count in value.counts.items()
    }
    rows.append({"fault": "there in all", **there})
    reasons = [one_line(f"{release} is not known: {reason}") for release, reason in value.reasons.items()]
    return joined(table(rows), note("\n".join([LEGEND, *reasons])), _changes(value.changes))


def bisection_view(value: Bisection) -> View:
    """The verdict, what each release makes of the output, and what other releases would say more closely."""
    rows = [{"release": cell.release, "": sign(cell), "answer": one_line(cell.detail, 300)} for cell in value.cells]
    closer = [said for change in value.changes if (said := _closer(change))]
    return joined(line(value.verdict), table(rows), *([note("\n".join(closer))] if closer else []))


def sign(cell: Cell) -> str:
    """A cell in a sign and a word."""
    if cell.word == RIGHT:
        return STATE_SIGN["absent"]
    outcome, at, fed = cell.word.partition(AT)
    sizes = fed.replace(" tokens", "").replace(" token", "")
    return f"{ONLY_FED} {outcome} ({sizes})" if at else f"{STATE_SIGN[cell.state]} {cell.word}"


def _changes(found: Mapping[str, Sequence[Change]]) -> View:
    """By pair of releases, which faults were mended there, and which came."""
    steps: dict[tuple[str, str], dict[str, list[str]]] = {}
    closer: dict[str, str] = {}
    for fault, changes in found.items():
        for change in changes:
            steps.setdefault((change.before, change.after), {}).setdefault(change.kind, []).append(fault)
            closer[change.after] = _closer(change)
    order = in_order(after for _, after in steps)
    rows = [
        {"from": before, "to": after, "what": kind, "faults": ", ".join(kinds[kind])}
        for (before, after), kinds in sorted(steps.items(), key=lambda item: order.index(item[0][1]))
        for kind in get_args(Kind)
        if kind in kinds
    ]
    if not rows:
        return line("Nothing changed from one release to the next.")
    return joined(
        table(rows, "what changed"), note("\n".join(filter(None, (closer[name] for name in order if name in closer))))
    )


def _closer(change: Change) -> str:
    where = f"between {change.before} and {change.after}"
    said = []
    if change.locked:
        said.append(f"{where} more can be asked: k2lab engine install {' '.join(change.locked)}")
    if change.others:
        said.append(f"{where} there are also {', '.join(change.others)}, for which k2lab has no lock")
    return "\n".join(said)

"""What a look at files found: by file and code, each with its places, evidence and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from k2lab.check import Checked, Found
from k2lab.findings import Finding
from k2lab.legible import one_line
from k2lab.show.cards import STATE_SIGN
from k2lab.show.parts import View, escape, joined, line, table

MOST_PLACES = 10
"""Places of one finding in one file that are shown; further ones are counted."""

SHOWN = 400
"""Characters of an evidence."""


def checked_view(values: Sequence[Checked], *, every: bool = False) -> View:
    """Files and what was found in each; with ``every``, what is absent or unknown too, a line each."""
    return joined(*(_file(value, every=every) for value in values), line(summed_up(values)))


def summed_up(values: Sequence[Checked]) -> str:
    """How many findings in how many files, in a line."""
    found = [one.finding for value in values for one in value.present]
    count = len(found) + sum(value.left_out for value in values)
    errors = sum(one.level == "error" for one in found)
    unread = sum(bool(value.unread) for value in values)
    told = f"{count:,} finding{'s' * (count != 1)} in {len(values)} file{'s' * (len(values) != 1)}"
    told += (
        f": {errors:,} error{'s' * (errors != 1)}, {len(found) - errors:,} warning{'s' * (len(found) - errors != 1)}"
        if count
        else ""
    )
    return f"{told}; {unread} could not be looked at in full" if unread else told


def _file(value: Checked, *, every: bool) -> View:
    title = f"{one_line(value.name, 300)}: {value.taken_for or 'not looked at'}"
    groups: dict[str, list[Found]] = {}
    for one in value.present:
        groups.setdefault(one.finding.code, []).append(one)
    views = [_group(groups[code]) for code in sorted(groups)]
    if not views and value.taken_for and not value.unread:
        views.append(line("  nothing wrong was found"))
    left_out = [line(f"  {value.left_out:,} more findings are left out")] if value.left_out else []
    unread = [line(f"  not judged: {one_line(why, SHOWN)}") for why in value.notes]
    unread += [line(f"  could not look: {one_line(why, SHOWN)}") for why in value.unread]
    rest = [_others(value)] if every else []
    whole = [*views, *left_out, *unread, *rest]
    return View(
        html=f"<h2>{escape(title)}</h2>{''.join(view.html for view in whole)}",
        text="\n".join([title, *(view.text for view in whole)]),
    )


def _group(found: Sequence[Found]) -> View:
    """One code in one file: each place and evidence once, with how many lines have it."""
    first = found[0].finding
    count = f", {len(found):,} times" if len(found) > 1 else ""
    title = f"{first.code} {first.level}: {first.problem}{count}"
    spots: dict[tuple[str, str], list[Found]] = {}
    for one in found:
        spots.setdefault((one.finding.place, one.finding.evidence), []).append(one)
    rows = [(_where(same), one_line(evidence, SHOWN)) for (_, evidence), same in [*spots.items()][:MOST_PLACES]]
    more = f"and {len(spots) - MOST_PLACES:,} more places" if len(spots) > MOST_PLACES else ""
    fixes = list(dict.fromkeys(one.finding.fix for one in found if one.finding.fix))[:3]
    places = table([{"where": where, "what was found": said} for where, said in rows])
    under = [*([more] if more else []), *(f"What to do: {fix}" for fix in fixes)]
    told = places.html + "".join(f"<p>{escape(said)}</p>" for said in under)
    lines = [f"  {title}", *(f"    {where}: {said}" for where, said in rows)]
    lines += [f"    {more}"] if more else []
    lines += [f"    what to do: {one_line(fix)}" for fix in fixes]
    return View(
        html=f'<div class="k2-card present"><p><b>{STATE_SIGN["present"]} {escape(title)}</b></p>{told}</div>',
        text="\n".join(lines),
    )


def _where(same: Sequence[Found]) -> str:
    place, line = one_line(same[0].finding.place, 200), same[0].line
    others = f" and {len(same) - 1:,} more" if len(same) > 1 else ""
    return f"line {line}{others}{', ' if place else ''}{place}" if line else place or "the file"


def _others(value: Checked) -> View:
    others: Iterable[Finding] = (one.finding for one in value.found if one.finding.state != "present")
    others = sorted(others, key=lambda finding: finding.code)
    rows = [
        {"": STATE_SIGN[one.state], "code": one.code, "state": one.state, "what": one.problem, "why": one.evidence}
        for one in others
    ]
    return table(rows, "what else was looked for") if rows else line("")


def whole_page(values: Sequence[Checked], *, every: bool = False) -> str:
    """The same as a page of its own, which fetches nothing and runs nothing."""
    body = checked_view(values, every=every)._repr_html_()
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        "<title>k2lab check</title>"
        "<style>:root{color-scheme:light dark}"
        "body{max-width:76em;margin:auto;padding:1em;font-family:sans-serif;background:light-dark(#fff,#15181c)}</style>"
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body><h1>k2lab check</h1>{body}</body></html>\n'

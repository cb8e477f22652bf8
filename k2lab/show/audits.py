"""An audit to look at: what was found and how often, where, since when, and what was not looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from k2lab import kept
from k2lab.audit.summary import AuditSummary, Change, Coded, Group
from k2lab.audit.tables import NONE
from k2lab.legible import one_line
from k2lab.show import auditfigures, parts
from k2lab.show.figures import Figure
from k2lab.show.parts import View, joined, line, note, whole_page
from k2lab.stats import Share

MOST_ROWS, MOST_LINES, SHOWN = 40, 14, 160
"""Rows of a table, in a page and as text, and characters of an evidence."""


def audit_view(value: AuditSummary, *, width: int | None = None) -> View:
    """The whole of it: the conclusion first; the page has pictures, too. ``width`` is that of a terminal."""
    return joined(
        line(conclusion(value)),
        *_drawn(auditfigures.by_finding(value)),
        *_codes(value, width),
        *_drawn(auditfigures.changed(value)),
        *_changes(value.changes, width),
        *_drawn(auditfigures.by_arm(value)),
        *_groups("by model and vendor", sorted(value.arms, key=lambda one: (-one.looked, one.name)), width),
        *_drawn(auditfigures.over_time(value)),
        *_groups("by day, the latest first", _latest(value.days), width),
        *_unknown(value, width),
        *_examples(value.codes, width),
        *_rest(value, width),
    )


def conclusion(value: AuditSummary) -> str:
    """How many exchanges, and how many of them have a finding, in a line."""
    told = f"{value.looked:,} exchanges looked at"
    told += f", {_share(value.faulty)} with a finding" if value.looked else ""
    told += f"; {value.unknown:,} could not be looked at" if value.unknown else ""
    told += "".join(f"; {count:,} left out {why}" for why, count in value.left_out.items())
    return f"{told}."


def write_report(folder: Path, value: AuditSummary) -> Path:
    """The same as ``report.html`` in a folder: one file, which fetches nothing and runs nothing."""
    return kept.write_whole(folder / "report.html", whole_page("k2lab audit", audit_view(value)), private=True)


def _drawn(figure: Figure | None) -> list[View]:
    """A figure in a page; as text, the table below it says the same."""
    return [View(html=figure.html, text="")] if figure else []


Rows = Sequence[Mapping[str, object]]


def _tables(rows: Rows, title: str, width: int | None, short: Rows | None = None, of: int = 0) -> list[View]:
    """A table of as many rows as are shown, of ``of`` in all; as text of fewer, or of other columns."""
    if not rows:
        return []
    shown = parts.table(rows[:MOST_ROWS], title).html + _more(len(rows[:MOST_ROWS]), of or len(rows)).html
    lines = list(rows if short is None else short)[:MOST_LINES]
    more = _more(len(lines), of or len(rows)).text
    return [View(html=shown, text="\n".join(filter(None, (parts.table(lines, title, width=width).text, more))))]


def _more(shown: int, of: int) -> View:
    return note(f"and {of - shown:,} more, in summary.json") if of > shown else View(html="", text="")


def _codes(value: AuditSummary, width: int | None) -> list[View]:
    if not value.codes:
        return [line("Nothing wrong was found.")] if value.looked else []
    rows = [
        {
            "code": one.code,
            "what": one.title,
            "level": one.level,
            "layer": one.layer,
            "findings": f"{one.findings:,}",
            "exchanges": _share(one.exchanges),
        }
        for one in value.codes
    ]
    short = [{name: said for name, said in row.items() if name != "findings"} for row in rows]
    return [
        View(html=parts.table(rows, "what was found").html, text=parts.table(short, "what was found", width=width).text)
    ]


def _examples(codes: Sequence[Coded], width: int | None) -> list[View]:
    rows = [
        {
            "code": one.code,
            "where": _where(example.source, example.row, example.item),
            "place": one_line(example.place, 80),
            "evidence": one_line(example.evidence, SHOWN),
        }
        for one in codes
        for example in one.examples
    ]
    first = {row["code"]: f"{row['where']} {row['place']}: {row['evidence']}" for row in reversed(rows)}
    short = [{"code": code, "example": said} for code, said in reversed(first.items())]
    title = "examples, the same in every run"
    if not rows:
        return []
    return [View(html=parts.table(rows, title).html, text=parts.table(short, title, width=width).text)]


def _latest(days: Sequence[Group]) -> list[Group]:
    """Days from the last on, and behind them what has none."""
    known = [one for one in days if one.name != NONE]
    return [*reversed(known), *(one for one in days if one.name == NONE)]


def _groups(title: str, groups: Sequence[Group], width: int | None) -> list[View]:
    named = title.partition(",")[0].removeprefix("by ")
    unknown = any(one.unknown for one in groups)
    rows, short = (
        [
            {
                named: one.name,
                "looked at": f"{one.looked:,}",
                "with a finding": _share(one.faulty),
                "most often": _most(one.codes, codes),
                **({"not looked at": f"{one.unknown:,}"} if unknown else {}),
            }
            for one in groups[:MOST_ROWS]
        ]
        for codes in (3, 1)
    )
    return _tables(rows, title, width, short, of=len(groups))


def _most(codes: Mapping[str, Share], most: int) -> str:
    first = sorted(codes.items(), key=lambda item: (-item[1].count, item[0]))[:most]
    return ", ".join(f"{code} {share.value:.1%}" for code, share in first)


def _changes(changes: Sequence[Change], width: int | None) -> list[View]:
    rows = [
        {
            "from": one.day,
            "code": one.code,
            "model": one.model,
            "vendor": one.vendor,
            "before": _share(one.before),
            "after": _share(one.after),
            "p": f"{one.p_value:.1g}" if one.p_value else "< 1e-300",
        }
        for one in changes[:MOST_ROWS]
    ]
    short = [
        {
            "from": one.day,
            "code": one.code,
            "model and vendor": f"{one.model} at {one.vendor}",
            "before": f"{one.before.value:.2%}",
            "after": f"{one.after.value:.2%}",
        }
        for one in changes[:MOST_LINES]
    ]
    return _tables(rows, "changes over time", width, short, of=len(changes))


def _unknown(value: AuditSummary, width: int | None) -> list[View]:
    if not value.unknown:
        return []
    counts = [{"why": why, "rows": f"{count:,}"} for why, count in value.reasons.items()]
    named = [
        {"where": _where(source, row, item), "why": one_line(why, SHOWN)} for source, row, item, why in value.named[:10]
    ]
    tables = partial(parts.table, width=width)
    return [tables(counts, "not looked at, and in no share"), tables(named, "the first of them")]


def _rest(value: AuditSummary, width: int | None) -> list[View]:
    lacking = [{"not kept, so not judged": what, "exchanges": f"{count:,}"} for what, count in value.lacks.items()]
    files = [
        {"file": str(one["path"]), "taken for": str(one["form"]), "bytes": f"{one['bytes']:,}"}
        for one in value.sources[:MOST_ROWS]
    ]
    others = [{"file": path, "why": why} for path, why in [*value.refused, *value.passed_over]]
    return [
        *_tables(lacking, "what the records lack", width),
        *_tables(files, "files", width, of=len(value.sources)),
        *_tables(others, "files that were not read", width),
    ]


def _where(source: str, row: int, item: str) -> str:
    return f"{one_line(source, 80)}:{row}{' ' if item else ''}{one_line(item, 60)}"


def _share(value: Share) -> str:
    return f"{value.count:,} = {_percent(value)}" if value.total else "none"


def _percent(value: Share) -> str:
    return f"{value.value:.2%} [{value.low:.2%}, {value.high:.2%}]" if value.total else "none"

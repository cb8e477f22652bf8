"""An audit to look at: what was found and how often, where, since when, and what was not looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from k2lab import kept
from k2lab.audit.summary import AuditSummary, Change, Coded, Group
from k2lab.legible import one_line
from k2lab.show.parts import View, joined, line, note, table, whole_page
from k2lab.stats import Share

MOST_ROWS, SHOWN = 40, 160
"""Rows of a table, and characters of an evidence."""


def audit_view(value: AuditSummary) -> View:
    """The whole of it: the conclusion first."""
    parts = [
        line(conclusion(value)),
        *_codes(value),
        *_changes(value.changes),
        *_groups("by model and vendor", value.arms),
        *_groups("by day", value.days),
        *_unknown(value),
        *_examples(value.codes),
        *_rest(value),
    ]
    return joined(*parts)


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


def _codes(value: AuditSummary) -> list[View]:
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
    return [table(rows, "what was found")]


def _examples(codes: Sequence[Coded]) -> list[View]:
    rows = [
        {
            "code": one.code,
            "where": f"{one_line(example.source, 80)}:{example.row}{' ' if example.item else ''}"
            f"{one_line(example.item, 60)}",
            "place": one_line(example.place, 80),
            "evidence": one_line(example.evidence, SHOWN),
        }
        for one in codes
        for example in one.examples
    ]
    return [table(rows, "examples, the same in every run")] if rows else []


def _groups(title: str, groups: Sequence[Group]) -> list[View]:
    rows = [
        {
            title.removeprefix("by "): one.name,
            "looked at": f"{one.looked:,}",
            "with a finding": _share(one.faulty),
            "most often": _most(one.codes),
            "not looked at": f"{one.unknown:,}",
        }
        for one in groups[:MOST_ROWS]
    ]
    more = [note(f"and {len(groups) - MOST_ROWS:,} more, in summary.json")] if len(groups) > MOST_ROWS else []
    return [table(rows, title), *more] if rows else []


def _most(codes: Mapping[str, Share]) -> str:
    first = sorted(codes.items(), key=lambda item: (-item[1].count, item[0]))[:3]
    return ", ".join(f"{code} {share.value:.1%}" for code, share in first)


def _changes(changes: Sequence[Change]) -> list[View]:
    rows = [
        {
            "from": one.day,
            "code": one.code,
            "model": one.model,
            "vendor": one.vendor,
            "before": _share(one.before),
            "after": _share(one.after),
            "p": f"{one.p_value:.1g}",
        }
        for one in changes[:MOST_ROWS]
    ]
    return [table(rows, "changes over time")] if rows else []


def _unknown(value: AuditSummary) -> list[View]:
    if not value.unknown:
        return []
    counts = [{"why": why, "rows": f"{count:,}"} for why, count in value.reasons.items()]
    named = [
        {"where": f"{one_line(source, 80)}:{row}{' ' if item else ''}{one_line(item, 60)}", "why": one_line(why, SHOWN)}
        for source, row, item, why in value.named[:10]
    ]
    return [table(counts, "not looked at, and in no share"), table(named, "the first of them")]


def _rest(value: AuditSummary) -> list[View]:
    lacking = [{"not kept, so not judged": what, "exchanges": f"{count:,}"} for what, count in value.lacks.items()]
    files = [
        {"file": str(one["path"]), "taken for": str(one["form"]), "bytes": f"{one['bytes']:,}"}
        for one in value.sources[:MOST_ROWS]
    ]
    others = [{"file": path, "why": why} for path, why in [*value.refused, *value.passed_over][:MOST_ROWS]]
    shown = [(lacking, "what the records lack"), (files, "files"), (others, "files that were not read")]
    return [table(rows, title) for rows, title in shown if rows]


def _share(value: Share) -> str:
    if not value.total:
        return "none"
    return f"{value.count:,} = {value.value:.2%} [{value.low:.2%}, {value.high:.2%}]"

"""An examination: a table of findings, those that are present first, and which layer is guilty."""

from __future__ import annotations

from k2lab.doctor.examination import Examination, Plan
from k2lab.findings import Finding
from k2lab.legible import one_line
from k2lab.show.cards import STATE_SIGN
from k2lab.show.parts import View, joined, line, note, table

LONGEST = 300
"""Characters of a line of evidence."""


def examination_view(value: Examination) -> View:
    """The table, what to do about each fault that is there, and the sentence on the layer."""
    rows = [
        {
            "code": finding.code,
            "state": f"{STATE_SIGN[finding.state]} {finding.state}",
            "finding": finding.problem,
            "evidence": one_line(finding.evidence, LONGEST),
        }
        for finding in value.findings
    ]
    cost = f"{value.subject}: {value.requests} requests, {value.seconds:.1f} s" if value.requests else value.subject
    fixes = [note("\n".join(map(_fix, value.present)))] if value.present else []
    verdict = value.verdict or _clean(value)
    seen = [note("\n".join(value.notes))] if value.notes else []
    return joined(table(rows), *fixes, *seen, line(verdict), note(cost))


def plan_text(plan: Plan) -> list[str]:
    """What will be asked, a line each."""
    said = [f"{one.name}: {one.asks} (at most {one.requests} requests)" for one in plan.asked]
    said += [f"{one.name}: left out, as it may take {one.requests} requests" for one in plan.left_out]
    return [f"at most {plan.requests} short requests:", *(f"  {text}" for text in said)]


def _fix(finding: Finding) -> str:
    return one_line(f"{finding.code}: {finding.fix}", LONGEST)


def _clean(value: Examination) -> str:
    if value.present:
        return "no error is present, warnings are"
    return "nothing that was looked for is present" if value.looked else "nothing could be found out"

"""Static HTML and text of records: requests, answers, prompts, findings, repairs, readings of parsers.

A view never raises for what it shows, escapes everything once, and says in text
what it says in HTML, so that it is readable in a terminal and in greyscale.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from k2lab.chat import Answer, Exchange, Request
from k2lab.enforcer import Enforcement, ToolLimit
from k2lab.findings import Finding
from k2lab.legible import one_line
from k2lab.prompt.records import Prompt
from k2lab.repairs import Change, Repaired
from k2lab.server.parsers import Reading, matrix
from k2lab.server.probes import GridCell, LiteralCell
from k2lab.show.benchmarks import arm_summary, bench_summaries, comparison, costs, live, step_table
from k2lab.show.cards import change_cards, finding_card, finding_cards, repaired_cards
from k2lab.show.earlier import earlier_calls
from k2lab.show.outputs import output_view
from k2lab.show.parts import View, escape, joined, line, note, table, text
from k2lab.show.passages import passage_view
from k2lab.show.sides import side_by_side, token_table
from k2lab.show.strip import prompt_strip, token_strip
from k2lab.show.transcript import answer_view, exchange_view, request_view
from k2lab.stats import McNemar, Share
from k2lab.wire import Parsed

__all__ = [
    "View",
    "answer",
    "arm_summary",
    "arm_table",
    "bench_summaries",
    "changes",
    "comparison",
    "costs",
    "earlier_calls",
    "escape",
    "exchange",
    "facts",
    "finding",
    "finding_list",
    "flip_counts",
    "grammar_text",
    "grid",
    "joined",
    "line",
    "literal_grid",
    "live",
    "note",
    "output",
    "parser_matrix",
    "passage_view",
    "prompt_strip",
    "prompt_text",
    "repaired",
    "request",
    "share_table",
    "shares",
    "side_by_side",
    "step_table",
    "table",
    "text",
    "token_strip",
    "token_table",
    "told",
    "tool_limits",
]

OUTCOME_SIGN = {"right": "✓", "wrong": "✗ wrong", "lost": "✗ lost", "leaked": "✗ leaked", "not asked": "· not asked"}
PROMPT_SIGN = {"present": "✗ prompt dropped", "absent": "✓ prompt there", "unknown": "? unknown"}
YES = {True: "yes", False: "no"}


class Told(Protocol):
    """What consists of facts."""

    @property
    def facts(self) -> Mapping[str, object]:
        """By name."""


class Step(Protocol):
    """One arm of an experiment."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def server(self) -> str:
        """What is asked."""

    @property
    def change(self) -> str:
        """What differs from the one before."""


def facts(values: Mapping[str, object]) -> View:
    """What a result was made from, a line a fact."""
    return table([{"what": name, "value": value} for name, value in values.items()])


def told(value: Told) -> View:
    """What consists of facts."""
    return facts(value.facts)


def arm_table(values: Iterable[Step]) -> View:
    """The arms of an experiment: each with its server and what differs."""
    return table([{"arm": item.name, "server": item.server, "what differs": item.change} for item in values])


def flip_counts(values: Mapping[str, McNemar]) -> View:
    """Pairs of which one side alone is right, by what was changed."""
    return table([{"": name, "flips": f"{test} (McNemar, exact)"} for name, test in values.items()])


def shares(values: Mapping[str, Share]) -> View:
    """Shares by name, with their intervals."""
    return table([{"": name, "share": str(share)} for name, share in values.items()])


def share_table(curves: Mapping[str, Sequence[Share]], counted: str) -> View:
    """Shares over a number from 0, a column for each curve; ``counted`` says what the number counts."""
    places = range(max(map(len, curves.values()), default=0))
    return table(
        [{counted: n, **{name: str(curve[n]) for name, curve in curves.items() if n < len(curve)}} for n in places]
    )


def request(value: Request, caption: str = "") -> View:
    """A request: its messages as a transcript, the tools on offer, its other fields."""
    return request_view(value, caption)


def answer(value: Answer, caption: str = "") -> View:
    """One answer: why it ended, what it reasoned, said and called, and the response as it came."""
    return answer_view(value, caption)


def exchange(value: Exchange) -> View:
    """A request, and under it its answer."""
    return exchange_view(value)


def output(value: Parsed) -> View:
    """A raw output as it was read: its text with what each piece was taken for, its calls, what is odd."""
    return output_view(value)


def prompt_text(value: Prompt, caption: str = "") -> View:
    """A prompt's text, how long it is, and what it was made from."""
    count = "no ids: the source has no tokenizer" if value.token_ids is None else f"{len(value.token_ids)} ids"
    made = value.provenance
    under = [f"{made.source}, {count}", *made.notes]
    return joined(text(value.text, caption), note("\n".join(under)))


def changes(made: Sequence[Change]) -> View:
    """What a repair changed, each change as a diff with its reason."""
    return change_cards(made)


def repaired(value: Repaired) -> View:
    """What a repair changed, and the faults that it left."""
    return repaired_cards(value)


def finding(value: Finding) -> View:
    """A verdict with its evidence, the fix, and where it is told."""
    return finding_card(value)


def finding_list(values: Iterable[Finding]) -> View:
    """Findings under each other."""
    return finding_cards(values)


def grid(cells: Iterable[GridCell]) -> View:
    """The grid of problem 1: a row a case, a column an engine."""
    by_case: dict[tuple[bool, bool], dict[str, str]] = {}
    for cell in cells:
        by_engine = by_case.setdefault((cell.in_signature, cell.in_template), {})
        by_engine[f"vLLM {cell.engine}"] = PROMPT_SIGN[cell.finding.state]
    rows = [
        {"flag in the signature": YES[signature], "flag in the template": YES[template], **states}
        for (signature, template), states in by_case.items()
    ]
    return table(rows)


def literal_grid(cells: Iterable[LiteralCell]) -> View:
    """The grid of problem 2: a row for each server, template and content that was sent."""
    return table(
        [
            {
                "server": cell.server,
                "template": cell.template,
                "content sent": cell.request,
                "empty literals": cell.empty,
                "other literals": cell.other,
            }
            for cell in cells
        ]
    )


def grammar_text(value: Enforcement) -> View:
    """A grammar as it is sent, and the parts of schemas that it does not hold."""
    how = f"first index {value.first_index}, calls at most {value.max_calls}, form {value.form}"
    return joined(text(value.grammar, how), *([tool_limits(value.limits)] if value.limits else []))


def tool_limits(values: Sequence[ToolLimit]) -> View:
    """Parts of tools' schemas that a grammar does not hold."""
    return table([item.to_json() for item in values], "not held by the grammar")


def parser_matrix(readings: Iterable[Reading]) -> View:
    """The parser lab: a row an output, a column a parser. ``≠``: another answer than for the whole text."""
    by_case = matrix(readings)
    reasons: dict[str, str] = {}
    rows: list[dict[str, str]] = []
    tally: dict[str, int] = {}
    for case_id, columns in by_case.items():
        row = {"output": case_id}
        for column, reading in columns.items():
            row[column] = OUTCOME_SIGN[reading.outcome] + (" ≠" if reading.differs else "")
            tally[column] = tally.get(column, 0) + (reading.outcome == "right")
            if reading.outcome == "not asked":
                reasons[column] = reading.detail
        rows.append(row)
    rows.append({"output": "right", **{c: f"{n} of {len(by_case)}" for c, n in tally.items() if c not in reasons}})
    notes = [one_line(f"{column} was not asked: {reason}") for column, reason in reasons.items()]
    shown, under = table(rows), note("\n".join(notes))
    return View(html=shown.html + under.html, text="\n".join([shown.text, *notes]))

"""Static HTML and text of tokens, diffs, answers, findings and tables.

A view never raises for what it shows, escapes everything once, and says in text
what it says in HTML, so that it is readable in a terminal and in greyscale.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from k2lab.bench import answers
from k2lab.bench.metrics import Comparison, Strict
from k2lab.bench.runner import Progress
from k2lab.bench.summary import Summary
from k2lab.chat import Answer
from k2lab.findings import Finding
from k2lab.prompt.alignment import Diff, Hunk
from k2lab.prompt.tokenizers import Tokenizer
from k2lab.repairs import Change
from k2lab.server.parsers import Reading, matrix
from k2lab.server.probes import GridCell
from k2lab.stats import Share

MARKER = re.compile(r"&lt;\|[a-z_]+\|&gt;")
STATE_SIGN = {"present": "✗", "absent": "✓", "unknown": "?"}
CONTEXT = 3
ANOTHERS_RESULTS = (
    "imported: K2-Vendor-Verifier's numbers count the verdicts of the file, where it has them.\n"
    "* milliseconds as the file has them: K2-Vendor-Verifier's runner also counts the wait for a free place among its"
    " concurrent requests, and retries. Do not set them beside k2lab's."
)


@dataclass(frozen=True)
class View:
    """Something to look at: HTML for a notebook, text for a terminal."""

    html: str
    text: str

    def _repr_html_(self) -> str:
        return f'<style>{_css()}</style><div class="k2">{self.html}</div>'

    def __repr__(self) -> str:
        return self.text


@cache
def _css() -> str:
    return resources.files("k2lab.show").joinpath("views.css").read_text(encoding="utf-8")


def escape(value: object) -> str:
    """Text for HTML, with the model's markers set off."""
    return MARKER.sub(lambda match: f'<span class="marker">{match[0]}</span>', html.escape(str(value)))


def table(rows: Sequence[Mapping[str, object]], caption: str = "") -> View:
    """A small table; columns in the order of the first row."""
    if not rows:
        return View(f"<p>{escape(caption)}: no rows</p>", f"{caption}: no rows")
    columns = list(rows[0])
    cells = [[str(row.get(column, "")) for column in columns] for row in rows]
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in cells)
    title = f"<p>{escape(caption)}</p>" if caption else ""
    return View(f"{title}<table><tr>{head}</tr>{body}</table>", _text_table(caption, columns, cells))


def provenance(values: Mapping[str, Any]) -> View:
    """What a result was made from, a line a fact."""
    return table([{"what": name, "value": value} for name, value in values.items()])


def text(value: str, caption: str = "") -> View:
    """A prompt or an answer as it is, white space kept."""
    title = f'<p class="quiet">{escape(caption)}</p>' if caption else ""
    return View(f"{title}<pre>{escape(value)}</pre>", f"{caption}\n{value}" if caption else value)


def answer(value: Answer, caption: str = "") -> View:
    """One answer: why it ended, what it called, what it said."""
    calls = [f"{call.name}({call.arguments})" for call in value.calls]
    rows: list[Mapping[str, object]] = [
        {"": "finish_reason", "value": value.finish_reason},
        {"": "tool calls", "value": "; ".join(calls) or "none"},
        {"": "content", "value": repr(value.content)},
        {"": "completion tokens", "value": value.usage.get("completion_tokens", "not given")},
    ]
    return table(rows, caption)


def changes(made: Sequence[Change]) -> View:
    """What a repair changed, values as they are written in Python."""
    shown = [{**vars(change), "before": repr(change.before), "after": repr(change.after)} for change in made]
    return table(shown, "what the repair changed")


def side_by_side(
    diff: Diff, tokenizer: Tokenizer, left: str = "server", right: str = "by hand", *, context: int = CONTEXT
) -> View:
    """Two prompts, token by token; long equal runs are folded to ``context`` tokens at each end."""
    rows = list(_token_rows(diff, tokenizer, context))
    head = (
        f"<tr><th>#</th><th>id</th><th>{escape(left)}</th><th></th><th>#</th><th>id</th><th>{escape(right)}</th></tr>"
    )
    body = "".join(_token_row_html(row) for row in rows)
    sides = (f"{left}: {len(diff.left)} ids", f"{right}: {len(diff.right)} ids")
    summary = "; ".join((*sides, _first(diff, tokenizer)))
    lines = [_token_row_text(row) for row in rows]
    return View(f"<p>{escape(summary)}</p><table>{head}{body}</table>", "\n".join([summary, *lines]))


def tokens(ids: Sequence[int], tokenizer: Tokenizer, most: int = 40) -> View:
    """An output token by token; beyond ``most`` at each end it is folded."""
    shown = [{"#": place, "id": token, "piece": _visible(tokenizer.decode([token]))} for place, token in enumerate(ids)]
    if len(shown) <= 2 * most:
        return table(shown, f"{len(ids)} tokens")
    fold = {"#": "⋮", "id": "⋮", "piece": f"{len(shown) - 2 * most} more tokens"}
    return table([*shown[:most], fold, *shown[-most:]], f"{len(ids)} tokens")


def finding(value: Finding) -> View:
    """A probe's verdict with its evidence and the fix."""
    fix = f"<br>Fix: {escape(value.fix)}" if value.fix else ""
    sign = STATE_SIGN[value.state]
    title = f"<b>{sign} {value.state}: {escape(value.problem)}</b>"
    shown = f'<p class="{value.state}">{title}<br>{escape(value.evidence)}{fix}</p>'
    lines = [
        f"{sign} {value.state}: {value.problem}",
        f"  {value.evidence}",
        *([f"  Fix: {value.fix}"] if value.fix else []),
    ]
    return View(shown, "\n".join(lines))


def grid(cells: Iterable[GridCell]) -> View:
    """The grid of problem 1: a row a case, a column an engine."""
    by_case: dict[tuple[bool, bool], dict[str, str]] = {}
    for cell in cells:
        state = cell.finding.state
        shown = {"present": "✗ prompt dropped", "absent": "✓ prompt there", "unknown": "? unknown"}[state]
        by_case.setdefault((cell.in_signature, cell.in_template), {})[f"vLLM {cell.engine}"] = shown
    yes = {True: "yes", False: "no"}
    rows = [
        {"flag in the signature": yes[signature], "flag in the template": yes[template], **states}
        for (signature, template), states in by_case.items()
    ]
    return table(rows)


OUTCOME_SIGN = {"right": "✓", "wrong": "✗ wrong", "lost": "✗ lost", "leaked": "✗ leaked", "not asked": "· not asked"}


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
    shown = table(rows)
    notes = [f"{column} was not asked: {reason}" for column, reason in reasons.items()]
    html_notes = "".join(f'<p class="quiet">{escape(note)}</p>' for note in notes)
    return View(shown.html + html_notes, "\n".join([shown.text, *notes]))


def bench_summaries(summaries: Sequence[Summary]) -> View:
    """Arms of a benchmark, a row each: K2VV's numbers, the strict ones, why calls are invalid, and trials folded."""
    if not summaries:
        return View("<p>No arm has results.</p>", "No arm has results.")
    parts = [
        table([_k2vv_row(item) for item in summaries], "K2-Vendor-Verifier's numbers (k2vv)"),
        table([_strict_row(item) for item in summaries], "The same answers, strictly (strict)"),
        *([_note(ANOTHERS_RESULTS)] if any(item.imported for item in summaries) else []),
        _fault_table(summaries),
    ]
    folded = [
        {"arm": item.arm, "trials": item.trials, "share": name, "mean ± sd [lowest, highest]": str(value)}
        for item in summaries
        for name, value in item.folded.items()
    ]
    parts += [table(folded, "Over repeated trials; the tables above are the first one's")] if folded else []
    return joined(*parts)


def bench_comparison(first: str, second: str, made: Comparison, flips: int = 10) -> View:
    """Two arms on the same requests, and the first ``flips`` requests on which they differ."""
    rows = [
        {"arm": first, "right": str(made.first)},
        {"arm": second, "right": str(made.second)},
        {"arm": f"{second} against {first}", "right": f"{made.test} (McNemar, exact)"},
    ]
    shown = [{"data_index": flip.data_index, first: flip.before, second: flip.after} for flip in made.flips[:flips]]
    return joined(table(rows), table(shown, f"{len(shown)} of {len(made.flips)} requests that differ"))


def live() -> Callable[[str, Progress], None]:
    """For a run's ``show`` in a notebook: a line for each name, which is written over as the run goes on."""
    from IPython.display import display

    handles: dict[str, Any] = {}
    show: Callable[..., Any] = display

    def update(name: str, progress: Progress) -> None:
        line = View(f"<p>{escape(name)}: {escape(progress)}</p>", f"{name}: {progress}")
        if name in handles:
            handles[name].update(line)
        else:
            handles[name] = show(line, display_id=True)

    return update


def joined(*parts: View) -> View:
    """Views under each other."""
    return View("".join(part.html for part in parts), "\n\n".join(part.text for part in parts))


def _note(words: str) -> View:
    return View("".join(f'<p class="quiet">{escape(line)}</p>' for line in words.splitlines()), words)


def _label(item: Summary) -> str:
    return f"{item.arm} (imported)" if item.imported else item.arm


def _k2vv_row(item: Summary) -> dict[str, Any]:
    counts, trigger = item.k2vv, item.trigger
    row: dict[str, Any] = {
        "arm": _label(item),
        "requests": item.requests,
        "failed": counts.failure_count,
        "stop": counts.finish_stop,
        "tool_calls": counts.finish_tool_calls,
        "others": counts.finish_others,
        "schema errors": counts.schema_validation_error_count,
        "successful": counts.successful_tool_call_count,
        "schema accuracy": _percent(counts.schema_accuracy),
    }
    if trigger:
        low, high = trigger.f1_interval
        row |= {"precision": _percent(trigger.precision), "recall": _percent(trigger.recall)}
        row |= {"F1": f"{trigger.f1:.1%} [{low:.1%}, {high:.1%}]"}
    return row


def _strict_row(item: Summary) -> dict[str, Any]:
    counts, times = item.strict, item.durations_ms
    row = {
        "arm": _label(item),
        "calling": counts.calling,
        "sound": counts.sound,
        "unjudged": counts.unjudged,
        "soundness": _percent(counts.soundness),
    }
    if item.trigger:
        row["same calls as the reference"] = _percent(item.trigger.same_calls)
    row["completion tokens"] = item.usage["completion_tokens"]
    mark = " *" if item.imported else ""
    row["ms median / p95"] = f"{times['median']:.0f} / {times['p95']:.0f}{mark}" if times else "none"
    return row


def _fault_table(summaries: Sequence[Summary]) -> View:
    """What is wrong, or cannot be said, and in how many calls, answers or requests of each arm; all trials."""
    faults: dict[str, dict[str, int]] = {}
    for item in summaries:
        for strict, where in ((item.strict, ""), *((later, ", later trials") for later in item.later)):
            for name, count in _faults(strict):
                arms = faults.setdefault(name + where, {})
                arms[item.arm] = arms.get(item.arm, 0) + count
    rows = [{"what is wrong": name, **{item.arm: counts.get(item.arm, 0) for item in summaries}}
            for name, counts in sorted(faults.items())]  # fmt: skip
    return table(rows, "Why") if rows else View("<p>Nothing is wrong.</p>", "Nothing is wrong.")


def _faults(strict: Strict) -> Iterable[tuple[str, int]]:
    for what, counts in (
        ("call", strict.call_faults),
        ("answer", strict.answer_faults),
        ("answer cut short", strict.cut_short),
        ("not judged", strict.not_judged),
        ("request", strict.unanswered),
    ):
        for name, count in counts.items():
            words = answers.WORDS.get(name)
            yield f"{what}: {name.replace('_', ' ')}" + (f" ({words})" if words else ""), count


def _percent(value: Share) -> str:
    return f"{value.value:.1%} [{value.low:.1%}, {value.high:.1%}]" if value.total else "none"


@dataclass(frozen=True)
class _TokenRow:
    """A row of the side-by-side view; ``folded`` counts the equal tokens that it stands for."""

    tag: str
    left: tuple[int, int, str] | None
    right: tuple[int, int, str] | None
    folded: int = 0


def _token_rows(diff: Diff, tokenizer: Tokenizer, context: int) -> Iterable[_TokenRow]:
    for hunk in diff.hunks:
        length = max(hunk.left_end - hunk.left_start, hunk.right_end - hunk.right_start)
        if hunk.tag != "equal" or length <= 2 * context + 1:
            yield from (_row(diff, hunk, offset, tokenizer) for offset in range(length))
            continue
        yield from (_row(diff, hunk, offset, tokenizer) for offset in range(context))
        yield _TokenRow("equal", None, None, length - 2 * context)
        yield from (_row(diff, hunk, offset, tokenizer) for offset in range(length - context, length))


def _row(diff: Diff, hunk: Hunk, offset: int, tokenizer: Tokenizer) -> _TokenRow:
    left = _cell(diff.left, hunk.left_start + offset, hunk.left_end, tokenizer)
    right = _cell(diff.right, hunk.right_start + offset, hunk.right_end, tokenizer)
    return _TokenRow(hunk.tag, left, right)


def _cell(ids: Sequence[int], index: int, end: int, tokenizer: Tokenizer) -> tuple[int, int, str] | None:
    return (index, ids[index], _visible(tokenizer.decode([ids[index]]))) if index < end else None


def _visible(piece: str) -> str:
    return piece.replace("\n", "⏎").replace("\t", "⇥").replace(" ", "·")


MARKS = {"equal": "", "delete": "- only left", "insert": "+ only right", "replace": "≠"}


def _token_row_html(row: _TokenRow) -> str:
    if row.folded:
        return f'<tr><td colspan="7" class="quiet">⋮ {row.folded} equal tokens</td></tr>'
    changed = row.tag != "equal"
    left = _side_html(row.left, "left" if changed else "")
    right = _side_html(row.right, "right" if changed else "")
    return f'<tr>{left}<td class="mark">{MARKS[row.tag]}</td>{right}</tr>'


def _side_html(cell: tuple[int, int, str] | None, css: str) -> str:
    if cell is None:
        return "<td></td><td></td><td></td>"
    index, token, piece = cell
    text_cell = f'<td class="{css}"><code>{escape(piece)}</code></td>'
    return f'<td class="id">{index}</td><td class="id {css}">{token}</td>{text_cell}'


def _token_row_text(row: _TokenRow) -> str:
    if row.folded:
        return f"   ⋮ {row.folded} equal tokens"
    sign = {"equal": " ", "delete": "-", "insert": "+", "replace": "~"}[row.tag]
    sides = [
        "".ljust(36) if cell is None else f"{cell[0]:5d} {cell[1]:7d} {cell[2]}".ljust(36)
        for cell in (row.left, row.right)
    ]
    return f" {sign} {sides[0]} | {sides[1]}".rstrip()


def _first(diff: Diff, tokenizer: Tokenizer) -> str:
    if diff.first is None:
        return "no difference"
    first = diff.first

    def named(token: int | None) -> str:
        return "the end" if token is None else f"{token} {_visible(tokenizer.decode([token]))}"

    owner = first.owner
    whose = f"message {owner.message} ({owner.name})" if owner.message is not None else owner.name
    return f"first difference at token {first.index}, {named(first.left)} against {named(first.right)}, in {whose}"


def _text_table(caption: str, columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in [columns, *cells]) for i in range(len(columns))]
    lines = [
        "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip()
        for row in [columns, *cells]
    ]
    return "\n".join([*([caption] if caption else []), *lines])

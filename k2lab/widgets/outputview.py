"""How the playground shows an output and what the parsers make of it: pieces, a table, the places of losses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from k2lab.legible import one_line, shortened
from k2lab.server.parsers import Failure
from k2lab.show.parts import View, escape, joined, line, note, reached, table
from k2lab.show.views import OUTCOME_SIGN
from k2lab.widgets.losses import written
from k2lab.widgets.playing import Column, Playing
from k2lab.wire import Parsed

SHOWN = 6_000
"""Characters of an output that are shown."""
VALUE = 2_000
"""Characters of a content or of arguments in the table."""
MOST_LOSSES = 4
NOTHING = "—"


def whole(state: Playing, parsed: Parsed, columns: Sequence[Column]) -> View:
    """All that is to be seen."""
    parts = [line(f"✗ tools: {state.fault}; the last good ones are used")] if state.fault else []
    parts.append(output(state.question.raw, parsed, columns))
    if state.case:
        parts.append(line(f"{state.case.case_id}: {state.case.what} Expected: {_expected(state.case)}"))
    parts.append(columns_table(columns, state.case, state.chunk))
    return joined(*parts, *([note("\n".join(state.notes))] if state.notes else []))


def in_a_line(columns: Sequence[Column], case: Failure | None) -> str:
    """One line: what each parser makes of it, and the first loss of each."""
    return "; ".join(f"{column.name}: {_brief(column, case)}" for column in columns)


def _brief(column: Column, case: Failure | None) -> str:
    if column.whole is None:
        return column.words
    lost = f", in chunks it differs from character {column.lost[0].place:,} on" if column.lost else ""
    return _outcome(column, case) + lost


def output(raw: str, parsed: Parsed, columns: Sequence[Column]) -> View:
    """The output with what the tolerant reader takes each piece for, and a mark where chunks lose something first."""
    if not raw:
        return line("No output yet: write or paste one.")
    marks: dict[int, list[str]] = {}
    for column in columns:
        if column.lost:
            marks.setdefault(column.lost[0].place, []).append(column.name)
    said = {place: f"▼ {' and '.join(names)}: in chunks from here on something else" for place, names in marks.items()}
    html, text = [], []
    for piece in parsed.pieces:
        if piece.start >= SHOWN:
            break
        shown = list(_cut(raw, piece.start, min(piece.end, SHOWN), said))
        label = "" if piece.kind == "marker" else f"<i>{piece.kind}</i>"
        inner = "".join(f"<mark>{escape(words)}</mark>{escape(part)}" if words else escape(part)
                        for words, part in shown)  # fmt: skip
        html.append(f'<span class="k2-is-{piece.kind}">{label}{inner}</span>')
        for words, part in shown:
            text += [words] if words else []
            text.append(f"{piece.kind}: {one_line(part, VALUE)}")
    end = said.get(len(raw), "")
    html += [f"<mark>{escape(end)}</mark>"] if end else []
    text += [end] if end else []
    made = View(html=f'<pre class="k2-output" {reached("its pieces")}>{"".join(html)}</pre>', text="\n".join(text))
    left = len(raw) - SHOWN
    return joined(made, note(f"{left:,} more characters are not shown")) if left > 0 else made


def _cut(raw: str, start: int, end: int, said: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    """A piece cut where marks stand in it: the mark's words, and the text behind it."""
    places = sorted(place for place in said if start <= place < end)
    bounds = list(dict.fromkeys([start, *places, end]))
    for first, last in itertools.pairwise(bounds):
        yield said.get(first, ""), raw[first:last]


def columns_table(columns: Sequence[Column], case: Failure | None, chunk: int) -> View:
    """Parsers side by side, a row for each thing that they say."""
    calls = max((len(column.whole.calls) for column in columns if column.whole), default=0)
    rows = [_row("outcome", columns, [_outcome(column, case) for column in columns])]
    if any(column.whole and column.whole.reasoning for column in columns):
        rows.append(_row("reasoning", columns, [_reasoning(column) for column in columns]))
    rows.append(_row("content", columns, [_content(column) for column in columns]))
    rows += [_row(f"call {at}", columns, [_call(column, at) for column in columns]) for at in range(calls)]
    if chunk:
        fed = f"{chunk} token{'s' * (chunk != 1)} at a time"
        rows.append(_row(fed, columns, [_fed(column) for column in columns]))
    if any(column.detail for column in columns):
        rows.append(_row("why", columns, [shortened(column.detail, VALUE) for column in columns]))
    return table(rows, "What each parser makes of it")


def _row(name: str, columns: Sequence[Column], cells: Sequence[str]) -> dict[str, object]:
    return {"": name, **{column.name: cell for column, cell in zip(columns, cells, strict=True)}}


def _outcome(column: Column, case: Failure | None) -> str:
    if column.whole is None:
        return column.words
    judged = column.outcome(case)
    count = len(column.whole.calls)
    calls = f"{count} call{'s' * (count != 1)}" if count else "no call"
    sign = {"right": "✓ right"}.get(judged, OUTCOME_SIGN[judged]) if judged else ""
    return ", ".join(filter(None, (sign, calls)))


def _content(column: Column) -> str:
    return shortened(column.whole.content, VALUE) or NOTHING if column.whole else ""


def _reasoning(column: Column) -> str:
    return shortened(column.whole.reasoning, VALUE) or NOTHING if column.whole else ""


def _call(column: Column, at: int) -> str:
    if column.whole is None:
        return ""
    if at >= len(column.whole.calls):
        return NOTHING
    call = column.whole.calls[at]
    return f"{one_line(call.name, 200)}\n{shortened(written(call), VALUE)}"


def _fed(column: Column) -> str:
    if column.whole is None:
        return ""
    if column.fed is None:
        return "not fed"
    if not column.lost:
        return "✓ nothing is lost"
    told = [f"✗ {loss.words}, {loss.where}" for loss in column.lost[:MOST_LOSSES]]
    more = len(column.lost) - MOST_LOSSES
    return "\n".join([*told, *([f"and {more} more"] if more > 0 else [])])


def _expected(case: Failure) -> str:
    calls = ", ".join(f"{call.name} {written(call)}" for call in case.calls) or "no call"
    content = f"; content “{case.content}”" if case.content else ""
    reasoning = f"; reasoning “{case.reasoning}”" if case.reasoning else ""
    return shortened(f"{calls}{content}{reasoning}", VALUE)

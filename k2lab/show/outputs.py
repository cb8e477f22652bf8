"""A raw output with what each of its pieces was taken for, and its calls, each joined to its place in the text."""

from __future__ import annotations

import html
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from k2lab.legible import shortened, visible
from k2lab.show.parts import View, escape, joined, note, reached, table
from k2lab.wire import Call, Parsed

MOST_PIECES, MOST_CALLS = 400, 400
"""Pieces and calls: of more, both ends are shown."""

LONGEST_PART, LONGEST_OUTPUT, SHORTEST = 20_000, 400_000, 200
"""Characters of a part, of all parts together, and of a part where there are many."""

Item = TypeVar("Item")
LONGEST_CELL = 2000
"""Characters of a cell under the text, which shows more of it."""

LINE_END = "⏎"
SIGNS = {"ok": "✓", "repaired": "≈"}
COLUMNS = ("call", "name", "arguments", "id", "status", "reason")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shown:
    """A piece: what it was taken for, its text, and its call with the call's number."""

    kind: str
    text: str
    call: Call | None = None
    number: int = 0


def output_view(value: Parsed) -> View:
    """The text with its pieces, a table of the calls, and what is said beside them."""
    made = _Output(value)
    said = {"reasoning": value.reasoning, "stray": "\n".join(value.stray), "notes": "\n".join(value.notes)}
    facts = {"content": repr(value.content), **{name: fact for name, fact in said.items() if fact}}
    told = [{"what": name, "value": shortened(fact, LONGEST_CELL)} for name, fact in facts.items()]
    return joined(*([made.pieces()] if value.texts else []), *([made.calls()] if value.calls else []), table(told))


class _Output:
    """A reading; its anchors are named after its text."""

    def __init__(self, value: Parsed) -> None:
        self.value = value
        self.key = f"{zlib.crc32(repr(value.texts).encode()):08x}"
        self.shown = list(self._joined())
        self.linked = {piece.number for piece in _both_ends(self.shown, MOST_PIECES)[0] if piece.call}
        count = min(len(self.shown), MOST_PIECES)
        self.most = max(SHORTEST, min(LONGEST_PART, LONGEST_OUTPUT // max(count, 1)))

    def _joined(self) -> Iterator[_Shown]:
        """Pieces with their calls, which stand in the same order; a call behind the turn's end has no piece."""
        calls = iter(enumerate(self.value.calls))
        for piece, text in zip(self.value.pieces, self.value.texts, strict=True):
            found = None
            if piece.kind == "call":
                found = next(((at, call) for at, call in calls if (call.start, call.end) == piece[1:]), None)
            yield _Shown(kind=piece.kind, text=text, call=found[1] if found else None, number=found[0] if found else -1)

    def pieces(self) -> View:
        """The text, each piece under its name."""
        shown, left_out = _both_ends(self.shown, MOST_PIECES)
        views = [self._piece(piece) for piece in shown]
        if left_out:
            words = f"⋮ {left_out} pieces are left out"
            views.insert(MOST_PIECES // 2, View(html=f"<i>{words}</i>", text=words))
        body = "".join(view.html for view in views)
        return View(
            html=f'<pre class="k2-output" {reached("raw output")}>{body}</pre>',
            text="\n".join(view.text for view in views),
        )

    def _piece(self, piece: _Shown) -> View:
        if piece.call is None:
            said = _part(piece.kind, piece.text, self.most)
            return View(html=f'<span class="k2-is-{piece.kind}">{said.html}</span>', text=said.text)
        name = f"call {piece.number} {_sign(piece.call)}"
        parts = [_part(kind, text, self.most) for kind, text in _parts(piece.call)]
        link = f'<a href="#k2-r-{self.key}-{piece.number}">{name}</a>'
        body = "".join(part.html for part in parts)
        return View(
            html=f'<span class="k2-is-call" id="k2-c-{self.key}-{piece.number}">{link}{body}</span>',
            text="\n".join([f"[{name}]", *(f"  {part.text}" for part in parts if part.text)]),
        )

    def calls(self) -> View:
        """A row for each call, joined to its place."""
        numbers, left_out = _both_ends(range(len(self.value.calls)), MOST_CALLS)
        rows = {number: _row(number, self.value.calls[number]) for number in numbers}
        head = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
        body = "".join(self._html_row(number, row) for number, row in rows.items())
        shown = f'<table class="k2-rows"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        made = View(html=shown, text=table(list(rows.values())).text)
        return joined(made, note(f"⋮ {left_out} calls in the middle are left out")) if left_out else made

    def _html_row(self, number: int, row: dict[str, str]) -> str:
        first = f'<a href="#k2-c-{self.key}-{number}">{row["call"]}</a>' if number in self.linked else row["call"]
        cells = "".join(f"<td>{escape(row[name])}</td>" for name in COLUMNS[1:])
        return f'<tr id="k2-r-{self.key}-{number}"><td class="mark">{first}</td>{cells}</tr>'


def _row(number: int, call: Call) -> dict[str, str]:
    said = (f"call {number}", call.name, call.arguments_raw, call.id, f"{_sign(call)} {call.status}", call.reason)
    return {name: shortened(str(value), LONGEST_CELL) for name, value in zip(COLUMNS, said, strict=True)}


def _sign(call: Call) -> str:
    return SIGNS.get(call.status, "✗")


def _parts(call: Call) -> Iterator[tuple[str, str]]:
    """A call's text cut where the reader found its id and its arguments; what lies between is markers."""
    place = 0
    for kind, span in (("id", call.id_span), ("arguments", call.arguments_span)):
        if span is not None and span[0] < span[1]:
            yield "", call.raw[place : span[0]]
            yield kind, call.raw[span[0] : span[1]]
            place = span[1]
    yield "", call.raw[place:]


def _part(kind: str, text: str, most: int) -> View:
    """A run of text under its name; a marker is its own name, and says in a terminal what it is."""
    said = shortened(text, most)
    css = f' class="k2-is-{kind}"' if kind in ("id", "arguments") else ""
    label = f"<i>{kind}</i>" if kind and kind != "marker" else ""
    shown = f'<span class="marker">{html.escape(said)}</span>' if kind == "marker" else escape(said)
    in_a_line = visible(said).replace("\n", LINE_END)
    return View(html=f"<span{css}>{label}{shown}</span>", text=f"[{kind or 'marker'}] {in_a_line}" if said else "")


def _both_ends(items: Sequence[Item], most: int) -> tuple[list[Item], int]:
    """The first and the last of many, and how many lie between."""
    left_out = len(items) - most
    if left_out <= 0:
        return list(items), 0
    return [*items[: most // 2], *items[-(most // 2) :]], left_out

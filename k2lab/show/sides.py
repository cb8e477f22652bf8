"""Token ids to look at: two prompts side by side, and one output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from k2lab.prompt.alignment import Diff, Hunk
from k2lab.prompt.tokenizers import Tokenizer
from k2lab.show.parts import View, escape, table

CONTEXT = 3
MARKS = {"equal": "", "delete": "- only left", "insert": "+ only right", "replace": "≠"}


def side_by_side(
    diff: Diff,
    tokenizer: Tokenizer | None = None,
    left: str = "server",
    right: str = "by hand",
    *,
    context: int = CONTEXT,
) -> View:
    """Two prompts, token by token; long equal runs are folded to ``context`` tokens at each end.

    Pieces are those of the tokenizer, or of the diff's own.
    """
    tokenizer = tokenizer or diff.tokenizer
    rows = list(_token_rows(diff, tokenizer, context))
    head = (
        f"<tr><th>#</th><th>id</th><th>{escape(left)}</th><th></th><th>#</th><th>id</th><th>{escape(right)}</th></tr>"
    )
    body = "".join(_token_row_html(row) for row in rows)
    sides = (f"{left}: {len(diff.left)} ids", f"{right}: {len(diff.right)} ids")
    summary = "; ".join((*sides, _first(diff, tokenizer)))
    lines = [_token_row_text(row) for row in rows]
    return View(html=f"<p>{escape(summary)}</p><table>{head}{body}</table>", text="\n".join([summary, *lines]))


def token_table(ids: Sequence[int], tokenizer: Tokenizer, most: int = 40) -> View:
    """An output token by token; beyond ``most`` at each end it is folded."""
    shown = [{"#": place, "id": token, "piece": _piece(token, tokenizer)} for place, token in enumerate(ids)]
    if len(shown) <= 2 * most:
        return table(shown, f"{len(ids)} tokens")
    fold = {"#": "⋮", "id": "⋮", "piece": f"{len(shown) - 2 * most} more tokens"}
    return table([*shown[:most], fold, *shown[-most:]], f"{len(ids)} tokens")


@dataclass(frozen=True, kw_only=True, slots=True)
class _TokenRow:
    """A row of the side-by-side view; ``folded`` counts the equal tokens that it stands for."""

    tag: str
    left: tuple[int, int, str] | None = None
    right: tuple[int, int, str] | None = None
    folded: int = 0


def _token_rows(diff: Diff, tokenizer: Tokenizer | None, context: int) -> Iterable[_TokenRow]:
    for hunk in diff.hunks:
        length = max(hunk.left_end - hunk.left_start, hunk.right_end - hunk.right_start)
        if hunk.tag != "equal" or length <= 2 * context + 1:
            yield from (_row(diff, hunk, offset, tokenizer) for offset in range(length))
            continue
        yield from (_row(diff, hunk, offset, tokenizer) for offset in range(context))
        yield _TokenRow(tag="equal", folded=length - 2 * context)
        yield from (_row(diff, hunk, offset, tokenizer) for offset in range(length - context, length))


def _row(diff: Diff, hunk: Hunk, offset: int, tokenizer: Tokenizer | None) -> _TokenRow:
    left = _cell(diff.left, hunk.left_start + offset, hunk.left_end, tokenizer)
    right = _cell(diff.right, hunk.right_start + offset, hunk.right_end, tokenizer)
    return _TokenRow(tag=hunk.tag, left=left, right=right)


def _cell(ids: Sequence[int], index: int, end: int, tokenizer: Tokenizer | None) -> tuple[int, int, str] | None:
    return (index, ids[index], _piece(ids[index], tokenizer)) if index < end else None


def _piece(token: int, tokenizer: Tokenizer | None) -> str:
    return "" if tokenizer is None else _visible(tokenizer.decode([token]))


def _visible(piece: str) -> str:
    return piece.replace("\n", "⏎").replace("\t", "⇥").replace(" ", "·")


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


def _first(diff: Diff, tokenizer: Tokenizer | None) -> str:
    if diff.first is None:
        return "no difference"
    first = diff.first

    def named(token: int | None) -> str:
        return "the end" if token is None else f"{token} {_piece(token, tokenizer)}"

    owner = first.owner
    whose = f"message {owner.message} ({owner.name})" if owner.message is not None else owner.name
    return f"first difference at token {first.index}, {named(first.left)} against {named(first.right)}, in {whose}"

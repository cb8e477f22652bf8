"""Two prompts side by side: what differs row by row and first of all the first, equal runs folded; and one output."""

from __future__ import annotations

import html
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from k2lab.prompt.alignment import Diff, Divergence, Hunk
from k2lab.prompt.tokenizers import Tokenizer
from k2lab.show.parts import View, escape, table
from k2lab.show.strip import Cell, is_special, piece_of, seen, tokens_html, words

CONTEXT = 3
MARKS = {"equal": "", "delete": "- only left", "insert": "+ only right", "replace": "≠"}
SIGNS = {"equal": " ", "delete": "-", "insert": "+", "replace": "~"}

MOST_ROWS = 3000
"""Rows of a table; what would come after them is counted."""

MOST_CHANGED = 60
"""Rows of one run that differs; of a longer one both ends are rows and the rest is folded."""

MOST_FOLDED, FOLDED_IN_ALL, FEW = 2000, 24_000, 20
"""Tokens that a fold holds, all folds hold, and a fold holds after these: of more it shows both ends."""

BESIDE = 6
"""Tokens on either side of the first difference that stand at the top."""

Place = tuple[int, int, str]
"""The index of a token, its id and its piece."""


def side_by_side(
    diff: Diff,
    tokenizer: Tokenizer | None = None,
    left: str = "",
    right: str = "",
    *,
    context: int = CONTEXT,
) -> View:
    """Two prompts, token by token; long equal runs are folded to ``context`` tokens at each end, and can be opened.

    The first difference stands at the top, with whose it is, and links to its
    row. Pieces are those of the tokenizer, sides are called ``left`` and
    ``right``, by default both as the diff has them.
    """
    left, right = left or diff.sides[0], right or diff.sides[1]
    made = _Sides(diff, tokenizer or diff.tokenizer, context)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("#", "id", left, "differs", "#", "id", right))
    body = "".join(made.html_of(item) for item in made.items)
    shown = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    counts, lines = f"{left}: {len(diff.left)} ids; {right}: {len(diff.right)} ids", map(made.text_of, made.items)
    if diff.first is None:
        said = f"{counts}; no difference"
        return View(html=f"<p>{escape(said)}</p>{shown}", text="\n".join([said, *lines]))
    first, beside = made.first_words(diff.first), made.beside(diff.first.index, (left, right))
    link = f'<p>{escape(counts)}; <a href="#{made.anchor}">{escape(first)}</a></p>'
    return View(html=link + beside.html + shown, text="\n".join([f"{counts}; {first}", beside.text, *lines]))


def token_table(ids: Sequence[int], tokenizer: Tokenizer, most: int = 40) -> View:
    """An output token by token; beyond ``most`` at each end it is folded."""
    shown = [{"#": place, "id": token, "piece": seen(piece_of(token, tokenizer))} for place, token in enumerate(ids)]
    if len(shown) <= 2 * most:
        return table(shown, f"{len(ids)} tokens")
    fold = {"#": "⋮", "id": "⋮", "piece": f"{len(shown) - 2 * most} more tokens"}
    return table([*shown[:most], fold, *shown[-most:]], f"{len(ids)} tokens")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    """A pair of tokens."""

    tag: str
    left: Place | None
    right: Place | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fold:
    """Tokens that are no rows: both sides' words, and what can be opened."""

    words: str
    tokens: str


class _Sides:
    """A diff with the pieces of its tokens, as rows and folds."""

    def __init__(self, diff: Diff, tokenizer: Tokenizer | None, context: int) -> None:
        self.diff, self.context = diff, context
        self.piece: Callable[[int], str] = lru_cache(maxsize=None)(lambda token: piece_of(token, tokenizer))
        self.anchor = f"k2-first-{zlib.crc32(repr((diff.first, diff.left, diff.right)).encode()):08x}"
        self.room = FOLDED_IN_ALL
        self.items = list(self._items())
        self.first = next((item for item in self.items if isinstance(item, _Row) and item.tag != "equal"), None)

    def _items(self) -> Iterator[_Row | _Fold]:
        count = 0
        for number, hunk in enumerate(self.diff.hunks):
            if count > MOST_ROWS:
                more = sum(later.tag != "equal" for later in self.diff.hunks[number:])
                yield _Fold(words=f"{more} more runs that differ, and what lies between them, are left out", tokens="")
                return
            for item in self._of(hunk):
                count += 1
                yield item

    def _of(self, hunk: Hunk) -> Iterator[_Row | _Fold]:
        length = max(hunk.left_end - hunk.left_start, hunk.right_end - hunk.right_start)
        kept = self.context if hunk.tag == "equal" else MOST_CHANGED // 2
        if length <= 2 * kept + 1:
            yield from (self._row(hunk, offset) for offset in range(length))
            return
        yield from (self._row(hunk, offset) for offset in range(kept))
        yield self._fold(hunk, kept, length - kept)
        yield from (self._row(hunk, offset) for offset in range(length - kept, length))

    def _row(self, hunk: Hunk, offset: int) -> _Row:
        left = self._place(self.diff.left, hunk.left_start + offset, hunk.left_end)
        right = self._place(self.diff.right, hunk.right_start + offset, hunk.right_end)
        alone = "insert" if left is None else "delete" if right is None else hunk.tag
        return _Row(tag=alone, left=left, right=right)

    def _place(self, ids: Sequence[int], index: int, end: int) -> Place | None:
        return (index, ids[index], self.piece(ids[index])) if index < end else None

    def _fold(self, hunk: Hunk, start: int, end: int) -> _Fold:
        left = self.diff.left[hunk.left_start + start : min(hunk.left_start + end, hunk.left_end)]
        right = self.diff.right[hunk.right_start + start : min(hunk.right_start + end, hunk.right_end)]
        places = [
            f"{first} to {first + len(ids) - 1}"
            for first, ids in ((hunk.left_start + start, left), (hunk.right_start + start, right))
            if ids
        ]
        where = " beside ".join(dict.fromkeys(places))
        if hunk.tag == "equal":
            said = f"{len(left)} equal tokens, {where} {words(self._ends(left))}"
            return _Fold(words=said.rstrip(), tokens=self._tokens(left))
        both = [f"<p>{side}: {self._tokens(ids)}</p>" for side, ids in (("left", left), ("right", right)) if ids]
        return _Fold(words=f"{end - start} more rows that differ, {where}", tokens="".join(both))

    def _ends(self, ids: Sequence[int]) -> list[Cell]:
        """As much of a run as its words are taken from."""
        return self._cells(ids if len(ids) <= 80 else [*ids[:40], *ids[-40:]])

    def _cells(self, ids: Sequence[int]) -> list[Cell]:
        return [(token, self.piece(token)) for token in ids]

    def _tokens(self, ids: Sequence[int]) -> str:
        """Tokens as a run, of a long one both ends."""
        most = max(FEW, min(MOST_FOLDED, self.room))
        self.room -= min(len(ids), most)
        if len(ids) <= most:
            return tokens_html(self._cells(ids))
        half = most // 2
        left_out = f'<span class="quiet"> ⋮ {len(ids) - 2 * half} tokens are left out ⋮ </span>'
        return tokens_html(self._cells(ids[:half])) + left_out + tokens_html(self._cells(ids[-half:]))

    def html_of(self, item: _Row | _Fold) -> str:
        """A row of the table."""
        if isinstance(item, _Fold):
            words_of = f"⋮ {escape(item.words)}"
            body = f"<details><summary>{words_of}</summary>{item.tokens}</details>" if item.tokens else words_of
            return f'<tr><td colspan="7" class="quiet k2-tokens">{body}</td></tr>'
        changed = item.tag != "equal"
        left = _side_html(item.left, "left" if changed else "")
        right = _side_html(item.right, "right" if changed else "")
        start = f'<tr id="{self.anchor}">' if item is self.first else "<tr>"
        return f'{start}{left}<td class="mark">{MARKS[item.tag]}</td>{right}</tr>'

    def text_of(self, item: _Row | _Fold) -> str:
        """A line of the text."""
        if isinstance(item, _Fold):
            return f"   ⋮ {item.words}"
        cells = [
            "" if cell is None else f"{cell[0]:5d} {cell[1]:7d} {seen(cell[2])}" for cell in (item.left, item.right)
        ]
        return f" {SIGNS[item.tag]} {cells[0].ljust(36)} | {cells[1]}".rstrip()

    def first_words(self, first: Divergence) -> str:
        """Where the sides part, with what, and in whose message."""

        def named(token: int | None) -> str:
            return "the end" if token is None else f"{token} {seen(self.piece(token))}"

        owner = first.owner
        whose = f"message {owner.message} ({owner.name})" if owner.message is not None else owner.name
        return f"first difference at token {first.index}, {named(first.left)} against {named(first.right)}, in {whose}"

    def beside(self, index: int, names: Sequence[str]) -> View:
        """Both sides around the first difference, a line each."""
        shown, said = [], []
        for name, ids, side in zip(names, (self.diff.left, self.diff.right), ("left", "right"), strict=True):
            start = max(index - BESIDE, 0)
            before, after = self._cells(ids[start:index]), self._cells(ids[index : index + BESIDE])
            there = tokens_html(after[:1]) or "the end"
            more = " …" if len(ids) > index + BESIDE else ""
            shown.append(
                f'<tr><th scope="row">{escape(name)}</th><td class="k2-tokens">{"… " if start else ""}'
                f'{tokens_html(before)}<span class="{side}">{there}</span>{tokens_html(after[1:])}{more}</td></tr>'
            )
            pieces = [
                *(f"{token}:{seen(piece)}" for token, piece in before),
                "▸",
                *(f"{token}:{seen(piece)}" for token, piece in after),
            ]
            said.append(f"   {name}: {'… ' if start else ''}{' '.join(pieces)}{'' if after else ' the end'}{more}")
        return View(html=f'<table class="k2-first"><tbody>{"".join(shown)}</tbody></table>', text="\n".join(said))


def _side_html(cell: Place | None, css: str) -> str:
    if cell is None:
        return "<td></td><td></td><td></td>"
    index, token, piece = cell
    name, mark = ("span", ' class="marker"') if is_special(piece) else ("code", "")
    shown = f"<{name}{mark}>{html.escape(seen(piece))}</{name}>"
    return f'<td class="id">{index}</td><td class="id {css}">{token}</td><td class="{css}">{shown}</td>'

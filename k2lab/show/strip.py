"""A strip of tokens: each piece over its id, white space to be seen, special tokens as chips, whose message each is."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from k2lab.families.special import MIDDLE, SEEING, XTML
from k2lab.legible import one_line, shortened, visible
from k2lab.prompt.records import Prompt, Token
from k2lab.prompt.tokenizers import Tokenizer
from k2lab.prompt.turns import Part
from k2lab.show.parts import View, escape, joined, line, note, text

MOST_TOKENS = 24_000
"""Tokens of a strip; of a longer one both ends are shown."""

OPEN_RUN, OPEN_IN_ALL = 200, 1000
"""Tokens of a run that stands open, and of all that do."""

CHUNK = 250
"""Tokens of a fold within a long run."""

LONGEST_PIECE = 80
LINE = 100
"""Characters of a line of the text."""

SPECIAL = re.compile(rf"{SEEING}|{XTML}|<\|\w+\|>")
WHITE = {"\n": "⏎", "\t": "⇥", " ": "·"}
BLANK = re.compile(r"\s")

Cell = tuple[int, str]
"""An id and its piece."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Tokens that have one owner; ``start`` is the place of the first."""

    title: str
    start: int
    cells: Sequence[Cell]

    @property
    def end(self) -> int:
        """The place after the last."""
        return self.start + len(self.cells)


def prompt_strip(value: Prompt, caption: str = "") -> View:
    """A prompt's tokens, a band over each run with whose message it is; long runs are folded.

    Of a prompt without ids its text is shown.
    """
    if value.token_ids is None or value.tokenizer is None:
        return joined(text(value.text, caption), note("no ids: the source has no tokenizer"))
    return _strip(list(_runs(_cells(value.pieces), value.parts)), caption)


def token_strip(ids: Sequence[int], tokenizer: Tokenizer | None = None, caption: str = "") -> View:
    """Ids of which nothing else is known, as those of an answer; their pieces are what each decodes to alone."""
    return _strip([Run(title="", start=0, cells=[(token, piece_of(token, tokenizer)) for token in ids])], caption)


def piece_of(token: int, tokenizer: Tokenizer | None) -> str:
    """What an id decodes to alone; empty without a tokenizer."""
    return "" if tokenizer is None else tokenizer.decode([token])


def seen(piece: str) -> str:
    r"""A piece with its white space to be seen.

    >>> seen(" a\n\xa0")
    '·a⏎\\xa0'
    """
    return visible(
        BLANK.sub(lambda found: WHITE.get(found[0]) or ascii(found[0])[1:-1], shortened(piece, LONGEST_PIECE))
    )


def words(cells: Sequence[Cell], most: int = 30) -> str:
    """The first and the last words of a run in quotes, without its role and its markers."""
    head, tail = [piece for _, piece in cells[:40]], [piece for _, piece in cells[-20:]]
    said = "".join(piece for piece in head[head.index(MIDDLE) + 1 if MIDDLE in head else 0 :] if not is_special(piece))
    if len(cells) <= 40 and len(said) <= 2 * most:
        return f"“{one_line(said)}”" if said.strip() else ""
    end = "".join(piece for piece in tail if not is_special(piece))
    return f"“{one_line(said[:most])} … {one_line(end[-most:])}”"


def is_special(piece: str) -> bool:
    """Whether a piece is a marker of the format; text that only looks like one is of several tokens."""
    return SPECIAL.fullmatch(piece) is not None


@lru_cache(maxsize=20_000)
def token_html(token: int, piece: str) -> str:
    """A token as small as it goes: ``b`` for a usual one and ``u`` for a special one, its id in ``i``."""
    name = "u" if is_special(piece) else "b"
    return f"<{name}>{html.escape(seen(piece), quote=False)}<i>{token}</i></{name}>"


def tokens_html(cells: Sequence[Cell]) -> str:
    """Tokens after each other."""
    return "".join(token_html(*cell) for cell in cells)


def tokens_text(cells: Sequence[Cell]) -> str:
    """Tokens as ``id:piece``, in lines that fit a terminal."""
    lines: list[str] = []
    held = ""
    for token, piece in cells:
        said = f"{token}:{seen(piece)}"
        if held and len(held) + len(said) >= LINE:
            lines.append(held)
            held = ""
        held += f"  {said}"
    return "\n".join([*lines, held])


def _cells(pieces: Sequence[Token]) -> list[Cell]:
    """Pieces with their ids; one that begins within a character that the one before shows stands after ``‥``."""
    ends = [0, *(piece.end for piece in pieces)]
    return [
        (piece.id, f"‥{piece.text}" if piece.start < end and piece.text else piece.text)
        for piece, end in zip(pieces, ends, strict=False)
    ]


def _runs(cells: Sequence[Cell], parts: Sequence[Part]) -> Iterator[Run]:
    place = parts[0].start if parts else len(cells)
    if place:
        yield Run(title="before the first role marker" if parts else "", start=0, cells=cells[:place])
    for part in parts:
        whose = part.name if part.message is None else f"message {part.message}: {part.name}"
        yield Run(title=whose, start=part.start, cells=cells[part.start : part.end])


def _strip(runs: Sequence[Run], caption: str) -> View:
    count = sum(len(run.cells) for run in runs)
    head = [line(": ".join(filter(None, (caption, f"{count} tokens"))))]
    if not count:
        return head[0]
    if count > MOST_TOKENS:
        half = MOST_TOKENS // 2
        runs = [*_within(runs, 0, half), *_within(runs, count - half, count)]
        left = count - MOST_TOKENS
        head.append(note(f"tokens {half} to {count - half - 1} are left out: {left} of them"))
    opened = 0
    shown: list[View] = []
    for run in runs:
        is_open = len(run.cells) <= OPEN_RUN and opened + len(run.cells) <= OPEN_IN_ALL
        opened += len(run.cells) if is_open else 0
        shown.append(_run(run, is_open or len(runs) == 1))
    band = View(
        html=f'<div class="k2-strip">{"".join(view.html for view in shown)}</div>',
        text="\n".join(view.text for view in shown),
    )
    return joined(*head, band)


def _within(runs: Sequence[Run], start: int, end: int) -> Iterator[Run]:
    """What of the runs stands in ``[start, end)``."""
    for run in runs:
        first, last = max(run.start, start), min(run.end, end)
        if first < last:
            yield Run(title=run.title, start=first, cells=run.cells[first - run.start : last - run.start])


def _run(run: Run, is_open: bool) -> View:
    title = ", ".join(filter(None, (run.title, _places(run))))
    body = tokens_html(run.cells)
    if len(run.cells) > 2 * CHUNK:
        chunks = [
            Run(title="", start=start, cells=run.cells[start - run.start : start - run.start + CHUNK])
            for start in range(run.start, run.end, CHUNK)
        ]
        body = "".join(_folded(_places(chunk), chunk, tokens_html(chunk.cells), False) for chunk in chunks)
    return View(html=_folded(title, run, body, is_open), text=f"── {title}\n{tokens_text(run.cells)}")


def _folded(title: str, run: Run, body: str, is_open: bool) -> str:
    said = f'<span class="quiet">{escape(words(run.cells))}</span>'
    return f"<details{' open' * is_open}><summary>{escape(title)} {said}</summary><p>{body}</p></details>"


def _places(run: Run) -> str:
    count = len(run.cells)
    return f"token {run.start}" if count == 1 else f"tokens {run.start} to {run.end - 1} ({count})"

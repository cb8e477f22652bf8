"""Reasoning and answer: which of the text outside calls belongs to which, and what belongs to neither."""

from __future__ import annotations

import re
from typing import NamedTuple

from k2lab.wire.records import THINK_BEGIN, THINK_END, Piece, PieceKind

TAG = re.compile(f"{THINK_BEGIN}|{THINK_END}")
K3_MARKER = re.compile(r"<\|(?:open|close)\|>[^<]{1,256}<\|sep\|>")
K3_NOTE = "this is Kimi K3's format (XTML), which is not read here: all of it is left as text"


EDGE = 256
"""Characters of white space beside a tag that are looked through; keeps time linear."""


class Tag(NamedTuple):
    """A tag of the reasoning in a piece of text."""

    opens: bool
    start: int
    end: int
    piece: int


def with_reasoning(text: str, pieces: list[Piece], thinking: bool, foreign: int | None) -> list[Piece]:
    """The pieces with their reasoning told from their content.

    Reasoning is what stands before the first closing tag; where there is none,
    what stands before the first call, if the reasoning was opened at all. A
    call in between stays a call. Tags are no text of either.
    """
    tags = _tags(text, pieces, len(text) if foreign is None else foreign)
    opening = _opening(text, pieces, tags)
    closing = next((tag for tag in tags if not tag.opens), None)
    implied = closing is not None and (
        opening is not None or not any(t.opens and t.start < closing.start for t in tags)
    )
    begun = thinking or opening is not None or implied
    if not begun:
        return pieces
    begin = opening.end if opening else 0
    spans = [Piece("marker", _line_start(text, pieces, opening), opening.end)] if opening else []
    if closing is not None:
        spans += [Piece("reasoning", begin, closing.start), Piece("marker", closing.start, closing.end)]
        spans += _later(text, pieces, [tag for tag in tags if tag.start > closing.start])
    else:
        first = next((piece.start for piece in pieces if _is_of_a_call(text, piece)), len(text))
        spans.append(Piece("reasoning", begin, first if foreign is None else min(first, foreign)))
    return _painted(pieces, spans)


def cut(pieces: list[Piece], foreign: int) -> list[Piece]:
    """The pieces, those behind the begin of a turn that is not the assistant's being no answer."""
    kinds: tuple[PieceKind, ...] = ("content", "reasoning")
    return [Piece("stray", p.start, p.end) if p.start >= foreign and p.kind in kinds else p for p in pieces]


def notes(text: str, pieces: list[Piece], foreign: int | None) -> tuple[str, ...]:
    """What is to be said of an output beside its calls."""
    said = []
    if foreign == 0:
        said.append("the text begins with a turn that is not the assistant's: a prompt rather than an output")
    elif foreign is not None:
        header = text[foreign : foreign + 80].partition("<|im_middle|>")[0].rpartition("|>")[2] or "another"
        said.append(
            f"the model went on behind its turn with one for {header.strip()!r}: what follows is no part of the answer;"
            " a server ends the output at <|im_end|>"
        )
    if any(p.kind in ("content", "reasoning") and K3_MARKER.search(text, p.start, p.end) for p in pieces):
        said.append(K3_NOTE)
    return tuple(said)


def _tags(text: str, pieces: list[Piece], end: int) -> list[Tag]:
    return [
        Tag(match[0] == THINK_BEGIN, match.start(), match.end(), number)
        for number, piece in enumerate(pieces)
        if piece.kind == "content" and piece.start < end
        for match in TAG.finditer(text, piece.start, piece.end)
    ]


def _opening(text: str, pieces: list[Piece], tags: list[Tag]) -> Tag | None:
    """The tag that opens the output, markers of turns and white space before it aside."""
    if not tags or not tags[0].opens:
        return None
    before = pieces[: tags[0].piece]
    if any(p.kind != "marker" and not text[p.start : p.end].isspace() for p in before):
        return None
    return tags[0] if not text[pieces[tags[0].piece].start : tags[0].start].strip() else None


def _line_start(text: str, pieces: list[Piece], tag: Tag) -> int:
    """Where the white space before a tag begins that stands first in its piece."""
    start = pieces[tag.piece].start
    return start if not text[start : tag.start].strip() else tag.start


def _is_of_a_call(text: str, piece: Piece) -> bool:
    return piece.kind in ("call", "stray") or (piece.kind == "marker" and text.startswith("<|tool_call", piece.start))


def _later(text: str, pieces: list[Piece], tags: list[Tag]) -> list[Piece]:
    """Reasoning that is taken up again behind a call, and lone closing tags at the edge of a piece."""
    spans: list[Piece] = []
    opened: Tag | None = None
    for tag in tags:
        piece = pieces[tag.piece]
        leads = tag.start - piece.start < EDGE and not text[piece.start : tag.start].strip()
        ends = piece.end - tag.end < EDGE and not text[tag.end : piece.end].strip()
        if tag.opens and leads and opened is None:
            opened = tag
        elif not tag.opens and opened is not None:
            spans.append(Piece("marker", opened.start, opened.end))
            spans += [Piece("reasoning", opened.end, tag.start), Piece("marker", tag.start, tag.end)]
            opened = None
        elif not tag.opens and (leads or ends):
            spans.append(Piece("marker", tag.start, tag.end))
    return spans


def _painted(pieces: list[Piece], spans: list[Piece]) -> list[Piece]:
    """The pieces, content taking the kind of the span that it stands in; spans are in order and apart."""
    made: list[Piece] = []
    number = 0
    for piece in pieces:
        place = piece.start
        while piece.kind == "content" and place < piece.end:
            while number < len(spans) and spans[number].end <= place:
                number += 1
            span = spans[number] if number < len(spans) else Piece("content", place, piece.end)
            inside = span.start <= place
            end = min(piece.end, span.end if inside else span.start)
            made.append(Piece(span.kind if inside else "content", place, end))
            place = end
        if piece.kind != "content":
            made.append(piece)
    return made

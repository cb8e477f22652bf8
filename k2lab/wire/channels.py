"""Reasoning and answer: which of the text outside calls belongs to which, and what belongs to neither."""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import NamedTuple

from k2lab.families.special import END, TURN_MARKER
from k2lab.wire.marks import is_mentioned
from k2lab.wire.records import THINK_BEGIN, THINK_END, Piece, PieceKind

TAG = re.compile(f"{THINK_BEGIN}|{THINK_END}")
K3_MARKER = re.compile(r"<\|(?:open|close)\|>[^<]{1,256}<\|sep\|>")
K3_NOTE = "tags of Kimi K3's format (XTML) stand in it, which K2 does not write: they are left as text"


REASONING_OPENS = re.compile(r"<think>|<\|open\|>\s{0,16}think\b")
REASONING_CLOSES = re.compile(r"</think>|<\|close\|>\s{0,16}think\b|<\|open\|>\s{0,16}response\b")
"""What opens and closes the reasoning in a marker's text, of K2's format and of K3's."""

EDGE = 256
"""Characters of white space beside a tag that are looked through; keeps time linear."""


class ThinkTag(NamedTuple):
    """A tag of the reasoning in a piece of text."""

    opens: bool
    start: int
    end: int
    piece: int


def with_reasoning(text: str, pieces: list[Piece], thinking: bool, foreign: int | None) -> list[Piece]:
    """The pieces with their reasoning told from their content.

    Reasoning is what stands before a closing tag; where there is none, what
    stands before the first call, if the reasoning was opened at all. A call in
    between stays a call. Tags are no text of either.
    """
    limit = len(text) if foreign is None else foreign
    return _painted(pieces, _Spans(text, pieces, limit).of(thinking))


class _Spans:
    """What is reasoning, and which tags are markers; spans are in order and apart."""

    def __init__(self, text: str, pieces: list[Piece], limit: int) -> None:
        self.text, self.pieces, self.limit = text, pieces, limit
        self.tags = _tags(text, pieces, limit)
        self.calls = [piece.start for piece in pieces if _is_of_a_call(text, piece)]
        self.spans: list[Piece] = []

    def of(self, thinking: bool) -> list[Piece]:
        """The spans of the whole text; ``thinking``: it begins inside the reasoning."""
        tags = self.tags
        leading = bool(tags) and tags[0].opens and self._is_first(tags[0])
        begun: int | None = 0 if thinking or (tags and not tags[0].opens) else None
        if leading:
            self.spans.append(Piece("marker", self._line_start(tags[0]), tags[0].end))
            begun = tags[0].end
        for number in range(int(leading), len(tags)):
            tag = tags[number]
            if begun is not None and not tag.opens:
                self.spans += [Piece("reasoning", begun, tag.start), Piece("marker", tag.start, tag.end)]
                begun = None
            elif begun is None and tag.opens and self._begins(number):
                self.spans.append(Piece("marker", tag.start, tag.end))
                begun = tag.end
            elif begun is None and not tag.opens and (self._leads(tag) or self._ends(tag)):
                self.spans.append(Piece("marker", tag.start, tag.end))
        if begun is not None:
            self.spans.append(Piece("reasoning", begun, min(self._next_call(begun), self.limit)))
        return self.spans

    def _begins(self, number: int) -> bool:
        """Whether a tag opens reasoning behind content, rather than being spoken of."""
        tag = self.tags[number]
        meant = self._leads(tag) or not is_mentioned(self.text, tag.start, tag.end)
        following = self.tags[number + 1] if number + 1 < len(self.tags) else None
        if following is None or following.opens:
            return meant and self._next_call(tag.end) < self.limit
        return meant or self._next_call(tag.end) < following.start

    def _next_call(self, place: int) -> int:
        number = bisect_left(self.calls, place)
        return self.calls[number] if number < len(self.calls) else len(self.text)

    def _is_first(self, tag: ThinkTag) -> bool:
        """Whether a tag opens the output, markers of turns and white space before it aside."""
        before = self.pieces[: tag.piece]
        only_markers = all(p.kind == "marker" or self.text[p.start : p.end].isspace() for p in before)
        return only_markers and self._leads(tag)

    def _line_start(self, tag: ThinkTag) -> int:
        """Where the white space before a tag begins that stands first in its piece."""
        return self.pieces[tag.piece].start

    def _leads(self, tag: ThinkTag) -> bool:
        """Whether nothing but white space stands before a tag in its piece, or behind the last span."""
        start = max(self.pieces[tag.piece].start, self.spans[-1].end if self.spans else 0)
        return tag.start - start < EDGE and not self.text[start : tag.start].strip()

    def _ends(self, tag: ThinkTag) -> bool:
        end = self.pieces[tag.piece].end
        return end - tag.end < EDGE and not self.text[tag.end : end].strip()


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
        header = TURN_MARKER.match(text, foreign)
        role = (header["role"] or header["who"] or header["opener"]) if header else "another"
        said.append(
            f"the model went on behind its turn with one for {role!r}: what follows is no part of the answer;"
            f" a server ends the output at {END}"
        )
    if any(p.kind in ("content", "reasoning") and K3_MARKER.search(text, p.start, p.end) for p in pieces):
        said.append(K3_NOTE)
    return tuple(said)


def _tags(text: str, pieces: list[Piece], end: int) -> list[ThinkTag]:
    return [
        ThinkTag(match[0] == THINK_BEGIN, match.start(), match.end(), number)
        for number, piece in enumerate(pieces)
        if piece.kind == "content" and piece.start < end
        for match in TAG.finditer(text, piece.start, piece.end)
    ]


def _is_of_a_call(text: str, piece: Piece) -> bool:
    return piece.kind in ("call", "stray") or (piece.kind == "marker" and text.startswith("<|tool_call", piece.start))


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

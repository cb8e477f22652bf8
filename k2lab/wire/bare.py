"""Calls whose markers are gone: an id with arguments that stands bare in a text."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from typing import NamedTuple

from k2lab.wire import arguments
from k2lab.wire.arguments import INVALID
from k2lab.wire.records import Piece

BARE_CALL = re.compile(
    r"""(?:(?<![`"'])(?P<prefix>functions\.)|(?<![\w.:`"'-])(?![\w.-]{0,96}functions\.))"""
    r"""(?P<name>[\w.-]{1,96}):[0-9]{1,9}\s{0,16}(?=\{\s{0,16}["}])"""
)
"""An id and the brace of its arguments; bounded, so that a search takes linear time.

A server that decodes with ``skip_special_tokens`` takes the markers away and
leaves this (ai-dynamo/dynamo#9227), often right behind the last word before it.
In quotes or backticks it is a mention.
"""

REASON = (
    "an id and arguments stand without markers, as a server leaves them that decodes the markers away"
    " (skip_special_tokens)"
)


BARE_XTML_CALL = re.compile(
    r"""(?<!<\|open\|>)call tool="(?P<name>[^"<\n]{1,96})" index="(?P<index>[0-9]{1,9})\""""
    r"""(?=\s{0,4}(?:argument key="|json type="|call))"""
)
"""How a call of K3 begins whose markers are gone: the text of its tags is what is left."""

XTML_REASON = (
    "a call stands without its markers, as a server leaves it that decodes them away (skip_special_tokens):"
    " where its arguments end cannot be told"
)

PREFIX = "functions."


class Bare(NamedTuple):
    """An id in ``[start, brace)``, its arguments in ``[brace, end)``; ``None`` where they are no object."""

    start: int
    brace: int
    end: int
    arguments: dict[str, object] | None
    reason: str


def holds_bare_call(text: str) -> bool:
    """Whether an id of the documented form stands in a text with arguments behind it."""
    return PREFIX in text and any(match["prefix"] for match in BARE_CALL.finditer(text))


def bare_xtml_calls(text: str, piece: Piece) -> Iterator[tuple[re.Match[str], int]]:
    """Where K3's calls without markers begin in a piece, each with where the next one does, or the piece ends."""
    matches = list(BARE_XTML_CALL.finditer(text, piece.start, piece.end))
    ends = [*(match.start() for match in matches[1:]), piece.end]
    return zip(matches, ends, strict=False)


def bare_calls(text: str, piece: Piece, names: Container[str] | None) -> Iterator[Bare]:
    """The bare calls of a piece; an id without ``functions.`` counts where it names one of ``names``."""
    matches = [m for m in BARE_CALL.finditer(text, piece.start, piece.end) if m["prefix"] or m["name"] in (names or ())]
    for number, match in enumerate(matches):
        limit = matches[number + 1].start() if number + 1 < len(matches) else piece.end
        inside = text[match.end() : limit]
        read = arguments.decode(inside)
        found = read.value if isinstance(read.value, dict) else None
        end = match.end() + read.stop if read.value is not INVALID else limit
        reason = REASON if found is not None else f"{REASON}; {arguments.where(inside, read.stop, read.fault)}"
        yield Bare(match.start(), match.end(), end, found, reason)

"""Where markers stand in a text, and which of them are meant as markers rather than mentioned."""

from __future__ import annotations

import re
from typing import NamedTuple

from k2lab.families.special import TURN_MARKER
from k2lab.wire.records import MARKER, SINGULAR

TURN, OWN_TURN, FOREIGN_TURN = "turn", "own turn", "foreign turn"
"""Kinds of marks beside the five of a call: an end or a lone role token, a header of the assistant, one of others."""

ANY = re.compile(f"{MARKER.pattern}|{TURN_MARKER.pattern}")
BEFORE_A_MENTION = " \t\n\"'`(["
AFTER_A_MENTION = " \t\n\"'`.,;:!?)]"


class Mark(NamedTuple):
    """A marker in the text; ``kind`` is its documented spelling, or one of the kinds of turns."""

    kind: str
    start: int
    end: int
    singular: bool = False

    @property
    def of_turn(self) -> bool:
        """Whether it opens or ends a turn."""
        return self.kind in (TURN, OWN_TURN, FOREIGN_TURN)


def find(text: str) -> list[Mark]:
    """The markers of a text in order; markers of turns that are only mentioned are left out."""
    found: list[Mark] = []
    later = len(text)
    for match in reversed(list(ANY.finditer(text))):
        mark = _mark(match)
        if not mark.of_turn or _is_meant(text, mark, match, later):
            found.append(mark)
            later = mark.start
    return found[::-1]


def is_mentioned(text: str, start: int, end: int) -> bool:
    """Whether a marker in ``[start, end)`` stands in prose as a word does, with space or quotes around it."""
    before, after = text[start - 1 : start] if start else "", text[end : end + 1]
    return bool(before) and before in BEFORE_A_MENTION and bool(after) and after in AFTER_A_MENTION


def is_followed(text: str, mark: Mark, later: int) -> bool:
    """Whether nothing but white space stands between a marker and the place ``later``."""
    return not text[mark.end : later].strip() if later - mark.end < 256 else False


def _mark(match: re.Match[str]) -> Mark:
    spelled = match[0]
    if spelled.startswith("<|tool_call"):
        return Mark(SINGULAR.get(spelled, spelled), match.start(), match.end(), spelled in SINGULAR)
    who = match["who"] or match["opener"]
    kind = TURN if who is None else OWN_TURN if who == "assistant" else FOREIGN_TURN
    return Mark(kind, match.start(), match.end())


def _is_meant(text: str, mark: Mark, match: re.Match[str], later: int) -> bool:
    """Whether a turn really opens or ends here; ``later`` is where the next marker or the end of the text is."""
    if match[0].startswith("["):
        return is_followed(text, mark, later) or mark.start == 0
    if match["who"] is None and is_followed(text, mark, later):
        return True
    return not is_mentioned(text, mark.start, mark.end) or text[max(0, mark.start - 8) : mark.start].rstrip().endswith(
        "|>"
    )

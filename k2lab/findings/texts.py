"""What a text shows by itself: a call that leaked into it, or one short cycle over and over to its end."""

from __future__ import annotations

import re

from k2lab import wire
from k2lab.wire.channels import REASONING_CLOSES, REASONING_OPENS
from k2lab.wire.marks import is_mentioned

CYCLE_CHARS, REPEATS = 64, 16
"""A text that repeats ends in at least so many times the same cycle of up to so many characters."""

REPEATED_CHARS, WHOLE_CHARS = 160, 32
"""How long the repeated end must be at least, and how long where it is the whole text.

Rules and lines of tables (``-----``, ``|---|``) are seldom longer than a
terminal's 132 columns, a googol has 100 noughts, base64's padding is two, and
a list of equal values ends with its bracket. What a user wants to be repeated
more often than that is a repetition, too.
"""

OTHER_SPELLINGS = re.compile(
    r'<\|open\|>call tool="'  # K3
    r'|<tool_call>\s{0,16}(?:\{\s{0,16}"|<function=)'  # Qwen's and Hermes' format
)


def leaked(text: str) -> bool:
    """Whether a call stands in a text.

    Found are K2's calls, between markers or without (:func:`k2lab.wire.holds_call`),
    though not what is only talked of; K3's ``<|open|>call tool="``; and
    ``<tool_call>`` with the beginning of a call within.
    """
    return wire.holds_call(text) or OTHER_SPELLINGS.search(text) is not None


def marked(text: str) -> bool:
    """Whether markers of the format stand in a text that should hold none; those that are only spoken of are none."""
    return "<|" in text and wire.of_output(text) is not None


def holds_reasoning(content: str) -> bool:
    """Whether a content begins with reasoning or holds its end, as where no reasoning parser took it out.

    A tag that is spoken of is none.

    >>> holds_reasoning("I see.</think>Hello"), holds_reasoning("The tag is `</think>`.")
    (True, False)
    """
    if REASONING_OPENS.match(content.lstrip()):
        return True
    return any(not is_mentioned(content, *match.span()) for match in REASONING_CLOSES.finditer(content))


def repeats(text: str) -> bool:
    """Whether a text ends in one short cycle over and over; constant time."""
    return any(_cycles(tail) for tail in {text, text.rstrip()})


def _cycles(text: str) -> bool:
    for length in range(1, CYCLE_CHARS + 1):
        if len(text) < REPEATS * length:
            return False
        chars = max(REPEATED_CHARS, REPEATS * length)
        if chars >= len(text) >= WHOLE_CHARS:
            chars = len(text)
        tail = text[-chars:]
        if len(tail) == chars and tail[length:] == tail[:-length]:
            return True
    return False

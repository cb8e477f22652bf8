r"""How a string stands in an answer: as JSON has it, with quotes and escapes, or as it is between what surrounds it.

An expression is given to the engine together with the characters around it: by
itself xgrammar's builder gets ends wrong (see :mod:`k2lab.enforcer.expressions`).
"""

from __future__ import annotations

from dataclasses import dataclass

from k2lab.enforcer.automaton import ASCII_END, ESCAPE, EVERY, UNIT, Ranges

ESCAPE_BODY = r'"\\" (["\\/bfnrt] | "u" [0-9A-Fa-f]{4})'
"""One escape of JSON, as the body of a rule."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Notation:
    """What stands right before and behind a string, and what counts as one character of it.

    >>> JSON.escapes, RAW.escapes
    (True, False)
    """

    begin: str
    end: str
    unit: Ranges

    @property
    def escapes(self) -> bool:
        """Whether a character may stand as an escape of JSON."""
        return self.unit[-1] == (ESCAPE, ESCAPE)

    @property
    def ascii(self) -> Ranges:
        """Characters of ASCII that stand for themselves."""
        return tuple((low, min(high, ASCII_END)) for low, high in self.unit if low <= ASCII_END)

    @property
    def beyond(self) -> Ranges:
        """All that is not ASCII, escapes among it."""
        return tuple((max(low, ASCII_END + 1), high) for low, high in self.unit if high > ASCII_END)


JSON = Notation(begin='"', end='"', unit=UNIT)

RAW = Notation(begin=">", end="<", unit=EVERY)
"""As it is, between two markers: the last letter of the one and the first of the other stand around it."""

ATTRIBUTE = Notation(begin='"', end='"', unit=EVERY)
"""Between quotes, as an attribute of a tag; a pattern says what may stand there."""

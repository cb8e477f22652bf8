r"""What no string of an answer may hold: how the markers of a family's format begin.

To a grammar a marker such as ``<|tool_call_end|>`` is text like any other, and a
JSON string may hold it; to the server's parser the call ends there, in the
middle of a string. A model that is kept from closing a call writes just that.
So strings and keys are automata that shut out what each marker begins with, and
nothing else: ``a < b``, ``<div>`` and ``<|user|>`` can be written. Special tokens
that neither the parser nor the server acts upon within a string (``[EOS]``,
``<|media_pad|>``, ``</think>``) are left alone. What is written as an escape,
``\u003c|``, is no marker to a parser, which reads the raw text.
"""

from __future__ import annotations

from dataclasses import dataclass

OPENING = "<|"
"""What every marker begins with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Guard:
    """How the markers begin that cannot be written: each with ``<|`` and at least one letter.

    >>> Guard(markers=("<|tool_call", "<|im_")).near
    ('<|t', '<|i')
    """

    markers: tuple[str, ...]

    @property
    def near(self) -> tuple[str, ...]:
        """What long bounded strings shut out in their place: fewer states for each character that is counted."""
        return tuple(dict.fromkeys(marker[: len(OPENING) + 1] for marker in self.markers))

    @property
    def letters(self) -> str:
        """The letters that make a marker of ``<|``."""
        return "".join(sorted(near[-1] for near in self.near))

    @property
    def spelled(self) -> str:
        """:attr:`near`, for a person."""
        *others, last = self.near
        return f"{', '.join(others)} and {last}" if others else last


K2 = Guard(markers=("<|tool_call", "<|im_"))
"""The markers of calls and of turns, of K2 and the families that write as it does."""

MARKERS = K2.markers
"""How the markers begin that no string and no key of Kimi K2's calls may hold."""

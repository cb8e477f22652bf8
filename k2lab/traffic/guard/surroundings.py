"""What stands before a place in an answer's text: whether what comes there is shown to a reader rather than meant.

A model that explains its own format writes the markers too: in a code block, in
backticks, in quotes. Text is fed as it comes; the state is a few counters.
"""

from __future__ import annotations

import re

FENCE = re.compile(r"[ \t>]{0,16}(?P<run>`{3,}|~{3,})(?P<info>[^`\n]*)")
INDENT = re.compile(r"(?:[ >]{0,3}\t| {4,})[ \t]*")
HEAD = 96
"""Characters of a line's beginning that are kept: what makes it a fence, or indented code, stands there."""
OPENING = "\"'`\u2018\u201c\u00ab\u201e"
PAIRED = re.compile("[\u201c\u00ab\u201d\u00bb]")
BEGINNING = "\u201c\u00ab"
"""Of quotes that come in pairs, those that open one."""


class Surroundings:
    r"""The text so far, as far as it says what a reader takes the next character for.

    >>> before = Surroundings()
    >>> before.feed("It looks so:\n```\n")
    >>> before.shows
    True
    >>> before.feed("x\n```\nAnd now: ")
    >>> before.shows
    False
    """

    __slots__ = ("_depth", "_fence", "_head", "_last", "_quotes", "_ticks")

    def __init__(self) -> None:
        self._fence = ""
        self._head = ""
        self._last = ""
        self._ticks = self._quotes = self._depth = 0

    def feed(self, text: str) -> None:
        """Go on by a text."""
        first, *lines = text.split("\n")
        self._write(first)
        for line in lines:
            self._end_line()
            self._write(line)

    @property
    def shows(self) -> bool:
        """Whether the next character stands in a code block, in backticks, in quotes, or behind what opens some."""
        if self._fence or self._ticks % 2 or self._quotes % 2 or self._depth > 0:
            return True
        if self._last and self._last in OPENING:
            return True
        return bool(FENCE.match(self._head) or (INDENT.fullmatch(self._head)))

    def _write(self, part: str) -> None:
        if not part:
            return
        if len(self._head) < HEAD:
            self._head = (self._head + part)[:HEAD]
        self._last = part[-1]
        self._ticks += part.count("`")
        self._quotes += part.count('"')
        for quote in () if part.isascii() else PAIRED.findall(part):
            self._depth = max(0, self._depth + (1 if quote in BEGINNING else -1))

    def _end_line(self) -> None:
        fence = FENCE.match(self._head)
        if self._fence:
            closes = fence and fence["run"].startswith(self._fence) and not fence["info"].strip()
            self._fence = "" if closes else self._fence
        elif fence:
            self._fence = fence["run"]
        if self._fence or fence or not self._head.strip():  # a paragraph's end, or code: no backtick is open behind it
            self._ticks = self._depth = 0
        self._head = self._last = ""
        self._quotes = 0

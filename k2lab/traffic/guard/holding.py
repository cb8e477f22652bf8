"""What follows a first marker as it comes: whether it can still be whole calls, in K2's form or in XTML."""

from __future__ import annotations

import re
from typing import Protocol

from k2lab.families.special import END_OF_MSG, OPEN, SEP
from k2lab.wire import ARGUMENT_BEGIN, CALL_BEGIN, CALL_END, SECTION_BEGIN, SECTION_END
from k2lab.wire.records import MARKER, SINGULAR
from k2lab.wire.xtml import tags

SECTION_MARKERS = (SECTION_BEGIN, SECTION_END, CALL_BEGIN, ARGUMENT_BEGIN, CALL_END, *SINGULAR)
LONGEST_ID = 256

FOLLOWERS = {
    "": (SECTION_BEGIN, CALL_BEGIN),
    SECTION_BEGIN: (CALL_BEGIN, SECTION_END),
    CALL_BEGIN: (ARGUMENT_BEGIN,),
    ARGUMENT_BEGIN: (CALL_END,),
    CALL_END: (CALL_BEGIN, SECTION_END),
    SECTION_END: (SECTION_BEGIN,),
}
"""Which markers may come behind each."""

TAG_FOLLOWERS = {
    "": ("open tools", "open call"),
    "open tools": ("open call", "close tools"),
    "open call": ("open argument", "open json", "close call"),
    "open argument": ("close argument",),
    "open json": ("close json",),
    "close argument": ("open argument", "close call"),
    "close json": ("close call",),
    "close call": ("open call", "close tools", "close message", END_OF_MSG),
    "close tools": ("close message", END_OF_MSG),
    "close message": (END_OF_MSG,),
    END_OF_MSG: (),
}
"""Which tags may come behind each."""
VALUES = ("open argument", "open json")


class Hold(Protocol):
    """What is told of a text while it comes, from its first marker on."""

    def feed(self, text: str) -> str:
        """Take the next piece; why it can be no whole calls any more, empty while it can."""


def begins(markers: tuple[str, ...]) -> frozenset[str]:
    """What each marker can begin with, itself left out."""
    return frozenset(marker[:length] for marker in markers for length in range(1, len(marker)))


def partial(text: str, beginnings: frozenset[str], longest: int) -> int:
    """How many of the last characters may be the beginning of a marker."""
    tail = text[max(0, len(text) - longest + 1) :]
    at = tail.find("<")
    while at >= 0 and tail[at:] not in beginnings:
        at = tail.find("<", at + 1)
    return len(tail) - at if at >= 0 else 0


class SectionHold:
    """Calls of K2's form, with or without a section around them."""

    __slots__ = ("_last", "_open")
    longest = max(map(len, SECTION_MARKERS))
    beginnings = begins(SECTION_MARKERS)

    def __init__(self) -> None:
        self._last = self._open = ""

    def feed(self, text: str) -> str:
        """Take the next piece; why it can be no whole calls any more, empty while it can."""
        self._open += text
        place = 0
        for marker in MARKER.finditer(self._open):
            kind = SINGULAR.get(marker[0], marker[0])
            if kind not in FOLLOWERS[self._last] or not self._may_stand(self._open[place : marker.start()]):
                return "it is no whole section of calls"
            self._last, place = kind, marker.end()
        rest = self._open[place:]
        sure = len(rest) - partial(rest, self.beginnings, self.longest)
        if not self._may_stand(rest[:sure]):
            return "text follows it" if self._last in (CALL_END, SECTION_END) else "it is no whole call"
        if self._last == ARGUMENT_BEGIN:
            self._open = self._shortened(rest)
        else:
            self._open = rest if self._last == CALL_BEGIN else rest[sure:]
        return ""

    def _may_stand(self, text: str) -> bool:
        """Whether a text may stand behind the last marker."""
        if self._last == CALL_BEGIN:
            return len(text) <= LONGEST_ID
        if self._last == ARGUMENT_BEGIN:
            return text.lstrip()[:1] in ("", "{")
        return not text.strip()

    def _shortened(self, arguments: str) -> str:
        """Of arguments that are open, what tells how they go on: their first character and their last ones."""
        text = arguments.lstrip()
        return text if len(text) <= 2 * self.longest else f"{text[0]}{text[-self.longest :]}"


class TagHold:
    """Calls in XTML, with or without the tools' tags around them, to the end of the message at most."""

    __slots__ = ("_header", "_last", "_open")
    longest = max(map(len, tags.MARKERS))
    beginnings = begins(tags.MARKERS)

    def __init__(self) -> None:
        self._last = self._open = ""
        self._header = ""
        """``open`` or ``close`` between such a marker and its ``<|sep|>``."""

    def feed(self, text: str) -> str:
        """Take the next piece; why it can be no whole calls any more, empty while it can."""
        self._open += text
        place = 0
        for marker in tags.MARKER.finditer(self._open):
            if not self._goes_on(self._open[place : marker.start()], marker[0]):
                return "it is no whole call"
            place = marker.end()
        rest = self._open[place:]
        sure = len(rest) - partial(rest, self.beginnings, self.longest)
        if not self._may_stand(rest[:sure]):
            return "text follows it" if self._last.startswith("close") else "it is no whole call"
        self._open = rest if self._header else rest[sure:]
        return ""

    def _goes_on(self, before: str, marker: str) -> bool:
        """Take a marker and the text before it; whether both may stand there."""
        if marker == SEP:
            name = before.split(maxsplit=1)[0] if before.strip() else ""
            return bool(self._header) and self._follows(f"{self._header} {name}")
        if self._header or not self._may_stand(before):
            return False
        if marker == END_OF_MSG:
            return self._follows(END_OF_MSG)
        self._header = "open" if marker == OPEN else "close"
        return True

    def _follows(self, tag: str) -> bool:
        allowed = tag in TAG_FOLLOWERS[self._last]
        self._last, self._header = tag, ""
        return allowed

    def _may_stand(self, text: str) -> bool:
        """Whether a text may stand behind what was last taken."""
        if self._header:
            return len(text) <= tags.LONGEST_HEADER
        return self._last in VALUES or not text.strip()


FIRST_TAGS = (f"{OPEN}tools{SEP}", f'{OPEN}call tool="')
FIRST_MARKERS = (*SECTION_MARKERS, *FIRST_TAGS)
FIRST = re.compile("|".join((MARKER.pattern, *map(re.escape, FIRST_TAGS))))
"""What a call can begin with, of either form."""


def hold_of(marker: str) -> Hold:
    """What tells of the text that a first marker begins."""
    return TagHold() if marker.startswith(OPEN) else SectionHold()

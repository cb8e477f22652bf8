"""A text of an answer as it comes: how far it is ordinary, and from where on it may be calls that leaked.

Calls stand at the end of a text: from the first marker on there is nothing but
whole calls, with or without a section around them, and white space. Whatever
else comes, the text was a text, and none of it is looked at again. So a text
that is fed whole and one that is fed in pieces are told alike.
"""

from __future__ import annotations

import re
from typing import Literal

from k2lab.traffic.guard.surroundings import Surroundings
from k2lab.wire import ARGUMENT_BEGIN, CALL_BEGIN, CALL_END, SECTION_BEGIN, SECTION_END
from k2lab.wire.parser import K3_CALL
from k2lab.wire.records import MARKER, SINGULAR

SPELLED = (SECTION_BEGIN, SECTION_END, CALL_BEGIN, ARGUMENT_BEGIN, CALL_END, *SINGULAR)
LONGEST = max(map(len, SPELLED))
"""Characters of the longest marker: more of an ordinary text is never held."""
FOUND = re.compile(f"{MARKER.pattern}|{re.escape(K3_CALL)}")
PREFIXES = frozenset(marker[:length] for marker in SPELLED for length in range(1, len(marker)))
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

State = Literal["free", "held", "off"]


class Watch:
    """One text. ``length`` characters have come, those before ``settled`` are ordinary text.

    While it is ``held`` the rest may become calls; ``off`` is for good, and
    ``why`` says so where a call was there and is none that can be told for sure.

    >>> watch = Watch(1000)
    >>> watch.feed("Let me see. <|tool_calls_sec"), watch.feed("tor>")
    (12, 32)
    """

    __slots__ = ("_before", "_held", "_last", "_most", "_open", "_tail", "length", "settled", "state", "why")

    def __init__(self, most: int) -> None:
        self.state: State = "free"
        self.length = self.settled = 0
        self.why = ""
        self._most = most
        self._before = Surroundings()
        self._tail = ""
        self._held: list[str] = []
        self._last = ""
        self._open = ""

    @property
    def unsettled(self) -> bool:
        """Whether some of the text has to wait."""
        return self.settled < self.length

    @property
    def held(self) -> str:
        """The text from the first marker on."""
        return "".join(self._held)

    def feed(self, text: str) -> int:
        """Take the next piece; how many characters are settled by now."""
        self.length += len(text)
        if self.state == "free":
            self._look(text)
        elif self.state == "held":
            self._hold(text)
        if self.state == "off":
            self.settled = self.length
        return self.settled

    def give_up(self, why: str = "") -> None:
        """Take the text for a text, whatever comes; ``why`` is said where it was held."""
        if self.state == "held":
            self.why = why
        self.close()
        self.settled = self.length

    def close(self) -> None:
        """Look at nothing that comes from here on; what was told stays told."""
        self.state, self._held, self._tail, self._open = "off", [], "", ""

    def _look(self, text: str) -> None:
        whole = self._tail + text
        begin = self.length - len(whole)
        found = FOUND.search(whole)
        end = found.start() if found else len(whole) - _partial(whole)
        if begin + end > self.settled:
            self._before.feed(whole[self.settled - begin : end])
            self.settled = begin + end
        if found is None:
            self._tail = whole[-LONGEST:]
        elif found[0] == K3_CALL:
            self.state, self.why = "off", "a call of Kimi K3's format, which is not read here"
        elif self._before.shows:
            self.state = "off"
        else:
            self.state = "held"
            self._hold(whole[found.start() :])

    def _hold(self, text: str) -> None:
        self._held.append(text)
        if self.length - self.settled > self._most:
            self.give_up(f"more than {self._most} characters")
            return
        self._open += text
        place = 0
        for marker in MARKER.finditer(self._open):
            kind = SINGULAR.get(marker[0], marker[0])
            if kind not in FOLLOWERS[self._last] or not self._may_stand(self._open[place : marker.start()]):
                self.give_up("it is no whole section of calls")
                return
            self._last, place = kind, marker.end()
        rest = self._open[place:]
        sure = len(rest) - _partial(rest)
        if not self._may_stand(rest[:sure]):
            self.give_up("text follows it" if self._last in (CALL_END, SECTION_END) else "it is no whole call")
        elif self._last == ARGUMENT_BEGIN:
            self._open = _shortened(rest)
        else:
            self._open = rest if self._last == CALL_BEGIN else rest[sure:]

    def _may_stand(self, text: str) -> bool:
        """Whether a text may stand behind the last marker."""
        if self._last == CALL_BEGIN:
            return len(text) <= LONGEST_ID
        if self._last == ARGUMENT_BEGIN:
            return text.lstrip()[:1] in ("", "{")
        return not text.strip()


def _partial(text: str) -> int:
    """How many of the last characters may be the beginning of a marker."""
    at = text.rfind("<", max(0, len(text) - LONGEST + 1))
    while at >= 0:
        if text[at:] in PREFIXES:
            return len(text) - at
        at = text.rfind("<", max(0, len(text) - LONGEST + 1), at)
    return 0


def _shortened(arguments: str) -> str:
    """Of arguments that are open, what tells how they go on: their first character and their last ones."""
    text = arguments.lstrip()
    return text if len(text) <= 2 * LONGEST else f"{text[0]}{text[-LONGEST:]}"

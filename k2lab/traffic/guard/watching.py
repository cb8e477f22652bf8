"""A text of an answer as it comes: how far it is ordinary, and from where on it may be calls that leaked.

Calls stand at the end of a text: from the first marker on there is nothing but
whole calls, with or without a section around them, and white space. Whatever
else comes, the text was a text, and none of it is looked at again. So a text
that is fed whole and one that is fed in pieces are told alike.
"""

from __future__ import annotations

from typing import Literal

from k2lab.traffic.guard.holding import FIRST, FIRST_MARKERS, Hold, begins, hold_of, partial
from k2lab.traffic.guard.surroundings import Surroundings

LONGEST = max(map(len, FIRST_MARKERS))
"""Characters of the longest marker: more of an ordinary text is never held."""
BEGINNINGS = begins(FIRST_MARKERS)

State = Literal["free", "held", "off"]


class Watch:
    """One text. ``length`` characters have come, those before ``settled`` are ordinary text.

    While it is ``held`` the rest may become calls; ``off`` is for good, and
    ``why`` says so where a call was there and is none that can be told for sure.

    >>> watch = Watch(1000)
    >>> watch.feed("Let me see. <|tool_calls_sec"), watch.feed("tor>")
    (12, 32)
    """

    __slots__ = ("_before", "_held", "_hold", "_most", "_tail", "length", "settled", "state", "why")

    def __init__(self, most: int) -> None:
        self.state: State = "free"
        self.length = self.settled = 0
        self.why = ""
        self._most = most
        self._before = Surroundings()
        self._tail = ""
        self._held: list[str] = []
        self._hold: Hold | None = None

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
            self._go_on(text)
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
        self.state, self._held, self._tail, self._hold = "off", [], "", None

    def _look(self, text: str) -> None:
        whole = self._tail + text
        begin = self.length - len(whole)
        found = FIRST.search(whole)
        end = found.start() if found else len(whole) - partial(whole, BEGINNINGS, LONGEST)
        if begin + end > self.settled:
            self._before.feed(whole[self.settled - begin : end])
            self.settled = begin + end
        if found is None:
            self._tail = whole[-LONGEST:]
        elif self._before.shows:
            self.state = "off"
        else:
            self.state, self._hold = "held", hold_of(found[0])
            self._go_on(whole[found.start() :])

    def _go_on(self, text: str) -> None:
        self._held.append(text)
        if self.length - self.settled > self._most:
            self.give_up(f"more than {self._most} characters")
            return
        why = self._hold.feed(text) if self._hold else ""
        if why:
            self.give_up(why)

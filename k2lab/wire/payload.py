"""Where a call's arguments end: JSON between markers, whose strings may hold markers themselves."""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

from k2lab.wire import arguments
from k2lab.wire.arguments import EMPTY, INVALID, Read
from k2lab.wire.identity import LEAK_WINDOW, leaked_id_start
from k2lab.wire.marks import Mark
from k2lab.wire.records import ARGUMENT_BEGIN, THINK_END

EXTRA_READS = 4
"""How many times the length of the text may be spent on JSON that runs past the next marker; keeps time linear."""


class Payload(NamedTuple):
    """What stands behind a call's id: the JSON read, where it ends, and the number of the first marker behind it."""

    read: Read
    stop: int
    number: int


class PayloadReader:
    """Reads arguments out of a text whose markers are known."""

    def __init__(self, text: str, marks: list[Mark]) -> None:
        self.text, self.marks = text, marks
        self.budget = EXTRA_READS * len(text) + 1000

    def limit(self, number: int) -> int:
        """Where the marker of that number begins; the end of the text where there is none."""
        return self.marks[number].start if number < len(self.marks) else len(self.text)

    def region(self, start: int, number: int) -> int:
        """Where text from ``start`` ends: at the marker ``number``, a closing tag of the reasoning, or the end."""
        tag = self.text.find(THINK_END, start, self.limit(number))
        return tag if tag >= 0 else self.limit(number)

    def read(self, start: int, number: int) -> Payload:
        """The arguments that begin at ``start``; ``number`` is the next marker.

        A marker inside a JSON string is text. Where the text is no JSON, the
        arguments end at the next marker and the value is ``INVALID``.
        """
        limit = self.limit(number)
        begin = skip_space(self.text, start, limit)
        if begin == limit:
            return Payload(Read(EMPTY, 0), limit, number)
        read = arguments.decode(self.text[begin:limit])
        if read.value is INVALID and read.in_string and number < len(self.marks):
            further = self._over_markers(begin, number)
            if further:
                return further
        if read.value is not INVALID:
            behind = begin + read.stop
            if self._is_another_call(behind, number):
                return Payload(read, behind, number)
            limit = self.region(behind, number)
            behind = skip_space(self.text, behind, limit)
            if behind == limit:
                return Payload(read, limit, number)
            read = Read(INVALID, behind - begin, "they are complete, and more stands behind them")
        limit = self.region(begin + read.stop, number)
        fault = arguments.where(self.text[start:limit], begin - start + read.stop, read.fault)
        return Payload(read._replace(fault=fault), limit, number)

    def _is_another_call(self, behind: int, number: int) -> bool:
        """Whether the next call's id stands right behind arguments, both markers between them being lost."""
        if number >= len(self.marks) or self.marks[number].kind != ARGUMENT_BEGIN:
            return False
        end = self.marks[number].start
        start = skip_space(self.text, behind, min(end, behind + LEAK_WINDOW))
        return end - start <= LEAK_WINDOW and leaked_id_start(self.text, start, end) == start

    def _over_markers(self, begin: int, number: int) -> Payload | None:
        """The same where a JSON string is still open at the next marker: read on, twice as many markers each time."""
        further = 1
        while self.budget > 0 and number + further // 2 < len(self.marks):
            end = self.limit(number + further)
            read = arguments.decode(self.text[begin:end])
            self.budget -= end - begin
            if read.value is not INVALID:
                after = bisect_left(self.marks, begin + read.stop, key=lambda mark: mark.start)
                closing = self.limit(after)
                whole = skip_space(self.text, begin + read.stop, closing) == closing
                return Payload(read, closing, after) if whole else None
            if not read.in_string:
                break
            further *= 2
        return None


def skip_space(text: str, start: int, end: int) -> int:
    """The first place from ``start`` that is no white space, ``end`` at most."""
    while start < end and text[start].isspace():
        start += 1
    return start

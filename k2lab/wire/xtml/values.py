"""Arguments of an XTML call: where each value ends, and what it is by its type."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from typing import Literal, NamedTuple

from k2lab.wire import arguments
from k2lab.wire.arguments import INVALID
from k2lab.wire.xtml.tags import MARKER, Tag
from k2lab.wire.xtml.valueforms import type_of

TYPES = ("string", "number", "boolean", "null", "object", "array")
"""The types of values in the documented form, named by what JSON calls them."""

EXTRA_READS = 4
"""How many times the length of the text may be spent on JSON that runs past the next tag; keeps time linear."""
SHOWN = 40

State = Literal["read", "two readings", "cut", "not JSON", "unclosed"]
"""What became of a value: read; its end can be in two places; the output ends in it; no JSON; left open."""


class Value(NamedTuple):
    """A value that ends at ``stop``; ``number`` is the first tag behind its element, which ends at ``end``.

    ``reasons`` say what was repaired, ``fault`` why it is of no use.
    """

    state: State
    value: object
    stop: int
    end: int
    number: int
    reasons: tuple[str, ...] = ()
    fault: str = ""


class ValueReader:
    """Reads the values of a text whose tags are known; ``certain``: they are known to be markers, not text."""

    def __init__(self, text: str, tags: list[Tag], certain: bool) -> None:
        self.text, self.tags, self.certain = text, tags, certain
        self.budget = EXTRA_READS * len(text) + 1000
        self.closings = [n for n, tag in enumerate(tags) if tag.closes("argument") and not tag.cut]
        self.meant = _next_meant(tags)

    def at(self, number: int) -> Tag | None:
        """The tag of that number, if there is one."""
        return self.tags[number] if number < len(self.tags) else None

    def limit(self, number: int) -> int:
        """Where the tag of that number begins; the end of the text where there is none."""
        return self.tags[number].start if number < len(self.tags) else len(self.text)

    def next_end(self, number: int) -> int:
        """Where the next end of an argument stands, from that tag on; 0 where none does."""
        place = bisect_left(self.closings, number)
        return self.tags[self.closings[place]].start if place < len(self.closings) else 0

    def read(self, number: int, name: str, kind: str | None) -> Value:
        """The value of the element that tag ``number`` opens; ``kind`` is its type, ``None`` where it says none."""
        opened = self.tags[number]
        if kind == "string":
            return self._string(number, opened.end, opened.end, name)
        return self._json(number, opened.end, name)

    def _string(self, number: int, begin: int, first: int, name: str) -> Value:
        """A string from ``begin`` on that the first closing tag ends behind which no text stands.

        Behind the end of an argument stands another tag. Text behind a closing
        tag, up to one more of them, shows that the first was part of the string.
        """
        reasons: tuple[str, ...] = ()
        after = self.meant[number + 1]
        tag = self.at(after)
        while tag is not None and tag.closes(name) and not tag.cut:
            following = self.at(after + 1)
            blank = not self.text[tag.end : self.limit(after + 1)].strip()
            if blank and not (following and following.closes(name) and not self.certain):
                lone = self.certain and after != number + 1
                reasons += ("a marker within the string",) if lone else ()
                return Value("read", self.text[first : tag.start], tag.start, tag.end, after + 1, reasons)
            if self.certain:
                return Value("read", self.text[first : tag.start], tag.start, tag.end, after + 1, reasons)
            beyond = self.meant[after + 1]
            further = self.at(beyond)
            if blank or not (further and further.closes(name) and not further.cut):
                return self._doubted(
                    begin, after, further is None, f"text or a second {name} end stands behind its end"
                )
            reasons = (f"its string holds the closing tag of an {name}: text stands behind it, then another",)
            after, tag = beyond, further
        return self._open(number, begin, after)

    def _doubted(self, begin: int, number: int, ends: bool, why: str) -> Value:
        if ends:
            return Value("cut", INVALID, len(self.text), len(self.text), len(self.tags))
        tag = self.tags[number]
        head = self.text[begin : tag.start]
        return Value("two readings", INVALID, tag.start, tag.end, number + 1,
                     fault=f"{why}: it is {_shown(head)}, or a string that holds the tag and goes on")  # fmt: skip

    def _open(self, number: int, begin: int, after: int) -> Value:
        """A string that no closing tag ends before the tag ``after``."""
        tag = self.at(after)
        if tag is None or tag.cut or (tag.ends_the_turn and not self._closed_later(after)):
            stop = self.limit(after)
            return Value("cut", INVALID, stop, stop, after)
        head = self.text[begin : tag.start]
        last = tag.closes("call") and (self.certain or not self._closed_later(after))
        if last and not self.certain and MARKER.search(head):
            fault = f"it is not closed, and a marker stands in it: it is {_shown(head)}, or less where a tag was broken"
            return Value("two readings", INVALID, tag.start, tag.start, after, fault=fault)
        if last or (self.certain and tag.opens("argument")):
            return Value("read", head, tag.start, tag.start, after, ("it is not closed",))
        if self.certain:
            return Value(
                "unclosed", INVALID, tag.start, tag.start, after, fault="it is not closed, and neither is the call"
            )
        word = f"{'opens' if tag.kind == 'open' else 'closes'} {tag.name}" if tag.name else "ends the message"
        return Value("two readings", INVALID, tag.start, tag.start, after,
                     fault=f"a tag that {word} stands within it: it is {_shown(head)} and not closed,"
                           " or a string that holds tags")  # fmt: skip

    def _closed_later(self, number: int) -> bool:
        return bisect_left(self.closings, number) < len(self.closings)

    def _json(self, number: int, begin: int, name: str) -> Value:
        """JSON that ends before a closing tag; a tag inside one of its strings is text."""
        after = number + 1
        read = arguments.decode(self.text[begin : self.limit(after)].lstrip())
        begin += len(self.text[begin : self.limit(after)]) - len(self.text[begin : self.limit(after)].lstrip())
        if read.value is INVALID and read.in_string and after < len(self.tags):
            further = self._over_tags(begin, after)
            if further is not None:
                read, after = further
        tag, stop = self.at(after), self.limit(after)
        closed = tag is not None and tag.closes(name) and not tag.cut
        end, following = (tag.end, after + 1) if tag is not None and closed else (stop, after)
        if tag is None or tag.cut or (not closed and tag.ends_the_turn and read.unfinished):
            return Value("cut", INVALID, stop, stop, after)
        reasons = () if closed else ("it is not closed",)
        if read.value is not INVALID and not self.text[begin + read.stop : stop].strip():
            return Value("read", read.value, stop, end, following, (*reasons, *filter(None, [read.repaired])))
        fault = read.fault if read.value is INVALID else "it is complete, and more stands behind it"
        said = _where(self.text[begin:stop], read.stop, fault)
        state: State = "not JSON" if closed or tag.opens("argument") or tag.closes("call") else "unclosed"
        return Value(state, INVALID, stop, end, following, reasons, said)

    def _over_tags(self, begin: int, number: int) -> tuple[arguments.Read, int] | None:
        """The same where a JSON string is still open at the next tag: read on, twice as many tags each time."""
        further = 1
        while self.budget > 0 and number + further // 2 < len(self.tags):
            end = self.limit(number + further)
            read = arguments.decode(self.text[begin:end])
            self.budget -= end - begin
            if read.value is not INVALID:
                after = bisect_left(self.tags, begin + read.stop, key=lambda tag: tag.start)
                return read, after
            if not read.in_string:
                return None
            further *= 2
        return None


def fits(kind: str, value: object) -> bool:
    """Whether a value is of the type that its element says; ``integer`` is no type of the form, but clear."""
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    return type_of(value) == kind


def is_finite(value: object) -> bool:
    """Whether JSON can carry a value's numbers."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(is_finite(inner) for inner in value.values())
    return all(is_finite(inner) for inner in value) if isinstance(value, list | tuple) else True


def _shown(text: str) -> str:
    short = MARKER.sub("…", text)[:SHOWN]
    return repr(short + ("…" if len(text) > len(short) else ""))


def _where(text: str, at: int, fault: str) -> str:
    """Why a value is no JSON, with its place in it and what was found there."""
    found = repr(text[at : at + arguments.FOUND]) if text[at:].strip() else "the end"
    return f"is not JSON: {arguments.place(text, at)}: {fault}, found {found}"


def _next_meant(tags: list[Tag]) -> list[int]:
    """For each number the first tag from there on that is no lone marker; one more entry than there are tags."""
    found = [len(tags)] * (len(tags) + 2)
    for number in range(len(tags) - 1, -1, -1):
        found[number] = number if tags[number].kind != "lone" else found[number + 1]
    return found

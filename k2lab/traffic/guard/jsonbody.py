"""A request's body as the guard reads it: text, members with their places, the lists that it works on; or why not."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from k2lab.jsonread import MOST_LEVELS, MOST_PARTS, NotJSON, is_deep
from k2lab.traffic.guard.splicing import (
    Decode,
    JSONPart,
    Splice,
    addition,
    blank,
    dumped,
    elements,
    members,
    removals,
    rewritten,
    spliced,
)


class UnreadError(NotJSON):
    """Why a body is not read although a server may read it: its size, its encoding, what stands twice in it."""


def _integer(digits: str) -> int | float:
    """An integer; Python reads none of more than 4,300 digits, which may stand where nobody looks."""
    return int(digits) if len(digits) < 4300 else math.inf


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise UnreadError(f"{digits[:20]} is larger than any number that can be worked with")
    return number


def _finite_integer(digits: str) -> int:
    if len(digits) >= 4300:
        raise UnreadError("a number of more than 4,300 digits")
    return int(digits)


def _no_constant(name: str) -> object:
    raise UnreadError(f"{name} is not a number of JSON")


_LOOSE: Decode = json.JSONDecoder(parse_int=_integer).raw_decode
"""For what is passed on as it is: any number goes."""

EXACT: Decode = json.JSONDecoder(parse_int=_finite_integer, parse_float=_finite, parse_constant=_no_constant).raw_decode
"""For what is worked on."""


@dataclass(frozen=True, slots=True)
class RawJSON:
    """JSON that is text already."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class JSONBody:
    """A JSON object: its text, its members in order, those that are looked at by name, and where it ends.

    Of a name that stands twice the last counts, as servers have it; a name that
    is worked on stands once.
    """

    text: str
    ordered: tuple[JSONPart, ...]
    parts: Mapping[str, JSONPart]
    end: int
    """Where its closing brace stands."""

    def value(self, name: str) -> object:
        """The value of a member, ``None`` where there is none."""
        part = self.parts.get(name)
        return None if part is None else part.value

    def values(self) -> dict[str, object]:
        """All members' values by name."""
        return {name: part.value for name, part in self.parts.items()}

    def raw(self, name: str) -> str:
        """The text of a member's value, empty where there is none."""
        part = self.parts.get(name)
        return "" if part is None else self.text[part.start : part.end]

    def with_list(self, name: str, after: Sequence[object], origins: Sequence[int | None]) -> list[Splice]:
        """The edits that make a member's list ``after``; ``origins`` says from which element each was made."""
        part = self.parts[name]
        before = elements(self.text, part.start, EXACT)
        texts = [
            dumped(value) if origin is None else rewritten(self.text, before[origin], value, EXACT)
            for value, origin in zip(after, origins, strict=True)
        ]
        if list(origins) != list(range(len(before))):
            return [Splice(start=part.start, end=part.end, text=f"[{','.join(texts)}]")]
        return [
            Splice(start=element.start, end=element.end, text=text)
            for element, text in zip(before, texts, strict=True)
            if text != self.text[element.start : element.end]
        ]

    def with_members(self, after: Mapping[str, object | None]) -> list[Splice]:
        """The edits that give members a value, add those that are not there, and take out those that are ``None``.

        A :class:`RawJSON` is put in as it is.
        """
        gone = {name for name, value in after.items() if value is None}
        changed = {name: _text(value) for name, value in after.items() if value is not None}
        edits = removals(self.ordered, gone) if gone & self.parts.keys() else []
        for name in changed.keys() & self.parts.keys():
            part = self.parts[name]
            edits.append(Splice(start=part.start, end=part.end, text=changed[name]))
        added = {name: text for name, text in changed.items() if name not in self.parts}
        return [*edits, *addition(self.ordered, self.end, gone, added)]

    def written(self, edits: Iterable[Splice]) -> bytes:
        """The body with its edits."""
        return spliced(self.text, edits).encode()


def read(body: bytes, worked_on: frozenset[str], most: int) -> JSONBody:
    """A body; the members ``worked_on`` are read exactly, others only as far as their ends.

    Raises :class:`NotJSON` for what is no JSON object, :class:`UnreadError` for what a server may
    read and the guard does not.
    """
    if len(body) > most:
        raise UnreadError(f"larger than {most >> 20} MiB")
    text = _text_of(body)
    containers = text.count("[") + text.count("{")
    if text.count(",") + containers > MOST_PARTS:
        raise UnreadError(f"more than {MOST_PARTS:,} values")
    try:
        found = _body(text, worked_on)
    except RecursionError:
        raise UnreadError(f"nested deeper than {MOST_LEVELS} levels") from None
    if containers > MOST_LEVELS and any(is_deep(found.value(name)) for name in worked_on):
        raise UnreadError(f"nested deeper than {MOST_LEVELS} levels")
    return found


def _body(text: str, worked_on: frozenset[str]) -> JSONBody:
    ordered, end = members(text, blank(text, 0), lambda name: EXACT if name in worked_on else _LOOSE)
    if blank(text, end + 1) != len(text):
        raise NotJSON(f"something stands behind the object, at character {end + 2}")
    parts = {part.name: part for part in ordered}
    if len(parts) < len(ordered):
        counted = Counter(part.name for part in ordered)
        for name in worked_on & parts.keys():
            if counted[name] > 1:
                raise UnreadError(f"{name} stands twice")
    return JSONBody(text=text, ordered=tuple(ordered), parts=parts, end=end)


def _text_of(body: bytes) -> str:
    try:
        text = str(body, "utf-8")
    except UnicodeDecodeError:
        raise UnreadError("not UTF-8") from None
    if text.startswith("\ufeff") or "\0" in text[:4]:
        raise UnreadError("not UTF-8 without a byte order mark")
    return text


def _text(value: object) -> str:
    return value.text if isinstance(value, RawJSON) else dumped(value)

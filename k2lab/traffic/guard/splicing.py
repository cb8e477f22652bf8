"""A JSON text and the places of its parts: what changes is written anew, and all else stays as it was written.

A value that is decoded and written again is no longer the same text: an integer
beyond 64 bits, 1.0, 1e400, a key that stands twice, an escape. So an object is
read member by member, each with its place, by the standard library's own
decoder, and a change replaces the text of the smallest part around it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from k2lab.jsonread import NotJSON

Decode = Callable[[str, int], tuple[object, int]]

BLANK = re.compile(r"[ \t\n\r]*")
_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_ASCII = json.JSONEncoder(separators=(",", ":"))
_ANY: Decode = json.JSONDecoder().raw_decode


@dataclass(frozen=True, kw_only=True, slots=True)
class JSONPart:
    """A value in a text, in ``[start, end)``; a member of an object has a name, which begins at ``first``."""

    value: object
    start: int
    end: int
    name: str = ""
    first: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Splice:
    """The text that stands in place of ``[start, end)``."""

    start: int
    end: int
    text: str


def members(text: str, start: int, decoder: Callable[[str], Decode]) -> tuple[list[JSONPart], int]:
    """The members of the object that begins at ``start``, in order, and where its closing brace stands.

    ``decoder`` says how each name's value is read. Raises :class:`NotJSON`, and
    ``RecursionError`` as decoders do.
    """
    place, found = _after(text, start, "{"), list[JSONPart]()
    if text[place : place + 1] == "}":
        return found, place
    while True:
        if text[place : place + 1] != '"':
            raise NotJSON(f"a name is due at character {place + 1}")
        name, end = _decoded(text, place, _ANY)
        begin = _after(text, blank(text, end), ":")
        value, end = _decoded(text, begin, decoder(str(name)))
        found.append(JSONPart(value=value, start=begin, end=end, name=str(name), first=place))
        place = blank(text, end)
        if text[place : place + 1] == "}":
            return found, place
        place = _after(text, place, ",")


def elements(text: str, start: int, decode: Decode) -> list[JSONPart]:
    """The elements of the list that begins at ``start``."""
    place, found = _after(text, start, "["), list[JSONPart]()
    if text[place : place + 1] == "]":
        return found
    while True:
        value, end = _decoded(text, place, decode)
        found.append(JSONPart(value=value, start=place, end=end))
        place = blank(text, end)
        if text[place : place + 1] == "]":
            return found
        place = _after(text, place, ",")


def spliced(text: str, edits: Iterable[Splice]) -> str:
    """The text with its edits, which are apart from each other."""
    parts, place = list[str](), 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        parts += [text[place : edit.start], edit.text]
        place = edit.end
    return "".join([*parts, text[place:]])


def rewritten(text: str, part: JSONPart, after: object, decode: Decode) -> str:
    """The text of ``after``, a changed value of a part; what in it did not change keeps its text."""
    moved = (
        Splice(start=e.start - part.start, end=e.end - part.start, text=e.text)
        for e in value_edits(text, part, after, decode)
    )
    return spliced(text[part.start : part.end], moved)


def value_edits(text: str, part: JSONPart, after: object, decode: Decode) -> list[Splice]:
    """The edits that make a part ``after``: the smallest values that differ, members taken out, members added last."""
    before = part.value
    if after is before or (type(after) is type(before) and after == before):
        return []
    if isinstance(after, dict) and isinstance(before, dict):
        ordered, end = members(text, part.start, lambda _: decode)
        return _member_edits(text, (ordered, end), after, decode)
    if isinstance(after, list) and isinstance(before, list) and len(after) == len(before):
        pairs = zip(elements(text, part.start, decode), after, strict=True)
        return [edit for element, value in pairs for edit in value_edits(text, element, value, decode)]
    return [Splice(start=part.start, end=part.end, text=dumped(after))]


def _member_edits(
    text: str, found: tuple[list[JSONPart], int], after: Mapping[str, object], decode: Decode
) -> list[Splice]:
    ordered, end = found
    named = {part.name: part for part in ordered}
    gone = named.keys() - after.keys()
    inner = [
        edit for name in named.keys() & after.keys() for edit in value_edits(text, named[name], after[name], decode)
    ]
    added = {name: dumped(value) for name, value in after.items() if name not in named}
    return [*removals(ordered, gone), *inner, *addition(ordered, end, gone, added)]


def addition(ordered: Sequence[JSONPart], end: int, gone: Collection[str], added: Mapping[str, str]) -> list[Splice]:
    """The edit that adds members, by the texts of their values, where the object closes, behind those that stay."""
    if not added:
        return []
    comma = "," if any(part.name not in gone for part in ordered) else ""
    return [
        Splice(start=end, end=end, text=comma + ",".join(f"{dumped(name)}:{value}" for name, value in added.items()))
    ]


def dumped(value: object) -> str:
    """A value's text, letters unescaped; half a surrogate pair, which has no UTF-8, as an escape."""
    text = _COMPACT.encode(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        return _ASCII.encode(value)
    return text


def removals(ordered: Sequence[JSONPart], names: Collection[str]) -> list[Splice]:
    """The edits that take members out of their object, with the commas between them."""
    kept = [number for number, part in enumerate(ordered) if part.name not in names]
    last = kept[-1] if kept else -1
    edits = [
        Splice(start=part.first, end=following.first, text="")
        for number, (part, following) in enumerate(pairwise(ordered))
        if part.name in names and number < last
    ]
    if last + 1 < len(ordered):
        begin = ordered[last].end if kept else ordered[0].first
        edits.append(Splice(start=begin, end=ordered[-1].end, text=""))
    return edits


def blank(text: str, place: int) -> int:
    """Where the white space ends that stands at a place, if any does."""
    found = BLANK.match(text, place)
    return found.end() if found else place


def _decoded(text: str, start: int, decode: Decode) -> tuple[object, int]:
    try:
        return decode(text, start)
    except NotJSON:
        raise
    except json.JSONDecodeError as error:
        raise NotJSON(f"{error.msg} at character {error.pos + 1}") from None
    except ValueError as error:
        raise NotJSON(str(error)[:60]) from None


def _after(text: str, place: int, mark: str) -> int:
    """Where what follows a mark begins."""
    if text[place : place + 1] != mark:
        raise NotJSON(f"{mark!r} is due at character {place + 1}")
    return blank(text, place + 1)

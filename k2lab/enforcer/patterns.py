"""Regular expressions as the grammar engine reads them.

A validator searches for a pattern in a text, with Python's :mod:`re`. The
engine matches the whole text, knows less, and writes what it matches into the
JSON as it is: a quote or a backslash that a pattern asks for would end the
string. So a pattern is taken apart and written anew, over the characters that
stand in JSON for themselves. What is written admits no text in which the
original is not found.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

Ranges = list[tuple[int, int]]

LITERAL: Ranges = [(0x20, 0x21), (0x23, 0x5B), (0x5D, 0x10FFFF)]
"""Characters that stand for themselves in a JSON string: all but quotes, backslashes and controls."""

FREE: Ranges = [(0x20, 0x21), (0x23, 0x3B), (0x3D, 0x5B), (0x5D, 0x10FFFF)]
"""Those that a pattern may match without naming them: ``<`` begins each marker of Kimi's format."""

MOST_REPEATS = 256
"""Repetitions within each other, multiplied; a thousand take a second to compile."""

MOST_WAYS = 100
LONGEST_NAME = 64
MOST_NAME_LETTERS = 1500
"""Names that further keys can be told from."""

ALL: Ranges = [(0, 0x10FFFF)]
WORD: Ranges = [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)]
NARROW: dict[str, Ranges] = {"DIGIT": [(0x30, 0x39)], "SPACE": [(0x20, 0x20)], "WORD": WORD}
"""A part of what ``\\d``, ``\\s`` and ``\\w`` match in Unicode: short to write."""


class Unfollowed(Exception):
    """A pattern that the engine cannot hold."""


@dataclass(frozen=True)
class Whole:
    """A pattern that a whole text must match, and how many characters such a text has."""

    text: str
    shortest: int
    longest: int | None


def whole(pattern: str) -> Whole:
    """A pattern in which every text that matches is one where the original is found."""
    try:
        tree = parser.parse(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise Unfollowed(str(error)) from None
    if tree.state.flags & ~re.UNICODE:
        raise Unfollowed("flags")
    if _most_repeats(tree) > MOST_REPEATS:
        raise Unfollowed(f"more than {MOST_REPEATS} repetitions")
    ways, anchored = _searched(list(tree), True, True, False)
    shortest, longest = tree.getwidth()
    return Whole(_either(ways), shortest, int(longest) if anchored and longest < parser.MAXREPEAT else None)


def found(pattern: str, name: str) -> bool:
    """Whether a validator would find a pattern in a key."""
    try:
        return _compiled(pattern).search(name) is not None
    except re.error:
        return False


@lru_cache(4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    """More patterns than :mod:`re` itself keeps: a schema may try each with each property."""
    return re.compile(pattern)


def apart(some: Iterable[str]) -> bool:
    """Whether no key matches two of some patterns, as far as what they begin with tells."""
    begins = [_begin(pattern) for pattern in some]
    return not any(a.startswith(b) for place, a in enumerate(begins) for b in begins[:place] + begins[place + 1 :])


def _begin(pattern: str) -> str:
    """What every text begins with in which a pattern is found."""
    try:
        kinds = [(str(kind), value) for kind, value in parser.parse(pattern)]
    except (re.error, RecursionError, OverflowError):
        return ""
    anchored = bool(kinds) and kinds[0][0] == "AT" and "BEGINNING" in str(kinds[0][1])
    letters = itertools.takewhile(lambda item: item[0] == "LITERAL", kinds[1:] if anchored else ())
    return "".join(chr(value) for _, value in letters)


def other_than(names: Iterable[str]) -> str:
    r"""Every text but some: what an additional key may be.

    The engine keeps declared names from being written again as additional keys
    only while they are plain ASCII, and lets them pass as ``\u0061``.
    """
    tree: dict[str, Any] = {}
    for name in names:
        if len(_within(LITERAL, name)) != len(name):
            continue  # has a character that no key of this pattern has
        if len(name) > LONGEST_NAME:
            raise Unfollowed(f"names longer than {LONGEST_NAME}")
        place = tree
        for letter in name:
            place = place.setdefault(letter, {})
        place[""] = {}
    if _letters(tree) > MOST_NAME_LETTERS:
        raise Unfollowed(f"names with more than {MOST_NAME_LETTERS} letters")
    return _leaving(tree)


def _leaving(tree: dict[str, Any]) -> str:
    """What goes on otherwise than a tree of names does."""
    letters = sorted(letter for letter in tree if letter)
    ways = [_class(_without(FREE, [(ord(letter), ord(letter)) for letter in letters])) + ANY + "*"]
    ways += [_letter(ord(letter)) + _leaving(tree[letter]) for letter in letters]
    return _either(ways if "" in tree else [*ways, ""])


def _letters(tree: dict[str, Any]) -> int:
    return len(tree) + sum(map(_letters, tree.values()))


def _within(ranges: Ranges, text: str) -> str:
    return "".join(letter for letter in text if any(low <= ord(letter) <= high for low, high in ranges))


def _searched(items: Sequence[Any], left: bool, right: bool, chosen: bool) -> tuple[list[str], bool]:
    """The pattern with what may stand around it, in one way or several, and whether nothing may."""
    items = list(items)
    while items and str(items[0][0]) == "AT" and "BEGINNING" in str(items[0][1]):
        items, left = items[1:], False
    while items and str(items[-1][0]) == "AT" and str(items[-1][1]) in ("AT_END", "AT_END_STRING"):
        items, right = items[:-1], False
    if len(items) == 1 and str(items[0][0]) == "BRANCH":
        parts = [_searched(branch, left, right, True) for branch in items[0][1][1]]
        return [way for ways, _ in parts for way in ways], all(anchored for _, anchored in parts)
    if len(items) == 1 and str(items[0][0]) == "SUBPATTERN" and not any(items[0][1][1:3]):
        return _searched(items[0][1][3], left, right, chosen)
    before, after = (f"{ANY}*" if left else ""), (f"{ANY}*" if right else "")
    return [before + way + after for way in (_ways(items) if chosen else [_kept(items)])], not (left or right)


def _kept(items: Iterable[Any]) -> str:
    """A sequence with its repetitions as they are, its choices written out each by itself."""
    text = ""
    for kind, value in items:
        if str(kind) in REPEATS and tuple(value[:2]) != (0, 1):
            text += _times(_kept(value[2]), *value[:2])
        elif str(kind) == "SUBPATTERN" and not any(value[1:3]):
            text += _kept(value[3])
        else:
            text += _either(_ways([(kind, value)]))
    return text


def _ways(items: Iterable[Any]) -> list[str]:
    """A sequence written out: one text for each choice and number of repetitions.

    What may end early within a choice, as ``a|ab?``, the engine (xgrammar 0.2.8)
    mixes up with the other choices, and lets through what neither admits.
    """
    ways = [""]
    for kind, value in items:
        ways = [way + more for way in ways for more in _ways_of(str(kind), value)]
        if len(ways) > MOST_WAYS:
            raise Unfollowed(f"more than {MOST_WAYS} ways through a choice")
    return ways


def _ways_of(kind: str, value: Any) -> list[str]:
    if kind == "BRANCH":
        return [way for branch in value[1] for way in _ways(branch)]
    if kind == "SUBPATTERN" and not any(value[1:3]):
        return _ways(value[3])
    if kind in REPEATS:
        least, most, items = value
        if least == most or most == parser.MAXREPEAT:
            return [_times(_either(_ways(items)), least, most)]
        if most > MOST_WAYS:
            raise Unfollowed(f"more than {MOST_WAYS} repetitions within a choice")
        return [way for count in range(least, int(most) + 1) for way in _ways(list(items) * count)]
    write = _CHARACTERS.get(kind)
    if write is None:
        raise Unfollowed("flags" if kind == "SUBPATTERN" else kind.lower().replace("_", " "))
    return [write(value)]


def _times(text: str, least: int, most: Any) -> str:
    text = f"(?:{text})"
    if most == parser.MAXREPEAT:
        return (text if least == 1 else f"{text}{{{least}}}" if least else "") + f"{text}*"
    return text + (f"{{{least}}}" if least == most else f"{{{least},{most}}}")


def _either(ways: list[str]) -> str:
    ways = sorted(dict.fromkeys(ways), key=bool, reverse=True)  # nothing stands last, xgrammar 0.1 reads it there alone
    return ways[0] if len(ways) == 1 else f"(?:{'|'.join(ways)})"


def _most_repeats(items: Iterable[Any]) -> int:
    """How often the innermost part of a pattern may be repeated, as far as that is counted."""
    most = 1
    for kind, value in items:
        if str(kind) in REPEATS:
            count = value[0] if value[1] == parser.MAXREPEAT else value[1]
            most = max(most, max(int(count), 1) * _most_repeats(value[2]))
        elif str(kind) == "SUBPATTERN":
            most = max(most, _most_repeats(value[3]))
        elif str(kind) == "BRANCH":
            most = max([most, *map(_most_repeats, value[1])])
    return most


def _character(value: int) -> str:
    if not any(low <= value <= high for low, high in LITERAL):
        raise Unfollowed(f"the character {chr(value)!r}, which JSON escapes")
    return _letter(value)


def _set(items: Sequence[Any]) -> str:
    negated = str(items[0][0]) == "NEGATE"
    spans = [span for kind, value in items[negated:] for span in _spans(str(kind), value, negated)]
    if negated:
        return _class(_without(FREE, spans))
    named = [span for span in spans if span[0] == span[1]]
    return _class(_both(LITERAL, named) + _without(_both(FREE, spans), named))


def _spans(kind: str, value: Any, wide: bool) -> Ranges:
    """The characters of one item of a set: where they are to be excluded all of them, else some may be missing."""
    if kind == "LITERAL":
        return [(value, value)]
    if kind == "RANGE":
        return [value]
    name = str(value).removeprefix("CATEGORY_")
    if name.startswith("NOT_"):
        name = name.removeprefix("NOT_")
        return _without(ALL, NARROW[name] if wide else _all_of(name))
    return _all_of(name) if wide else NARROW[name]


@cache
def _all_of(name: str) -> Ranges:
    """All characters of a class, or more: beyond ASCII every one counts as a letter, which is shorter to write."""
    if name == "WORD":
        return [*WORD, (0x80, 0x10FFFF)]
    holds = str.isdecimal if name == "DIGIT" else str.isspace
    return [(code, code) for code in range(0x110000) if holds(chr(code))]


_CHARACTERS: dict[str, Callable[[Any], str]] = {
    "LITERAL": _character,
    "NOT_LITERAL": lambda value: _class(_without(FREE, [(value, value)])),
    "ANY": lambda _: ANY,
    "IN": _set,
}
REPEATS = ("MAX_REPEAT", "MIN_REPEAT")
"""Lazy or not, the same whole texts match."""


def _without(ranges: Ranges, removed: Iterable[tuple[int, int]]) -> Ranges:
    """Some characters less others."""
    for start, end in removed:
        ranges = [
            part
            for low, high in ranges
            for part in ((low, min(high, start - 1)), (max(low, end + 1), high))
            if part[0] <= part[1]
        ]
    return ranges


def _both(first: Ranges, second: Ranges) -> Ranges:
    return _without(first, _without(ALL, second))


def _class(ranges: Ranges) -> str:
    if not ranges:
        raise Unfollowed("a set without a character that stands for itself in JSON")
    spans = (_letter(low) if low == high else f"{_letter(low)}-{_letter(high)}" for low, high in ranges)
    return f"[{''.join(spans)}]"


def _letter(code: int) -> str:
    return f"\\{chr(code)}" if chr(code) in r".^$*+?()[]{}|/-" else chr(code)


ANY: str = _class(FREE)

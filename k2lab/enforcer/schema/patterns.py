r"""Regular expressions as the text of a JSON string matches them.

A validator searches for a pattern in a text, with Python's :mod:`re`. A grammar
matches a whole text, knows less, and writes what it matches into the JSON as it
is: a quote or a backslash that a pattern asks for would end the string. So a
pattern is taken apart and written anew, over the characters of JSON: one that
has to be escaped stands as its escape. What is written admits no text in which
the original is not found.

It consists of characters, sets that are not negated, ``(?:…)``, ``|``, and
``? * + {m} {m,} {m,n}``, has no anchors, and grows with the original alone: its
repetitions are not written out.

xgrammar 0.2.8 is right with such patterns as its own rules and as ``regex``. As
the ``pattern`` of a JSON Schema, and in ``Regex(…)``, a pattern of ASCII alone
becomes an automaton that mixes up ends: of 400 random ones 6 admitted texts that
do not match.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from k2lab.enforcer.schema.characters import ALL, LITERAL, Ranges, escaped, holds, merged, one_of, without

LONGEST_PATTERN = 8192
MOST_CHARACTERS = 512
"""Characters of a pattern with its repetitions written out, as a grammar may do: each costs some milliseconds."""

MOST_CHARACTERS_IN_ALL = 2048
MOST_LETTERS_IN_ALL = 64 << 10
"""Of all patterns of a schema, with their repetitions written out and as they are."""

MOST_WAYS = 64
"""Alternatives for what may stand around a pattern."""

SHORT_TEXT = 20
"""Characters for which a pattern is tried in any way that there is."""

LONGEST_NAME = 64
MOST_NAME_LETTERS = 1500
"""Names that further keys can be told from."""

DIGIT: Ranges = [(0x30, 0x39)]
WORD: Ranges = [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)]
NARROW: dict[str, Ranges] = {"DIGIT": DIGIT, "SPACE": [(0x09, 0x0D), (0x20, 0x20)], "WORD": WORD}
"""A part of what ``\\d``, ``\\s`` and ``\\w`` match in Unicode: short to write, and the same in JavaScript."""

LINE_ENDS: Ranges = [(0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)]
"""What a dot does not match in JavaScript; in Python the first alone."""


class Unfollowed(Exception):
    """A pattern that the grammar cannot hold."""


@dataclass(frozen=True)
class Whole:
    """A pattern that the whole text of a JSON string matches, and how many characters such a string has."""

    text: str
    shortest: int
    longest: int | None
    characters: int
    """Characters and sets with all repetitions written out."""


class Written:
    """The patterns of one schema, of which a grammar has one each; raises :class:`Unfollowed` for too many."""

    def __init__(self) -> None:
        self._sizes: dict[str, tuple[int, int]] = {}

    def whole(self, pattern: str, least: int = 0, most: int | None = None) -> Whole:
        """As :func:`whole`, or where a length is asked for and can be held within it as :func:`fitted`."""
        made = whole(pattern)
        if least or most is not None:
            with contextlib.suppress(Unfollowed):  # larger than the pattern by itself
                made = fitted(pattern, least, most)
        self._count(made.text, made.characters)
        return made

    def other_than(self, names: Iterable[str]) -> str:
        """As :func:`other_than`."""
        made = other_than(names)
        self._count(made, 0)
        return made

    def _count(self, text: str, characters: int) -> None:
        sizes = {**self._sizes, text: (len(text), characters)}
        for count, most, what in (
            (sum(letters for letters, _ in sizes.values()), MOST_LETTERS_IN_ALL, ""),
            (sum(count for _, count in sizes.values()), MOST_CHARACTERS_IN_ALL, " with their repetitions written out"),
        ):
            if count > most:
                raise Unfollowed(f"the schema's patterns would have {count} characters{what}, at most {most} are held")
        self._sizes = sizes


@lru_cache(1024)
def whole(pattern: str, most: int = MOST_CHARACTERS) -> Whole:
    """A pattern in which every text that matches is one where the original is found.

    Raises :class:`Unfollowed` for what the grammar cannot hold, and for one of more than ``most`` characters with its
    repetitions written out.
    """
    return _whole(_parsed(pattern), most)


@lru_cache(1024)
def fitted(pattern: str, least: int, most: int | None) -> Whole:
    """As :func:`whole`, of texts of a length, where one repeated character alone decides how long a text is."""
    tree = _parsed(pattern)
    return _whole(parser.SubPattern(tree.state, _fitted(list(tree), tree.state, least, most)), MOST_CHARACTERS)


def _parsed(pattern: str) -> Any:
    if len(pattern) > LONGEST_PATTERN:
        raise Unfollowed(f"it is {len(pattern)} characters long, at most {LONGEST_PATTERN} are held")
    try:
        tree = parser.parse(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise Unfollowed(str(error)) from None
    if tree.state.flags & ~re.UNICODE:
        raise Unfollowed("flags")
    return tree


def _whole(tree: Any, most: int) -> Whole:
    try:
        characters = _check_size(_written_out(tree), most)
        ways, anchored = _searched(list(tree), True, True)
        shortest, longest = tree.getwidth()
    except (RecursionError, OverflowError) as error:
        raise Unfollowed(str(error)) from None
    bounded = anchored and longest < parser.MAXREPEAT
    return Whole(_either(ways), shortest, int(longest) if bounded else None, characters)


def _fitted(items: list[Any], state: Any, least: int, most: int | None) -> list[Any]:
    """A pattern for a whole text, the bounds of its one repetition of a character drawn in to a length of the text."""
    if len(items) > 2 and _begins(items[0]) and _ends(items[-1]):
        return [items[0], *_drawn_in(items[1:-1], state, least, most), items[-1]]
    return items


def _drawn_in(items: list[Any], state: Any, least: int, most: int | None) -> list[Any]:
    if len(items) == 1 and str(items[0][0]) == "SUBPATTERN" and not any(items[0][1][1:3]):
        return _drawn_in(list(items[0][1][3]), state, least, most)
    widths = [parser.SubPattern(state, [item]).getwidth() for item in items]
    free = [place for place, (low, high) in enumerate(widths) if low != high]
    if len(free) != 1 or str(items[free[0]][0]) not in REPEATS or items[free[0]][1][2].getwidth() != (1, 1):
        return items
    kind, (low, high, part) = items[free[0]]
    others = sum(int(width) for width, _ in widths) - widths[free[0]][0]
    low, high = max(low, least - others), high if most is None else min(high, most - others)
    return [*items[: free[0]], (kind, (low, high, part)), *items[free[0] + 1 :]] if low <= high else items


def found(pattern: str, text: str) -> bool:
    """Whether a validator would find a pattern in a key or a value.

    In longer ones jsonschema-rs does, which takes no longer for ``(a+)+$``; :mod:`re` would not come back.
    """
    try:
        original = _compiled(pattern)
    except re.error:
        return False
    linear = _linear(pattern) if len(text) > SHORT_TEXT else None
    return linear(text) if linear else original.search(text) is not None


@lru_cache(4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    """More patterns than :mod:`re` itself keeps: a schema may try each with each property."""
    return re.compile(pattern)


@lru_cache(4096)
def _linear(pattern: str) -> Callable[[str], bool] | None:
    import jsonschema_rs

    try:
        return jsonschema_rs.validator_for({"pattern": pattern}).is_valid
    except ValueError:  # what Python alone has
        return None


def apart(some: Iterable[str]) -> bool:
    """Whether no key matches two of some patterns, as far as what they begin with tells."""
    begins = [_begin(pattern) for pattern in some]
    return not any(a.startswith(b) for place, a in enumerate(begins) for b in begins[:place] + begins[place + 1 :])


def _begin(pattern: str) -> str:
    """What every text begins with in which a pattern is found."""
    try:
        items = list(parser.parse(pattern))
    except (re.error, RecursionError, OverflowError):
        return ""
    anchored = bool(items) and _begins(items[0])
    letters = itertools.takewhile(lambda item: str(item[0]) == "LITERAL", items[1:] if anchored else ())
    return "".join(chr(value) for _, value in letters)


def other_than(names: Iterable[str]) -> str:
    r"""Every text but some: what an additional key may be, as far as it needs no escape.

    The engine keeps declared names from being written again as additional keys
    only while they are plain ASCII, and lets them pass as ``\u0061``.
    """
    tree: dict[str, Any] = {}
    for name in names:
        if not all(holds(LITERAL, ord(letter)) for letter in name):
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
    ways = [_one_of(without(LITERAL, [(ord(letter), ord(letter)) for letter in letters])) + KEY_LETTER + "*"]
    ways += [escaped(ord(letter)) + _leaving(tree[letter]) for letter in letters]
    return _either(ways if "" in tree else [*ways, ""])


def _letters(tree: dict[str, Any]) -> int:
    return len(tree) + sum(map(_letters, tree.values()))


def _written_out(items: Iterable[Any]) -> int:
    """How many characters and sets a pattern has with its repetitions written out, told without doing so."""
    count = 0
    for kind, value in items:
        if str(kind) in REPEATS:
            most = max(value[0], 1) if value[1] == parser.MAXREPEAT else value[1]
            count += int(most) * _written_out(value[2])
        elif str(kind) == "SUBPATTERN":
            count += _written_out(value[3])
        elif str(kind) == "BRANCH":
            count += sum(map(_written_out, value[1]))
        else:
            count += 1
    return count


def _check_size(count: int, most: int) -> int:
    if count > most:
        raise Unfollowed(f"it has {count} characters with its repetitions written out, at most {most} are held")
    return count


def _searched(items: Sequence[Any], left: bool, right: bool) -> tuple[list[str], bool]:
    """The pattern with what may stand around it, in one way or several, and whether nothing may."""
    items = list(items)
    while items and _begins(items[0]):
        items, left = items[1:], False
    while items and _ends(items[-1]):
        items, right = items[:-1], False
    for place in {0, len(items) - 1} if items else ():
        front, (kind, value), rest = items[:place], items[place], items[place + 1 :]
        if str(kind) == "SUBPATTERN" and not any(value[1:3]):
            return _searched([*front, *value[3], *rest], left, right)
        if str(kind) == "BRANCH" and (len(items) == 1 or _has_anchor(value[1])):
            return _each([_searched([*front, *branch, *rest], left, right) for branch in value[1]])
    before, after = (f"{ANY}*" if left else ""), (f"{ANY}*" if right else "")
    return [f"{before}{_sequence(items)}{after}" if items else before or after], not (left or right)


def _each(parts: Sequence[tuple[list[str], bool]]) -> tuple[list[str], bool]:
    ways = [way for part, _ in parts for way in part]
    if len(ways) > MOST_WAYS:
        raise Unfollowed(f"more than {MOST_WAYS} choices around anchors")
    return ways, all(anchored for _, anchored in parts)


def _begins(item: Any) -> bool:
    return str(item[0]) == "AT" and "BEGINNING" in str(item[1])


def _ends(item: Any) -> bool:
    return str(item[0]) == "AT" and str(item[1]) in ("AT_END", "AT_END_STRING")


def _has_anchor(branches: Iterable[Any]) -> bool:
    """Whether a branch begins or ends with an anchor, within groups and branches of its own or not."""
    for branch in branches:
        for kind, value in {id(item): item for item in (*branch[:1], *branch[-1:])}.values():
            inner = value[1] if str(kind) == "BRANCH" else [value[3]] if str(kind) == "SUBPATTERN" else []
            if str(kind) == "AT" or _has_anchor(inner):
                return True
    return False


def _sequence(items: Iterable[Any]) -> str:
    return "".join(_item(str(kind), value) for kind, value in items)


def _item(kind: str, value: Any) -> str:
    if kind in REPEATS:
        return _times(_sequence(value[2]), *value[:2])
    if kind == "BRANCH":
        return _either([_sequence(branch) for branch in value[1]])
    if kind == "SUBPATTERN" and not any(value[1:3]):
        return _sequence(value[3])
    write = _CHARACTERS.get(kind)
    if write is None:
        raise Unfollowed("flags" if kind == "SUBPATTERN" else kind.lower().replace("_", " "))
    return write(value)


def _times(text: str, least: int, most: Any) -> str:
    if not text or most == 0:
        return ""
    if least == most == 1:
        return text
    most = None if most == parser.MAXREPEAT else int(most)
    signs = {(0, 1): "?", (0, None): "*", (1, None): "+"}
    count = f"{{{least}}}" if least == most else f"{{{least},{'' if most is None else most}}}"
    return f"(?:{text}){signs.get((least, most), count)}"


def _either(ways: list[str]) -> str:
    ways = sorted(dict.fromkeys(ways), key=bool, reverse=True)  # nothing stands last, xgrammar 0.1 reads it there alone
    return ways[0] if len(ways) == 1 else f"(?:{'|'.join(ways)})"


def _set(items: Sequence[Any]) -> str:
    negated = str(items[0][0]) == "NEGATE"
    spans = [span for kind, value in items[negated:] for span in _spans(str(kind), value, negated)]
    return _one_of(without(ALL, spans) if negated else spans)


def _spans(kind: str, value: Any, wide: bool) -> Ranges:
    """The characters of one item of a set: where they are to be excluded all of them, else some may be missing."""
    if kind == "LITERAL":
        return [(value, value)]
    if kind == "RANGE":
        return [value]
    name = str(value).removeprefix("CATEGORY_")
    if name.startswith("NOT_"):
        name = name.removeprefix("NOT_")
        return without(ALL, NARROW[name] if wide else _all_of(name))
    return _all_of(name) if wide else NARROW[name]


@cache
def _all_of(name: str) -> Ranges:
    """All characters of a class, or more: beyond ASCII every one counts as a letter, which is shorter to write."""
    if name == "WORD":
        return [*WORD, (0x80, 0x10FFFF)]
    if name == "DIGIT":
        return merged((code, code) for code in range(0x110000) if chr(code).isdecimal())
    return merged((code, code) for code in range(0x110000) if chr(code).isspace() or code == 0xFEFF)  # JavaScript's


def _one_of(ranges: Ranges) -> str:
    text = one_of(ranges)
    if not text:
        raise Unfollowed("a set without a character")
    return text


_CHARACTERS: dict[str, Callable[[Any], str]] = {
    "LITERAL": lambda value: _one_of([(value, value)]),
    "NOT_LITERAL": lambda value: _one_of(without(ALL, [(value, value)])),
    "ANY": lambda _: one_of(without(ALL, LINE_ENDS)),
    "IN": _set,
}
REPEATS = ("MAX_REPEAT", "MIN_REPEAT")
"""Lazy or not, the same whole texts match."""


ANY: str = one_of(ALL)
"""Any character of a JSON string but rare controls."""

KEY_LETTER: str = one_of(LITERAL)

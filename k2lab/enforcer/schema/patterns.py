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
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import TypeAlias

from k2lab.enforcer.schema.characters import ALL, LITERAL, Ranges, escaped, holds, merged, one_of, without
from k2lab.enforcer.schema.ecma262 import Choice, Class, Edge, Part, Parts, Repeat, Set, Span, Unfollowed, read, width

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
NARROW: dict[str, Ranges] = {"digit": DIGIT, "space": [(0x09, 0x0D), (0x20, 0x20)], "word": WORD}
"""A part of what ``\\d``, ``\\s`` and ``\\w`` match in Unicode: short to write, and the same in JavaScript."""


@dataclass(frozen=True, kw_only=True, slots=True)
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
    return _whole(_fitted(_parsed(pattern), least, most), MOST_CHARACTERS)


def _parsed(pattern: str) -> Parts:
    if len(pattern) > LONGEST_PATTERN:
        raise Unfollowed(f"it is {len(pattern)} characters long, at most {LONGEST_PATTERN} are held")
    return read(pattern)


def _whole(tree: Parts, most: int) -> Whole:
    try:
        characters = _check_size(_written_out(tree), most)
        ways, anchored = _searched(tree, True, True)
        shortest, longest = width(tree)
    except RecursionError as error:
        raise Unfollowed(str(error)) from None
    return Whole(text=either(ways), shortest=shortest, longest=longest if anchored else None, characters=characters)


def _fitted(parts: Parts, least: int, most: int | None) -> Parts:
    """A pattern for a whole text, the bounds of its one repetition of a character drawn in to a length of the text."""
    if len(parts) > 2 and _begins(parts[0]) and _ends(parts[-1]):
        return (parts[0], *_drawn_in(parts[1:-1], least, most), parts[-1])
    return parts


def _drawn_in(parts: Parts, least: int, most: int | None) -> Parts:
    free = [part for part in parts if len({*width((part,))}) > 1]
    repeat = free[0] if len(free) == 1 else None
    if not isinstance(repeat, Repeat) or width(repeat.part) != (1, 1):
        return parts
    others = width([part for part in parts if part is not repeat])[0]
    low = max(repeat.least, least - others)
    bounds = [bound for bound in (repeat.most, None if most is None else most - others) if bound is not None]
    high = min(bounds, default=None)
    if high is not None and high < low:
        return parts
    drawn = replace(repeat, least=low, most=high)
    return tuple(drawn if part is repeat else part for part in parts)


def found(pattern: str, text: str) -> bool:
    """Whether a validator would find a pattern in a key or a value.

    In longer ones, and for what :mod:`re` does not read, jsonschema-rs does, which takes no longer for ``(a+)+$``;
    :mod:`re` would not come back.
    """
    original = _compiled(pattern)
    linear = _linear(pattern) if original is None or len(text) > SHORT_TEXT else None
    return linear(text) if linear else original is not None and original.search(text) is not None


@lru_cache(4096)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """More patterns than :mod:`re` itself keeps: a schema may try each with each property."""
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return None


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
        parts = read(pattern)
    except Unfollowed:
        return ""
    letters = (part.letter if isinstance(part, Set) else "" for part in parts[1:] if _begins(parts[0]))
    return "".join(itertools.takewhile(bool, letters))


Tree: TypeAlias = "dict[str, Tree]"
"""Names by their letters; an empty one ends a name."""


def other_than(names: Iterable[str]) -> str:
    r"""Every text but some: what an additional key may be, as far as it needs no escape.

    The engine keeps declared names from being written again as additional keys
    only while they are plain ASCII, and lets them pass as ``\u0061``.
    """
    tree: Tree = {}
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


def _leaving(tree: Tree) -> str:
    """What goes on otherwise than a tree of names does."""
    letters = sorted(letter for letter in tree if letter)
    ways = [_one_of(without(LITERAL, [(ord(letter), ord(letter)) for letter in letters])) + KEY_LETTER + "*"]
    ways += [escaped(ord(letter)) + _leaving(tree[letter]) for letter in letters]
    return either(ways if "" in tree else [*ways, ""])


def _letters(tree: Tree) -> int:
    return len(tree) + sum(map(_letters, tree.values()))


def _written_out(parts: Parts) -> int:
    """How many characters, sets and anchors a pattern has with its repetitions written out, told without doing so."""
    count = 0
    for part in parts:
        if isinstance(part, Repeat):
            count += (max(part.least, 1) if part.most is None else part.most) * _written_out(part.part)
        elif isinstance(part, Choice):
            count += sum(map(_written_out, part.branches))
        else:
            count += 1
    return count


def _check_size(count: int, most: int) -> int:
    if count > most:
        raise Unfollowed(f"it has {count} characters with its repetitions written out, at most {most} are held")
    return count


def _searched(parts: Parts, left: bool, right: bool) -> tuple[list[str], bool]:
    """The pattern with what may stand around it, in one way or several, and whether nothing may."""
    while parts and _begins(parts[0]):
        parts, left = parts[1:], False
    while parts and _ends(parts[-1]):
        parts, right = parts[:-1], False
    for place in {0, len(parts) - 1} if parts else ():
        front, part, rest = parts[:place], parts[place], parts[place + 1 :]
        if isinstance(part, Choice) and (len(parts) == 1 or _has_anchor(part.branches)):
            return _each([_searched((*front, *branch, *rest), left, right) for branch in part.branches])
    before, after = (f"{ANY}*" if left else ""), (f"{ANY}*" if right else "")
    return [f"{before}{_sequence(parts)}{after}" if parts else before or after], not (left or right)


def _each(parts: Sequence[tuple[list[str], bool]]) -> tuple[list[str], bool]:
    ways = [way for part, _ in parts for way in part]
    if len(ways) > MOST_WAYS:
        raise Unfollowed(f"more than {MOST_WAYS} choices around anchors")
    return ways, all(anchored for _, anchored in parts)


def _begins(part: Part) -> bool:
    return isinstance(part, Edge) and not part.end


def _ends(part: Part) -> bool:
    return isinstance(part, Edge) and part.end


def _has_anchor(branches: Iterable[Parts]) -> bool:
    """Whether a branch begins or ends with an anchor, within branches of its own or not."""
    outer = [part for branch in branches for part in (*branch[:1], *branch[-1:])]
    return any(isinstance(part, Edge) or (isinstance(part, Choice) and _has_anchor(part.branches)) for part in outer)


def _sequence(parts: Parts) -> str:
    return "".join(map(_part, parts))


def _part(part: Part) -> str:
    if isinstance(part, Repeat):
        return times(_sequence(part.part), part.least, part.most)
    if isinstance(part, Choice):
        return either(list(map(_sequence, part.branches)))
    if isinstance(part, Edge):
        raise Unfollowed("an anchor that neither begins nor ends it")
    spans = [span for item in part.items for span in _spans(item, part.negated)]
    return _one_of(without(ALL, spans) if part.negated else spans)


def times(text: str, least: int, most: int | None) -> str:
    """An expression so many times."""
    if not text or most == 0:
        return ""
    if least == most == 1:
        return text
    signs = {(0, 1): "?", (0, None): "*", (1, None): "+"}
    count = f"{{{least}}}" if least == most else f"{{{least},{'' if most is None else most}}}"
    return f"(?:{text}){signs.get((least, most), count)}"


def either(ways: list[str]) -> str:
    """One of some expressions."""
    ways = sorted(dict.fromkeys(ways), key=bool, reverse=True)  # nothing stands last, xgrammar 0.1 reads it there alone
    return ways[0] if len(ways) == 1 else f"(?:{'|'.join(ways)})"


def _spans(item: Span | Class, wide: bool) -> Ranges:
    """The characters of one item of a set: where they are to be excluded all of them, else some may be missing."""
    if not isinstance(item, Class):
        return [item]
    if item.negated:
        return without(ALL, NARROW[item.name] if wide else _all_of(item.name))
    return _all_of(item.name) if wide else NARROW[item.name]


@cache
def _all_of(name: str) -> Ranges:
    """All characters of a class, or more: beyond ASCII every one counts as a letter, which is shorter to write."""
    if name == "word":
        return [*WORD, (0x80, 0x10FFFF)]
    if name == "digit":
        return merged((code, code) for code in range(0x110000) if chr(code).isdecimal())
    return merged((code, code) for code in range(0x110000) if chr(code).isspace() or code == 0xFEFF)  # JavaScript's


def _one_of(ranges: Ranges) -> str:
    text = one_of(ranges)
    if not text:
        raise Unfollowed("a set without a character")
    return text


ANY: str = one_of(ALL)
"""Any character of a JSON string but rare controls."""

KEY_LETTER: str = one_of(LITERAL)

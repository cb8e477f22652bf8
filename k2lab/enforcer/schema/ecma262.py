r"""Regular expressions as JSON Schema has them (ECMA-262, with its flag ``u``), read into a tree.

Our own reader: that of :mod:`re` is private, moves between Python's versions and
reads another language, and those on PyPI leave out anchors or make automata of
their own kind.

What is an error in ECMA-262 and means something in Python (``(?P<n>…)``, ``\Z``,
``{,3}``) is read as Python does, whose validators take it. What the two read
differently is refused, as is what no automaton holds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

from k2lab.enforcer.schema.characters import LINE_ENDS

MOST_DIGITS = 18
"""Of a number of repetitions."""


class Unfollowed(Exception):
    """A pattern that the grammar cannot hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Class:
    r"""The characters of ``\d``, ``\s`` or ``\w``, or all others."""

    name: Literal["digit", "space", "word"]
    negated: bool = False


Span: TypeAlias = tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Set:
    """One character of some, or of all others; a letter by itself is a set of one."""

    items: tuple[Span | Class, ...]
    negated: bool = False

    @property
    def letter(self) -> str:
        """The one character that it has; empty where it has others."""
        [first, *more] = self.items
        alone = not more and not self.negated and isinstance(first, tuple) and first[0] == first[1]
        return chr(first[0]) if alone and isinstance(first, tuple) else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeat:
    """A part from ``least`` to ``most`` times, ``None`` for any number; lazy or not, the same whole texts match."""

    part: Parts
    least: int
    most: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One of some branches."""

    branches: tuple[Parts, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Edge:
    """The beginning of the text, or its end."""

    end: bool


Part: TypeAlias = Set | Repeat | Choice | Edge
Parts: TypeAlias = tuple[Part, ...]
"""Parts behind each other; groups are taken apart."""


@lru_cache(4096)
def read(pattern: str) -> Parts:
    """The parts of a pattern; raises :class:`Unfollowed` for one that is none, or that no automaton holds.

    >>> read("^a{2,}")
    (Edge(end=False), Repeat(part=(Set(items=((97, 97),), negated=False),), least=2, most=None))
    """
    try:
        return _Reader(pattern).whole()
    except RecursionError:
        raise Unfollowed("groups within groups without end") from None


def width(parts: Sequence[Part]) -> tuple[int, int | None]:
    """Characters of the shortest and of the longest text that some parts match; ``None`` where there is no longest.

    >>> width(read("a(?:bc)?d*"))
    (1, None)
    """
    widths = [_width(part) for part in parts]
    longest = [most for _, most in widths]
    return sum(least for least, _ in widths), None if None in longest else sum(most or 0 for most in longest)


def _width(part: Part) -> tuple[int, int | None]:
    if isinstance(part, Set):
        return 1, 1
    if isinstance(part, Edge):
        return 0, 0
    if isinstance(part, Choice):
        widths = [width(branch) for branch in part.branches]
        longest = [most for _, most in widths]
        return min(least for least, _ in widths), None if None in longest else max(most or 0 for most in longest)
    least, most = width(part.part)
    if most == 0 or part.most == 0:
        return least * part.least, 0
    return least * part.least, None if most is None or part.most is None else most * part.most


NAMES: dict[str, Literal["digit", "space", "word"]] = {"d": "digit", "s": "space", "w": "word"}
COUNT = re.compile(r"\{(?!\})([0-9]*)(,?)([0-9]*)\}")
SIGNS: dict[str, tuple[int, int | None]] = {"?": (0, 1), "*": (0, None), "+": (1, None)}
NAME = re.compile(r"\?(?:P?<\w+>|:)")
"""What may stand behind the bracket of a group."""

CLASSES = {letter: Class(name=NAMES[letter.lower()], negated=letter.isupper()) for letter in "dDsSwW"}
CONTROLS = {"n": 0x0A, "r": 0x0D, "t": 0x09, "f": 0x0C, "v": 0x0B, "a": 0x07}
BY_NUMBER = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|u\{([0-9A-Fa-f]{1,6})\}")
REFUSED = (
    (re.compile(r"\(\?(?:[=!]|<[=!])"), "a look-around assertion"),
    (re.compile(r"\(\?[a-zA-Z-]*[:)]"), "flags"),
    (re.compile(r"\(\?P="), "a back reference"),
    (re.compile(r"\(\?"), "a group of another kind"),
)


class _Reader:
    """A pattern while it is read, from left to right."""

    def __init__(self, pattern: str) -> None:
        self._text, self._place = pattern, 0

    def whole(self) -> Parts:
        parts = self._choice()
        if self._place < len(self._text):
            raise Unfollowed("a bracket ) that opens nowhere")
        return parts

    def _next(self) -> str:
        return self._text[self._place : self._place + 1]

    def _take(self, text: str) -> bool:
        if not self._text.startswith(text, self._place):
            return False
        self._place += len(text)
        return True

    def _match(self, what: re.Pattern[str]) -> re.Match[str] | None:
        found = what.match(self._text, self._place)
        self._place = found.end() if found else self._place
        return found

    def _choice(self) -> Parts:
        branches = [self._sequence()]
        while self._take("|"):
            branches.append(self._sequence())
        return _joined(branches)

    def _sequence(self) -> Parts:
        parts: list[Part] = []
        while self._next() not in ("", "|", ")"):
            parts += self._repeated()
        return tuple(parts)

    def _repeated(self) -> Parts:
        part = self._atom()
        counts = self._counts()
        if counts is None:
            return part
        if len(part) == 1 and isinstance(part[0], Edge):
            raise Unfollowed("nothing to repeat")
        if not self._take("?") and self._take("+"):
            raise Unfollowed("a possessive repetition")
        if self._counts() is not None:
            raise Unfollowed("a repetition of a repetition")
        return (Repeat(part=part, least=counts[0], most=counts[1]),)

    def _counts(self) -> tuple[int, int | None] | None:
        """How often what was read may stand; none where that is not said."""
        sign = self._next()
        if sign in SIGNS:
            self._place += 1
            return SIGNS[sign]
        found = self._match(COUNT)
        if found is None:
            return None
        low, comma, high = found.groups()
        if max(len(low), len(high)) > MOST_DIGITS:
            raise Unfollowed(f"a repetition of more than {MOST_DIGITS} digits")
        least = int(low or 0)
        most = least if not comma else int(high) if high else None
        if most is not None and most < least:
            raise Unfollowed("a repetition that ends below its beginning")
        return least, most

    def _atom(self) -> Parts:
        if self._next() == "(":
            return self._group()
        if self._next() in SIGNS or COUNT.match(self._text, self._place):
            raise Unfollowed("nothing to repeat")
        sign = self._text[self._place]
        self._place += 1
        if sign in "^$":
            return (Edge(end=sign == "$"),)
        if sign == ".":
            return (Set(items=LINE_ENDS, negated=True),)
        if sign == "[":
            return (self._set(),)
        return (self._escape() if sign == "\\" else _letter(ord(sign)),)

    def _group(self) -> Parts:
        begin = self._place
        self._place += 1
        if self._next() == "?" and not self._match(NAME):
            raise Unfollowed(next(why for what, why in REFUSED if what.match(self._text, begin)))
        parts = self._choice()
        if not self._take(")"):
            raise Unfollowed("an unterminated group")
        return parts

    def _set(self) -> Set:
        negated = self._take("^")
        if self._next() == "]":
            raise Unfollowed("a set that begins with ], which JavaScript and Python read differently")
        items: list[Span | Class] = []
        while not self._take("]"):
            first = self._member()
            if self._next() != "-" or self._text.startswith("-]", self._place):
                items.append(first)
                continue
            self._place += 1
            last = self._member()
            if isinstance(first, Class) or isinstance(last, Class) or first[0] > last[0]:
                raise Unfollowed("a set with a range that is not valid")
            items.append((first[0], last[0]))
        return Set(items=tuple(dict.fromkeys(items)), negated=negated)

    def _member(self) -> Span | Class:
        sign = self._next()
        self._place += 1
        if not sign:
            raise Unfollowed("an unterminated set")
        if sign != "\\":
            return ord(sign), ord(sign)
        if self._next() in CLASSES:
            return self._class()
        code = 0x08 if self._take("b") else self._code()
        return code, code

    def _class(self) -> Class:
        self._place += 1
        return CLASSES[self._text[self._place - 1]]

    def _escape(self) -> Part:
        sign = self._next()
        if sign in CLASSES:
            return Set(items=(self._class(),))
        if sign and sign in "AZ":
            self._place += 1
            return Edge(end=sign == "Z")
        if sign and sign in "bB":
            raise Unfollowed("a word boundary")
        if sign and sign in "123456789k":
            raise Unfollowed("a back reference")
        return _letter(self._code())

    def _code(self) -> int:
        """The character of an escape, behind its backslash."""
        found = self._match(BY_NUMBER)
        if found:
            code = int(next(filter(None, found.groups())), 16)
            if code > 0x10FFFF:
                raise Unfollowed("a character beyond Unicode")
            return code
        sign, after = self._next(), self._text[self._place + 1 : self._place + 2]
        self._place += 1
        if sign == "0" and not after.isdecimal():
            return 0
        if sign == "c" and after.isascii() and after.isalpha():
            self._place += 1
            return ord(after) % 32
        if sign in CONTROLS:
            return CONTROLS[sign]
        if not sign or (sign.isascii() and sign.isalnum()):
            raise Unfollowed(f"the escape \\{sign}")
        return ord(sign)


def _letter(code: int) -> Set:
    return Set(items=((code, code),))


def _joined(branches: Sequence[Parts]) -> Parts:
    """A choice, what all branches begin with in front; single characters are one set."""
    if len(branches) == 1:
        return branches[0]
    same = 0
    while _all_have(branches, same):
        same += 1
    rest = [branch[same:] for branch in branches]
    sets = [branch[0] for branch in rest if len(branch) == 1 and isinstance(branch[0], Set) and not branch[0].negated]
    one: Part = Choice(branches=tuple(rest))
    if len(sets) == len(rest):
        one = Set(items=tuple(dict.fromkeys(item for part in sets for item in part.items)))
    return (*branches[0][:same], one)


def _all_have(branches: Sequence[Parts], place: int) -> bool:
    """Whether all branches have the same character or anchor in a place."""
    parts = {branch[place] if place < len(branch) else None for branch in branches}
    return len(parts) == 1 and isinstance(next(iter(parts)), Set | Edge)

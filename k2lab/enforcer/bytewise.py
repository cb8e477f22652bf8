r"""Classes for xgrammar 0.1.25, to which a byte is a character.

It looks for one byte between the last bytes of a range's edges: ``[\u0410-\u044f]`` is any of ``0`` to ``O``, and a
quote stands in ``[\ue000-\U0010ffff]``, and would end a string. What it reads right are texts, letter by letter. So a
class that goes beyond ASCII is a choice, of which each engine takes its part:

- letters of ranges that change in their last byte alone, as texts, for both;
- longer ranges as such for later engines, cut so that the last bytes of their edges lie the wrong way round, between
  which 0.1.25 finds nothing;
- the bytes of these in UTF-8 for 0.1.25, named by numbers past the last code point, which no character has.

xgrammar 0.2.8 takes the same characters (``tests/live/test_tags.py`` asks both); so did 0.1.26 to 0.2.7, tried once.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from k2lab.enforcer.automaton import ASCII_END, Ranges
from k2lab.enforcer.expressions import chars, literal

LAST = 0xFF
PAST, BEYOND = 0x110000, 0x110100
"""What is added to the first and to the last byte of a range. The engine looks at the last bytes of the sums. A range
whose edges are one number it takes for a letter: these are never one."""

LENGTHS = ((0x80, 0x7FF), (0x800, 0xFFFF), (0x10000, 0x10FFFF))
"""Code points that UTF-8 writes as two, three and four bytes."""

Bytes = tuple[tuple[int, int], ...]
"""For each byte of a character, from which to which it goes."""


@dataclass(kw_only=True)
class Classes:
    """What writes the classes of rules for one engine, and the rules that they need, by name."""

    by_bytes: bool
    rules: dict[str, str] = field(default_factory=dict)

    def ways(self, ranges: Ranges) -> list[str]:
        r"""Classes and names of rules that together are the class.

        >>> classes = Classes(by_bytes=True)
        >>> classes.ways(((0x61, 0x7A), (0xE9, 0xEA))), classes.rules
        (['[a-z]', 'ubf6de2cd'], {'ubf6de2cd': '"é" | "ê"'})
        """
        if not self.by_bytes:
            return [chars(ranges)]
        plain = tuple((low, min(high, ASCII_END)) for low, high in ranges if low <= ASCII_END)
        beyond = tuple((max(low, ASCII_END + 1), high) for low, high in ranges if high > ASCII_END)
        return [*([chars(plain)] if plain else []), *([self._rule(beyond)] if beyond else [])]

    def write(self, ranges: Ranges) -> str:
        """The class as one part of a rule's body."""
        made = self.ways(ranges)
        return made[0] if len(made) == 1 else f"({' | '.join(made)})"

    def _rule(self, beyond: Ranges) -> str:
        body = _body(beyond)
        name = f"u{zlib.crc32(body.encode()):08x}"
        self.rules[name] = body
        return name


@lru_cache(1024)
def _body(beyond: Ranges) -> str:
    return " | ".join(_ways(beyond))


def _ways(beyond: Ranges) -> Iterator[str]:
    later: list[tuple[int, int]] = []
    for low, high in beyond:
        if low >> 8 == high >> 8:
            yield from map(literal, map(chr, range(low, high + 1)))
            continue
        ends, cut = upside_down(low, high)
        yield from map(literal, map(chr, ends))
        later += cut
        for sequence in in_utf8(low, high):
            yield " ".join(f"[\\U{PAST + first:08x}-\\U{BEYOND + last:08x}]" for first, last in sequence)
    if later:
        yield chars(tuple(later))


def upside_down(low: int, high: int) -> tuple[list[int], list[tuple[int, int]]]:
    """Of a range over several last-but-one bytes: letters at its ends, and ranges that are together the rest of it.

    The last byte of each of these is lower at the end than at the beginning.
    """
    ends = [low] if low & LAST == 0 else []
    ends += [high] if high & LAST == LAST else []
    low, high = low + (low in ends), high - (high in ends)
    first, last = low & LAST, high & LAST
    if first > last:
        return ends, [(low, high)]
    return ends, [(low, high - last + first - 1), (low - first + last + 1, high)]


def in_utf8(low: int, high: int) -> Iterator[Bytes]:
    """Code points beyond ASCII as sequences of bytes, each of which varies by itself.

    >>> list(in_utf8(0x7FE, 0x801))
    [((223, 223), (190, 191)), ((224, 224), (160, 160), (128, 129))]
    """
    for begin, end in LENGTHS:
        if low <= end and high >= begin:
            yield from _of_one_length(max(low, begin), min(high, end))


def _of_one_length(low: int, high: int) -> Iterator[Bytes]:
    for bits in (6, 12, 18):
        below = (1 << bits) - 1
        if low | below == high | below:
            continue
        if low & below:
            yield from _of_one_length(low, low | below)
            yield from _of_one_length((low | below) + 1, high)
            return
        if high & below != below:
            yield from _of_one_length(low, (high & ~below) - 1)
            yield from _of_one_length(high & ~below, high)
            return
    yield tuple(zip(chr(low).encode(), chr(high).encode(), strict=True))

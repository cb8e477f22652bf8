"""Sets of characters, and how JSON writes one of them within a string."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

Ranges = list[tuple[int, int]]
"""From a first to a last code point, both within."""

SURROGATES = (0xD800, 0xDFFF)
"""Halves of a character, which have no UTF-8.

xgrammar takes the three bytes that they would have for one character of a class which has them, and a server writes
three U+FFFD for those: more characters than were counted. So no class that is written has them.
"""

ALL: Ranges = [(0, SURROGATES[0] - 1), (SURROGATES[1] + 1, 0x10FFFF)]

LITERAL: Ranges = [(0x20, 0x21), (0x23, 0x5B), (0x5D, ALL[0][1]), ALL[1]]
"""Characters that stand for themselves in a JSON string: all but quotes, backslashes and controls."""

SHORT_ESCAPES = {0x22: '"', 0x5C: "\\", 0x08: "b", 0x0C: "f", 0x0A: "n", 0x0D: "r", 0x09: "t"}
"""What follows the backslash where JSON writes one of the others (RFC 8259, section 7)."""

LINE_ENDS = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
"""What a dot does not match in JavaScript; in Python the first alone."""


def holds(ranges: Iterable[tuple[int, int]], code: int) -> bool:
    """Whether a character is among some."""
    return any(low <= code <= high for low, high in ranges)


def merged(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The same characters in order, each once."""
    made: Ranges = []
    for low, high in sorted(ranges):
        if made and low <= made[-1][1] + 1:
            made[-1] = (made[-1][0], max(made[-1][1], high))
        else:
            made.append((low, high))
    return made


def inverse(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """All other code points."""
    edges = [0, *(edge for low, high in merged(ranges) for edge in (low - 1, high + 1)), ALL[-1][1]]
    return [(low, high) for low, high in zip(edges[::2], edges[1::2], strict=True) if low <= high]


def without(ranges: Ranges, removed: Iterable[tuple[int, int]]) -> Ranges:
    """Some characters less others."""
    return inverse([*inverse(ranges), *removed])


def both(first: Ranges, second: Ranges) -> Ranges:
    """The characters of two sets."""
    return inverse([*inverse(first), *inverse(second)])


def one_of(ranges: Iterable[tuple[int, int]]) -> str:
    """An expression for one of some characters as JSON writes it; empty where there is none that it can write.

    Of the controls those without a short escape are written only where they are alone, and surrogates never.
    """
    return _written(tuple(ranges))


@lru_cache(4096)
def _written(ranges: tuple[tuple[int, int], ...]) -> str:
    plain = both(LITERAL, list(ranges))
    short = sorted(SHORT_ESCAPES[code] for code in SHORT_ESCAPES if holds(ranges, code))
    ways = [_plain(plain)] if plain else []
    ways += [f"\\\\{_plain([(ord(sign), ord(sign)) for sign in short])}"] if short else []
    ways = ways or [f"\\\\u{code:04x}" for code in range(0x20) if holds(ranges, code)]
    return "|".join(ways) if len(ways) < 2 else f"(?:{'|'.join(ways)})"


def _plain(ranges: Ranges) -> str:
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return escaped(ranges[0][0])
    spans = (escaped(low) if low == high else f"{escaped(low)}-{escaped(high)}" for low, high in ranges)
    return f"[{''.join(spans)}]"


def escaped(code: int) -> str:
    """A character as an expression has it."""
    return f"\\{chr(code)}" if chr(code) in r".^$*+?()[]{}|/-\\" else chr(code)

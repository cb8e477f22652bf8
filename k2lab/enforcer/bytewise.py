r"""Classes for xgrammar 0.1.25, to which a byte is a character.

It looks for a byte between the last bytes of a range's edges: a quote stands in ``\ue000-\U0010ffff``, and would end a
string. So a range beyond ASCII is written as several that overlap. Between their last bytes is no ASCII, and what UTF-8
has beyond that, as far as the range itself has it there. To a later engine they are the same characters.

Left as they are, and read wrongly by it: ranges whose edges differ in the last byte alone, as ``\u0410-\u044f``, and
characters beyond ASCII by themselves. A limit names a pattern that has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from k2lab.enforcer.automaton import ASCII_END, Ranges, codes
from k2lab.enforcer.expressions import Spell, chars
from k2lab.enforcer.schema.ecma262 import Choice, Parts, Repeat, Set, read

BEYOND = ASCII_END + 1
LAST = 0xFF

WHY_MISREAD = (
    "xgrammar 0.1.25, for which this form is, tells letters beyond ASCII by their last byte: "
    "other text passes there, quotes too, and some that fits cannot be written"
)


def in_bytes(ranges: Ranges) -> str:
    r"""Code points as a class.

    >>> print(ascii(in_bytes(((0x61, 0x7A), (0xE000, 0x10FFFF)))))
    '[a-z\ue000-\U0010ff00\ue080-\U0010ffff]'
    """
    return chars(tuple(part for low, high in ranges for part in overlapping(low, high)))


def class_writer(macros: bool) -> Spell:
    """What writes the classes of rules, for an engine with ``Regex`` or for one without."""
    return chars if macros else in_bytes


@lru_cache(4096)
def misread(pattern: str) -> bool:
    """Whether the engine reads a set of a pattern otherwise.

    >>> misread("[a-z]+"), misread("[a-z\u0410-\u044f]+"), misread("\u00e9")
    (False, True, True)
    """
    parts = (part for ranges in _sets(read(pattern)) for low, high in ranges for part in overlapping(low, high))
    return any(high > ASCII_END and low >> 8 == high >> 8 for low, high in parts)


def _sets(parts: Parts) -> Iterator[Ranges]:
    for part in parts:
        if isinstance(part, Repeat):
            yield from _sets(part.part)
        elif isinstance(part, Choice):
            yield from (found for branch in part.branches for found in _sets(branch))
        elif isinstance(part, Set):
            yield codes(part)


def overlapping(low: int, high: int) -> Iterator[tuple[int, int]]:
    """Ranges that are together the same one."""
    if low <= ASCII_END < high and high & LAST <= ASCII_END:
        yield low, ASCII_END
        yield from overlapping(BEYOND, high)
    elif low <= ASCII_END or low >> 8 == high >> 8:
        yield low, high
    else:
        yield from _several(low, high)


def _several(low: int, high: int) -> Iterator[tuple[int, int]]:
    """A range from one last-but-one byte to another."""
    first, last = low & LAST, high & LAST
    begin, end = low - first, high - last
    if first > last:
        yield low, high
    elif first <= ASCII_END:
        yield low, end + max(first - 1, 0)
    yield max(low, begin + BEYOND), high if last > ASCII_END else end - 1
    if first <= last <= ASCII_END:
        yield end - BEYOND, high

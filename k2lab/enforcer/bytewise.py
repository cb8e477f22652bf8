r"""Classes for xgrammar 0.1.25, to which a byte is a character.

It looks for a byte between the last bytes of a range's edges: a quote stands in ``\ue000-\U0010ffff``, and would end a
string. So a range beyond ASCII is written as several that overlap. Between their last bytes is no ASCII, and what UTF-8
has beyond that, as far as the range itself has it there. To a later engine they are the same characters.

Left as they are, and read wrongly by it: ranges whose edges differ in the last byte alone, as ``\u0410-\u044f``, and
characters beyond ASCII by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator

from k2lab.enforcer.automaton import ASCII_END, Ranges
from k2lab.enforcer.expressions import Spell, chars

BEYOND = ASCII_END + 1
LAST = 0xFF


def in_bytes(ranges: Ranges) -> str:
    r"""Code points as a class.

    >>> print(ascii(in_bytes(((0x61, 0x7A), (0xE000, 0x10FFFF)))))
    '[a-z\ue000-\U0010ff00\ue080-\U0010ffff]'
    """
    return chars(tuple(part for low, high in ranges for part in overlapping(low, high)))


def class_writer(macros: bool) -> Spell:
    """What writes the classes of rules, for an engine with ``Regex`` or for one without."""
    return chars if macros else in_bytes


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

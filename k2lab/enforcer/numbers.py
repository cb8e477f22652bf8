"""Numbers within bounds, as the body of a grammar's rule."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from k2lab.enforcer.schema.finite import Schema

DECIMALS = 6
"""A bounded number has no more decimals in the grammar."""

INTEGER = '"0" | "-"? [1-9] [0-9]*'
NUMBER = '"-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [+-]? [0-9]+)?'
GRID = 10**DECIMALS


def integer(said: Schema) -> str | None:
    """Whole numbers from ``minimum`` to ``maximum``, in their plain spelling; ``None`` where there are none."""
    low, high = said.get("minimum"), said.get("maximum")
    if low is None and high is None:
        return INTEGER
    return _either(_signed(low, high, _whole))


def number(said: Schema) -> str | None:
    """Numbers within bounds that count or are exclusive, with up to six decimals; ``None`` where there are none.

    Without bounds, every number of JSON.
    """
    low, high = _edge(said, "minimum", 1), _edge(said, "maximum", -1)
    if low is None and high is None:
        return NUMBER
    return _either(_signed(low, None if high is None else -high, _decimal))


def _edge(said: Schema, keyword: str, sign: int) -> int | None:
    """The first number inside a bound, in millionths; of an upper bound what it is from below, negated."""
    found: int | None = None
    for key in (keyword, f"exclusive{keyword.capitalize()}"):
        if key in said:
            exact = sign * Fraction(repr(said[key]) if isinstance(said[key], float) else said[key]) * GRID
            inside = math.ceil(exact) + (key != keyword and exact.denominator == 1)
            found = inside if found is None else max(found, inside)
    return found


def _either(ways: list[str]) -> str | None:
    return " | ".join(ways) or None


def _signed(low: int | None, high: int | None, write: Callable[[int, int | None], list[str]]) -> list[str]:
    if low is not None and high is not None and low > high:
        return []
    ways: list[str] = []
    if high is None or high >= 0:
        ways += write(max(low or 0, 0), high)
    if low is None or low < 0:
        first = 1 if high is None or high >= 0 else -high
        ways += [f'"-" ({" | ".join(part)})' for part in [write(first, None if low is None else -low)] if part]
    return ways


def _decimal(low: int, high: int | None) -> list[str]:
    """Numbers from ``low`` to ``high`` millionths, neither below zero."""
    first, start = divmod(low, GRID)
    last, end = divmod(high, GRID) if high is not None else (None, GRID - 1)
    if first == last:
        return [f'"{first}" {_fraction(start, end)}']
    ways = []
    if start:
        ways.append(f'"{first}" {_fraction(start, GRID - 1)}')
        first += 1
    if last is not None and end < GRID - 1:
        ways.append(f'"{last}" {_fraction(0, end)}')
        last -= 1
    if last is None or first <= last:
        ways.append(f"({' | '.join(_whole(first, last))}) {_fraction(0, GRID - 1)}")
    return ways


def _fraction(low: int, high: int) -> str:
    """The point and up to six digits from ``low`` to ``high`` millionths, or nothing where that is zero."""
    first, last = f"{low:0{DECIMALS}}", f"{high:0{DECIMALS}}"
    made = f'"." ({" | ".join(_digits(first, last, need=True))})'
    return made if low else f"({made})?"


def _digits(low: str, high: str, *, need: bool) -> list[str]:
    """Digits that go on between two texts of one length; zeros at the end may be left out."""
    rest = len(low) - 1
    if not low:
        return ['""']
    if low == "0" * len(low) and high == "9" * len(high):
        return [f"[0-9]{{{int(need)},{len(low)}}}"]
    ways = [] if need or low.strip("0") else ['""']
    nines, zeros = "9" * rest, "0" * rest
    if low[0] == high[0]:
        return [*ways, f'"{low[0]}" ({" | ".join(_digits(low[1:], high[1:], need=False))})']
    begin, end = int(low[0]), int(high[0])
    if low[1:] != zeros:
        ways.append(f'"{begin}" ({" | ".join(_digits(low[1:], nines, need=False))})')
        begin += 1
    if high[1:] != nines:
        ways.append(f'"{end}" ({" | ".join(_digits(zeros, high[1:], need=False))})')
        end -= 1
    if begin <= end:
        ways.append(f"[{begin}-{end}] ({' | '.join(_digits(zeros, nines, need=False))})")
    return ways


def _whole(low: int, high: int | None) -> list[str]:
    """Whole numbers from ``low`` up, neither below zero, without leading zeros."""
    if low == 0:
        return ['"0"', *(_whole(1, high) if high is None or high > 0 else [])]
    size = len(str(low))
    if high is None:
        return [*_same_size(str(low), "9" * size), f"[1-9] [0-9]{{{size},}}"]
    ways: list[str] = []
    while size <= len(str(high)):
        first = max(low, 10 ** (size - 1))
        ways += _same_size(str(first), str(min(high, 10**size - 1)))
        size += 1
    return ways


def _same_size(low: str, high: str) -> list[str]:
    """Digits between two texts of one length."""
    rest = len(low) - 1
    if low == high:
        return [f'"{low}"']
    if low[0] == high[0]:
        return [f'"{low[0]}" ({" | ".join(_same_size(low[1:], high[1:]))})']
    if not rest:
        return [f"[{low}-{high}]"]
    ways, begin, end = [], int(low[0]), int(high[0])
    if low[1:] != "0" * rest:
        ways.append(f'"{begin}" ({" | ".join(_same_size(low[1:], "9" * rest))})')
        begin += 1
    if high[1:] != "9" * rest:
        ways.append(f'"{end}" ({" | ".join(_same_size("0" * rest, high[1:]))})')
        end -= 1
    if begin <= end:
        ways.append(f"[{begin}-{end}] [0-9]{{{rest}}}")
    return ways

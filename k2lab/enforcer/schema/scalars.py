"""Listed values, numbers and strings as the grammar engine follows them."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from k2lab.enforcer.schema import formats, patterns
from k2lab.enforcer.schema.ecma262 import Unfollowed
from k2lab.enforcer.schema.finite import Node, Schema

Tell = Callable[[str, str], None]
"""Takes a keyword that is not held, and why."""

Write = Callable[[str, int, int | None], patterns.Whole]
"""Takes a pattern as it came and the length of its texts; raises :class:`Unfollowed`."""

INT64 = 1 << 63
MOST_MULTIPLES = 500
"""Multiples in a range that are listed one by one; the engine ignores ``multipleOf`` beside most bounds."""

LARGEST_STEP = 1024
LONGEST_STRING = 128
"""Length bounds above this are left out: there the engine (xgrammar 0.2.8) counts, and no longer refuses what would
end or break the string. Each unit of a bound costs it 10 ms with a vocabulary of 160,000 tokens."""

DECIMALS = 10**6
"""A bounded number has no more than six decimals in the grammar."""


def listed(values: list[object]) -> Node:
    """Some values, each in its usual spelling.

    The engine writes numbers with 17 digits, and 0.1 as 0.10000000000000001:
    such a one is told by its bounds. A whole number beyond 64 bits it would
    write as another, so that one is left out.
    """
    kept = [value for value in values if _is_exact(value)]
    points = [value for value in kept if _is_decimal(value)]
    made: list[Schema] = [{"type": "number", "minimum": value, "maximum": value} for value in points]
    plain = [value for value in kept if not _is_decimal(value)]
    if plain:
        made.insert(0, {"enum": plain})
    return {"anyOf": made} if len(made) > 1 else made[0] if made else False


def _is_exact(value: object) -> bool:
    if isinstance(value, list | dict):
        return all(map(_is_exact, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, int) or -INT64 <= value < INT64


def _is_decimal(value: object) -> bool:
    """Whether a number has few decimals, and yet more with 17 digits."""
    if not isinstance(value, float) or len(format(value, ".17g")) <= len(repr(value)):
        return False
    return Fraction(repr(value)) * DECIMALS % 1 == 0


def number(said: Schema, kind: str, tell: Tell) -> Node:
    """Numbers within their bounds; ``False`` where there are none."""
    step = said.get("multipleOf")
    if step is not None and float(step).is_integer():
        return _integer(said, int(step), tell)  # multiples of a whole number are whole
    if step is not None:
        tell("multipleOf", "the grammar follows it for whole numbers alone")
    return _integer(said, 1, tell) if kind == "integer" else _real(said, tell)


def _integer(said: Schema, step: int, tell: Tell) -> Node:
    low = [math.ceil(said["minimum"])] if "minimum" in said else []
    low += [math.floor(said["exclusiveMinimum"]) + 1] if "exclusiveMinimum" in said else []
    high = [math.floor(said["maximum"])] if "maximum" in said else []
    high += [math.ceil(said["exclusiveMaximum"]) - 1] if "exclusiveMaximum" in said else []
    bounds: Schema = {}
    if low:
        bounds["minimum"] = max(*low, -INT64)
    if high:
        bounds["maximum"] = min(*high, INT64 - 1)
    for keyword, bound in tuple(bounds.items()):
        if not -INT64 <= bound < INT64:
            tell(keyword, "the bound is beyond 64 bits")
            del bounds[keyword]
    if len(bounds) == 2 and bounds["minimum"] > bounds["maximum"]:
        return False
    if step == 1:
        return {"type": "integer", **bounds}
    if len(bounds) == 2:
        multiples = range(-(-bounds["minimum"] // step) * step, bounds["maximum"] + 1, step)
        if not multiples:
            return False
        if (bounds["maximum"] - bounds["minimum"]) // step <= MOST_MULTIPLES:
            return {"enum": list(multiples)}
    if bounds or step > LARGEST_STEP:
        tell("multipleOf", f"the grammar follows it up to {LARGEST_STEP}, and for {MOST_MULTIPLES} multiples in bounds")
        return {"type": "integer", **bounds}
    return {"type": "integer", "multipleOf": step}


def _real(said: Schema, tell: Tell) -> Node:
    made: Schema = {"type": "number"}
    edges: list[Fraction] = []
    for keyword, sign in (("minimum", 1), ("maximum", -1)):
        exclusive = "exclusive" + keyword.capitalize()
        given = [(sign * said[key], key == exclusive) for key in (keyword, exclusive) if key in said]
        if not given:
            continue
        bound, open_ = max(given)
        try:
            inward = _at_least(bound)
        except OverflowError:
            tell(keyword, "the bound is beyond the numbers of JSON")
            continue
        made[exclusive if open_ else keyword] = sign * inward + 0
        edge = Fraction(math.ceil(Fraction(repr(inward)) * DECIMALS))
        edges.append(sign * (edge + 1 if open_ and edge == Fraction(repr(inward)) * DECIMALS else edge))
    return made if len(edges) < 2 or edges[0] <= edges[1] else False


def _at_least(bound: float) -> float:
    """A bound as a number that floating point has, or the next one above."""
    near = float(bound)
    if near < bound:
        near = math.nextafter(near, math.inf)
    return int(near) if isinstance(bound, int) else near


def string(said: Schema, tell: Tell, write: Write) -> Node:
    """Texts of a pattern, a format or a length; the grammar holds one of the three at a time."""
    bounds: dict[str, int] = {key: int(said[key]) for key in ("minLength", "maxLength") if key in said}
    if bounds.get("minLength", 0) > bounds.get("maxLength", math.inf):
        return False
    if "pattern" in said:
        try:
            pattern = write(said["pattern"], bounds.get("minLength", 0), bounds.get("maxLength"))
            return _of_pattern(pattern, said, bounds, tell)
        except Unfollowed as why:
            tell("pattern", f"the grammar cannot follow {said['pattern'][:80]!r}: {why}")
    for keyword, bound in tuple(bounds.items()):
        if bound > LONGEST_STRING:
            tell(keyword, f"a bound of {bound} is too costly; {LONGEST_STRING} can be followed")
            del bounds[keyword]
    whole = _of_format(said.get("format"), bounds, tell)
    return {"type": "string", "pattern": whole.text} if whole else {"type": "string", **bounds}


def _of_pattern(pattern: patterns.Whole, said: Schema, bounds: dict[str, int], tell: Tell) -> Schema:
    """A pattern, and of what stands beside it what the pattern does not hold by itself."""
    for keyword in _not_held(pattern, bounds):
        tell(keyword, "beside a pattern the grammar does not follow it")
    if formats.is_known(said.get("format")):
        tell("format", "beside a pattern the grammar does not follow it")
    return {"type": "string", "pattern": pattern.text}


def _of_format(name: object, bounds: dict[str, int], tell: Tell) -> patterns.Whole | None:
    """The pattern of a format, where it is one and leaves no bound open: those are asserted, and a format is not."""
    if not formats.is_known(name):
        return None
    whole = formats.whole(name)
    if whole and _not_held(whole, bounds):
        tell("format", f"beside bounds of its length the grammar does not follow {name}")
        return None
    if name in formats.OPEN:
        tell("format", f"{name}: {formats.OPEN[name]}")
    return whole


def _not_held(pattern: patterns.Whole, bounds: dict[str, int]) -> list[str]:
    """Length bounds that a pattern does not hold by itself."""
    held = {
        "minLength": pattern.shortest >= bounds.get("minLength", 0),
        "maxLength": pattern.longest is not None and pattern.longest <= bounds.get("maxLength", math.inf),
    }
    return [keyword for keyword in bounds if not held[keyword]]

"""A schema as its text writes it: which numbers have an exponent, and which objects name a key twice."""

from __future__ import annotations

import json
from collections import Counter


class Scientific(float):
    """A number that is written with an exponent."""


class Repeated(dict[str, object]):
    """An object that names a key more than once: the last value counts, as everywhere; ``twice`` are the keys."""

    twice: tuple[str, ...] = ()


def decoded(text: str) -> object:
    """The value of a JSON text that is known to be one."""
    value: object = json.loads(text, parse_float=_number, object_pairs_hook=_object)
    return value


def _number(text: str) -> float:
    return Scientific(text) if "e" in text.lower() else float(text)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    repeated = Repeated(made)
    counts = Counter(key for key, _ in pairs)
    repeated.twice = tuple(key for key, count in counts.items() if count > 1)
    return repeated

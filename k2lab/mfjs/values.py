"""JSON values as JSON Schema compares them: 1 is 1.0 and not true, and the order of keys says nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from k2lab.mfjs.keywords import is_whole

ALL_TYPES = ("null", "boolean", "object", "array", "number", "string")
"""The types that make up all values: each integer is a number."""


def type_of(value: object) -> str:
    """The type of a value, one of :data:`ALL_TYPES`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "object" if isinstance(value, Mapping) else "array"


def key_of(value: object) -> object:
    """Something hashable that equal values share.

    >>> key_of([1, True]) == key_of([1.0, True]), key_of(1) == key_of(True)
    (True, False)
    """
    if isinstance(value, Mapping):
        return "object", frozenset((name, key_of(inner)) for name, inner in value.items())
    if isinstance(value, list):
        return "array", tuple(map(key_of, value))
    return type_of(value), value


def is_of(value: object, types: Iterable[str]) -> bool:
    """Whether a value is of one of some types; 1.0 is an integer."""
    return any(name == type_of(value) or (name == "integer" and is_whole(value)) for name in types)


Types = tuple[str, ...]


def both_types(first: Types, second: Types) -> Types:
    """The types of what is of both, in the order of the first; ``number`` stands for its integers too."""
    shared = (name if name in second else _shared_number(name, second) for name in first)
    return plain(name for name in shared if name)


def _shared_number(name: str, other: Types) -> str:
    return "integer" if {"number": "integer", "integer": "number"}.get(name) in other else ""


def plain(types: Iterable[str]) -> Types:
    """Types without those that another of them holds."""
    named = dict.fromkeys(types)
    return tuple(name for name in named if name != "integer" or "number" not in named)

"""Any record as plain JSON data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass

JSON = dict[str, "JSON"] | list["JSON"] | str | int | float | bool | None


def as_json(value: object, *, computed: bool = False, brief: bool = False) -> JSON:
    """A record by its fields, or by its own ``to_json``; what is in it likewise.

    ``computed``: with what a record computes, its public properties, whatever its
    ``to_json`` says. ``brief``: without the fields that a record's ``repr`` leaves
    out. What is not a number is null, a path its text; other objects are a text, too.

    >>> from k2lab.stats import share
    >>> as_json({"right": share(1, 2)}, computed=True)["right"]["value"]
    0.5
    """
    own = None if computed or isinstance(value, type) else getattr(value, "to_json", None)
    if callable(own):
        return as_json(own())
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value) if field.repr or not brief]
        names += _computed(type(value)) if computed else []
        return {name: as_json(getattr(value, name), computed=computed, brief=brief) for name in names}
    if isinstance(value, Mapping):
        return {str(key): as_json(item, computed=computed, brief=brief) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [as_json(item, computed=computed, brief=brief) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def _computed(kind: type) -> list[str]:
    return [name for name, item in vars(kind).items() if isinstance(item, property) and not name.startswith("_")]

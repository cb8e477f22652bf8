"""How values stand in XTML: attributes escaped, arguments by their type. Standard library alone: folders carry it."""

from __future__ import annotations

import json
from collections.abc import Mapping


def escape(value: str) -> str:
    """The value of an attribute as it stands between its quotes."""
    return value.replace("&", "&amp;").replace('"', "&quot;")


def unescape(value: str) -> str:
    """What :func:`escape` made of a value."""
    return value.replace("&quot;", '"').replace("&amp;", "&")


def type_of(value: object) -> str:
    """The type that the documented form gives a value; an integer is a number, too.

    >>> [type_of(value) for value in ("a", 1.5, True, None, {}, [])]
    ['string', 'number', 'boolean', 'null', 'object', 'array']
    """
    if value is None or isinstance(value, bool):  # before numbers, one of which a boolean is to Python
        return "null" if value is None else "boolean"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "object" if isinstance(value, Mapping) else "array"


def written(value: object) -> str:
    """A value as it stands in its element: a string as it is, all else as JSON.

    >>> written("a"), written({"a": [1, None]})
    ('a', '{"a": [1, null]}')
    """
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

"""Keeps the format's markers out of JSON strings.

To a grammar a marker such as ``<|tool_call_end|>`` is text like any other, and a
JSON string may hold it; to the server's parser the call ends there, in the
middle of a string. A model that is kept from closing a call writes just that.
The grammar's own ``excludes`` holds for plain strings and for keys; strings with
a pattern or bounds are guarded here, by patterns without ``<``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from k2lab.enforcer.finite import Schema
from k2lab.errors import InputError

EXCLUDES = ("<|",)
"""How each marker begins, of calls and of turns."""

LARGEST_NUMBER = 10**15
"""Whole numbers up to here are exact wherever JSON is read."""

CLASS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\.", re.DOTALL)
"""An escape, a class or a dot of a regular expression: the parts that may match ``<`` without naming it."""

WITHOUT = {".": "[^<]", "\\S": "[^\\s<]", "\\D": "[^\\d<]", "\\W": "[^\\w<]"}


def guard(schema: Any, longest: int | None = None) -> Any:
    """A translated schema whose strings cannot hold a marker; raises :class:`InputError` where one must.

    Where ``longest`` is given, strings without bounds of their own are held to so
    many characters, and numbers without to sixteen digits.
    """
    if not isinstance(schema, dict):
        return schema
    if "enum" in schema:
        return {"enum": _writable(schema["enum"])}
    made: Schema = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            made[key] = {_name(name): guard(part, longest) for name, part in value.items()}
        elif key == "patternProperties":
            made[key] = {guarded(pattern): guard(part, longest) for pattern, part in value.items()}
        elif key in ("anyOf", "prefixItems"):
            made[key] = [guard(part, longest) for part in value]
        elif key in ("items", "additionalProperties"):
            made[key] = guard(value, longest)
        else:
            made[key] = value
    if made.get("type") == "string":
        _string(made, longest)
    elif made.get("type") in ("number", "integer") and longest is not None:
        _number(made)
    return made


def guarded(pattern: str) -> str:
    """A regular expression that matches the same texts but for those with ``<`` where it is not named."""
    return CLASS.sub(_part, pattern)


def _part(match: re.Match[str]) -> str:
    part = match[0]
    if part.startswith("[^"):
        return f"{part[:-1]}<]"
    return WITHOUT.get(part, part)


def _string(made: Schema, longest: int | None) -> None:
    """Bounds as a pattern: beside ``excludes`` the grammar does not follow them."""
    if "pattern" in made:
        made["pattern"] = guarded(made["pattern"])
    elif "format" not in made and (longest is not None or "minLength" in made or "maxLength" in made):
        least, most = made.pop("minLength", 0), made.pop("maxLength", longest)
        made["pattern"] = f"^[^<]{{{least},{'' if most is None else max(least, most)}}}$"


def _number(made: Schema) -> None:
    """Bounds on both sides: digits without end make no number, or one that a server reads as infinite."""
    if "minimum" not in made and "exclusiveMinimum" not in made:
        made["minimum"] = -LARGEST_NUMBER
    if "maximum" not in made and "exclusiveMaximum" not in made:
        made["maximum"] = LARGEST_NUMBER


def _writable(values: list[Any]) -> list[Any]:
    kept = [value for value in values if not _holds_marker(value)]
    if not kept:
        raise InputError(f"no value of {values!r} can be written in Kimi's format, where '<|' begins a marker")
    return kept


def _name(name: str) -> str:
    if EXCLUDES[0] in name:
        raise InputError(f"property {name!r} cannot be written in Kimi's format, where '<|' begins a marker")
    return name


def _holds_marker(value: Any) -> bool:
    if isinstance(value, str):
        return EXCLUDES[0] in value
    if isinstance(value, Mapping):
        return any(map(_holds_marker, (*value, *value.values())))
    return isinstance(value, list) and any(map(_holds_marker, value))

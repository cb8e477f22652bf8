"""From an id, as a model wrote it, to the tool that it means."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from k2lab.wire.records import ID

Schemas = Mapping[str, Mapping[str, Any]]

BARE_ID = re.compile(r"(?P<name>[\w.-]+):(?P<index>\d{1,9})")
LONGEST_ID = 256
"""An id beyond this many characters is none; it also bounds the search for names in it."""

LEAK_WINDOW = 160
"""How far before an argument marker an id is looked for whose opening marker was lost."""


@dataclass(frozen=True)
class Identity:
    """What an id says: ``name`` is ``None`` where it cannot be known or could be two.

    ``reason`` is empty for the documented form. ``change`` takes a name that
    was written into the arguments out of them.
    """

    name: str | None
    index: int | None
    reason: str
    change: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None


def schemas_of(tools: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Parameter schemas by tool name; what is no tool is passed over."""
    found: dict[str, Mapping[str, Any]] = {}
    for tool in tools:
        function = tool.get("function")
        if isinstance(function, Mapping) and isinstance(function.get("name"), str):
            schema = function.get("parameters")
            found[function["name"]] = schema if isinstance(schema, Mapping) else {}
    return found


def leaked_id_start(text: str, start: int, end: int) -> int | None:
    """Where an id ``NAME:IDX`` begins that ends plain text just before ``end``, or ``None``."""
    window = text[max(start, end - LEAK_WINDOW) : end].rstrip()
    head, colon, digits = window.rpartition(":")
    if not colon or not digits.strip().isdigit():
        return None
    length = len(head)
    while length and (head[length - 1].isalnum() or head[length - 1] in "_.-"):
        length -= 1
    return max(start, end - LEAK_WINDOW) + length if length < len(head) else None


def identify(header: str, arguments: Mapping[str, Any] | None, schemas: Schemas | None) -> Identity:
    """The tool that a header names; ``schemas`` are the tools on offer, ``None`` where unknown."""
    text = header.strip()
    if len(text) > LONGEST_ID:
        return Identity(None, None, f"an id of {len(text)} characters")
    match = ID.fullmatch(text)
    if match:
        return Identity(match["name"], int(match["index"]), "white space around the id" if text != header else "")
    packed = re.sub(r"\s+", "", text)
    match = ID.fullmatch(packed)
    if match:
        return Identity(match["name"], int(match["index"]), "white space in the id")
    readings = _readings(packed, schemas or {})
    if len(readings) == 1:
        name, index = readings[0]
        return Identity(name, index, f"id {text!r} read as {name}")
    if readings:
        return Identity(None, None, f"id {text!r} can be {' or '.join(sorted(name for name, _ in readings))}")
    match = BARE_ID.fullmatch(packed)
    if match:
        return Identity(match["name"], int(match["index"]), f"id {text!r} lacks functions.")
    return _by_arguments(text, arguments, schemas or {})


def _readings(packed: str, schemas: Mapping[str, Any]) -> list[tuple[str, int | None]]:
    """Every declared tool whose name, with or without prefix, separators and number, is this id."""
    found: list[tuple[str, int | None]] = []
    for name in schemas:
        at = packed.find(name)
        while at >= 0:
            before, after = packed[:at], packed[at + len(name) :]
            match = re.fullmatch(r"[_.:-]*(\d{0,9})", after)
            if match and re.fullmatch(r"(?:functions?)?[_.:-]*", before):
                found.append((name, int(match[1]) if match[1] else None))
                break
            at = packed.find(name, at + 1)
    return found


def _by_arguments(text: str, arguments: Mapping[str, Any] | None, schemas: Schemas) -> Identity:
    """For an id without a name: the one tool that the arguments name, or fit."""
    unknown = f"id {text!r} holds no name"
    if arguments is None:
        return Identity(None, None, unknown)
    named = arguments.get("name")
    if isinstance(named, str) and named in schemas and "name" not in _properties(schemas[named]):
        return Identity(named, None, f"{unknown}; the arguments name {named}", _without_name)
    fitting = [name for name, schema in schemas.items() if _fits(arguments, schema)]
    if len(fitting) == 1:
        return Identity(fitting[0], None, f"{unknown}; the arguments fit {fitting[0]} alone")
    return Identity(None, None, f"{unknown}; the arguments fit {' and '.join(sorted(fitting)) or 'no tool'}")


def _without_name(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    rest = {key: value for key, value in arguments.items() if key != "name"}
    inner = rest.get("arguments")
    return inner if set(rest) == {"arguments"} and isinstance(inner, dict) else rest


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = schema.get("properties")
    return properties if isinstance(properties, Mapping) else {}


def required_of(schema: Mapping[str, Any]) -> list[str]:
    """Names of the required parameters; what is no name is passed over."""
    required = schema.get("required")
    return [name for name in required if isinstance(name, str)] if isinstance(required, list) else []


def _fits(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    return set(arguments) <= set(_properties(schema)) and set(required_of(schema)) <= set(arguments)

"""Schemas that hold together as one, and schemas of which only one can hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import zip_longest
from typing import Any

from k2lab.enforcer.schema.document import same, same_in
from k2lab.enforcer.schema.finite import Node, Schema
from k2lab.enforcer.schema.formats import is_known
from k2lab.enforcer.schema.patterns import found

BY_TYPE: Mapping[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties", "patternProperties", "propertyNames",
                         "minProperties", "maxProperties", "unevaluatedProperties"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems", "unevaluatedItems"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
}  # fmt: skip
"""Keywords that can be followed, by the type that they are about."""

COMBINED = ("$ref", "allOf", "anyOf", "oneOf", "if", "dependentSchemas")
"""Keywords whose schemas evaluate properties and items for the schema that they stand in."""


def all_of(*schemas: Node) -> Node:
    """A schema that holds where all of some hold; they are put together when it is read."""
    parts: list[Node] = []
    for schema in schemas:
        within = schema["allOf"] if isinstance(schema, dict) and schema.keys() == {"allOf"} else [schema]
        parts += [part for part in within if part is not True and part != {}]
    if any(part is False for part in parts):
        return False
    kept = [part for place, part in enumerate(parts) if not same_in(part, parts[:place])]
    return kept[0] if len(kept) == 1 else {"allOf": kept} if kept else True


def both(first: Schema, second: Schema) -> tuple[Schema, list[str]]:
    """Keywords that hold together, and those of the second that cannot be put beside the first's and are left out.

    Neither has a ``$ref``. Parts within, as a property's schemas, and second choices are left under ``allOf``.
    """
    made: Schema = {**second, **first}
    left_out: list[str] = []
    later: list[Schema] = []
    for key in first.keys() & second.keys() - {"properties", "additionalProperties", "prefixItems", "items"}:
        if same(first[key], second[key]):
            continue
        if key in _MERGED:
            made[key] = _MERGED[key](first[key], second[key])
        elif key in ("anyOf", "oneOf"):
            later.append({key: second[key]})
        elif key == "multipleOf" and all(isinstance(schema[key], int) for schema in (first, second)):
            made[key] = math.lcm(first[key], second[key])
        elif key == "format" and not is_known(first[key]):
            made[key] = second[key]
        elif key != "format" or is_known(second[key]):
            left_out.append(key)
    if _closes(first, second) or _closes(second, first):
        left_out.append("additionalProperties")
    if later:
        made["allOf"] = [*made.get("allOf", ()), *later]
    return {**made, **_properties(first, second), **_items(first, second)}, left_out


def closed(part: Schema) -> tuple[Schema, list[str]]:
    """A schema that is about to become part of another, whose properties and items it must not count as its own."""
    made, left_out = dict(part), []
    for keyword, plain in (("unevaluatedProperties", "additionalProperties"), ("unevaluatedItems", "items")):
        if keyword not in made:
            continue
        rest = made.pop(keyword)
        if plain in made:
            continue  # that has evaluated all
        if made.keys() & set(COMBINED) or "contains" in made:
            left_out.append(keyword)
        else:
            made[plain] = rest
    return made, left_out


def disjoint(
    first: Schema, second: Schema, flat: Callable[[Node], Node], valid: Callable[[object, Schema], bool]
) -> bool:
    """Whether what the grammar admits for one is never valid for the other, as far as that is easily told.

    ``flat`` resolves a property's schema into keywords, and ``valid`` judges a value.
    """
    for one, other in ((first, second), (second, first)):
        if "enum" in one:
            return not any(valid(value, other) for value in one["enum"] if valid(value, one))
    if "type" in first and "type" in second and not types_of_both(first["type"], second["type"]):
        return True
    if types(first) != ["object"] or types(second) != ["object"]:
        return False
    needed = [set(schema.get("required", ())) for schema in (first, second)]
    if _lacks(first, needed[1]) and _lacks(second, needed[0]):
        return True
    declared = [schema.get("properties", {}) for schema in (first, second)]
    fixed = needed[0] & needed[1] & declared[0].keys() & declared[1].keys()
    return any(_no_common_value(flat(declared[0][name]), flat(declared[1][name])) for name in fixed)


def types(said: Schema) -> list[str]:
    """The types that the grammar admits: without ``type`` those that the keywords are about, else ``any``."""
    named = said.get("type")
    if isinstance(named, str):
        return [named]
    if isinstance(named, list):
        return [kind for kind in dict.fromkeys(named) if not (kind == "integer" and "number" in named)]
    return [kind for kind, keywords in BY_TYPE.items() if keywords & said.keys()] or ["any"]


def types_of_both(first: str | list[str], second: str | list[str]) -> list[str]:
    """The types that two ``type`` keywords both admit."""
    one, other = ([kinds] if isinstance(kinds, str) else list(kinds) for kinds in (first, second))
    kept = [kind for kind in one if kind in other or (kind == "integer" and "number" in other)]
    return kept + [kind for kind in other if kind == "integer" and "number" in one and kind not in kept]


def _closes(one: Schema, other: Schema) -> bool:
    """Whether one says something of all further properties, and the other names some of them by a pattern."""
    theirs = other.get("patternProperties", {}).keys() - one.get("patternProperties", {}).keys()
    return bool(theirs) and one.get("additionalProperties", True) not in (True, {})


def _properties(first: Schema, second: Schema) -> Schema:
    """What one says of its further properties holds for those that the other declares."""
    made: Schema = {}
    if "properties" in first or "properties" in second:
        names = dict.fromkeys([*first.get("properties", ()), *second.get("properties", ())])
        made["properties"] = {name: all_of(_property(first, name), _property(second, name)) for name in names}
    if "additionalProperties" in first or "additionalProperties" in second:
        rests = [schema.get("additionalProperties", True) for schema in (first, second)]
        made["additionalProperties"] = all_of(*rests)
    return made


def _property(schema: Schema, name: str) -> Node:
    declared: dict[str, Node] = schema.get("properties", {})
    if name in declared:
        return declared[name]
    if any(found(pattern, name) for pattern in schema.get("patternProperties", ())):
        return True  # those hold for every property, and are put together where all patterns are known
    rest: Node = schema.get("additionalProperties", True)
    return rest


def _items(first: Schema, second: Schema) -> Schema:
    """What one says of its further items holds for those that the other has in front."""
    made: Schema = {}
    rests = [schema.get("items", True) for schema in (first, second)]
    if "prefixItems" in first or "prefixItems" in second:
        fronts = [schema.get("prefixItems", []) for schema in (first, second)]
        pairs = zip_longest(*fronts, fillvalue=_MISSING)
        made["prefixItems"] = [
            all_of(*(rest if item is _MISSING else item for item, rest in zip(pair, rests, strict=True)))
            for pair in pairs
        ]
    if "items" in first or "items" in second:
        made["items"] = all_of(*rests)
    return made


def is_open(said: Schema) -> bool:
    """Whether the grammar admits properties that are not declared: where a schema says so, or declares none."""
    rest = said.get("additionalProperties")
    if rest is None:
        return not ({"properties", "patternProperties", "required"} & said.keys())
    return rest is not False


def _lacks(schema: Schema, names: set[str]) -> bool:
    """Whether the grammar's objects for a schema have not all of some properties."""
    declared = schema.get("properties", {}).keys() | set(schema.get("required", ()))
    open_ = is_open(schema) or "patternProperties" in schema or "unevaluatedProperties" in schema
    return not open_ and not names <= declared


def _no_common_value(first: Node, second: Node) -> bool:
    if not (isinstance(first, dict) and isinstance(second, dict)):
        return first is False or second is False
    if "enum" in first and "enum" in second:
        return not any(same_in(value, second["enum"]) for value in first["enum"])
    return "type" in first and "type" in second and not types_of_both(first["type"], second["type"])


def _names_of_both(first: Iterable[str], second: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*first, *second]))


_MISSING = object()

_MERGED: Mapping[str, Callable[[Any, Any], Any]] = {
    "type": types_of_both,
    "required": _names_of_both,
    "enum": lambda first, second: [value for value in first if same_in(value, second)],
    "patternProperties": lambda first, second: {
        pattern: all_of(first.get(pattern, True), second.get(pattern, True))
        for pattern in _names_of_both(first, second)
    },
    "propertyNames": all_of,
    "allOf": lambda first, second: [*first, *second],
    "uniqueItems": lambda first, second: first or second,
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
}
"""How one keyword of two schemas that hold together becomes one."""

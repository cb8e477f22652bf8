"""Which parts of a translated schema some finite value fits, and the schema without the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, TypeVar

Schema: TypeAlias = dict[str, Any]
"""A schema's keywords; what stands under each is told by the keyword."""

Node: TypeAlias = Schema | bool
"""A schema, or one that everything or nothing is valid for."""


Key = TypeVar("Key", int, str)


def only_finite(definitions: Mapping[str, Node], root: Node) -> tuple[dict[str, Schema], Node]:
    """Without what no finite value can have: branches, optional properties and items that never end or never hold.

    A grammar would offer them, and a model that takes one writes until it is
    stopped. A root that no finite value fits is ``False``.
    """
    ends: set[str] = set()
    count = -1
    while count < len(ends):
        count = len(ends)
        for name in reversed(tuple(definitions)):  # what is referred to stands behind what refers to it, most often
            if name not in ends and _pruned(definitions[name], ends) is not False:
                ends.add(name)
    kept = {name: _pruned(schema, ends) for name, schema in definitions.items() if name in ends}
    made = _pruned(root, ends)
    used = _reachable(made, kept)
    return {name: schema for name, schema in kept.items() if name in used and isinstance(schema, dict)}, made


def _pruned(schema: Node, ends: set[str]) -> Node:
    """A schema without what does not end, ``False`` where nothing is left."""
    if isinstance(schema, bool):
        return schema
    if "$ref" in schema:
        return schema if _name(schema["$ref"]) in ends else False
    if "anyOf" in schema:
        kept = _lasting(enumerate(schema["anyOf"]), ends)
        return {"anyOf": list(kept.values())} if len(kept) > 1 else next(iter(kept.values()), False)
    if schema.get("type") == "object":
        return _object(schema, ends)
    return _array(schema, ends) if schema.get("type") == "array" else schema


def _object(schema: Schema, ends: set[str]) -> Node:
    made = dict(schema)
    for key in ("properties", "patternProperties"):
        if key in made:
            made[key] = _lasting(made[key].items(), ends)
            made = made if made[key] else {k: v for k, v in made.items() if k != key}
    if "additionalProperties" in made:
        made["additionalProperties"] = _pruned(made["additionalProperties"], ends)
    declared = made.get("properties", {})
    if not set(made.get("required", ())) <= declared.keys():
        return False
    more = "patternProperties" in made or made.get("additionalProperties", True) is not False
    return made if more or len(declared) >= made.get("minProperties", 0) else False


def _array(schema: Schema, ends: set[str]) -> Node:
    made = dict(schema)
    rest = made["items"] = _pruned(made.get("items", True), ends)
    front = [_pruned(item, ends) for item in made.pop("prefixItems", ())]
    if False in front:
        front = front[: front.index(False)]
        rest = made["items"] = False
    made |= {"prefixItems": front} if front else {}
    return made if rest is not False or len(front) >= made.get("minItems", 0) else False


def _lasting(schemas: Iterable[tuple[Key, Node]], ends: set[str]) -> dict[Key, Node]:
    return {key: made for key, schema in schemas if (made := _pruned(schema, ends)) is not False}


def _reachable(root: Node, definitions: Mapping[str, Node]) -> set[str]:
    """Names of the definitions that a schema refers to, directly or through others."""
    found: set[str] = set()
    waiting: list[object] = [root]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            if isinstance(item.get("$ref"), str) and (name := _name(item["$ref"])) not in found:
                found.add(name)
                waiting.append(definitions[name])
            waiting += [value for key, value in item.items() if key != "enum"]
    return found


def _name(pointer: str) -> str:
    return pointer.rsplit("/", 1)[1]

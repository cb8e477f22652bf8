"""Which parts of a translated schema some finite value fits, and the schema without the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Schema = dict[str, Any]


class Never(Exception):
    """No value is valid here."""


def finite(definitions: Mapping[str, Schema], root: Schema) -> tuple[dict[str, Schema], Schema]:
    """Without what no finite value can have: branches, optional properties and items that never end.

    A grammar would offer them, and a model that takes one writes until it is stopped.
    """
    ends: set[str] = set()
    while new := {n for n, s in definitions.items() if n not in ends and _ends(s, ends)}:
        ends |= new
    if not _ends(root, ends):
        raise Never("it refers to itself without end")
    return {name: _pruned(definitions[name], ends) for name in ends}, _pruned(root, ends)


def _ends(schema: Schema | bool, ends: set[str]) -> bool:
    if isinstance(schema, bool):
        return schema
    if "$ref" in schema:
        return schema["$ref"].rsplit("/", 1)[1] in ends
    if "anyOf" in schema:
        return any(_ends(branch, ends) for branch in schema["anyOf"])
    properties = schema.get("properties", {})
    if not all(_ends(properties[name], ends) for name in schema.get("required", ())):
        return False
    least = schema.get("minItems", 0)
    prefix: Sequence[Any] = schema.get("prefixItems", ())
    return all(_ends(item, ends) for item in prefix[:least]) and (
        least <= len(prefix) or _ends(schema.get("items", True), ends)
    )


def _pruned(schema: Any, ends: set[str]) -> Any:
    if isinstance(schema, bool) or "$ref" in schema or "enum" in schema:
        return schema
    made = dict(schema)
    if "anyOf" in made:
        kept = [_pruned(branch, ends) for branch in made["anyOf"] if _ends(branch, ends)]
        return kept[0] if len(kept) == 1 else {"anyOf": kept}
    for key in ("properties", "patternProperties"):
        if key in made:
            made[key] = {name: _pruned(value, ends) for name, value in made[key].items() if _ends(value, ends)}
    for key in ("items", "additionalProperties"):
        if key in made:
            made[key] = _pruned(made[key], ends) if _ends(made[key], ends) else False
    if "prefixItems" in made:
        made["prefixItems"] = [_pruned(item, ends) for item in made["prefixItems"]]
    return made


def reachable(root: Any, definitions: Mapping[str, Schema]) -> set[str]:
    """Names of the definitions that a schema refers to, directly or through others."""
    found: set[str] = set()
    waiting = [root]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            pointer = item.get("$ref")
            if isinstance(pointer, str) and pointer.startswith("#/$defs/"):
                name = pointer.rsplit("/", 1)[1]
                if name in definitions and name not in found:
                    found.add(name)
                    waiting.append(definitions[name])
            waiting += [value for key, value in item.items() if key != "enum"]
    return found

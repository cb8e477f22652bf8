"""Keys in any order: the grammar writes them in the schema's, a model in that of what it was told.

Held to an order that is not its own, a model fills the first key with what
belongs to the next. xgrammar's own ``any_order`` no longer asks for required
keys, so the orders are spelled out, which is affordable for a few keys.
"""

from __future__ import annotations

import itertools

from k2lab.enforcer.finite import Schema

MOST_PERMUTED = 4
"""Up to so many keys come in any order (4 keys have 24), more in the schema's."""


def orders(schema: Schema) -> list[Schema]:
    """Schemas of which one must hold: together they admit the keys of a translated object schema in every order.

    With more than :data:`MOST_PERMUTED` keys that is the schema as it is. Within
    one schema xgrammar 0.2.8 takes objects that differ in the order of their
    properties alone for one and the same; their lists of required keys must
    differ, so that each repeats its first key once more than the one before.
    Without a required key each order is a schema of its own, which is costlier.
    """
    properties = schema.get("properties", {})
    if not 2 <= len(properties) <= MOST_PERMUTED:
        return [schema]
    rest = {key: value for key, value in schema.items() if key not in ("properties", "required", "$defs")}
    made = list(itertools.permutations(properties))
    required = set(schema.get("required", ()))
    if not required:
        return [{**schema, "properties": {name: properties[name] for name in order}} for order in made]
    shared = {f"k{place}": value for place, value in enumerate(properties.values())}
    refs = {name: {"$ref": f"#/$defs/k{place}"} for place, name in enumerate(properties)}
    one = []
    for place, order in enumerate(made):
        asked = [name for name in order if name in required]
        one.append({**rest, "properties": {n: refs[n] for n in order}, "required": asked + asked[:1] * place})
    return [{"anyOf": one, "$defs": {**schema.get("$defs", {}), **shared}}]

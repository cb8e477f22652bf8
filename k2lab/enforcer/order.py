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


def any_order(schema: Schema) -> Schema:
    """A translated object schema that admits its keys in every order; more than :data:`MOST_PERMUTED` stay as they are.

    What a key's value may be is put into ``$defs``, so that it is compiled once.
    """
    properties = schema.get("properties", {})
    if not 2 <= len(properties) <= MOST_PERMUTED or "anyOf" in schema:
        return schema
    shared = {f"k{place}": value for place, value in enumerate(properties.values())}
    refs = {name: {"$ref": f"#/$defs/k{place}"} for place, name in enumerate(properties)}
    rest = {key: value for key, value in schema.items() if key not in ("properties", "$defs")}
    orders = [{**rest, "properties": {name: refs[name] for name in order}} for order in itertools.permutations(refs)]
    return {"anyOf": orders, "$defs": {**schema.get("$defs", {}), **shared}}

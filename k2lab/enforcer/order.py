"""Keys in any order: the grammar writes them in the schema's, a model in that of what it was told.

Held to an order that is not its own, a model fills the first key with what
belongs to the next. xgrammar's own ``any_order`` no longer asks for required
keys, so the orders are spelled out, which is affordable for a few keys.
"""

from __future__ import annotations

import itertools

from k2lab.enforcer.document import same
from k2lab.enforcer.finite import Schema

MOST_PERMUTED = 4
"""Up to so many keys come in any order (4 keys have 24), more in the schema's."""


def any_order(schema: Schema, most: int = MOST_PERMUTED) -> Schema:
    """A translated object schema that admits its keys in every order; with more than ``most`` as it is.

    xgrammar 0.2.8 takes objects that differ in the order of their properties
    alone for one and the same; a keyword that it does not know tells them apart.
    """
    properties = schema.get("properties", {})
    if not 2 <= len(properties) <= most:
        return schema
    shared: Schema = {}
    refs = {name: {"$ref": f"#/$defs/{_named(value, shared)}"} for name, value in properties.items()}
    rest = {key: value for key, value in schema.items() if key not in ("properties", "$defs")}
    orders = [
        {**rest, "properties": {name: refs[name] for name in order}, "x-order": place}
        for place, order in enumerate(itertools.permutations(properties))
    ]
    return {"anyOf": orders, "$defs": {**schema.get("$defs", {}), **shared}}


def _named(schema: Schema, shared: Schema) -> str:
    """The name of a definition, the same for equal schemas: the engine then compiles one."""
    name = next((name for name, other in shared.items() if same(schema, other)), f"k{len(shared)}")
    shared.setdefault(name, schema)
    return name

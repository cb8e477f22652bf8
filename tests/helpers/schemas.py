"""Schemas for the tests of their translation: those of ``tests/data/schemas.json``, made ones, and Moonshot's own."""

import json

from k2lab.enforcer.schema.formats import FORMATS
from tests.conftest import ROOT, SHARED

S, I, N, B, NULL = ({"type": kind} for kind in ("string", "integer", "number", "boolean", "null"))  # noqa: E741


def obj(properties, required=(), **more):
    return {"type": "object", "properties": properties, "required": list(required), **more}


def arr(items, **more):
    return {"type": "array", "items": items, **more}


def p(schema, **more):
    """An object with one required property."""
    return obj({"p": schema}, ["p"], **more)


MADE = {
    "values: enum long": p({"enum": [f"value-{i}" for i in range(300)]}),
    "objects: minProperties of many": obj({f"p{i}": I for i in range(30)}, minProperties=2),
    "tools: many": obj({f"option_{i}": {"type": ["string", "null"]} for i in range(120)}, ["option_3"]),
    **{f"strings: format {name}": p({"type": "string", "format": name}) for name in (*FORMATS, "regex", "color")},
}

SCHEMAS = MADE | {
    f"{group}: {name}": schema
    for group, schemas in json.loads((ROOT / "tests" / "data" / "schemas.json").read_text(encoding="utf-8")).items()
    for name, schema in schemas.items()
}
"""Each keyword, their combinations, drafts, references, and parameters as tools have them."""

WALLE = {
    f"{file.stem} {line}": json.loads(text)
    for file in sorted((SHARED / "walle").glob("*.jsonl"))
    for line, text in enumerate(file.read_text().splitlines(), 1)
}
"""Moonshot's own cases, where they lie beside this checkout."""

CATALOGUE = SCHEMAS | WALLE

ALIKE = "(?:é){0}"
"""Matches nothing: behind a pattern it keeps xgrammar 0.2.8 from the automaton that mixes up ends."""


def exact(schema, orders=None):
    """A translated schema such that xgrammar 0.2.8 follows it as a ``json_schema``.

    Objects that differ in the order of their properties alone it takes for one: a keyword tells them apart.
    """
    orders = {} if orders is None else orders
    if isinstance(schema, list):
        return [exact(part, orders) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: value if key == "enum" else exact(value, orders) for key, value in schema.items()}
    for key in ("properties", "$defs"):
        if key in made:
            made[key] = {name: exact(part, orders) for name, part in schema[key].items()}
    if "pattern" in made:
        made["pattern"] += ALIKE
    if "patternProperties" in made:
        parts = schema["patternProperties"].items()
        made["patternProperties"] = {text + ALIKE: exact(part, orders) for text, part in parts}
    if "properties" in made:
        seen = orders.setdefault(frozenset(made["properties"]), {})
        made["x-order"] = seen.setdefault(tuple(made["properties"]), len(seen))
    return made

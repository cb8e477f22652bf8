"""How large a translated schema is, and how large one may be."""

from __future__ import annotations

import json

from k2lab.enforcer.schema.finite import Schema
from k2lab.errors import InputError

MOST_LEVELS = 44
"""Objects and lists within each other; vLLM takes 80 in a whole tag, of which eight calls in a row need 36."""

LARGEST_BYTES = 256 << 10
"""Of a translated schema as JSON; a server parses it with each request."""


def check_size(whole: Schema) -> None:
    """Raises :class:`InputError` for a translated schema that is too large."""
    if _levels(whole) > MOST_LEVELS:
        raise InputError(f"the schema nests {_levels(whole)} levels of JSON, vLLM takes {MOST_LEVELS}: use $defs")
    size = _size(whole)
    if size > LARGEST_BYTES:
        raise InputError(f"the schema takes {size >> 10} KiB as the grammar follows it, at most {LARGEST_BYTES >> 10}"
                         " are compiled in reasonable time: list fewer or shorter values and names")  # fmt: skip


def _size(whole: Schema) -> int:
    """Bytes as JSON, with equal patterns counted once: a grammar has one rule for them."""
    once: set[str] = set()

    def shared(schema: object) -> object:
        if isinstance(schema, list):
            return [shared(part) for part in schema]
        if not isinstance(schema, dict) or "enum" in schema:
            return schema
        made = {key: shared(part) for key, part in schema.items()}
        if isinstance(made.get("pattern"), str):
            once.add(str(made.pop("pattern")))
        return made

    return len(json.dumps([shared(whole), *once], ensure_ascii=False).encode())


def _levels(value: object) -> int:
    """How deep objects and lists stand within each other."""
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(_levels, value.values() if isinstance(value, dict) else value), default=0)

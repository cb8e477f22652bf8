"""The parts of a schema: every subschema where MFJS has one, and its place as a JSON pointer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Schema = Mapping[str, object]
Kind = Literal["root", "property", "items", "additional", "branch", "definition"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Part:
    """A subschema: ``step`` leads from its parent to it, ``levels`` counts the properties on the way from the root."""

    schema: Schema
    kind: Kind = "root"
    parent: Part | None = None
    step: tuple[str, ...] = ()
    levels: int = 0

    @property
    def path(self) -> str:
        """Its JSON pointer, made when it is asked for: a path costs more than a look."""
        steps: list[str] = []
        part: Part | None = self
        while part is not None:
            steps[:0] = part.step
            part = part.parent
        return pointer(*steps)

    def inner(self, kind: Kind, schema: Schema, *step: str) -> Part:
        """A subschema of this one."""
        levels = self.levels + (kind == "property")
        return Part(schema=schema, kind=kind, parent=self, step=step, levels=levels)


def pointer(*steps: str) -> str:
    """A JSON pointer (RFC 6901).

    >>> pointer("properties", "a/b")
    '/properties/a~1b'
    """
    return "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in steps)


def all_parts(schema: Schema) -> Iterator[Part]:
    """The schema and all its subschemas, from the root down, in their order; what is no schema is left out."""
    waiting = [Part(schema=schema)]
    while waiting:
        part = waiting.pop()
        yield part
        waiting += reversed(list(inner_parts(part)))


def inner_parts(part: Part) -> Iterator[Part]:
    """The subschemas directly below one."""
    schema = part.schema
    yield from _named(part, "definition", "$defs")
    yield from _named(part, "property", "properties")
    if isinstance(items := schema.get("items"), Mapping):
        yield part.inner("items", items, "items")
    if isinstance(more := schema.get("additionalProperties"), Mapping):
        yield part.inner("additional", more, "additionalProperties")
    if isinstance(branches := schema.get("anyOf"), list):
        for index, branch in enumerate(branches):
            if isinstance(branch, Mapping):
                yield part.inner("branch", branch, "anyOf", str(index))


def _named(part: Part, kind: Kind, keyword: str) -> Iterator[Part]:
    named = part.schema.get(keyword)
    for name, schema in named.items() if isinstance(named, Mapping) else ():
        if isinstance(schema, Mapping):
            yield part.inner(kind, schema, keyword, name)

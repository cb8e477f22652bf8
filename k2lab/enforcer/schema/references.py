"""References of a schema, each resolved once, before the schema is read.

What a ``$ref`` means depends on where it stands: it is resolved against the
nearest ``$id`` around it (RFC 3986, section 5), and its fragment is a pointer or
the name of an anchor. Which keywords say so differs from draft to draft. All of
that is left to :mod:`referencing`, the library with which :mod:`jsonschema`
resolves. Nothing is fetched: a reference to what is not in the document leads
nowhere.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote

from k2lab.enforcer.schema.finite import Node

if TYPE_CHECKING:
    from referencing import Specification
    from referencing.jsonschema import Schema, SchemaRegistry, SchemaResource

    Resolver: TypeAlias = Any  # for which the library has no public name
    Found: TypeAlias = tuple[Node, Resolver] | str
    """What a reference leads to with what resolves the references there, or why it leads nowhere."""

IDENTIFIERS = ("$id", "id")


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What a reference leads to, or the ``problem`` where that is nowhere.

    ``place`` is a JSON pointer from the root of the document.
    """

    reference: str
    schema: Node = False
    place: str = ""
    problem: str = ""


class References:
    """A copy of a schema in which each ``$ref`` is a key of ``targets``, and no part has an identifier.

    ``dialect`` is the URI of its draft.
    """

    def __init__(self, root: Node, dialect: str) -> None:
        from referencing.jsonschema import specification_with  # comes with jsonschema, and takes as long to import

        self.root = copy.deepcopy(root)
        self.targets: dict[str, Target] = {}
        self._specification = specification_with(dialect)
        self._places = {id(part): pointer for pointer, part in _places(self.root)}
        self._keys: dict[object, str] = {}
        for part, found in list(_read(self.root, self._specification)):
            if found is not None:
                part["$ref"] = self._key(str(part["$ref"]), found)
            for name in IDENTIFIERS:
                if isinstance(part.get(name), str):
                    del part[name]

    def registry(self) -> SchemaRegistry:
        """The targets by their keys, for a validator."""
        from referencing import Registry

        resource = self._specification.create_resource
        found = [(key, resource(target.schema)) for key, target in self.targets.items() if not target.problem]
        empty: SchemaRegistry = Registry()
        return empty.with_resources(found)

    def _key(self, reference: str, found: Found) -> str:
        """One key for each schema that is referred to, however that is written."""
        of = found if isinstance(found, str) else id(found[0])
        if of not in self._keys:
            key = self._keys[of] = f"ref:{len(self._keys)}"
            self.targets[key] = self._target(reference, found)
        return self._keys[of]

    def _target(self, reference: str, found: Found) -> Target:
        if isinstance(found, str):
            return Target(reference=reference, problem=found)
        place = self._places.get(id(found[0]), unquote(reference.partition("#")[2]))
        return Target(reference=reference, schema=found[0], place=place)


def _read(root: Node, specification: Specification[Schema]) -> Iterator[tuple[dict[str, object], Found | None]]:
    """Each part that is a schema, or referred to as one, with what its reference leads to where it has one."""
    whole = specification.create_resource(root)
    waiting: list[tuple[object, Resolver]] = [(root, _inside(whole, _resolver(whole)))]
    seen: set[int] = set()
    while waiting:
        part, resolver = waiting.pop()
        if not isinstance(part, dict) or id(part) in seen:
            continue
        seen.add(id(part))
        inner = specification.create_resource(part).subresources()
        waiting += [(resource.contents, _inside(resource, resolver)) for resource in inner]
        reference = part.get("$ref")
        found = _found(reference, resolver) if isinstance(reference, str) else None
        waiting += [found] if isinstance(found, tuple) else []
        yield part, found


def _resolver(whole: SchemaResource) -> Resolver:
    from referencing import Registry

    registry: SchemaRegistry = Registry().with_resource("", whole)
    try:
        return registry.crawl().resolver()
    except ValueError:  # an $id that is no URI: nothing can refer to it
        return registry.resolver()


def _inside(resource: SchemaResource, resolver: Resolver) -> Resolver:
    """What a reference in a part is resolved with."""
    try:
        return resolver.in_subresource(resource)
    except ValueError:
        return resolver


def _found(reference: str, resolver: Resolver) -> Found:
    from referencing.exceptions import InvalidAnchor, NoSuchAnchor, PointerToNowhere, Unresolvable

    try:
        found = resolver.lookup(reference)
        return found.contents, found.resolver
    except (NoSuchAnchor, InvalidAnchor):
        return f"no part of the schema has the anchor {reference!r}"
    except (Unresolvable, ValueError, TypeError) as error:
        if isinstance(error, PointerToNowhere) or reference.startswith("#"):  # the others lead through a text or number
            return f"{reference!r} is not there"
        return f"only references within the schema can be followed, not {reference!r}"


def _places(root: object) -> Iterator[tuple[str, object]]:
    """Each object and list with its pointer."""
    waiting = [("", root)]
    while waiting:
        pointer, part = waiting.pop()
        if isinstance(part, dict | list):
            yield pointer, part
            items = part.items() if isinstance(part, dict) else enumerate(part)
            waiting += [(f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}", value) for key, value in items]

"""References of a schema, each as a JSON pointer from the root of its document.

What a ``$ref`` means depends on where it stands: it is resolved against the
nearest ``$id`` around it (RFC 3986, section 5), and its fragment is a pointer or
the name of an anchor. Which keywords say so differs from draft to draft: that is
left to :mod:`referencing`, the library with which :mod:`jsonschema` resolves.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote, urldefrag

from referencing import Registry, Resource, Specification
from referencing.exceptions import NoSuchAnchor, PointerToNowhere, Unresolvable
from referencing.jsonschema import specification_with

IDENTIFIERS = ("$id", "id")


def within(root: Any, dialect: str) -> Any:
    """A copy of a schema whose references are pointers (``#/…``) and whose parts have no identifiers.

    ``dialect`` is the URI of its draft. A reference to what is not in the document still leads nowhere.
    """
    made = copy.deepcopy(root)
    specification = specification_with(dialect)
    pointers = {id(part): pointer for pointer, part in _containers(made)}
    waiting = [(made, _resolver(made, specification))]
    seen: set[int] = set()
    references: list[tuple[dict[str, Any], str]] = []
    while waiting:
        part, resolver = waiting.pop()
        if not isinstance(part, dict) or id(part) in seen:
            continue
        seen.add(id(part))
        resource = Resource(contents=part, specification=specification)
        resolver = _inside(resource, resolver)
        waiting += [(inner.contents, resolver) for inner in resource.subresources()]
        if isinstance(part.get("$ref"), str):
            pointer, target = _resolved(part["$ref"], resolver, pointers)
            references.append((part, pointer))
            waiting += [target] if target else []
    for part, pointer in references:
        part["$ref"] = pointer
    for pointer, part in _containers(made):
        if id(part) in seen:
            for key in IDENTIFIERS:
                if isinstance(part.get(key), str):
                    del part[key]
    return made


def _resolver(root: Any, specification: Specification[Any]) -> Any:
    registry: Registry[Any] = Registry().with_resource("", Resource(contents=root, specification=specification))
    try:
        return registry.crawl().resolver()
    except ValueError:  # an $id that is no URI: nothing can refer to it
        return registry.resolver()


def _inside(resource: Resource[Any], resolver: Any) -> Any:
    try:
        return resolver.in_subresource(resource)
    except ValueError:
        return resolver


def _resolved(reference: str, resolver: Any, pointers: dict[int, str]) -> tuple[str, tuple[Any, Any] | None]:
    """A reference as a pointer from the root, and its target with the resolver that is right there."""
    try:
        found = resolver.lookup(reference)
        address, fragment = urldefrag(reference)
        named = bool(fragment) and not fragment.startswith("/")
        whole = found.contents if named else resolver.lookup(address or "#").contents
        pointer = pointers[id(whole)] + ("" if named else unquote(fragment))
        return _fragment(pointer), (found.contents, found.resolver)
    except (Unresolvable, NoSuchAnchor, PointerToNowhere, KeyError, ValueError):
        return _outward(reference, resolver, pointers), None


def _outward(reference: str, resolver: Any, pointers: dict[int, str]) -> str:
    """A reference that leads nowhere, so that it does not lead somewhere from the root."""
    if not reference.startswith("#/"):
        return reference
    try:
        return _fragment(pointers[id(resolver.lookup("#").contents)] + unquote(reference[1:]))
    except (Unresolvable, KeyError):  # within an $id that is no URI
        return reference[1:]


def _fragment(pointer: str) -> str:
    return "#" + quote(pointer, safe="/~!$&'()*+,;=:@?")


def _containers(root: Any) -> Iterator[tuple[str, Any]]:
    """Each object and list with its pointer."""
    waiting = [("", root)]
    while waiting:
        pointer, part = waiting.pop()
        if isinstance(part, dict | list):
            yield pointer, part
            items = part.items() if isinstance(part, dict) else enumerate(part)
            waiting += [(f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}", value) for key, value in items]

"""References of a schema, each as a JSON pointer from the root of its document.

What a ``$ref`` means depends on where it stands: it is resolved against the
nearest ``$id`` around it (RFC 3986, section 5), and its fragment is a pointer or
the name of an anchor. Which keywords say so differs from draft to draft: that is
left to :mod:`referencing`, the library with which :mod:`jsonschema` resolves.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urldefrag

if TYPE_CHECKING:
    from referencing import Resource

IDENTIFIERS = ("$id", "id")


def within(root: Any, dialect: str) -> Any:
    """A copy of a schema whose references are pointers (``#/…``) and whose parts have no identifiers.

    ``dialect`` is the URI of its draft. A reference to what is not in the document still leads nowhere.
    """
    from referencing.jsonschema import specification_with  # which comes with jsonschema, and takes as long to import

    made = copy.deepcopy(root)
    specification = specification_with(dialect)
    pointers = {id(part): pointer for pointer, part in _containers(made)}
    read = list(_read(made, specification))
    references = [(part, _resolved(part["$ref"], resolver, pointers)) for part, resolver in read if _refers(part)]
    for part, pointer in references:
        part["$ref"] = pointer
    for part, _ in read:
        for key in IDENTIFIERS:
            if isinstance(part.get(key), str):
                del part[key]
    return made


def _read(root: Any, specification: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Each part that is a schema, or referred to as one, with what resolves its references."""
    whole = specification.create_resource(root)
    waiting = [(root, _inside(whole, _resolver(whole)))]
    seen: set[int] = set()
    while waiting:
        part, resolver = waiting.pop()
        if not isinstance(part, dict) or id(part) in seen:
            continue
        seen.add(id(part))
        inner = specification.create_resource(part).subresources()
        waiting += [(resource.contents, _inside(resource, resolver)) for resource in inner]
        found = _found(part["$ref"], resolver) if _refers(part) else None
        waiting += [(found.contents, found.resolver)] if found else []
        yield part, resolver


def _refers(part: dict[str, Any]) -> bool:
    return isinstance(part.get("$ref"), str)


def _resolver(whole: Resource[Any]) -> Any:
    from referencing import Registry

    registry: Registry[Any] = Registry().with_resource("", whole)
    try:
        return registry.crawl().resolver()
    except ValueError:  # an $id that is no URI: nothing can refer to it
        return registry.resolver()


def _inside(resource: Resource[Any], resolver: Any) -> Any:
    """What a reference in a part is resolved with."""
    try:
        return resolver.in_subresource(resource)
    except ValueError:
        return resolver


def _found(reference: str, resolver: Any) -> Any:
    """What a reference leads to, with what resolves the references there; none where it leads nowhere."""
    from referencing.exceptions import Unresolvable  # of which the others are kinds

    try:
        return resolver.lookup(reference)
    except (Unresolvable, ValueError):
        return None


def _resolved(reference: str, resolver: Any, pointers: dict[int, str]) -> str:
    """A reference as a pointer from the root; one that leads nowhere does so from the root too."""
    address, fragment = urldefrag(reference)
    found = _found(reference, resolver)
    if found and fragment and not fragment.startswith("/"):
        return _fragment(pointers[id(found.contents)])
    whole = _found(address or "#", resolver)
    if whole is None or not (found or reference.startswith("#/")):
        return reference
    return _fragment(pointers[id(whole.contents)] + unquote(fragment))


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

"""References of a schema: where they lead, how deep, and whether a value can come to an end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from k2lab.mfjs.parts import Part, Schema, all_parts
from k2lab.mfjs.rulebook import ANNOTATIONS

CONTAINERS = frozenset({"object", "array"})

LONGEST_CHAIN = 100
"""References that are followed one behind the other."""


def local(ref: str) -> bool:
    """Whether a reference is of a form that MFJS has: ``#``, or into ``$defs``."""
    return ref == "#" or (ref.startswith("#/$defs/") and len(ref) > len("#/$defs/"))


class References:
    """The references of one schema; nothing in it may be nested deeper than Python goes."""

    def __init__(self, root: Schema, found: Iterable[Part]) -> None:
        self.root = root
        self.found = tuple(found)
        self._expanded: dict[str, tuple[Schema, tuple[str, ...]]] = {}
        self._measured: dict[str, int] = {}
        self._own: dict[str, tuple[int, list[tuple[str, int]]]] = {}

    def target(self, ref: str) -> Schema | None:
        """What a reference leads to: keys are taken as they stand, and lists are not entered."""
        if not local(ref):
            return None
        at: object = self.root
        for key in ref[2:].split("/") if ref != "#" else ():
            at = at.get(key) if isinstance(at, Mapping) else None
        return at if isinstance(at, Mapping) else None

    def expanded(self, ref: str) -> tuple[Schema, tuple[str, ...]]:
        """The first schema on a chain that is more than a reference; with what the chain says twice."""
        if ref not in self._expanded:
            self._expanded[ref] = self._expand(ref)
        return self._expanded[ref]

    def _expand(self, ref: str) -> tuple[Schema, tuple[str, ...]]:
        seen: set[str] = set()
        said: list[str] = []
        schema = self.target(ref) or {}
        while schema.keys() <= ANNOTATIONS | {"$ref"} and "$ref" in schema:
            following = schema["$ref"]
            if not isinstance(following, str) or following in seen or len(seen) > LONGEST_CHAIN:
                break
            seen.add(following)
            said += schema.keys() & ANNOTATIONS
            schema = self.target(following) or {}
        twice = {word for word in said if said.count(word) > 1}
        return {**schema, **dict.fromkeys(said)}, tuple(sorted(twice))

    def levels(self, ref: str) -> int:
        """Levels of properties below a reference; one that leads back into itself is followed once.

        One to the root counts none, as with walle.
        """
        return self._levels(ref, ())

    def _levels(self, ref: str, above: tuple[str, ...]) -> int:
        if ref == "#":
            return 0
        if ref in self._measured:
            return self._measured[ref]
        own, further = self._measure(ref)
        if ref in above or len(above) > LONGEST_CHAIN:
            return own
        deepest = max((down + self._levels(other, (*above, ref)) for other, down in further), default=0)
        self._measured[ref] = max(own, deepest)
        return self._measured[ref]

    def _measure(self, ref: str) -> tuple[int, list[tuple[str, int]]]:
        """Levels of the target itself, and at which of them it refers on."""
        if ref not in self._own:
            below = list(all_parts({"anyOf": [{**(self.target(ref) or {}), "$defs": None}]}))
            further = {(to, part.levels) for part in below if isinstance(to := part.schema.get("$ref"), str)}
            self._own[ref] = max(part.levels for part in below), sorted(further)
        return self._own[ref]

    def endless(self) -> Iterator[Part]:
        """References by which a value never comes to an end, where the whole schema has no end."""
        if self._ends({"$ref": "#"}):
            return
        for part in self.found:
            if _has_to_be_there(part) and not self._ends({"$ref": part.schema["$ref"]}):
                yield part

    def _ends(self, schema: Schema) -> bool:
        ends, refs = _ways_out(schema)
        return ends or not refs.isdisjoint(self._ending)

    @cached_property
    def _ending(self) -> set[str]:
        """References whose target ends: first those that end in themselves, then those that lead to such."""
        leads_from: dict[str, set[str]] = defaultdict(set)
        refs = {"#", *(str(part.schema["$ref"]) for part in self.found)}
        ending: list[str] = []
        for ref in refs:
            ends, further = _ways_out(self.target(ref) or {"type": "object"})
            ending += [ref] if ends else []
            for other in further:
                leads_from[other].add(ref)
        reached = set(ending)
        while ending:
            more = leads_from[ending.pop()] - reached
            reached |= more
            ending += more
        return reached


def _ways_out(schema: Schema) -> tuple[bool, frozenset[str]]:
    """Whether a value may end here, else by which references it could.

    As walle sees it: an array ends where its items do, an object where one of its
    required properties does, a choice where one branch does.
    """
    if not schema:
        return True, frozenset()
    named = schema.get("type")
    types = named if isinstance(named, list) else [named]
    if any(isinstance(name, str) and name not in CONTAINERS for name in types):
        return True, frozenset()
    inner = _inner_ways(schema, types[-1] if types else None)
    if inner is None:
        return True, frozenset()
    ways = [_ways_out(part) for part in inner]
    ref = schema.get("$ref")
    refs = frozenset([ref] if isinstance(ref, str) else []).union(*(refs for _, refs in ways))
    return any(ends for ends, _ in ways), refs


def _inner_ways(schema: Schema, named: object) -> list[Schema] | None:
    """The parts by which a value may end, ``None`` where it ends at once."""
    branches = schema.get("anyOf")
    inner = [part for part in branches if isinstance(part, Mapping)] if isinstance(branches, list) else []
    if named == "array":
        items = schema.get("items")
        return [*inner, items] if isinstance(items, Mapping) and items else None
    if named == "object":
        required, properties = schema.get("required"), schema.get("properties")
        if not required or not isinstance(properties, Mapping) or not isinstance(required, list):
            return None
        declared = [properties.get(name) for name in required if isinstance(name, str)]
        return inner + [part for part in declared if isinstance(part, Mapping)]
    return inner


def _has_to_be_there(part: Part) -> bool:
    """Whether a reference stands where a value may need it, as walle sees it."""
    at: Part | None = part
    while at is not None and at.parent is not None:
        if at.kind in ("definition", "additional"):
            return False
        if at.kind == "property" and at.parent.schema.get("required") == []:
            return False
        at = at.parent
    return True

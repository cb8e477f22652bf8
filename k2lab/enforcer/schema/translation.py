"""A JSON Schema as a grammar engine can follow it, and what of it the engine cannot.

xgrammar (0.2.8, measured keyword by keyword against jsonschema) takes many
schemas and silently ignores parts of them. :func:`translate` rewrites what has
an equal form that is followed, and names each place where the grammar would let
an invalid value pass. A translated schema may be narrower than its original,
never wider but for what it names.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from functools import partial

from k2lab.enforcer.schema import patterns, scalars
from k2lab.enforcer.schema.conjunction import all_of, both, closed, disjoint, is_open, types, types_of_both
from k2lab.enforcer.schema.document import Document, Keywords
from k2lab.enforcer.schema.ecma262 import Unfollowed
from k2lab.enforcer.schema.finite import Node, Schema, only_finite
from k2lab.enforcer.schema.sizes import check_size
from k2lab.errors import InputError

IGNORED = {"not": "any", "if": "any", "$dynamicRef": "any", "$recursiveRef": "any", "dependentRequired": "object",
           "dependentSchemas": "object", "dependencies": "object", "uniqueItems": "array",
           "contains": "array"}  # fmt: skip
"""Assertions that the grammar lets pass, and the type that they are about."""

MOST_COUNTED_PROPERTIES = 16
"""With more optional properties, bounds on their number take seconds to compile."""

MOST_NODES = 2000
DEEPEST = 24
"""Schemas within each other."""

MOST_ITEMS = (1 << 31) - 1
MOST_CHOICES = 50
"""Branches of a ``oneOf`` of which each two are compared."""


KEY_TWICE = "keys"
"""Stands for a keyword where what is written as keys is not held, and no schema says so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """A part of a schema that the grammar does not follow: an invalid value can pass there.

    What is not ``asserted`` is a format, which annotates a value and by itself makes none invalid, or a key that may
    be written twice, of which readers take one.
    """

    path: str
    keyword: str
    reason: str

    @property
    def asserted(self) -> bool:
        """Whether a validator refuses what passes there."""
        return self.keyword not in ("format", KEY_TWICE)

    def __str__(self) -> str:
        return f"{self.path or '/'} {self.keyword}: {self.reason}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Translated:
    """A schema for the grammar engine, and what it does not hold of the original.

    A pattern in it matches a whole text, as it is written in JSON.
    """

    schema: Schema
    limits: tuple[Limit, ...]


def translate(schema: object, *, kind: str | None = None) -> Translated:
    """Translate a whole schema, of which only values of one type are wanted where there is a ``kind``.

    Raises :class:`InputError` for one that is none, or that no finite value fits.

    >>> translate({"type": "integer", "exclusiveMinimum": 2}).schema
    {'type': 'integer', 'minimum': 3}
    """
    return _Translator(schema).whole(kind)


class _Translator:
    """One translation; definitions are collected as they are referred to.

    A part that no value fits becomes ``False``, and is taken out of the whole in
    the end, together with what never ends.
    """

    def __init__(self, root: object) -> None:
        self._document = Document(root)
        self._limits: dict[tuple[str, str], Limit] = {}
        self._nothing: list[str] = []
        self._names: dict[str, str] = {}
        self._waiting: list[tuple[str, Schema, str]] = []
        self._flat_targets: dict[str, Node] = {}
        self._patterns = patterns.Written()
        self._made = 0

    def whole(self, kind: str | None = None) -> Translated:
        root = self.node(self._narrowed(kind) if kind else self._document.root, "", 0)
        definitions: dict[str, Node] = {}
        while self._waiting:
            name, said, path = self._waiting.pop(0)
            definitions[name] = self._combined(self._flat(said, path), path, 0)
        used, made = only_finite(definitions, root)
        if isinstance(made, bool):
            what = f"{kind}, which arguments always are," if kind else "finite value"
            raise InputError(f"no {what} fits the schema: {'; '.join(self._nothing[:3]) or 'it never ends'}")
        whole = {**made, "$defs": used} if used else made
        check_size(whole)
        return Translated(schema=whole, limits=tuple(self._limits.values()))

    def _narrowed(self, kind: str) -> Node:
        """The root, of which values of one type are wanted."""
        root = self._document.root
        if isinstance(root, bool):
            return {"type": kind} if root else False
        said = self._document.keywords(root)
        return Keywords({**said, "type": types_of_both(said["type"], kind) if "type" in said else kind})

    def node(self, schema: Node, path: str, depth: int) -> Node:
        """One schema; ``False`` where nothing is valid."""
        self._count(path, depth)
        if isinstance(schema, bool):
            return {} if schema else self._none(path, "is false")
        said = self._document.keywords(schema)
        if "enum" in said:
            return self._values(said, path)
        if self._refers(said):
            return self._named(said, path)
        return self._combined(self._flat(said, path), path, depth)

    def _count(self, path: str, depth: int) -> None:
        self._made += 1
        if self._made > MOST_NODES or depth > DEEPEST:
            raise InputError(f"the schema unfolds beyond {MOST_NODES} parts or {DEEPEST} levels: {path[:80] or '/'}")

    def _none(self, path: str, why: str) -> bool:
        self._nothing.append(f"{path or '/'} {why}")
        return False

    def _limit(self, path: str, keyword: str, reason: str) -> None:
        self._limits.setdefault((path, keyword), Limit(path=path, keyword=keyword, reason=reason))

    def _values(self, said: Schema, path: str) -> Node:
        """The values that are listed and that the rest of the schema admits."""
        rest = {key: value for key, value in said.items() if key != "enum"}
        values = [value for value in said["enum"] if not rest or self._document.valid(value, rest)]
        return scalars.listed(values) or self._none(path, "lists no value that is valid")

    def _refers(self, said: Schema) -> bool:
        parts = [part for part in said.get("allOf", ()) if isinstance(part, dict)]
        return "$ref" in said or any(self._refers(self._document.keywords(part)) for part in parts)

    def _named(self, said: Schema, path: str) -> Schema:
        """A definition for a schema with references: one that refers to itself comes upon its own name."""
        key = json.dumps(said, sort_keys=True)
        if key not in self._names:
            self._names[key] = f"d{len(self._names)}"
            place = path
            if said.keys() == {"$ref"}:
                place = self._document.target(said["$ref"], path).place  # or the place where it is used is told
            self._waiting.append((self._names[key], said, place))
        return {"$ref": f"#/$defs/{self._names[key]}"}

    def _flat(self, schema: Node, path: str, chain: tuple[str, ...] = ()) -> Node:
        """A schema as keywords that hold together, behind its ``$ref`` and ``allOf``; or a boolean."""
        if isinstance(schema, bool):
            return schema
        said: Schema = self._document.keywords(schema)
        parts = [self._flat_target(said.pop("$ref"), path, chain)] if "$ref" in said else []
        parts += [self._flat(part, path, chain) for part in said.pop("allOf", ())]
        if not said and len(parts) == 1:
            return parts[0]
        for part in parts:
            if isinstance(part, bool):
                said = said if part else {"enum": []}
                continue
            part, unseen = closed(part)
            said, left_out = both(said, part)
            for keyword in (*unseen, *left_out):
                self._limit(path, keyword, "parts that hold together differ in it, and not all of them are followed")
        return said

    def _flat_target(self, key: str, path: str, chain: tuple[str, ...]) -> Node:
        target = self._document.target(key, path)
        if key in chain or len(chain) > DEEPEST:
            said = target.reference
            raise InputError(f"{path or '/'}: {said!r} refers to itself without end, or through too many others")
        if key not in self._flat_targets:
            self._count(path, 0)
            self._flat_targets[key] = self._flat(target.schema, path, (*chain, key))
        return self._flat_targets[key]

    def _combined(self, said: Node, path: str, depth: int) -> Node:
        """Keywords that hold together: listed values, a choice, or neither."""
        if isinstance(said, bool):
            return {} if said else self._none(path, "is false")
        if "enum" in said:
            return self._values(said, path)
        for keyword in ("anyOf", "oneOf"):
            if keyword in said:
                return self._choice(keyword, said, path, depth)
        return self._plain(said, path, depth)

    def _choice(self, keyword: str, said: Schema, path: str, depth: int) -> Node:
        """Each branch with all that stands beside the choice."""
        rest = {key: value for key, value in said.items() if key != keyword}
        branches = [_beside(rest, branch) for branch in said[keyword]]
        if keyword == "oneOf" and not self._exclusive(branches, path):
            self._limit(path, keyword, "branches may overlap, and a value of two of them passes")
        made = [self.node(branch, f"{path}/{keyword}/{i}", depth + 1) for i, branch in enumerate(branches)]
        return {"anyOf": made} if len(made) > 1 else made[0]

    def _exclusive(self, branches: list[Node], path: str) -> bool:
        flat = [self._flat(branch, f"{path}/oneOf/{i}") for i, branch in enumerate(branches)]
        some = [said for said in flat if not isinstance(said, bool)]
        if len(some) > MOST_CHOICES or True in flat:
            return len(some) + flat.count(True) < 2
        resolved = partial(self._flat, path=path)
        return all(disjoint(*pair, resolved, self._document.valid) for pair in itertools.combinations(some, 2))

    def _plain(self, said: Schema, path: str, depth: int) -> Node:
        """Keywords without choices: one alternative for each type."""
        said, unseen = closed(said)
        for keyword in unseen:
            self._limit(path, keyword, "beside conditions the grammar does not follow it")
        kinds = types(said)
        for keyword, about in IGNORED.items():
            if keyword in said and (about in ("any", *kinds) or "any" in kinds) and _asserts(keyword, said):
                self._limit(path, keyword, "the grammar does not follow it")
        made = [self._of_type(kind, said, path, depth) for kind in kinds]
        return {"anyOf": made} if len(made) > 1 else made[0] if made else self._none(path, "admits no type")

    def _of_type(self, kind: str, said: Schema, path: str, depth: int) -> Node:
        tell = partial(self._limit, path)
        made: Node = {} if kind == "any" else {"type": kind}
        if kind == "string":
            made = scalars.string(said, tell, self._patterns.whole)
        elif kind in ("number", "integer"):
            made = scalars.number(said, kind, tell)
        elif kind == "array":
            made = self._array(said, path, depth)
        elif kind == "object":
            made = self._object(said, path, depth)
        return made if made is not False else self._none(path, f"has bounds that no {kind} is within")

    def _array(self, said: Schema, path: str, depth: int) -> Node:
        least, most = int(said.get("minItems", 0)), min(int(said.get("maxItems", MOST_ITEMS)), MOST_ITEMS)
        if least > most:
            return False
        front = [
            self.node(item, f"{path}/prefixItems/{i}", depth + 1)
            for i, item in enumerate(said.get("prefixItems", ())[:most])
        ]
        rest = False if most <= len(front) else self.node(said.get("items", True), f"{path}/items", depth + 1)
        made: Schema = {"type": "array", **({"prefixItems": front} if front else {}), "items": rest}
        made |= {"minItems": least} if least else {}
        return made | ({"maxItems": most} if rest is not False and most < MOST_ITEMS else {})

    def _object(self, said: Schema, path: str, depth: int) -> Node:
        required = list(dict.fromkeys(said.get("required", ())))
        declared = dict(said.get("properties", {}))
        others = said.get("patternProperties", {})
        rest = said.get("additionalProperties", True) if is_open(said) else False
        for name in required:
            by_pattern = any(patterns.found(pattern, name) for pattern in others)
            declared.setdefault(name, True if by_pattern else said.get("additionalProperties", True))
        for name, schema in declared.items():
            declared[name] = all_of(schema, *(others[pattern] for pattern in others if patterns.found(pattern, name)))
        if "propertyNames" in said:
            declared, others, rest = self._allowed(said["propertyNames"], declared, others, rest, path)
        properties = {
            name: self.node(schema, f"{path}/properties/{_pointed(name)}", depth + 1)
            for name, schema in declared.items()
        }
        made: Schema = {"type": "object"}
        made |= {"properties": properties} if properties else {}
        made |= {"required": required} if required else {}
        made |= self._further(properties, others, rest, path, depth)
        return self._counted(made, said, path)

    def _allowed(
        self, names: Node, declared: Schema, others: Schema, rest: Node, path: str
    ) -> tuple[Schema, Schema, Node]:
        """Properties, patterns and the schema for other keys once ``propertyNames`` holds of all of them."""
        names = self._flat(names, f"{path}/propertyNames")
        if names is True or names in ({}, {"type": "string"}):
            return declared, others, rest
        declared = {name: self._document.valid(name, names) and schema for name, schema in declared.items()}
        if isinstance(names, bool) or (rest is False and not others):
            return declared, {}, False
        if "enum" in names and not others:
            listed = {name: rest for name in names["enum"] if isinstance(name, str)}
            return {**{n: s for n, s in listed.items() if self._document.valid(n, names)}, **declared}, {}, False
        if names.keys() - {"type"} == {"pattern"} and not others and not declared:
            return {}, {names["pattern"]: rest}, False
        self._limit(path, "propertyNames", "the grammar follows a list of names, and a pattern beside no property")
        return declared, others, rest

    def _further(self, properties: Schema, others: Schema, rest: Node, path: str, depth: int) -> Schema:
        """What keys there may be that are not declared: by pattern, all others, or none."""
        made: Schema = {}
        for pattern, schema in others.items():
            try:
                text = self._patterns.whole(pattern).text
            except Unfollowed as why:
                self._limit(path, "patternProperties", f"the grammar cannot follow {pattern[:80]!r}: {why}")
                rest = schema if rest is False else rest
                continue
            made[text] = self.node(schema, f"{path}/patternProperties/{_pointed(pattern)}", depth + 1)
            if any(made[text] != properties[name] for name in properties if patterns.found(pattern, name)):
                self._limit(path, "patternProperties", f"{pattern!r} matches a declared property, which passes as such")
        if not all(a == b for a in made.values() for b in made.values()) and not patterns.apart(others):
            self._limit(path, "patternProperties", "a key that several patterns match is held to one of them")
        if made:
            return {"patternProperties": made, "additionalProperties": False}  # beside them the engine has no others
        if rest is False:
            return {"additionalProperties": False}
        node = self.node(rest, f"{path}/additionalProperties", depth + 1)
        if not properties:
            return {"additionalProperties": node}
        try:
            return {"patternProperties": {self._patterns.other_than(properties): node}, "additionalProperties": False}
        except Unfollowed as why:
            self._limit(path, "additionalProperties", f"declared properties pass as others: {why}")
            return {"additionalProperties": node}

    def _counted(self, made: Schema, said: Schema, path: str) -> Node:
        """An object with bounds on the number of its properties, where the rest does not hold them."""
        least, most = int(said.get("minProperties", 0)), min(int(said.get("maxProperties", MOST_ITEMS)), MOST_ITEMS)
        needed, declared = len(made.get("required", ())), len(made.get("properties", ()))
        more = "patternProperties" in made or made["additionalProperties"] is not False
        if max(least, needed) > most or (least > declared and not more):
            return False
        bounds = {"minProperties": least} if least > needed else {}
        if most < (MOST_ITEMS if more else declared):
            bounds["maxProperties"] = most
        if declared - needed > MOST_COUNTED_PROPERTIES:
            for keyword in bounds:
                self._limit(path, keyword, f"beside more than {MOST_COUNTED_PROPERTIES} optional properties too costly")
            return made
        if more and least > needed + 1:
            self._limit(path, "minProperties", "a key that is written twice counts twice")
        return made | bounds


def _beside(rest: Schema, branch: Node) -> Node:
    """One branch of a choice with what stands beside the choice."""
    if not rest or branch is False:
        return branch
    return Keywords({**rest, "allOf": [branch, *rest.get("allOf", ())]})


def _asserts(keyword: str, said: Schema) -> bool:
    """Whether a keyword says anything."""
    if keyword == "if":
        return "then" in said or "else" in said
    return bool(said[keyword]) or keyword in ("not", "contains")


def _pointed(name: str) -> str:
    """A name as a part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")

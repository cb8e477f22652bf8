"""A tool's JSON Schema as a grammar engine can follow it, and what of it the engine cannot.

xgrammar (0.2.8, measured keyword by keyword against jsonschema) takes many
schemas and silently ignores parts of them. :func:`translate` rewrites what has
an equal form that is followed, and names each place where the grammar would let
an invalid value pass. A translated schema may be narrower than its original,
never wider but for what it names.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from k2lab.enforcer.finite import Never, Schema, finite, reachable
from k2lab.errors import InputError

ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "example", "deprecated", "readOnly", "writeOnly", "nullable",
     "$comment", "$id", "$schema", "$defs", "definitions", "$anchor", "$vocabulary", "contentEncoding",
     "contentMediaType", "contentSchema"}
)  # fmt: skip
"""Say nothing about whether a value is valid (``$defs`` is read where a ``$ref`` points into it)."""

BY_TYPE: Mapping[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties", "patternProperties", "propertyNames",
                         "minProperties", "maxProperties", "unevaluatedProperties"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems", "unevaluatedItems"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "boolean": frozenset(),
    "null": frozenset(),
}  # fmt: skip
"""The keywords that the engine follows, by the type that they are about."""

IGNORED = ("not", "if", "dependentRequired", "dependentSchemas", "dependencies", "uniqueItems", "contains",
           "$dynamicRef", "unevaluatedProperties", "unevaluatedItems", "propertyNames")  # fmt: skip
"""Assertions that the grammar lets pass, alone or beside others."""

LONGEST_STRING = 1000
"""Length bounds above this are left out: each unit costs a state of the automaton, and no answer is that long."""

MOST_COUNTED_PROPERTIES = 16
"""With more optional properties, bounds on their number take seconds to compile."""

MOST_NODES = 4000
DEEPEST = 40
"""vLLM refuses a schema nested deeper than 64."""

INT64 = 1 << 63
FORMATS = frozenset({"date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uri",
                     "uri-reference", "uri-template", "uuid", "json-pointer", "relative-json-pointer"})  # fmt: skip
"""Formats that the engine knows; others are left out, as a validator does not check any."""

UNFOLLOWED_REGEX = re.compile(
    r"\(\?(?!:)|[*+?}][?+]|\\[1-9bBAZzpPkGcuxN]|(?<!^)(?<!\\)(?<!\[)\^|(?<!\\)\$(?!$)|\[\^?\]|\[:"
)
"""What the engine's regular expressions lack or read otherwise: lookaround, laziness, references, inner anchors."""


@dataclass(frozen=True)
class Limit:
    """A part of a schema that the grammar does not follow: an invalid value can pass there."""

    path: str
    keyword: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path or '/'} {self.keyword}: {self.reason}"


@dataclass(frozen=True)
class Translated:
    """A schema for the grammar engine, and what it does not hold of the original."""

    schema: Schema
    limits: tuple[Limit, ...]


def translate(schema: Any) -> Translated:
    """Translate a whole schema; raises :class:`InputError` for one that is none, or that no finite value fits."""
    _check(schema)
    return _Translator(schema).whole()


def _check(schema: Any) -> None:
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    if _size(schema) > MOST_NODES:
        raise InputError(f"the schema has more than {MOST_NODES} parts: no grammar of it compiles in reasonable time")
    try:
        validator_for(schema).check_schema(schema)
    except SchemaError as error:
        raise InputError(f"the schema is none: {error.json_path}: {error.message[:200]}") from None
    except Exception as error:
        raise InputError(f"the schema is none: {str(error)[:200] or type(error).__name__}") from None


def _size(value: Any) -> int:
    """How many objects and lists a value has, without recursion; stops counting beyond the limit."""
    count, waiting = 0, [(value, 0)]
    while waiting and count <= MOST_NODES:
        item, depth = waiting.pop()
        if depth > 3 * DEEPEST:
            return MOST_NODES + 1
        if isinstance(item, dict | list):
            count += 1
            waiting += [(part, depth + 1) for part in (item.values() if isinstance(item, dict) else item)]
    return count


class _Translator:
    """One translation; definitions are collected as they are referred to."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._limits: dict[tuple[str, str], Limit] = {}
        self._names: dict[str, str] = {}
        self._definitions: dict[str, Schema] = {}
        self._made = 0

    def whole(self) -> Translated:
        try:
            made = self.node(self._root, "", 0)
            definitions, made = finite(self._definitions, made)
        except Never as never:
            raise InputError(f"no finite value fits the schema: {never}") from None
        used = reachable(made, definitions)
        if used:
            made = {**made, "$defs": {name: definitions[name] for name in sorted(used)}}
        return Translated(made, tuple(self._limits.values()))

    def node(self, schema: Any, path: str, depth: int) -> Schema:
        """One schema; raises :class:`Never` where nothing is valid."""
        self._made += 1
        if self._made > MOST_NODES or depth > DEEPEST:
            raise InputError(f"{path or '/'}: the schema unfolds beyond {MOST_NODES} parts or {DEEPEST} levels")
        if schema is False:
            raise Never(f"{path or '/'} is false")
        if schema is True:
            return {}
        said = {key: value for key, value in schema.items() if key not in ANNOTATIONS}
        if "enum" in said or "const" in said:
            return self._values(said, path)
        for keyword, step in self._steps():
            if keyword in said:
                return step(said, path, depth)
        return self._plain(said, path, depth)

    def _steps(self) -> Iterator[tuple[str, Callable[[Schema, str, int], Schema]]]:
        yield "$ref", self._reference
        yield "allOf", self._all
        yield "anyOf", self._any
        yield "oneOf", self._one

    def _limit(self, path: str, keyword: str, reason: str) -> None:
        self._limits.setdefault((path, keyword), Limit(path, keyword, reason))

    def _values(self, said: Schema, path: str) -> Schema:
        """The values that are listed and that the rest of the schema admits."""
        values = said["enum"] if "enum" in said else [said["const"]]
        kept = [value for value in values if self._valid(value, said)]
        if not kept:
            raise Never(f"{path or '/'}: no listed value is valid")
        return {"enum": kept}

    def _valid(self, value: Any, schema: Schema) -> bool:
        from jsonschema.validators import validator_for

        whole = {**schema, "$defs": {"root": self._root}} if "$ref" not in schema else schema
        try:
            return bool(validator_for(self._root)(whole).is_valid(value))
        except Exception:  # a $ref that cannot be resolved from here: the value is kept, as it is listed
            return True

    def _reference(self, said: Schema, path: str, depth: int) -> Schema:
        pointer = said["$ref"]
        target = self._target(pointer, path)
        rest = {key: value for key, value in said.items() if key != "$ref"}
        if rest:
            return self.node(self._both(target, rest, path), path, depth + 1)
        if pointer not in self._names:
            name = self._names[pointer] = f"d{len(self._names)}"
            try:
                self._definitions[name] = self.node(target, pointer.lstrip("#"), depth + 1)
            except Never:
                self._definitions[name] = {"$ref": f"#/$defs/{name}"}  # left to the search for finite values
        return {"$ref": f"#/$defs/{self._names[pointer]}"}

    def _target(self, pointer: str, path: str) -> Any:
        if pointer != "#" and not pointer.startswith("#/"):
            raise InputError(f"{path or '/'} $ref: only references within the schema can be followed, not {pointer!r}")
        found: Any = self._root
        for part in pointer.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            try:
                found = found[int(key)] if isinstance(found, list) else found[key]
            except (KeyError, IndexError, ValueError, TypeError):
                raise InputError(f"{path or '/'} $ref: {pointer!r} is not there") from None
        return found

    def _all(self, said: Schema, path: str, depth: int) -> Schema:
        made: Any = {key: value for key, value in said.items() if key != "allOf"}
        for part in said["allOf"]:
            made = self._both(made, part, path)
        return self.node(made, path, depth + 1)

    def _any(self, said: Schema, path: str, depth: int) -> Schema:
        return self._branches("anyOf", said, path, depth)

    def _one(self, said: Schema, path: str, depth: int) -> Schema:
        branches = [self._resolved(branch) for branch in said["oneOf"]]
        if not all(_disjoint(a, b) for a, b in itertools.combinations(branches, 2)):
            self._limit(path, "oneOf", "branches may overlap, and a value of two of them passes")
        return self._branches("oneOf", said, path, depth)

    def _branches(self, keyword: str, said: Schema, path: str, depth: int) -> Schema:
        rest = {key: value for key, value in said.items() if key != keyword}
        made: list[Schema] = []
        for place, branch in enumerate(said[keyword]):
            try:
                whole = self._both(rest, branch, path) if rest else branch
                made.append(self.node(whole, f"{path}/{keyword}/{place}", depth + 1))
            except Never:
                continue
        if not made:
            raise Never(f"{path or '/'}: no branch of {keyword} is valid")
        return made[0] if len(made) == 1 else {"anyOf": made}

    def _resolved(self, schema: Any) -> Any:
        """A branch behind its ``$ref``, as far as it is one step away."""
        if isinstance(schema, dict) and isinstance(schema.get("$ref"), str):
            try:
                return self._target(schema["$ref"], "")
            except InputError:
                return schema
        return schema

    def _both(self, first: Any, second: Any, path: str) -> Any:
        """One schema for two that hold together; what cannot be put into one is named and left out."""
        if first is False or second is False:
            return False
        if first is True or not first:
            return second
        if second is True or not second:
            return first
        for one, other in ((first, second), (second, first)):
            if isinstance(one.get("$ref"), str):
                rest = {key: value for key, value in one.items() if key != "$ref"}
                return self._both(self._both(self._unfolded(one["$ref"], path), rest, path), other, path)
        made = dict(first)
        for key, value in second.items():
            if key in ANNOTATIONS or key not in made or made[key] == value:
                made.setdefault(key, value)
            elif key in _MERGED:
                made[key] = _MERGED[key](made[key], value)
            elif key == "properties":
                names = dict.fromkeys([*made[key], *value])
                made[key] = {name: self._both(made[key].get(name, True), value.get(name, True), path) for name in names}
            elif key in ("items", "additionalProperties"):
                made[key] = self._both(made[key], value, path)
            elif key == "allOf":
                made[key] = [*made[key], *value]
            else:
                self._limit(path, key, "stands twice in parts that hold together, and only the first is followed")
        self._close(made, first, second, path)
        return made

    def _close(self, made: Schema, first: Schema, second: Schema, path: str) -> None:
        """``additionalProperties`` of one part holds for the properties that the other adds."""
        for one, other in ((first, second), (second, first)):
            rest = one.get("additionalProperties", True)
            if rest is True or rest == {} or "properties" not in made:
                continue
            own = one.get("properties", {})
            for name in other.get("properties", {}):
                if name not in own and not any(_found(p, name) for p in one.get("patternProperties", {})):
                    made["properties"] = {**made["properties"], name: self._both(made["properties"][name], rest, path)}

    def _unfolded(self, pointer: str, path: str) -> Any:
        self._made += 50  # a reference that unfolds into itself comes to an end
        if self._made > MOST_NODES:
            raise InputError(f"{path or '/'}: {pointer!r} refers to itself beside other keywords, which never ends")
        return self._target(pointer, path)

    def _plain(self, said: Schema, path: str, depth: int) -> Schema:
        """A schema without combinations: one alternative for each type."""
        said = dict(said)
        for keyword in ("unevaluatedProperties", "unevaluatedItems"):
            kind = "additionalProperties" if keyword == "unevaluatedProperties" else "items"
            if keyword in said and kind not in said:  # nothing else evaluates here: the same as the plain keyword
                said[kind] = said.pop(keyword)
        for keyword in IGNORED:
            if keyword in said and not _says_nothing(keyword, said):
                self._limit(path, keyword, "the grammar does not follow it")
        types = _types(said)
        made = []
        for kind in types:
            try:
                made.append(self._of_type(kind, said, path, depth))
            except Never:
                continue
        if not made:
            raise Never(f"{path or '/'}: no value of type {' or '.join(types)} is valid")
        return made[0] if len(made) == 1 else {"anyOf": made}

    def _of_type(self, kind: str, said: Schema, path: str, depth: int) -> Schema:
        if kind == "any":
            return {}
        family = "number" if kind == "integer" else kind
        made: Schema = {"type": kind}
        made |= {key: value for key, value in said.items() if key in BY_TYPE[family] and key not in IGNORED}
        if family == "string":
            self._string(made, path)
        elif family == "number":
            self._number(made, path)
        elif family == "array":
            self._array(made, path, depth)
        elif family == "object":
            self._object(made, path, depth)
        return made

    def _string(self, made: Schema, path: str) -> None:
        if made.get("format") not in FORMATS:
            made.pop("format", None)
        pattern = made.pop("pattern", None)
        if pattern is not None:
            if UNFOLLOWED_REGEX.search(pattern):
                self._limit(path, "pattern", f"the grammar's regular expressions cannot follow {pattern!r}")
            else:
                made["pattern"] = _whole(pattern)
        for keyword in ("minLength", "maxLength"):
            if keyword not in made:
                continue
            if "pattern" in made or "format" in made:
                self._limit(path, keyword, "beside a pattern or a format the grammar does not follow it")
                del made[keyword]
            elif made[keyword] > LONGEST_STRING:
                self._limit(
                    path, keyword, f"a bound of {made[keyword]} is too costly; {LONGEST_STRING} can be followed"
                )
                del made[keyword]
        if made.get("minLength", 0) > made.get("maxLength", LONGEST_STRING):
            raise Never(f"{path or '/'}: minLength is above maxLength")

    def _number(self, made: Schema, path: str) -> None:
        step = made.get("multipleOf")
        if step is not None and (made["type"] == "number" or not isinstance(step, int) or step > 1024):
            self._limit(path, "multipleOf", "the grammar follows it for integers up to 1024 alone")
            del made["multipleOf"]
        for keyword in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
            if keyword in made and abs(made[keyword]) >= INT64:
                self._limit(path, keyword, "the bound is beyond 64 bits")
                del made[keyword]
        low = max(made.get("minimum", -INT64), made.get("exclusiveMinimum", -INT64))
        if low > min(made.get("maximum", INT64), made.get("exclusiveMaximum", INT64)):
            raise Never(f"{path or '/'}: the lower bound is above the upper one")

    def _array(self, made: Schema, path: str, depth: int) -> None:
        prefix = made.pop("prefixItems", None)
        rest = made.pop("items", True)
        if isinstance(rest, list):  # as before Draft 2020-12
            prefix, rest = rest, made.pop("additionalItems", True)
        fixed = [self.node(item, f"{path}/prefixItems/{i}", depth + 1) for i, item in enumerate(prefix or ())]
        if fixed:
            made["prefixItems"] = fixed
        try:
            made["items"] = self.node(rest, f"{path}/items", depth + 1)
        except Never:
            made["items"] = False
            if made.get("minItems", 0) > len(fixed):
                raise
        if made.get("minItems", 0) > made.get("maxItems", INT64):
            raise Never(f"{path or '/'}: minItems is above maxItems")

    def _object(self, made: Schema, path: str, depth: int) -> None:
        required = list(dict.fromkeys(made.get("required", ())))
        patterns = made.pop("patternProperties", {})
        others = made.pop("additionalProperties", None)
        properties = dict(made.pop("properties", {}))
        for name in required:
            properties.setdefault(name, _unlisted(name, patterns, others))
        kept: dict[str, Schema] = {}
        for name, schema in properties.items():
            whole = schema
            for pattern, value in patterns.items():
                if name in (made.get("properties") or properties) and _found(pattern, name) and value is not schema:
                    whole = self._both(whole, value, path)
            try:
                kept[name] = self.node(whole, f"{path}/properties/{name}", depth + 1)
            except Never:
                if name in required:
                    raise
        if kept:
            made["properties"] = kept
        if required:
            made["required"] = required
        self._keys(made, patterns, others, path, depth)
        optional = len(kept) - len(required)
        for keyword in ("minProperties", "maxProperties"):
            if keyword in made and optional > MOST_COUNTED_PROPERTIES:
                self._limit(path, keyword, f"with more than {MOST_COUNTED_PROPERTIES} optional properties too costly")
                del made[keyword]

    def _keys(self, made: Schema, patterns: Mapping[str, Any], others: Any, path: str, depth: int) -> None:
        """The keys that are not listed: by pattern, by a schema for all others, or none."""
        for pattern, value in patterns.items():
            if UNFOLLOWED_REGEX.search(pattern):
                self._limit(path, "patternProperties", f"the grammar's regular expressions cannot follow {pattern!r}")
                continue
            made.setdefault("patternProperties", {})[_whole(pattern)] = self.node(
                value, f"{path}/patternProperties/{pattern}", depth + 1
            )
        if others is None:
            if made.get("properties") or patterns:
                made["additionalProperties"] = False  # what nobody declared is not to be made up
            return
        if others is not False and patterns:
            self._limit(path, "additionalProperties", "beside patternProperties the grammar mixes the two")
        try:
            made["additionalProperties"] = others if isinstance(others, bool) else self.node(
                others, f"{path}/additionalProperties", depth + 1
            )  # fmt: skip
        except Never:
            made["additionalProperties"] = False


def _unlisted(name: str, patterns: Mapping[str, Any], others: Any) -> Any:
    """What holds for a required property that is not among ``properties``."""
    for pattern, value in patterns.items():
        if _found(pattern, name):
            return value
    return True if others is None else others


def _types(said: Schema) -> list[str]:
    """The types that a schema admits; without ``type`` those that its keywords are about, else ``any``."""
    named = said.get("type")
    if isinstance(named, str):
        return [named]
    if isinstance(named, list):
        return [kind for kind in dict.fromkeys(named) if not (kind == "integer" and "number" in named)]
    return [kind for kind, keywords in BY_TYPE.items() if keywords & said.keys() - set(IGNORED)] or ["any"]


def _says_nothing(keyword: str, said: Schema) -> bool:
    if keyword == "uniqueItems":
        return said["uniqueItems"] is False
    if keyword == "if":
        return "then" not in said and "else" not in said
    if keyword in ("dependentRequired", "dependentSchemas", "dependencies"):
        return not said[keyword]
    return keyword == "propertyNames" and said[keyword] in (True, {}, {"type": "string"})


def _disjoint(first: Any, second: Any) -> bool:
    """Whether no value can be valid for both, as far as types and fixed properties tell."""
    if not (isinstance(first, dict) and isinstance(second, dict)):
        return first is False or second is False
    kinds = [set(_types(s)) for s in (first, second)]
    typed = "type" in first and "type" in second
    if typed and not kinds[0] & kinds[1] and not {"integer", "number"} <= kinds[0] | kinds[1]:
        return True
    fixed = [_fixed_values(s) for s in (first, second)]
    if all(fixed) and not set(fixed[0]) & set(fixed[1]):
        return True
    required = set(first.get("required", ())) & set(second.get("required", ()))
    both_objects = first.get("type") == second.get("type") == "object"
    return both_objects and any(
        _apart(first.get("properties", {}).get(name), second.get("properties", {}).get(name)) for name in required
    )


def _apart(first: Any, second: Any) -> bool:
    one, other = _fixed_values(first), _fixed_values(second)
    return bool(one and other) and not set(one) & set(other)


def _fixed_values(schema: Any) -> list[str]:
    if not isinstance(schema, dict):
        return []
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return [json.dumps(value, sort_keys=True) for value in values]


def _whole(pattern: str) -> str:
    """A pattern that is searched for, as one that the whole text must match."""
    if "|" in pattern:
        return pattern  # an anchor would hold for one alternative: narrower, and never wider
    begin = "" if pattern.startswith("^") else "^.*"
    end = "" if pattern.endswith("$") and not pattern.endswith("\\$") else ".*$"
    return f"{begin}{pattern}{end}"


def _found(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:
        return False


def _types_of_both(first: Any, second: Any) -> Any:
    one, other = ([kinds] if isinstance(kinds, str) else list(kinds) for kinds in (first, second))
    wide = {"integer": {"integer", "number"}}
    kept = [kind for kind in one if wide.get(kind, {kind}) & set(other)]
    kept += [kind for kind in other if kind not in kept and wide.get(kind, {kind}) & set(one)]
    return kept


_MERGED: Mapping[str, Callable[[Any, Any], Any]] = {
    "type": _types_of_both,
    "required": lambda a, b: list(dict.fromkeys([*a, *b])),
    "enum": lambda a, b: [value for value in a if value in b],
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
}
"""How one keyword of two schemas that hold together becomes one."""

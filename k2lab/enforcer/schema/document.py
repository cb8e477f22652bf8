"""A schema as it came: checked once, and read by the rules of its draft."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeAlias

from k2lab.enforcer.schema import patterns
from k2lab.enforcer.schema.finite import Node, Schema
from k2lab.enforcer.schema.references import References, Target
from k2lab.errors import InputError

Drafted: TypeAlias = Any
"""A validator, or its class, of one draft; the library's stubs know little of it."""

MOST_PARTS = 2000
"""Objects and lists of a schema; checking that many takes about a third of a second."""

MOST_LEVELS = 80
"""Objects and lists within each other; the validator, which recurses, would not come back from many more."""

MOST_VALUES = 10_000
"""Values of one ``enum``; compiling that many takes half a second."""

MOST_LOOKUPS = 5000
"""References that listed values may be checked through: two for one, thirty levels deep, never come to an end."""

BESIDE_OTHERS = {"then", "else", "exclusiveMinimum", "exclusiveMaximum"}
"""Keywords that some validators read together with another."""

REWRITTEN = {"prefixItems", "exclusiveMinimum", "exclusiveMaximum"}
"""Keywords that stand for others of earlier drafts once those were read."""

MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
LISTS = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
SINGLE = ("items", "additionalItems", "additionalProperties", "propertyNames", "contains", "not", "if", "then", "else",
          "unevaluatedItems", "unevaluatedProperties")  # fmt: skip
"""Where a schema has schemas."""


class Keywords(dict[str, Any]):
    """A schema that was read, and is not to be read again."""


class Document:
    """A schema whose references are resolved; raises :class:`InputError` where it is none."""

    def __init__(self, root: object) -> None:
        checked = _checked(root)
        self._class = _validator_class(checked)
        self._check(checked)
        self._references = References(checked, str(self._class.META_SCHEMA.get("$schema", "")))
        self.root = self._references.root
        self._schemas = {id(part) for part in _parts(self.root)}
        self._lookups = 0
        self._asserted = frozenset(self._class.VALIDATORS) | BESIDE_OTHERS
        self._references_stand_alone = "unevaluatedItems" not in self._class.VALIDATORS

    def keywords(self, schema: Mapping[str, Any]) -> Keywords:
        """What a schema asserts, spelled as in Draft 2020-12; titles, defaults and unknown words are left out."""
        if isinstance(schema, Keywords):
            return Keywords(schema)
        said = Keywords({key: value for key, value in schema.items() if key in self._asserted})
        if "$ref" in said and self._references_stand_alone:
            return Keywords({"$ref": said["$ref"]})
        rest = said.pop("additionalItems", None)
        if isinstance(said.get("items"), list):
            said["prefixItems"] = said.pop("items")
            said |= {} if rest is None else {"items": rest}
        for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if isinstance(said.get(exclusive), bool) and said.pop(exclusive) and bound in said:
                said[exclusive] = said.pop(bound)
        if "const" in said:
            fixed = said.pop("const")
            said["enum"] = [fixed] if "enum" not in said or same_in(fixed, said["enum"]) else []
        return said

    def target(self, reference: str, path: str) -> Target:
        """The schema that a ``$ref`` leads to."""
        found = self._references.targets[reference]
        if found.problem:
            raise InputError(f"{path or '/'} $ref: {found.problem}")
        if not isinstance(found.schema, bool) and id(found.schema) not in self._schemas:  # beside what was checked
            self._check(found.schema)
            self._schemas |= {id(part) for part in _parts(found.schema)}
        return found

    def valid(self, value: object, said: Node) -> bool:
        """Whether a value is valid for keywords that stand in this document."""
        try:
            return bool(self._validator.evolve(schema=said).is_valid(value))
        except InputError:
            raise
        except Exception as error:  # a reference that turns in a circle
            raise InputError(f"{str(error)[:200]}: a listed value cannot be checked") from None

    def _check(self, schema: Node) -> None:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError

        if self._class is Draft202012Validator and _surely_valid(schema):
            return
        try:
            self._class.check_schema(schema, format_checker=None)  # an odd $id does no harm
        except SchemaError as error:
            raise InputError(
                f"the schema is not a valid JSON Schema: {error.json_path}: {error.message[:200]}"
            ) from None

    @cached_property
    def _validator(self) -> Drafted:
        """For listed values, which most schemas have few of or none; it counts the references that it follows."""
        from jsonschema import ValidationError, validators

        extend: Drafted = validators.extend
        follow = self._class.VALIDATORS["$ref"]

        def counted(validator: Drafted, key: str, instance: object, schema: Node) -> Iterator[ValidationError]:
            target = self._references.targets[key]
            self._lookups += 1
            if target.problem:
                raise InputError(f"{target.problem}: a listed value cannot be checked")
            if self._lookups > MOST_LOOKUPS:
                raise InputError(
                    f"listed values refer to {target.reference!r} and others {MOST_LOOKUPS} times and more"
                )
            yield from follow(validator, key, instance, schema) or ()

        def searched(_: Drafted, pattern: str, instance: object, __: Node) -> Iterator[ValidationError]:
            if isinstance(instance, str) and not patterns.found(pattern, instance):
                yield ValidationError(f"{instance!r} does not match {pattern!r}")

        later = {key: value for key, value in validators.Draft202012Validator.VALIDATORS.items() if key in REWRITTEN}
        made = extend(self._class, {**later, **self._class.VALIDATORS, "$ref": counted, "pattern": searched})
        return made(self.root, registry=self._references.registry())


def same(first: object, second: object) -> bool:
    """Whether two values are equal as JSON: ``1`` is ``1.0`` and no ``true``."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same(value, second[key]) for key, value in first.items())
    return bool(first == second)


def same_in(value: object, values: Iterable[object]) -> bool:
    """Whether a value is among others, as JSON."""
    return any(same(value, other) for other in values)


def _checked(root: object) -> Node:
    """That a schema is JSON of a size that can be handled; without recursion, as it may be of any depth."""
    if not isinstance(root, dict | bool):
        raise InputError(f"a schema must be an object or a boolean, not {type(root).__name__}")
    count, waiting = 0, list[tuple[object, int]]([(root, 0)])
    while waiting:
        item, level = waiting.pop()
        if isinstance(item, dict | list):
            count += 1
            for number, most, what in (
                (count, MOST_PARTS, "objects and lists"),
                (level, MOST_LEVELS, "levels"),
                (len(item), MOST_VALUES, "values in one place"),
            ):
                if number > most:
                    raise InputError(
                        f"the schema has more than {most} {what}: its grammar would take seconds to compile"
                    )
            values = [*item, *item.values()] if isinstance(item, dict) else item
            waiting += [(value, level + 1) for value in values]
        elif isinstance(item, str):
            _check_text(item)
        elif isinstance(item, float) and not math.isfinite(item):
            raise InputError(f"the schema is not JSON: it has the number {item}")
        elif not isinstance(item, int | float | None):
            raise InputError(f"the schema is not JSON: it has a {type(item).__name__}")
    return root


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"the schema has a text that is not valid Unicode: {text[:80]!r}") from None


def _validator_class(root: Node) -> Drafted:
    from jsonschema import Draft3Validator, Draft202012Validator
    from jsonschema.validators import validator_for

    named = root.get("$schema") if isinstance(root, Mapping) else None
    if not isinstance(named, str):
        return Draft202012Validator
    found = validator_for(root, default=Draft202012Validator)
    if found is Draft3Validator:
        raise InputError(f"schemas of {named} are too old to be followed: write it for Draft 2020-12")
    return found


def _parts(root: object) -> Iterator[Schema]:
    """A schema and the schemas in it."""
    waiting: list[object] = [root]
    while waiting:
        schema = waiting.pop()
        if isinstance(schema, dict):
            yield schema
            waiting += [value for key in SINGLE if isinstance(value := schema.get(key), dict)]
            waiting += [item for key in LISTS if isinstance(value := schema.get(key), list) for item in value]
            waiting += [item for key in MAPS if isinstance(value := schema.get(key), dict) for item in value.values()]


def _surely_valid(schema: Node) -> bool:
    """What jsonschema-rs finds valid; its no is left to jsonschema, which takes a hundred times as long to say why."""
    import jsonschema_rs

    try:
        return jsonschema_rs.meta.is_valid(schema)
    except Exception:  # a $schema that it does not know
        return False

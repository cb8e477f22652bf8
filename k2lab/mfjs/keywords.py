"""What is asked of each part of a schema: its keywords, which stand beside which, and their values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from k2lab.chat.checks import kind
from k2lab.legible import one_line
from k2lab.mfjs.parts import Part, Schema, pointer
from k2lab.mfjs.references import CONTAINERS, local
from k2lab.mfjs.rulebook import (
    ANNOTATIONS,
    AT_THE_ROOT,
    BRANCHES,
    COUNTED,
    INSTEAD,
    KEYWORDS,
    MOST_VALUES,
    RESERVED,
    RULES,
    SUPPORTED,
    By,
    Refusal,
)
from k2lab.mfjs.spelling import Repeated, Scientific

MOST_EXACT = 2**53
"""Whole numbers from here on a double, as which every number is read, holds in steps of two and more."""


def refused(rule: str, path: str, words: str, *, by: By | None = None) -> Refusal:
    """A refusal by a rule; ``by`` where the rule alone does not say who refuses."""
    return Refusal(path=path, rule=rule, words=words, by=by or RULES[rule])


def _at(part: Part, rule: str, words: str, *steps: str, by: By | None = None) -> Refusal:
    return refused(rule, part.path + pointer(*steps), words, by=by)


def types_of(schema: Schema) -> tuple[str, ...]:
    """The types that a schema names, without what is none."""
    named = schema.get("type")
    listed = named if isinstance(named, list) else [named]
    return tuple(name for name in listed if isinstance(name, str) and name in KEYWORDS)


def is_number(value: object) -> bool:
    """Whether a value is a number of JSON: true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: object) -> bool:
    """Whether a value is a number without a fraction; 1.0 is."""
    return (isinstance(value, float) and value.is_integer()) or (is_number(value) and isinstance(value, int))


def _unknown(part: Part) -> Iterator[Refusal]:
    for word in (word for word in part.schema if word not in SUPPORTED):
        instead = INSTEAD.get(word, "say it in the description")
        yield _at(part, "keyword_not_supported", f"{one_line(word, 60)} is not supported; {instead}", word)


def _misplaced(part: Part) -> Iterator[Refusal]:
    for word in sorted(part.schema.keys() & AT_THE_ROOT) if part.kind != "root" else ():
        by: By = "validator" if part.schema.keys() & {"type", "anyOf", "$ref"} else "documentation"
        yield _at(part, "not_at_root", f"{word} stands within the schema; it may stand at the root alone", word, by=by)


def _typed(part: Part) -> Iterator[Refusal]:
    schema = part.schema
    if "type" not in schema:
        yield from _untyped(part)
    elif isinstance(named := schema["type"], list):
        yield from _listed_types(part, named)
    elif not isinstance(named, str):
        yield _at(part, "type_not_a_name", f"type is {kind(named)}; it has to be a name or a list of names", "type")
    elif named not in KEYWORDS:
        yield _at(part, "type_unknown", f"{one_line(named, 40)} is no type; it is one of {', '.join(KEYWORDS)}", "type")


def _untyped(part: Part) -> Iterator[Refusal]:
    schema = part.schema
    if "enum" in schema:
        yield _at(part, "enum_without_type", "enum stands without a type; say the type of its values")
    elif not schema and part.kind == "items":
        yield _at(part, "items_empty", "items is empty; leave it out, or say the type")
    elif not schema.keys() & {"anyOf", "$ref"} and (schema or part.kind not in ("root", "additional")):
        yield _at(part, "type_missing", "it has no type, anyOf or $ref; say the type")


def _listed_types(part: Part, named: list[object]) -> Iterator[Refusal]:
    if not named:
        yield _at(part, "types_empty", "the list of types is empty; name one, or leave it out", "type")
    for index, name in enumerate(named):
        step = ("type", str(index))
        if not isinstance(name, str) or name not in KEYWORDS:
            shown = one_line(repr(name), 40)
            yield _at(part, "type_unknown", f"{shown} is no type; it is one of {', '.join(KEYWORDS)}", *step)
        elif name in named[:index]:
            yield _at(part, "type_twice", f"{name} stands twice in the list of types; name it once", *step)


def _beside_types(part: Part) -> Iterator[Refusal]:
    """What stands beside a type: its keywords, and for several types next to nothing, supported or not."""
    types = types_of(part.schema)
    if len(types) > 1 and not ("enum" in part.schema and len(types) == 2):
        may = ANNOTATIONS | {"type", "anyOf", "$ref"} | (AT_THE_ROOT if part.kind == "root" else set())
        for word in (word for word in part.schema if word not in may):
            words = f"{one_line(word, 60)} stands beside several types; write anyOf with a schema for each type"
            yield _at(part, "keyword_beside_types", words, word)
    elif types and not part.schema.keys() & {"$ref", "anyOf"}:
        allowed = frozenset.intersection(*(KEYWORDS[name] for name in types)) | AT_THE_ROOT
        for word in sorted(part.schema.keys() & SUPPORTED - allowed):
            words = f"{word} says nothing of the type {' or '.join(types)}; leave it out, or write anyOf"
            yield _at(part, "keyword_of_other_type", words, word)


def _beside_others(part: Part) -> Iterator[Refusal]:
    """What stands beside anyOf and $ref."""
    schema = part.schema
    for head, rule in (("anyOf", "any_of"), ("$ref", "ref")):
        if head not in schema:
            continue
        if "type" in schema:
            where = "into each schema of anyOf" if head == "anyOf" else "into what $ref leads to"
            yield _at(part, f"type_beside_{rule}", f"type stands beside {head}; put it {where}", "type")
        for word in sorted(schema.keys() & SUPPORTED - ANNOTATIONS - AT_THE_ROOT - {head, "type"}):
            words = f"{word} stands beside {head}; only description and title may, so put it further in"
            by: By = "documentation" if schema[head] == "#" else "validator"
            yield _at(part, f"keyword_beside_{rule}", words, word, by=by)


def _properties(part: Part) -> Iterator[Refusal]:
    named = part.schema.get("properties", {})
    if not isinstance(named, Mapping):
        words = f"properties is {kind(named)}; it has to be an object"
        yield _at(part, "properties_not_an_object", words, "properties")
        return
    for name, schema in named.items():
        step = ("properties", str(name))
        if not isinstance(schema, Mapping):
            words = f"the schema of the property {one_line(name, 60)} is {kind(schema)}; it has to be an object"
            yield _at(part, "property_not_an_object", words, *step)
        if name in RESERVED:
            words = f"a property is called {name}, which is kept for the keyword; call it otherwise"
            yield _at(part, "property_reserved", words, *step)
        if not name:
            yield _at(part, "property_without_name", "a property has the empty name; give it one", *step)
    for name in named.twice if isinstance(named, Repeated) else ():
        words = f"the property {one_line(name, 60)} stands twice, of which the last counts; keep one"
        yield _at(part, "property_twice", words, "properties", name)


def _required(part: Part) -> Iterator[Refusal]:
    required = part.schema.get("required", [])
    if not isinstance(required, list):
        yield _at(part, "required_not_a_list", f"required is {kind(required)}; it has to be a list", "required")
        return
    if required and "type" not in part.schema:
        yield _at(part, "required_without_type", "required stands without a type; say that it is an object", "required")
    named = part.schema.get("properties")
    declared = named.keys() if isinstance(named, Mapping) else set()
    seen: set[str] = set()
    for index, name in enumerate(required):
        step = ("required", str(index))
        if not isinstance(name, str):
            yield _at(part, "required_not_a_name", f"required lists {kind(name)}; it lists names of properties", *step)
            continue
        shown = one_line(name, 60)
        if name in seen:
            yield _at(part, "required_twice", f"required lists {shown} twice; name it once", *step)
        seen.add(name)
        if name not in declared:
            words = f"{shown} is required and not declared; declare it in properties, or require it no longer"
            yield _at(part, "required_not_declared", words, *step)


def _inner(part: Part) -> Iterator[Refusal]:
    """items and additionalProperties are schemas."""
    if not isinstance(items := part.schema.get("items", {}), Mapping):
        yield _at(part, "items_not_an_object", f"items is {kind(items)}; it has to be one schema, an object", "items")
    if not isinstance(more := part.schema.get("additionalProperties", True), bool | Mapping):
        words = f"additionalProperties is {kind(more)}; it has to be true, false or a schema"
        yield _at(part, "additional_properties_not_a_schema", words, "additionalProperties")


def _branches(part: Part) -> Iterator[Refusal]:
    branches = part.schema.get("anyOf", [{}])
    if not isinstance(branches, list):
        yield _at(part, "any_of_not_a_list", f"anyOf is {kind(branches)}; it has to be a list of schemas", "anyOf")
        return
    if not branches:
        yield _at(part, "any_of_empty", "anyOf is empty; list the schemas, or leave it out", "anyOf")
    if len(branches) > BRANCHES.documented:
        yield _many_branches(part, len(branches))
    for index, branch in enumerate(branches):
        step = ("anyOf", str(index))
        if not isinstance(branch, Mapping):
            yield _at(part, "any_of_not_an_object", f"anyOf lists {kind(branch)}; it lists schemas, objects", *step)
            continue
        for word in sorted(part.schema.keys() & branch.keys() & SUPPORTED - {"type", "anyOf"}):
            words = f"{word} stands beside anyOf and in its schemas; keep it in one place"
            by: By = "validator" if word in ANNOTATIONS else "server"
            yield _at(part, "said_twice", words, *step, word, by=by)


def _many_branches(part: Part, count: int) -> Refusal:
    beyond = count > BRANCHES.validator
    told = f"the documentation allows {BRANCHES.documented}, the validator {BRANCHES.validator}"
    words = f"anyOf lists {count:,} schemas; {told}; put some of them together"
    return _at(part, "too_many_branches", words, "anyOf", by="server" if beyond else "documentation")


def _values(part: Part) -> Iterator[Refusal]:
    values = part.schema.get("enum", [None])
    if not isinstance(values, list):
        yield _at(part, "enum_not_a_list", f"enum is {kind(values)}; it has to be a list of values", "enum")
        return
    if not values:
        yield _at(part, "enum_empty", "enum is empty, so that no value would do; list the values", "enum")
    if len(values) > MOST_VALUES:
        words = f"enum lists {len(values):,} values, at most {MOST_VALUES:,} are accepted; name the form instead"
        yield _at(part, "too_many_values", words, "enum")
    types = types_of(part.schema)
    if "enum" not in part.schema or not types:
        return
    if len(types) > 2 or (len(types) == 2 and not ("null" in types and not CONTAINERS & set(types))):
        words = f"enum stands beside the types {', '.join(types)}; it may stand beside one type, or one and null"
        yield _at(part, "enum_types", words, "type")
        return
    for index, value in enumerate(values):
        yield from _value(part, types, value, "enum", str(index))


def _value(part: Part, types: tuple[str, ...], value: object, *step: str) -> Iterator[Refusal]:
    shown = one_line(repr(value) if isinstance(value, str) else kind(value) if _holds(value) else value, 60)
    if not any(_is_of(value, name) for name in types):
        words = f"the listed value {shown} is not of the type {' or '.join(types)}; list it under its own type"
        yield _at(part, "enum_value_of_other_type", words, *step)
    elif value is None and types[0] in ("number", "integer"):
        words = f'null is listed, and the types begin with {types[0]}; write "null" first, as they are tried in order'
        yield _at(part, "enum_null_after_number", words, *step)
    yield from _spelling(part, value, *step)


def _holds(value: object) -> bool:
    return isinstance(value, list | Mapping)


def _is_of(value: object, name: str) -> bool:
    match name:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "number":
            return is_number(value)
        case "integer":
            return is_whole(value)
        case "array":
            return isinstance(value, list)
        case _:
            return isinstance(value, Mapping)


def _spelling(part: Part, value: object, *step: str) -> Iterator[Refusal]:
    """How a number is written, and whether a double holds it."""
    if isinstance(value, Scientific):
        words = f"{float(value)!r} is written with an exponent; write its digits out"
        yield _at(part, "number_notation", words, *step)
    if isinstance(value, int) and abs(value) >= MOST_EXACT and int(float(value)) != value:
        words = f"{one_line(value, 60)} is no number of a double, as which it is read; at most 2^53 - 1 is exact"
        yield _at(part, "number_not_exact", words, *step)


def _bounds(part: Part) -> Iterator[Refusal]:
    types = types_of(part.schema)
    allowed = frozenset.intersection(*(KEYWORDS[name] for name in types)) if types else frozenset()
    for pair in (*COUNTED, ("minimum", "maximum")):
        if pair[0] not in allowed:
            continue
        whole = pair in COUNTED or "integer" in types
        found = [refusal for word in pair for refusal in _bound(part, word, whole, pair in COUNTED)]
        yield from found
        least, most = (part.schema.get(word) for word in pair)
        if not found and is_number(least) and is_number(most) and least > most:  # type: ignore[operator]
            words = f"{pair[0]} {least} is greater than {pair[1]} {most}, so that no value would do; exchange them"
            yield _at(part, "bounds_crossed", words, pair[0])


def _bound(part: Part, word: str, whole: bool, counted: bool) -> Iterator[Refusal]:
    value = part.schema.get(word)
    if value is None:
        return
    if not is_number(value):
        yield _at(part, "bound_not_a_number", f"{word} is {kind(value)}; it has to be a number", word)
    elif counted and value < 0:  # type: ignore[operator]
        yield _at(part, "bound_negative", f"{word} is {one_line(value, 40)}; it cannot be negative", word)
    elif whole and not is_whole(value):
        yield _at(part, "bound_not_whole", f"{word} is {value} where only whole numbers count; write one", word)
    else:
        yield from _spelling(part, value, word)


TEXTS = {
    "description": "description_not_a_text",
    "title": "title_not_a_text",
    "pattern": "pattern_not_a_text",
    "$id": "id_not_a_text",
    "$ref": "ref_not_a_text",
}


def _texts(part: Part) -> Iterator[Refusal]:
    for word, rule in TEXTS.items():
        value = part.schema.get(word, "")
        if not isinstance(value, str) and not (value is None and word in ("pattern", "$id")):
            yield _at(part, rule, f"{word} is {kind(value)}; it has to be a text", word)
    ref = part.schema.get("$ref", "#")
    if isinstance(ref, str) and not local(ref):
        words = f"$ref {one_line(ref, 80)} is neither # nor #/$defs/NAME; put what it means under $defs"
        yield _at(part, "ref_not_local", words, "$ref")


def _definitions(part: Part) -> Iterator[Refusal]:
    defined = part.schema.get("$defs", {})
    if not isinstance(defined, Mapping):
        yield _at(part, "defs_not_an_object", f"$defs is {kind(defined)}; it has to be an object", "$defs")
        return
    for name, schema in defined.items():
        if not isinstance(schema, Mapping):
            words = f"the definition {one_line(name, 60)} is {kind(schema)}; it has to be a schema, an object"
            yield _at(part, "definition_not_an_object", words, "$defs", name)
        if not name:
            yield _at(part, "definition_without_name", "a definition has the empty name; give it one", "$defs", name)
    yield from _slashes(part, defined)


def _slashes(part: Part, defined: Mapping[str, object]) -> Iterator[Refusal]:
    """Names with a slash anywhere within the definitions."""
    waiting: list[tuple[object, tuple[str, ...]]] = [(defined, ("$defs",))]
    while waiting:
        value, step = waiting.pop()
        for key, inner in value.items() if isinstance(value, Mapping) else enumerate(value):  # type: ignore[arg-type]
            if isinstance(key, str) and "/" in key:
                words = f"{one_line(key, 60)} holds a slash, which no name within $defs may; call it otherwise"
                yield _at(part, "slash_in_definitions", words, *step, key)
            if isinstance(inner, Mapping | list):
                waiting.append((inner, (*step, str(key))))


ABOUT_A_PART: tuple[Callable[[Part], Iterator[Refusal]], ...] = (
    _unknown,
    _misplaced,
    _typed,
    _beside_types,
    _beside_others,
    _properties,
    _required,
    _inner,
    _branches,
    _values,
    _bounds,
    _texts,
    _definitions,
)

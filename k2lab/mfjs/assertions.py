"""The keywords of one schema, read one by one: what MFJS has no words for is noted as lost, what is equal is kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from k2lab.mfjs.keywords import is_number, is_whole
from k2lab.mfjs.parts import pointer
from k2lab.mfjs.rulebook import KEYWORDS
from k2lab.mfjs.values import key_of, plain

if TYPE_CHECKING:
    from k2lab.mfjs.alternatives import Said
    from k2lab.mfjs.records import Notes

LOWER = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems"})
UPPER = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems"})
BOUNDS = LOWER | UPPER
COUNTS = frozenset({"minLength", "maxLength", "minItems", "maxItems"})

SILENT = {
    "$schema": "it says by which draft the schema is read",
    "$comment": "it is for readers of the schema",
    "$defs": "only definitions that are referred to are kept, at the root",
    "definitions": "only definitions that are referred to are kept, as $defs of the root",
    "examples": "it is an annotation",
    "deprecated": "it is an annotation",
    "readOnly": "it is an annotation",
    "writeOnly": "it is an annotation",
    "contentEncoding": "it is an annotation",
    "contentMediaType": "it is an annotation",
    "contentSchema": "it is an annotation",
    "format": "by itself it makes no value invalid; it stands in the description",
    "$vocabulary": "it is for metaschemas",
    "$anchor": "it is a name for references",
    "$id": "it names the schema",
}
"""Keywords that make no value invalid, and why each may go."""

UNSAID: Mapping[str, tuple[object, ...]] = {
    "not": (),
    "propertyNames": ({}, True),
    "dependentRequired": ({},),
    "dependentSchemas": ({},),
    "contains": (),
    "uniqueItems": (False,),
    "$dynamicRef": (),
    "unevaluatedItems": (True, {}),
    "unevaluatedProperties": (True, {}),
}
"""Keywords that MFJS has no words for, and the values by which they refuse nothing."""

LONGEST_NOTE = 160


def asserted(said: Said, schema: Mapping[str, Any], notes: Notes) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a schema says by itself, without what it combines and refers to; and its annotations."""
    made: dict[str, Any] = {}
    for word, value in schema.items():
        if word in _READ:
            if not _READ[word](made, value, said, notes):
                words = f"{word} is no JSON Schema as it stands there, and was left out"
                notes.lose(said.path + pointer(word), word, value, words)
        elif word in SILENT:
            _silent(made, word, value, said, notes)
        elif word in UNSAID or word in ("minProperties", "maxProperties", "if", "then", "else", "prefixItems"):
            pass
        elif word not in _ELSEWHERE:
            notes.edit(said.path + pointer(word), value, None, "no keyword of JSON Schema, so that it refuses nothing")
    _unsaid(made, schema, said, notes)
    _patterned(made, schema, said, notes)
    _positions(made, schema, said, notes)
    own: dict[str, Any] = {word: made.pop(word) for word in ("description", "title", "default") if word in made}
    if made.keys() - {"also"}:
        made["at"] = said.path
    elif "also" in made:
        own["also"] = made.pop("also")
    return made, own


def _also(made: dict[str, Any], word: str, value: object) -> None:
    """What has no keyword is said in the description, if that is short."""
    text = f"{word}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
    if len(text) <= LONGEST_NOTE:
        made["also"] = (*made.get("also", ()), text)


def _lose(made: dict[str, Any], word: str, value: object, said: Said, notes: Notes, words: str) -> None:
    notes.lose(said.path + pointer(word), word, value, words)
    _also(made, word, value)


def _silent(made: dict[str, Any], word: str, value: object, said: Said, notes: Notes) -> None:
    if word == "$id" and not said.path and isinstance(value, str):
        return  # kept at the root
    if word == "$defs" and not said.path:
        return
    notes.edit(said.path + pointer(word), value, None, f"{word} is dropped: {SILENT[word]}")
    if word == "format" and isinstance(value, str):
        _also(made, word, value)
    if word == "$id" and said.path:
        words = "$id within the schema is dropped; references below it may have meant another place"
        notes.lose(said.path + "/$id", "$id", value, words)


def _unsaid(made: dict[str, Any], schema: Mapping[str, Any], said: Said, notes: Notes) -> None:
    words = "MFJS has no such keyword; what it refuses is accepted now"
    for word, silent in UNSAID.items():
        if word not in schema:
            continue
        value = schema[word]
        if any(value == quiet and type(value) is type(quiet) for quiet in silent):
            notes.edit(said.path + pointer(word), value, None, "it refuses nothing")
        elif word == "unevaluatedProperties" and not schema.keys() & _COMBINED:
            _additional(made, schema, value, said, notes)
        else:
            _lose(made, word, value, said, notes, words)
    if "if" in schema and schema.keys() & {"then", "else"}:
        cases = {word: schema[word] for word in ("if", "then", "else") if word in schema}
        notes.lose(said.path + "/if", "if", cases, words)
        _also(made, "cases", cases)
    elif schema.keys() & {"if", "then", "else"}:
        notes.edit(said.path, None, None, "if without then and else, or those without it, refuses nothing")
    _counted(made, schema, said, notes, words)


def _additional(made: dict[str, Any], schema: Mapping[str, Any], value: object, said: Said, notes: Notes) -> None:
    path = said.path + "/unevaluatedProperties"
    if "additionalProperties" in schema:
        notes.edit(path, value, None, "additionalProperties leaves nothing that was not evaluated")
    else:
        made["additionalProperties"] = (said.inner(value, "unevaluatedProperties"),)
        notes.edit(path, value, None, "beside no other schema it is additionalProperties")


def _counted(made: dict[str, Any], schema: Mapping[str, Any], said: Said, notes: Notes, words: str) -> None:
    """Bounds on the number of properties, where they say something."""
    least, most = schema.get("minProperties", 0), schema.get("maxProperties")
    if "minProperties" in schema:
        if is_number(least) and least <= len(made.get("required", ())):
            notes.edit(said.path + "/minProperties", least, None, "so many are required anyway")
        else:
            _lose(made, "minProperties", least, said, notes, words)
    if "maxProperties" in schema:
        closed = schema.get("additionalProperties") is False and not schema.get("patternProperties")
        if closed and isinstance(most, int | float) and len(made.get("properties", {})) <= most:
            notes.edit(said.path + "/maxProperties", most, None, "no more are declared anyway")
        else:
            _lose(made, "maxProperties", most, said, notes, words)


def _patterned(made: dict[str, Any], schema: Mapping[str, Any], said: Said, notes: Notes) -> None:
    """patternProperties: what they accept is accepted of any further property."""
    named = schema.get("patternProperties")
    if "patternProperties" not in schema:
        return
    if named == {}:
        notes.edit(said.path + "/patternProperties", named, None, "it refuses nothing")
        return
    words = "MFJS has no such keyword; any further property may have what one of the patterns allows"
    _lose(made, "patternProperties", named, said, notes, words)
    others = schema.get("additionalProperties", True)
    parts = list(named.values()) if isinstance(named, Mapping) else [True]
    if others is not True and others != {}:
        made["additionalProperties"] = (said.inner({"anyOf": [*parts, others]}, "patternProperties"),)


def _positions(made: dict[str, Any], schema: Mapping[str, Any], said: Said, notes: Notes) -> None:
    """prefixItems, and items as a list: what one position allows is allowed in all."""
    word = "prefixItems" if "prefixItems" in schema else "items"
    front = schema.get(word)
    if not isinstance(front, list):
        if word == "prefixItems":
            notes.lose(said.path + "/prefixItems", word, front, "prefixItems is no list of schemas")
        return
    words = "MFJS has no such keyword; what one position allows is allowed in all"
    _lose(made, word, front, said, notes, words)
    rest = schema.get("items", True) if word == "prefixItems" else schema.get("additionalItems", True)
    made.pop("items", None)
    if rest is False:
        made["maxItems"] = min(len(front), made.get("maxItems", len(front)))
        made["items"] = (said.inner({"anyOf": front}, word),) if front else (said.inner(False, word),)
    elif rest is not True and rest != {}:
        made["items"] = (said.inner({"anyOf": [*front, rest]}, word),)


def _types(made: dict[str, Any], value: object, said: Said, notes: Notes) -> bool:
    named = value if isinstance(value, list) else [value]
    types = [name for name in named if isinstance(name, str) and name in KEYWORDS]
    if not types or len(types) < len(named):
        return False
    made["type"] = plain(types)
    if len(made["type"]) < len(types):
        notes.edit(said.path + "/type", named, list(made["type"]), "each type stands once, and an integer is a number")
    return True


def _values(made: dict[str, Any], value: object, said: Said, notes: Notes) -> bool:
    if not isinstance(value, list):
        return False
    made["enum"] = value if "enum" not in made else _in_both(made["enum"], value)
    return True


def _const(made: dict[str, Any], value: object, said: Said, notes: Notes) -> bool:
    notes.edit(said.path + "/const", value, {"enum": [value]}, "const is not supported; an enum of one value says it")
    return _values(made, [value], said, notes)


def _in_both(one: list[object], two: list[object]) -> list[object]:
    keys = set(map(key_of, two))
    return [value for value in one if key_of(value) in keys]


def _bound(word: str) -> Callable[..., bool]:
    def read(made: dict[str, Any], value: Any, said: Said, notes: Notes) -> bool:
        if not is_number(value) or (word in COUNTS and (value < 0 or not is_whole(value))):
            return False
        made[word] = int(value) if word in COUNTS else value
        return True

    return read


def _multiple(made: dict[str, Any], value: Any, said: Said, notes: Notes) -> bool:
    if not is_number(value) or value <= 0:
        return False
    made["multipleOf"] = (value,)
    return True


def _text(word: str) -> Callable[..., bool]:
    def read(made: dict[str, Any], value: object, said: Said, notes: Notes) -> bool:
        if isinstance(value, str):
            made[word] = value
        elif word != "pattern":
            notes.edit(said.path + pointer(word), value, None, f"{word} has to be a text")
        return isinstance(value, str) or word != "pattern"

    return read


def _default(made: dict[str, Any], value: object, said: Said, notes: Notes) -> bool:
    made["default"] = value
    return True


def _properties(made: dict[str, Any], value: object, said: Said, notes: Notes) -> bool:
    if not isinstance(value, Mapping):
        return False
    made["properties"] = {name: (said.inner(schema, "properties", name),) for name, schema in value.items()}
    return True


def _required(made: dict[str, Any], value: object, said: Said, notes: Notes) -> bool:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        return False
    made["required"] = tuple(dict.fromkeys(value))
    return True


def _schema(word: str) -> Callable[..., bool]:
    def read(made: dict[str, Any], value: object, said: Said, notes: Notes) -> bool:
        if word == "items" and isinstance(value, list):
            return True  # positions
        if not isinstance(value, Mapping | bool):
            return False
        made[word] = (said.inner(value, word),)
        return True

    return read


_READ: Mapping[str, Callable[..., bool]] = {
    "type": _types,
    "enum": _values,
    "const": _const,
    **{word: _bound(word) for word in BOUNDS},
    "multipleOf": _multiple,
    "pattern": _text("pattern"),
    "description": _text("description"),
    "title": _text("title"),
    "default": _default,
    "properties": _properties,
    "required": _required,
    "items": _schema("items"),
    "additionalProperties": _schema("additionalProperties"),
}
_COMBINED = {"$ref", "allOf", "anyOf", "oneOf", "if", "dependentSchemas", "$dynamicRef"}
_ELSEWHERE = _COMBINED | {"patternProperties"}

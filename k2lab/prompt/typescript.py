"""Tools as TypeScript: the text by which Kimi K2.5, K2.6 and K2.7 are told what they may call.

What Moonshot's ``tool_declaration_ts.py`` (MoonshotAI/Kimi-Vendor-Verifier at
3dad65a, ``beam/tokenizer``) makes of the tools, oddities included: a listed
``null`` reads ``None``, a default ``False``, a quote within a listed text is not
escaped, a blank line of a description has no ``//``. Where it raises,
:func:`function_text` raises :class:`Unwritable` with the place.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

INDENT = "  "
NAMES = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "null": "null",
    "object": "{}",
    "array": "Array<any>",
}
"""What each type is called in a list of types."""

BOUNDS = {
    "string": ("maxLength", "minLength", "pattern"),
    "number": ("maximum", "minimum"),
    "integer": ("maximum", "minimum"),
    "array": ("maxItems", "minItems"),
}
"""Keywords that become a comment, by the type that they stand beside; others are left out."""

CHECKS: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
}
"""What a listed value must be in Python, by the declared type: true passes for a number, 1.0 for no integer."""


class Unwritable(Exception):
    """A part of a tool that has no TypeScript: ``path`` is a JSON pointer within its ``function``."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason


def function_text(function: Mapping[str, object]) -> str:
    r"""One tool's ``function`` as interfaces, comment and type; raises :class:`Unwritable`.

    >>> function_text({"name": "ping", "description": "Is it up?"})
    '// Is it up?\ntype ping = (_: {}) => any;'
    """
    try:
        return _Function(function).text()
    except RecursionError:
        raise Unwritable("/parameters", "it is nested too deeply") from None


def namespace(functions: Sequence[str]) -> str:
    """The declaration around the texts of functions; empty where there is none."""
    if not functions:
        return ""
    return "# Tools\n\n## functions\nnamespace functions {\n" + "\n".join(functions) + "\n}\n"


class _Function:
    """One function; definitions are known from where they were met on, as references are read in order."""

    def __init__(self, function: Mapping[str, object]) -> None:
        self.function = function
        self.definitions: dict[str, object] = {}
        self.refers_to_itself = False

    def text(self) -> str:
        properties, arguments = self._object(self.function.get("parameters") or {}, "", "/parameters")
        parts = []
        if self.refers_to_itself:
            members = ",\n".join(properties)
            parts.append(f"interface parameters {{\n{members}\n}}" if members else "interface parameters {}")
            arguments = "parameters"
        parts += [self._interface(name, schema) for name, schema in tuple(self.definitions.items())]
        parts += _comment(self.function.get("description"), "", "/description")
        parts.append(f"type {self.function.get('name', 'function')} = (_: {arguments}) => any;")
        return "\n".join(parts)

    def _interface(self, name: str, schema: object) -> str:
        path = f"/parameters/$defs/{_escaped(name)}"
        text = self._type(schema, "", path)
        comment = _comment(_mapping(schema, path).get("description"), "", path)
        return "\n".join([*comment, f"interface {name} {text}"])

    def _type(self, schema: object, indent: str, path: str) -> str:
        if isinstance(schema, bool):
            return "any" if schema else "null"
        said = _mapping(schema, path)
        kind = _kind(said, path)
        if kind == "$ref":
            return self._reference(said["$ref"], path)
        if kind == "anyOf":
            choices = _iterated(said["anyOf"], f"{path}/anyOf")
            return _joined([self._part(s, indent, f"{path}/anyOf/{i}") for i, s in enumerate(choices)])
        if kind == "enum":
            return _listed(said, path)
        if kind == "types":
            return _joined([_named(name, path) for name in _iterated(said["type"], path)])
        if kind == "object":
            return self._object(said, indent, path)[1]
        if kind == "array":
            return self._array(said.get("items"), indent, path)
        return "any" if kind == "any" else "number" if said["type"] == "integer" else str(said["type"])

    def _part(self, schema: object, indent: str, path: str) -> str:
        """A type that is put together with other texts, and so has to be one itself."""
        if isinstance(schema, Mapping) and _kind(schema, path) == "scalar" and not isinstance(schema["type"], str):
            raise Unwritable(path, f"the type {schema['type']!r} is not a text")
        return self._type(schema, indent, path)

    def _object(self, schema: object, indent: str, path: str) -> tuple[list[str], str]:
        """Its properties in the schema's order, and the whole text, in which required ones come first."""
        said = _mapping(schema, path)
        if said.get("$defs"):
            self.definitions.update(_mapping(said["$defs"], f"{path}/$defs"))
        more = self._additional(said.get("additionalProperties"), indent + INDENT, f"{path}/additionalProperties")
        required: set[object] = set()
        written: dict[str, str] = {}
        if "properties" in said:
            required = _names(said.get("required", []), f"{path}/required")
            for name, part in _mapping(said["properties"], f"{path}/properties").items():
                place = f"{path}/properties/{_escaped(name)}"
                written[name] = self._property(name, part, name not in required, indent + INDENT, place)
        ordered = [written[name] for name in sorted(written, key=lambda name: (name not in required, name))]
        members = ",\n".join([*ordered, *more])
        return list(written.values()), f"{{\n{members}\n{indent}}}" if members else "{}"

    def _additional(self, value: object, indent: str, path: str) -> list[str]:
        if value is None:
            return []
        if not isinstance(value, bool | Mapping):
            raise Unwritable(path, f"{_shown(value)} is not a schema")
        text = self._type(value, indent, path) if isinstance(value, Mapping) else "any" if value else "never"
        return [f"{indent}[k: string]: {text}"]

    def _property(self, name: str, schema: object, optional: bool, indent: str, path: str) -> str:
        text = self._type(schema, indent, path)
        lines = _comments(schema, indent, path)
        default = schema.get("default") if isinstance(schema, Mapping) else None
        if default is not None:
            written = repr(default) if isinstance(default, int | float) else json.dumps(default, ensure_ascii=False)
            lines.append(f"{indent}// Default: {written}")
        return "\n".join([*lines, f"{indent}{name}{'?' if optional else ''}: {text}"])

    def _array(self, items: object, indent: str, path: str) -> str:
        if not items:
            return "Array<any>"
        inner, place = indent + INDENT, f"{path}/items"
        lines = _comments(items, inner, place)
        if not lines:
            return f"Array<{self._type(items, indent, place)}>"
        return "\n".join(["Array<", *lines, f"{inner}{self._part(items, inner, place)}", f"{indent}>"])

    def _reference(self, pointer: object, path: str) -> str:
        if pointer == "#":
            self.refers_to_itself = True
            return "parameters"
        if not isinstance(pointer, str) or not pointer.startswith("#/$defs/"):
            raise Unwritable(path, f"$ref {_shown(pointer)} is neither # nor #/$defs/NAME")
        name = pointer.rsplit("/", 1)[1]
        if not isinstance(self.definitions.get(name), Mapping):
            raise Unwritable(path, f"$ref {_shown(pointer)} names no schema that is defined before it")
        return name


def _kind(said: Mapping[str, object], path: str) -> str:
    """By which keyword a schema is read; the first of these that it has decides."""
    for keyword in ("$ref", "anyOf", "enum"):
        if keyword in said:
            return keyword
    if "type" in said:
        named = said["type"]
        return "types" if isinstance(named, list) else str(named) if named in ("object", "array") else "scalar"
    if said:
        raise Unwritable(path, f"it has no type, anyOf, enum or $ref, only {', '.join(map(str, said))}")
    return "any"


def _comments(schema: object, indent: str, path: str) -> list[str]:
    """The description and the bounds of a part, as lines."""
    if isinstance(schema, bool):
        return []
    said = _mapping(schema, path)
    kind = _kind(said, path)
    lines = _comment(said.get("description"), indent, f"{path}/description")
    if kind in ("scalar", "array"):
        named = said["type"]
        bounds = BOUNDS.get(named, ()) if isinstance(named, str) else ()
        told = ", ".join(f"{keyword}: {said[keyword]}" for keyword in bounds if keyword in said)
        lines += [f"{indent}// {told}"] if told else []
    return lines


def _comment(description: object, indent: str, path: str) -> list[str]:
    if not description:
        return []
    if not isinstance(description, str):
        raise Unwritable(path, "the description is not a text")
    return [f"{indent}// {line}" if line else "" for line in description.split("\n")]


def _listed(schema: Mapping[str, object], path: str) -> str:
    values = _iterated(schema["enum"], f"{path}/enum")
    if "type" in schema:
        named = _one_type(schema["type"], path)
        check = CHECKS.get(named) if isinstance(named, str) else None
        for value in values:
            if value is not None and check is not None and not isinstance(value, check):
                raise Unwritable(path, f"the listed value {_shown(value)} is not of type {named}")
    return _joined([f'"{value}"' if isinstance(value, str) else str(value) for value in values])


def _one_type(named: object, path: str) -> object:
    """The type of listed values: one, or one beside null."""
    if not isinstance(named, list):
        return named
    if len(named) == 1:
        return named[0]
    if len(named) == 2 and "null" in named:
        return named[0] if named[0] != "null" else named[1]
    raise Unwritable(path, f"listed values of the types {_shown(named)}; one, or one beside null, is written")


def _named(name: object, path: str) -> str:
    if not isinstance(name, str) or name not in NAMES:
        raise Unwritable(path, f"{_shown(name)} is not a type")
    return NAMES[name]


def _joined(texts: list[str]) -> str:
    return " | ".join(texts)


def _mapping(value: object, path: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise Unwritable(path, f"{_shown(value)} is not an object")
    return value


def _iterated(values: object, path: str) -> list[object]:
    if not isinstance(values, list | str | Mapping):
        raise Unwritable(path, f"{_shown(values)} is not a list")
    return list(values)


def _names(values: object, path: str) -> set[object]:
    if isinstance(values, Iterable):
        with suppress(TypeError):
            return set(values)
    raise Unwritable(path, f"{_shown(values)} is not a list of names")


def _escaped(name: str) -> str:
    """A key as a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)[:80]

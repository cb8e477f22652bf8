"""Alternatives written as MFJS has them: a type in each schema, ``anyOf`` of several, ``$defs`` at the root."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from k2lab.mfjs.alternatives import (
    Alternative,
    Choice,
    Reader,
    Said,
    Source,
    asserts,
    kinds,
    noted,
    rest_notes,
    steps_of,
)
from k2lab.mfjs.parts import pointer
from k2lab.mfjs.rulebook import BRANCHES
from k2lab.mfjs.values import ALL_TYPES, is_of, key_of, type_of

Written = dict[str, Any]

ABOUT = {
    "object": ("properties", "required", "additionalProperties"),
    "array": ("items", "minItems", "maxItems"),
    "string": ("minLength", "maxLength", "pattern"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
"""Keywords by the type that they say something of."""

SAFE = re.compile(r"[^A-Za-z0-9_-]+")
"""What no name of a definition is made of."""


class Writer:
    """Writes the alternatives that a reader gives; definitions are written as they are referred to."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.notes = reader.notes
        self.names: dict[str, str] = {}
        self.empty: set[str] = set()

    def whole(self, root: Mapping[str, object], as_object: bool = False) -> Written | None:
        """The schema with its definitions, of the type ``object`` if so; ``None`` where no value fits it."""
        choice = self.reader.choice((Said(schema=root, path=""),))
        if as_object:
            written = self._one_object(choice)
        else:
            written = {} if anything(choice) and not choice.notes else self._written(choice, "")
        if written is None:
            return None
        defined: Written = {}
        while len(defined) < len(self.names):
            place, name = list(self.names.items())[len(defined)]
            definition = self._schema((Said(schema=self.reader.target("#" + place)[1], path=place),))
            self.empty |= {place} if definition is None else set()
            defined[name] = definition or {}
        self._unreferred(root)
        kept = {"$id": root["$id"]} if isinstance(root.get("$id"), str) else {}
        return {**kept, **written, **({"$defs": defined} if defined else {})}

    def _one_object(self, choice: Choice) -> Written | None:
        """The root as one object, as parameters have to be: several are put together."""
        choice = self.reader.opened(choice)
        if any(kinds(made) != ("object",) for made in choice.made):
            words = "the root of parameters has to be an object; other values were accepted, and are not now"
            self.notes.lose("", "type", None, words, "narrower")
        narrowed = self.reader.narrowed(choice)
        forms = [form for made in narrowed.made for form in self._forms(made)]
        if len(forms) < 2:
            return self._written(narrowed, "")
        count = len(forms)
        words = f"the root of parameters has to be one object; {count} are put together, with all mixtures of them"
        self.notes.lose("", "anyOf", None, words)
        return any_of([self._together(forms)], narrowed.notes)

    def _together(self, forms: list[Written]) -> Written:
        """One object that has what some objects have, and requires what all of them require."""
        named = [form.get("properties", {}) for form in forms]
        properties: Written = {}
        for name in dict.fromkeys(name for properties in named for name in properties):
            kept = [schemas[name] for schemas in named if name in schemas]
            properties[name] = any_of(kept, {})
        if any(
            properties.keys() - schemas.keys() and form.get("additionalProperties") is not False
            for schemas, form in zip(named, forms, strict=True)
        ):
            words = "a property that only some of these objects declare could have any value in the others"
            self.notes.lose("", "properties", None, words, "narrower")
        required = [name for name in properties if all(name in form.get("required", ()) for form in forms)]
        closed = all(form.get("additionalProperties") is False for form in forms)
        return {
            "type": "object",
            "properties": properties,
            **({"required": required} if required else {}),
            **({"additionalProperties": False} if closed else {}),
        }

    def _unreferred(self, root: Mapping[str, object]) -> None:
        definitions = root.get("$defs")
        referred = {tuple(steps_of("#" + place)[:2]) for place in self.names}
        for name, definition in definitions.items() if isinstance(definitions, Mapping) else ():
            if ("$defs", name) not in referred:
                self.notes.edit(pointer("$defs", name), definition, None, "nothing refers to the definition")

    def _schema(self, source: Source) -> Written | None:
        return self._written(self.reader.choice(source), source[0].path if source else "")

    def _written(self, choice: Choice, path: str) -> Written | None:
        if len(choice.made) == 1:
            made = {"at": path, **noted(choice.made[0], choice.notes)}
            notes = rest_notes(made)
            return self._defaulted(joined(self._forms(made), notes), notes, path)
        if len(choice.made) > BRANCHES.documented:
            why = f"anyOf of more than {BRANCHES.documented} schemas is written as anyOf of several anyOf"
            self.notes.edit(path, None, None, why)
        forms = [form for made in choice.made for form in self._branch(made)]
        return self._defaulted(any_of(forms, choice.notes), choice.notes, path)

    def _defaulted(self, written: Written | None, notes: Written, path: str) -> Written | None:
        """Notes where a default could not stay."""
        if "default" in notes and written is not None and "default" not in written:
            why = "a default stands beside one type alone: in a schema of anyOf, or nowhere"
            self.notes.edit(path + "/default", notes["default"], None, why)
        return written

    def _branch(self, made: Alternative) -> list[Written]:
        """One alternative of several: its forms, put together where it says something of them all."""
        forms, notes = self._forms(made), rest_notes(made)
        if not notes and any(form.keys() != {"type"} for form in forms):
            return forms
        one = joined(forms, notes)
        return [one] if one is not None else []

    def _forms(self, made: Alternative) -> list[Written]:
        """One schema for each type that an alternative allows, without its annotations."""
        if "$ref" in made:
            return [{"$ref": self._name(made["$ref"])}]
        forms = self._listed(made) if "enum" in made else [self._typed(made, name) for name in self._types(made)]
        kept = [form for form in forms if form is not None]
        if not kept and "type" not in made and "enum" not in made:
            kept = [{"type": name} for name in ALL_TYPES if name not in self._types(made)]
            self.notes.edit(made.get("at", ""), None, kept, "no other type than these has values that fit")
        elif "type" not in made and "enum" not in made and asserts(made):
            self._filled_in(made)
        elif len(kept) < len(forms):
            self.notes.edit(made.get("at", ""), None, None, "a type that no value can have is left out")
        self._spread(made, kept)
        return kept

    def _spread(self, made: Alternative, forms: list[Written]) -> None:
        """Notes what became of the types."""
        at, types = made.get("at", ""), made.get("type")
        if types is None and "enum" in made:
            self.notes.edit(at, None, [form["type"] for form in forms], "each listed value stands under its type")
        elif types is None and not asserts(made):
            self.notes.edit(at, None, list(ALL_TYPES), "what may be anything is a list of all types")
        elif len(forms) > 1 and any(form.keys() != {"type"} for form in forms):
            named = [form["type"] for form in forms]
            self.notes.edit(at + "/type", [*(types or ())], named, "what stands beside several types is said by anyOf")

    def _name(self, place: str) -> str:
        if not place:
            return "#"
        if place not in self.names:
            stem = SAFE.sub("_", place.rsplit("/", 1)[-1]).strip("_") or "definition"
            taken = {*self.names.values()}
            tries = (stem if count == 1 else f"{stem}_{count}" for count in range(1, len(taken) + 2))
            self.names[place] = next(name for name in tries if name not in taken)
            moved = pointer("$defs", self.names[place])
            if moved != place:
                self.notes.edit(place, "#" + place, "#" + moved, "definitions stand in $defs of the root")
        return "#/$defs/" + self.names[place]

    def _types(self, made: Alternative) -> list[str]:
        """The types in order; where none is named, those of which something is said."""
        if "type" in made or not asserts(made):
            return [*made.get("type", ALL_TYPES)]
        return [name for name, words in ABOUT.items() if made.keys() & {*words}]

    def _filled_in(self, made: Alternative) -> None:
        named = self._types(made)
        words = f"type is filled in as {' or '.join(named)}; values of other types were accepted, and are not now"
        self.notes.lose(made.get("at", ""), "type", named, words, "narrower")

    def _typed(self, made: Alternative, name: str) -> Written | None:
        self._unused(made, name)
        match name:
            case "object":
                return self._object(made)
            case "array":
                return self._array(made)
            case "string":
                return _bounded({"type": "string"}, made, ABOUT["string"], "minLength", "maxLength")
            case "number" | "integer":
                return self._number(made, name)
            case _:
                return {"type": name}

    def _unused(self, made: Alternative, name: str) -> None:
        if len(made.get("type", ALL_TYPES)) > 1:
            return
        about = {word for words in ABOUT.values() for word in words} - {
            *ABOUT.get(name.replace("integer", "number"), ())
        }
        for word in sorted(about & made.keys()):
            self.notes.edit(made.get("at", "") + pointer(word), None, None, f"{word} says nothing of the type {name}")

    def _object(self, made: Alternative) -> Written | None:
        others: Source = made.get("additionalProperties", ())
        further = self.reader.choice(others)
        required = made.get("required", ())
        properties: Written = {}
        for name, source in {**made.get("properties", {}), **self._undeclared(made, others)}.items():
            schema = self._schema(source)
            if schema is not None:
                properties[name] = schema
            elif name in required:
                return None
            elif further.made:
                words = f"{name!r} has to be absent, for which MFJS has no words; it may be there now"
                self.notes.lose(made.get("at", "") + pointer("properties", name), "properties", False, words)
            else:
                self.notes.edit(source[0].path, False, None, "it has to be absent, as what is not declared")
        form: Written = {"type": "object"}
        form |= {"properties": properties} if properties or "properties" in made else {}
        form |= {"required": list(required)} if "required" in made else {}
        return {**form, **self._others(further, others)}

    def _undeclared(self, made: Alternative, others: Source) -> dict[str, Source]:
        """Names that are required and not declared: they may have what any further property may."""
        names = [name for name in made.get("required", ()) if name not in made.get("properties", {})]
        for name in names:
            at = made.get("at", "") + "/required"
            self.notes.edit(at, name, None, f"{name!r} is declared, as what is required has to be")
        return dict.fromkeys(names, others)

    def _others(self, further: Choice, source: Source) -> Written:
        if not further.made:
            return {"additionalProperties": False}
        if anything(further):
            return {"additionalProperties": True} if source else {}
        schema = self._written(further, source[0].path)
        return {"additionalProperties": False if schema is None else schema}

    def _array(self, made: Alternative) -> Written | None:
        form: Written = {"type": "array", **{word: made[word] for word in ("minItems", "maxItems") if word in made}}
        choice = self.reader.choice(made.get("items", ()))
        if not anything(choice) and form.get("maxItems") != 0:
            items = self._written(choice, made["items"][0].path)
            form |= {"maxItems": 0} if items is None else {"items": items}
        return form if form.get("minItems", 0) <= form.get("maxItems", math.inf) else None

    def _number(self, made: Alternative, name: str) -> Written | None:
        also: tuple[str, ...] = ()
        for step in made.get("multipleOf", ()):
            if float(step).is_integer() or step == 1:
                name = "integer"
            if step == 1:
                self.notes.edit(made.get("at", "") + "/multipleOf", step, None, "a multiple of 1 is an integer")
            elif name != "integer" or not (1 / step).is_integer() or step not in (0.5, 0.25, 0.125):
                words = "MFJS has no such keyword; what it refuses is accepted now"
                self.notes.lose(made.get("at", "") + "/multipleOf", "multipleOf", step, words)
                also = (*also, f"multipleOf: {step}")
        form = self._whole(made) if name == "integer" else self._fraction(made)
        form |= {"also": also} if also else {}
        return _bounded({"type": name}, form, ("minimum", "maximum", "also"), "minimum", "maximum")

    def _whole(self, made: Alternative) -> Written:
        """The bounds of an integer, which are whole."""
        lower = [math.ceil(made["minimum"])] if "minimum" in made else []
        lower += [math.floor(made["exclusiveMinimum"]) + 1] if "exclusiveMinimum" in made else []
        upper = [math.floor(made["maximum"])] if "maximum" in made else []
        upper += [math.ceil(made["exclusiveMaximum"]) - 1] if "exclusiveMaximum" in made else []
        form: Written = {**({"minimum": max(lower)} if lower else {}), **({"maximum": min(upper)} if upper else {})}
        for word, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            if word in made:
                why = f"{word} is not supported; of whole numbers {bound} says it"
                self.notes.edit(made.get("at", "") + pointer(word), made[word], {bound: form[bound]}, why)
            elif made.get(bound) != form.get(bound):
                why = "only whole numbers count"
                self.notes.edit(made.get("at", "") + pointer(bound), made[bound], form[bound], why)
        return form

    def _fraction(self, made: Alternative) -> Written:
        form: Written = {word: made[word] for word in ("minimum", "maximum") if word in made}
        for word, closed, nearer in (("exclusiveMinimum", "minimum", max), ("exclusiveMaximum", "maximum", min)):
            if word in made and nearer(made[word], form.get(closed, made[word])) == made[word]:
                form[closed] = made[word]
                words = f"{word} became {closed}, which also accepts {made[word]} itself"
                self.notes.lose(made.get("at", "") + pointer(word), word, made[word], words)
        return form

    def _listed(self, made: Alternative) -> list[Written | None]:
        """Listed values, one schema for each type of them."""
        types = made.get("type", ALL_TYPES)
        values = [value for value in made["enum"] if is_of(value, types) and _within(value, made)]
        if "multipleOf" in made and any(type_of(value) == "number" for value in values):
            self.notes.lose(made.get("at", ""), "multipleOf", made["multipleOf"], "multipleOf beside enum was left out")
        if len(values) < len(made["enum"]):
            why = "values that nothing else in the schema allows are left out"
            self.notes.edit(made.get("at", "") + "/enum", made["enum"], values, why)
        forms: list[Written | None] = []
        for name in dict.fromkeys(map(type_of, values)):
            same = [value for value in values if type_of(value) == name]
            if name in ("object", "array"):
                forms += self._constants(made, name, same)
            else:
                forms.append(_enum(name, same, made))
        return forms

    def _constants(self, made: Alternative, name: str, values: list[Any]) -> list[Written | None]:
        if made.keys() & {*ABOUT[name]}:
            words = f"other keywords beside a list of {name}s were left out"
            self.notes.lose(made.get("at", ""), "enum", values, words)
        return [self._constant(value, made.get("at", "")) for value in values]

    def _constant(self, value: Any, at: str) -> Written:
        """A schema that one value alone fits."""
        if isinstance(value, Mapping):
            inner = {name: self._constant(part, at) for name, part in value.items()}
            more = {"properties": inner, "required": list(value)} if value else {}
            return {"type": "object", **more, "additionalProperties": False}
        if not isinstance(value, list):
            return _enum(type_of(value), [value], {})
        kept = {repr(key_of(part)): self._constant(part, at) for part in value}
        if len(kept) > 1:
            self.notes.lose(at, "enum", value, "a list of several values is listed; its values may stand in any order")
        count = {"minItems": len(value), "maxItems": len(value)} if value else {"maxItems": 0}
        items = joined(list(kept.values()), {})
        return {"type": "array", **({"items": items} if items else {}), **count}


def anything(choice: Choice) -> bool:
    """Whether every value fits."""
    return any(not asserts(made) for made in choice.made)


def joined(forms: list[Written], notes: Written) -> Written | None:
    """Forms of one alternative as one schema: a list of types where they say no more, else ``anyOf``."""
    bare = [form["type"] for form in forms if form.keys() == {"type"}]
    if len(bare) > 1:
        forms = [*(form for form in forms if form.keys() != {"type"}), {"type": bare}]
    return _with_null(forms, notes) or any_of(forms, notes)


def any_of(forms: list[Written], notes: Written) -> Written | None:
    """A schema that fits what one of some forms fits; ``None`` where there is none."""
    forms = list({json.dumps(form): form for form in forms}.values())
    if not forms:
        return None
    if len(forms) == 1:
        form = dict(forms[0])
        told = _told(notes, form.pop("also", ()))
        if "default" in notes and isinstance(form.get("type"), str):
            form["default"] = notes["default"]
        return {**form, **told}
    forms = [_settled(form) for form in forms]
    if "default" in notes:
        _place_default(forms, notes["default"])
    size = BRANCHES.documented
    while len(forms) > size:
        forms = [{"anyOf": forms[start : start + size]} for start in range(0, len(forms), size)]
    return {"anyOf": forms, **_told(notes, ())}


def _settled(form: Written) -> Written:
    """A form whose description says what has no keyword."""
    kept = {word: value for word, value in form.items() if word != "also"}
    return {**kept, **_told(kept, form.get("also", ()))}


def _told(notes: Written, also: tuple[str, ...]) -> Written:
    """Title and description, with what has no keyword."""
    also = tuple(dict.fromkeys((*notes.get("also", ()), *also)))
    told: Written = {word: notes[word] for word in ("title", "description") if word in notes}
    if also:
        told["description"] = f"{told.get('description', '')} ({'; '.join(also)})".strip()
    return told


def _with_null(forms: list[Written], notes: Written) -> Written | None:
    """Listed values of one type and null as one list."""
    if len(forms) != 2 or {"type": "null"} not in forms:
        return None
    form = next(form for form in forms if form != {"type": "null"})
    if form.keys() != {"type", "enum"} or not isinstance(form["type"], str):
        return None
    types = ["null", form["type"]] if form["type"] in ("number", "integer") else [form["type"], "null"]
    default = {"default": notes["default"]} if "default" in notes else {}
    return {"type": types, "enum": [*form["enum"], None], **default, **_told(notes, ())}


def _place_default(forms: list[Written], default: object) -> None:
    """A default stands in the first schema of its type, as it may not stand beside anyOf."""
    for form in forms:
        if isinstance(form.get("type"), str) and is_of(default, [form["type"]]):
            form.setdefault("default", default)
            return


def _enum(name: str, values: list[Any], made: Alternative) -> Written:
    if name == "null" or (name == "boolean" and len(set(values)) == 2):
        return {"type": name}
    if name == "number" and all(isinstance(value, int) for value in values):
        name = "integer"
    pattern = {"pattern": made["pattern"]} if name == "string" and "pattern" in made else {}
    return {"type": name, "enum": list(values), **pattern}


def _within(value: Any, made: Alternative) -> bool:
    """Whether a listed value keeps the bounds beside the list."""
    size = len(value) if isinstance(value, str) else value
    if isinstance(value, str):
        return bool(made.get("minLength", 0) <= size <= made.get("maxLength", math.inf))
    if type_of(value) != "number":
        return True
    return bool(
        made.get("minimum", -math.inf) <= value <= made.get("maximum", math.inf)
        and made.get("exclusiveMinimum", -math.inf) < value < made.get("exclusiveMaximum", math.inf)
    )


def _bounded(form: Written, made: Alternative, words: tuple[str, ...], least: str, most: str) -> Written | None:
    """A form with some keywords; ``None`` where its bounds cross."""
    form |= {word: made[word] for word in words if word in made}
    return None if least in form and most in form and form[least] > form[most] else form

"""A schema as the alternatives of which a value has to fit one, each without ``allOf``, ``anyOf`` and ``oneOf``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any
from urllib.parse import unquote

from k2lab.mfjs.assertions import BOUNDS, UPPER, asserted
from k2lab.mfjs.parts import pointer
from k2lab.mfjs.records import Notes
from k2lab.mfjs.values import ALL_TYPES, Types, both_types, key_of, type_of

ANNOTATED = ("description", "title", "default")

Alternative = dict[str, Any]
"""Keywords that hold together; the schemas within are each a :data:`Source`."""

MOST_ALTERNATIVES = 60
MOST_READ = 10_000
DEEPEST = 60
"""Schemas within each other, and references that are written out within each other."""


class TooMuch(Exception):
    """A schema that unfolds beyond what is written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A schema as it came: where it stands, and the references through which it was reached."""

    schema: object = field(repr=False)
    path: str
    through: tuple[str, ...] = ()

    def inner(self, schema: object, *step: str) -> Said:
        """A schema within it."""
        return Said(schema=schema, path=self.path + pointer(*step), through=self.through)


Source = tuple[Said, ...]
"""Schemas that hold together."""


@dataclass(kw_only=True, slots=True)
class Choice:
    """Alternatives, none where no value fits; ``notes`` are the annotations of the whole."""

    made: list[Alternative] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    def settled(self) -> list[Alternative]:
        """The alternatives, each with the annotations of the whole where it has none of its own."""
        return [noted(self.notes, made) for made in self.made]


class Reader:
    """Reads the schemas of one document; references in ``inlined`` are written out, those in ``empty`` fit nothing."""

    def __init__(self, root: object, notes: Notes, inlined: frozenset[str], empty: frozenset[str]) -> None:
        self.root = root
        self.notes = notes
        self.inlined = inlined
        self.empty = empty
        self.read = 0

    def choice(self, source: Source) -> Choice:
        """The alternatives of schemas that hold together."""
        whole = Choice(made=[{}])
        for said in source:
            one = self._one(said)
            whole = self._both(whole, one, said.path)
        return whole

    def opened(self, choice: Choice) -> Choice:
        """A choice whose references are written out."""
        made: list[Alternative] = []
        for one in choice.made:
            inner = self._opened(one) if "$ref" in one else None
            made += [one] if inner is None else self.opened(inner).settled()
        return Choice(made=unique(made), notes=choice.notes)

    def narrowed(self, choice: Choice) -> Choice:
        """What of a choice is an object."""
        return self._both(choice, Choice(made=[{"type": ("object",), "at": ""}]), "")

    def target(self, ref: str) -> tuple[bool, object]:
        """What a reference leads to in the document, by RFC 6901."""
        at: object = self.root
        if not ref.startswith("#") or (len(ref) > 1 and ref[1] != "/"):
            return False, None
        for step in steps_of(ref):
            if isinstance(at, Mapping) and step in at:
                at = at[step]
            elif isinstance(at, list) and step.isdecimal() and int(step) < len(at):
                at = at[int(step)]
            else:
                return False, None
        return isinstance(at, Mapping | bool), at

    def _one(self, said: Said) -> Choice:
        self.read += 1
        if self.read > MOST_READ or len(said.through) > DEEPEST or said.path.count("/") > 4 * DEEPEST:
            raise TooMuch
        schema = said.schema
        if isinstance(schema, bool):
            why = "true is written as what may be anything" if schema else "no value fits false, which is left out"
            self.notes.edit(said.path, schema, None, why)
            return Choice(made=[{}] if schema else [])
        if not isinstance(schema, Mapping):
            self.notes.lose(said.path, "", schema, "it is no schema, and was left out")
            return Choice(made=[{}])
        own, notes = asserted(said, schema, self.notes)
        whole = Choice(made=[own], notes=notes)
        for inner, path in self._applied(said, schema):
            if asserts(own) and inner.made:
                self.notes.edit(path, None, None, "what stands beside it is written into it")
            whole = self._both(whole, inner, path)
        return whole

    def _applied(self, said: Said, schema: Mapping[str, object]) -> Iterator[tuple[Choice, str]]:
        """The choices that hold beside a schema's own keywords, and where they stand."""
        if "$ref" in schema:
            yield self._referred(said, schema["$ref"]), said.path + "/$ref"
        for word in ("allOf", "anyOf", "oneOf"):
            inner = schema.get(word)
            if word not in schema:
                continue
            if not isinstance(inner, list) or not inner:
                self.notes.lose(said.path + pointer(word), word, inner, f"{word} is no list of schemas")
            elif word == "allOf":
                self.notes.edit(said.path + "/allOf", inner, None, "allOf is not supported; its parts are one schema")
                for index, part in enumerate(inner):
                    yield self._one(said.inner(part, word, str(index))), said.path + "/allOf"
            else:
                yield self._chosen(said, word, inner), said.path + pointer(word)

    def _chosen(self, said: Said, word: str, inner: Sequence[object]) -> Choice:
        branches = [self._one(said.inner(part, word, str(index))) for index, part in enumerate(inner)]
        if word == "oneOf" and len(inner) > 1:
            path = said.path + "/oneOf"
            if self._apart([branch.made for branch in branches]):
                why = "oneOf is not supported; no value fits two of its schemas, so that anyOf says the same"
                self.notes.edit(path, list(inner), None, why)
            else:
                words = "oneOf became anyOf, which also accepts what fits more than one of its schemas"
                self.notes.lose(path, "oneOf", list(inner), words)
        elif word == "oneOf":
            self.notes.edit(said.path + "/oneOf", list(inner), None, "oneOf of one schema is that schema")
        return Choice(made=unique(made for branch in branches for made in branch.settled()))

    def _referred(self, said: Said, ref: object) -> Choice:
        found, target = self.target(ref) if isinstance(ref, str) else (False, None)
        if not isinstance(ref, str) or not found:
            self.notes.lose(
                said.path + "/$ref", "$ref", ref, "the reference leads nowhere in this schema, and is left out"
            )
            return Choice(made=[{}])
        place = place_of(ref)
        if place in self.empty or target is False:
            return Choice()
        if target is True or target == {}:
            return Choice(made=[{}])
        alone: Alternative = {"$ref": place, "at": said.path, "through": said.through}
        if place in self.inlined and place not in said.through:
            return self._opened(alone) or Choice(made=[alone])
        return Choice(made=[alone])

    def _opened(self, alone: Alternative) -> Choice | None:
        """What a reference leads to; ``None`` for one that was followed on the way to it."""
        place, through = alone["$ref"], alone["through"]
        if place in through:
            return None
        self.notes.edit(alone["at"] + "/$ref", "#" + place, None, "what it leads to is written in its place")
        _, schema = self.target("#" + place)
        opened = self._one(Said(schema=schema, path=place, through=(*through, place)))
        return Choice(made=opened.made, notes=noted(opened.notes, rest_notes(alone)))

    def _both(self, first: Choice, second: Choice, path: str) -> Choice:
        """What fits both."""
        if len(first.made) * len(second.made) > MOST_ALTERNATIVES:
            words = f"there are more than {MOST_ALTERNATIVES} combinations; this part was left out"
            self.notes.lose(path, path.rsplit("/", 1)[-1], None, words)
            return first
        notes = noted(second.notes, first.notes)
        made: list[Alternative] = []
        for one in first.made:
            for other in second.made:
                made += self._pair(one, other, path)
        return Choice(made=unique(made), notes=notes)

    def _pair(self, one: Alternative, other: Alternative, path: str) -> list[Alternative]:
        for ref, rest in ((one, other), (other, one)):
            if "$ref" not in ref or not asserts(rest):
                continue
            if "$ref" in rest and rest["$ref"] == ref["$ref"]:
                return [{**rest, **ref}]
            opened = self._opened(ref)
            if opened is not None:
                return self._both(Choice(made=[rest]), Choice(made=opened.settled()), path).settled()
            lost = sorted(rest.keys() - {*ANNOTATED, "at", "through", "also"})
            words = f"{', '.join(lost)} stands beside a reference to what holds it, and was left out"
            self.notes.lose(path, lost[0], None, words)
            return [{**rest_notes(rest), **ref}]
        merged = merge(one, other, self.notes, path)
        return [merged] if merged is not None else []

    def _apart(self, branches: Sequence[list[Alternative]]) -> bool:
        """Whether it is sure that no value fits two branches."""
        if len(branches) > MOST_ALTERNATIVES:
            return False
        opened = [[inner for made in branch for inner in self._looked_into(made)] for branch in branches]
        return all(self._disjoint(a, b) for one, two in combinations(opened, 2) for a in one for b in two)

    def _looked_into(self, made: Alternative) -> list[Alternative]:
        if "$ref" not in made:
            return [made]
        quiet = Reader(self.root, Notes(), frozenset(), self.empty)
        quiet.read = self.read
        opened = quiet._opened(made)
        return [made] if opened is None else opened.made

    def _disjoint(self, one: Alternative, two: Alternative) -> bool:
        if "$ref" in one or "$ref" in two:
            return False
        if "enum" in one and "enum" in two:
            return not set(map(key_of, one["enum"])) & set(map(key_of, two["enum"]))
        if not both_types(kinds(one), kinds(two)):
            return True
        return kinds(one) == kinds(two) == ("object",) and any(
            self._told_apart(one, two, name) for name in {*one.get("required", ())} & {*two.get("required", ())}
        )

    def _told_apart(self, one: Alternative, two: Alternative, name: str) -> bool:
        """Whether two objects differ in the value of a property that both must have."""
        quiet = Reader(self.root, Notes(), frozenset(), self.empty)
        quiet.read = self.read
        sources = [made.get("properties", {}).get(name) for made in (one, two)]
        if None in sources:
            return False
        first, second = (quiet.choice(source).made for source in sources)
        listed = all("enum" in made or "type" in made for made in (*first, *second))
        return listed and all(
            "$ref" not in a and "$ref" not in b and (("enum" in a and "enum" in b and quiet._disjoint(a, b))
            or not both_types(kinds(a), kinds(b)))
            for a in first for b in second
        )  # fmt: skip


def noted(inner: Alternative, outer: Alternative) -> Alternative:
    """Keywords with annotations: those of the outer come first, and what is said in a description is said of both."""
    also = tuple(dict.fromkeys((*outer.get("also", ()), *inner.get("also", ()))))
    return {**inner, **outer, **({"also": also} if also else {})}


def rest_notes(made: Alternative) -> Alternative:
    """The annotations of an alternative."""
    return {word: made[word] for word in (*ANNOTATED, "also") if word in made}


def asserts(made: Alternative) -> bool:
    """Whether an alternative says more than annotations."""
    return bool(made.keys() - {*ANNOTATED, "at", "through", "also"})


def kinds(made: Alternative) -> Types:
    """The types of the values that may fit an alternative."""
    named: Types = made.get("type", ALL_TYPES)
    return both_types(named, tuple(map(type_of, made["enum"]))) if "enum" in made else named


def unique(made: Iterable[Alternative]) -> list[Alternative]:
    """Alternatives without those that say the same as an earlier one; one that says nothing is all of them."""
    kept: dict[str, Alternative] = {}
    for one in made:
        kept.setdefault(repr({key: one[key] for key in sorted(one) if key not in ("at", "through")}), one)
    free = [one for one in kept.values() if not asserts(one)]
    return free[:1] or list(kept.values())


def steps_of(ref: str) -> list[str]:
    """The steps of a reference's pointer."""
    steps = unquote(ref[1:]).split("/")[1:]
    return [step.replace("~1", "/").replace("~0", "~") for step in steps]


def place_of(ref: str) -> str:
    """A reference's pointer in one spelling."""
    return pointer(*steps_of(ref))


def merge(one: Alternative, two: Alternative, notes: Notes, path: str) -> Alternative | None:
    """Keywords that hold together; ``None`` where no value fits both."""
    made = {**two, **one}
    if "also" in one and "also" in two:
        made["also"] = tuple(dict.fromkeys((*one["also"], *two["also"])))
    if "type" in one and "type" in two:
        made["type"] = both_types(one["type"], two["type"])
    if "enum" in one and "enum" in two:
        keys = set(map(key_of, two["enum"]))
        made["enum"] = [value for value in one["enum"] if key_of(value) in keys]
    for word in BOUNDS & one.keys() & two.keys():
        made[word] = (min if word in UPPER else max)(one[word], two[word])
    if "multipleOf" in one and "multipleOf" in two:
        made["multipleOf"] = (*one["multipleOf"], *two["multipleOf"])
    if "required" in one and "required" in two:
        made["required"] = tuple(dict.fromkeys((*one["required"], *two["required"])))
    if "items" in one and "items" in two:
        made["items"] = (*one["items"], *two["items"])
    if one.get("pattern", two.get("pattern")) != two.get("pattern", one.get("pattern")):
        notes.lose(path, "pattern", two["pattern"], f"a second pattern, {two['pattern']!r}, was left out")
    _merge_properties(one, two, made)
    return None if made.get("type") == () or made.get("enum") == [] else made


def _merge_properties(one: Alternative, two: Alternative, made: Alternative) -> None:
    first, second = one.get("properties", {}), two.get("properties", {})
    others = one.get("additionalProperties", ()), two.get("additionalProperties", ())
    if first or second:
        made["properties"] = {
            name: first.get(name, others[0]) + second.get(name, others[1]) for name in {**first, **second}
        }
    if others[0] or others[1]:
        made["additionalProperties"] = others[0] + others[1]

"""A schema that Moonshot's API accepts, of the same meaning where there is one; what is lost is said."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from k2lab.mfjs.alternatives import Reader, TooMuch, steps_of
from k2lab.mfjs.composing import Writer
from k2lab.mfjs.judging import refusals
from k2lab.mfjs.parts import pointer
from k2lab.mfjs.records import Fixed, Notes
from k2lab.mfjs.rulebook import ANNOTATIONS, AT_THE_ROOT, MOST_REFUSALS, Refusal

HOPELESS = frozenset({"not_an_object", "not_json", "nested_too_deeply", "number_too_large", "schema_too_large"})
"""Refusals that no other form of the schema takes away."""

MOST_ROUNDS = 12


def fixed(schema: object, *, parameters: bool = False) -> Fixed:
    """A schema for Moonshot's API that says the same as far as it can, and each edit and loss.

    The schema that is handed in is never changed. One that is accepted comes back as it
    is. For the ``parameters`` of a tool, the root becomes one object, as the API asks.

    >>> made = fixed({"type": "object", "properties": {"unit": {"const": "C"}}})
    >>> made.schema["properties"], made.equal
    ({'unit': {'type': 'string', 'enum': ['C']}}, True)
    """
    left = refusals(schema)
    if not isinstance(schema, Mapping) or HOPELESS & {refusal.rule for refusal in left}:
        return Fixed(schema=schema, refusals=left)
    if not left and (not parameters or schema.get("type") in ("object", ["object"])):
        return Fixed(schema=copy.deepcopy(schema))
    try:
        return _rewritten(schema, parameters) or Fixed(schema=copy.deepcopy(schema), refusals=left)
    except (TooMuch, RecursionError):
        return Fixed(schema=copy.deepcopy(schema), refusals=left)


def _rewritten(schema: Mapping[str, object], as_object: bool) -> Fixed | None:
    """The schema anew, as often as its definitions ask for; ``None`` where no value fits it."""
    inlined, empty = frozenset[str](), frozenset[str]()
    for _ in range(MOST_ROUNDS):
        notes = Notes()
        writer = Writer(Reader(schema, notes, inlined, empty))
        made = writer.whole(schema, as_object)
        if made is None:
            return None
        made = copy.deepcopy(made)
        left = _mended(made, notes)
        slashed = _slashed(left, writer.names)
        if writer.empty <= empty and slashed <= inlined:
            break
        inlined, empty = inlined | slashed, empty | writer.empty
    if made != schema and not notes.edits:
        notes.edit("", schema, made, "it is written in another form")
    return Fixed(schema=made, changes=(*notes.edits.values(),), lost=(*notes.losses.values(),), refusals=left)


def _slashed(left: tuple[Refusal, ...], names: Mapping[str, str]) -> frozenset[str]:
    """Definitions that hold a name with a slash: they are written out where they are meant."""
    held = {steps_of("#" + refusal.path)[1] for refusal in left if refusal.rule == "slash_in_definitions"}
    return frozenset(place for place, name in names.items() if name in held)


def _mended(made: dict[str, Any], notes: Notes) -> tuple[Refusal, ...]:
    """What can be mended in place where it stands; what is refused in the end."""
    left = refusals(made)
    for _ in range(MOST_ROUNDS):
        before = copy.deepcopy(made)
        for path in sorted({place for refusal in left if (place := _said_twice(refusal))}, key=len, reverse=True):
            _wrap(made, path)
            notes.edit(path, None, None, "an anyOf of one schema keeps two descriptions or titles apart")
        for refusal in left:
            if refusal.rule == "recursion_without_end":
                _let_be_empty(made, refusal.path, notes)
        if made == before or len(left) > MOST_REFUSALS:
            break
        left = refusals(made)
    return left


def _said_twice(refusal: Refusal) -> str:
    """The schema whose annotation stands beside another one of the same value."""
    return refusal.path.rsplit("/", 1)[0] if refusal.rule == "said_twice" and refusal.by == "validator" else ""


def _wrap(made: dict[str, Any], path: str) -> None:
    """An anyOf of one schema keeps annotations apart."""
    schema = _at(made, steps_of("#" + path))
    inner = dict(schema)
    outer = {word: inner.pop(word) for word in ANNOTATIONS & inner.keys() if "$ref" in inner}
    schema.clear()
    schema |= {**outer, "anyOf": [inner]}


def _let_be_empty(made: dict[str, Any], path: str, notes: Notes) -> None:
    """An array that may be empty, written so that it is seen to come to an end."""
    steps = steps_of("#" + path)
    for place in range(len(steps) - 1, -1, -1):
        schema = _at(made, steps[:place])
        if steps[place] != "items" or schema.get("type") != "array" or schema.get("minItems", 0) > 0:
            continue
        outer = {word: schema.pop(word) for word in (ANNOTATIONS | AT_THE_ROOT) & schema.keys()}
        inner = dict(schema)
        around = _at(made, steps[: max(0, place - 2)]) if place >= 2 else {}
        if inner in around.get("anyOf", []) and {"type": "array", "maxItems": 0} in around["anyOf"]:
            schema |= outer
            return
        schema.clear()
        schema |= {**outer, "anyOf": [{"type": "array", "maxItems": 0}, inner]}
        why = "a list of others like it may be empty, which is said apart, as the validator asks for an end"
        notes.edit(pointer(*steps[:place]), None, None, why)
        return


def _at(made: Any, steps: list[str]) -> Any:
    for step in steps:
        made = made[int(step)] if isinstance(made, list) else made[step]
    return made

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
MOST_MENDED = 60


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
        return Fixed(schema=schema, refusals=left, reason="no other form of it would be accepted")
    if not left and (not parameters or schema.get("type") in ("object", ["object"])):
        return Fixed(schema=copy.deepcopy(schema))
    try:
        made = _rewritten(schema, parameters)
        reason = f"no {'object' if parameters else 'value'} fits it"
    except (TooMuch, RecursionError):
        made, reason = None, "it unfolds into more parts than are written"
    return made or Fixed(schema=copy.deepcopy(schema), refusals=left, reason=reason)


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
    for _ in range(MOST_MENDED):
        if len(left) > MOST_REFUSALS or not (_kept_apart(made, left, notes) or _may_be_empty(made, left, notes)):
            break
        left = refusals(made)
    return left


def _kept_apart(made: dict[str, Any], left: tuple[Refusal, ...], notes: Notes) -> bool:
    """Annotations that stand twice for the same value are kept apart by an anyOf of one schema."""
    twice = {refusal.path for refusal in left if refusal.rule == "said_twice" and refusal.by == "validator"}
    for path in sorted({path.rsplit("/", 1)[0] for path in twice}, key=len, reverse=True):
        schema = _at(made, steps_of("#" + path))
        outer = {word: schema.pop(word) for word in AT_THE_ROOT & schema.keys()}
        outer |= {word: schema.pop(word) for word in ANNOTATIONS & schema.keys() if "$ref" in schema}
        inner = dict(schema)
        schema.clear()
        schema |= {**outer, "anyOf": [inner]}
        notes.edit(path, None, None, "an anyOf of one schema keeps two descriptions or titles apart")
    return bool(twice)


def _may_be_empty(made: dict[str, Any], left: tuple[Refusal, ...], notes: Notes) -> bool:
    """Whether one array of others like it was written so that it comes to an end; paths are others after that."""
    endless = (refusal.path for refusal in left if refusal.rule == "recursion_without_end")
    return any(_let_be_empty(made, path, notes) for path in endless)


def _let_be_empty(made: dict[str, Any], path: str, notes: Notes) -> bool:
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
            return False
        schema.clear()
        schema |= {**outer, "anyOf": [{"type": "array", "maxItems": 0}, inner]}
        why = "a list of others like it may be empty, which is said apart, as the validator asks for an end"
        notes.edit(pointer(*steps[:place]), None, None, why)
        return True
    return False


def _at(made: Any, steps: list[str]) -> Any:
    for step in steps:
        made = made[int(step)] if isinstance(made, list) else made[step]
    return made

"""Whether Moonshot's API accepts a schema as a tool's parameters: every refusal with its place and what to do."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice

from k2lab.chat.checks import kind
from k2lab.jsonread import MOST_LEVELS, NotJSON, read_json
from k2lab.legible import one_line
from k2lab.mfjs import rulebook
from k2lab.mfjs.keywords import ABOUT_A_PART, refused
from k2lab.mfjs.parts import Part, Schema, all_parts, pointer
from k2lab.mfjs.references import References, local
from k2lab.mfjs.rulebook import Most, Refusal
from k2lab.mfjs.spelling import decoded

MOST_CONTAINERS = 50_000
"""Objects and lists of a schema; more than one that is not too large can hold."""

MOST_BITS = 1023
"""Of a whole number: a double holds no larger one."""

FAR_TOO_LARGE = 10 * rulebook.MOST_BYTES
"""A schema beyond this is judged by its size and its count of properties alone."""


def refusals(schema: object) -> tuple[Refusal, ...]:
    """Why Moonshot's API refuses a schema, place by place; empty where it is accepted.

    Takes any value and never raises; the time is bounded by the size. What depends on
    how a number is written only :func:`refusals_of_text` sees.

    >>> for refusal in refusals({"type": "object", "properties": {"unit": {"enum": ["C", "F"]}}}):
    ...     print(refusal)
    /properties/unit: enum stands without a type; say the type of its values
    """
    if not isinstance(schema, Mapping):
        return (refused("not_an_object", "", f"the schema is {kind(schema)}; it has to be an object"),)
    unfit = _unfit(schema)
    if unfit:
        return (unfit,)
    found = list(islice(_all(schema), rulebook.MOST_REFUSALS + 1))
    if len(found) > rulebook.MOST_REFUSALS:
        found[-1] = refused("and_more", "", f"more than {rulebook.MOST_REFUSALS} refusals; the rest is not named")
    return tuple(found)


def refusals_of_text(text: str | bytes) -> tuple[Refusal, ...]:
    """The same of a schema as JSON text: what is no JSON, and how numbers and keys are written, is judged too.

    >>> [refusal.rule for refusal in refusals_of_text('{"type": "number", "enum": [01.5]}')]
    ['not_json']
    """
    try:
        read_json(text)
    except NotJSON as why:
        return (refused("not_json", "", f"the schema is not JSON: {why}"),)
    written = text if isinstance(text, str) else str(text, "utf-8")
    if written.startswith("\ufeff"):
        return (refused("not_json", "", "the schema begins with a byte order mark; leave it out"),)
    return refusals(decoded(written))


Place = tuple["Place", str] | None
"""A place in a value: the place around it, and the step from there."""


def _unfit(schema: Schema) -> Refusal | None:
    """Why a value cannot be judged: not JSON, or beyond what can be walked through."""
    level: list[tuple[object, Place]] = [(schema, None)]
    containers = 0
    for _ in range(MOST_LEVELS):
        following: list[tuple[object, Place]] = []
        for value, place in level:
            for key, inner in _items(value):
                if why := _no_json(key, inner):
                    return refused(why[0], _pointer(place), why[1])
                if isinstance(inner, Mapping | list):
                    following.append((inner, (place, str(key))))
        containers += len(following)
        if containers > MOST_CONTAINERS:
            return refused("schema_too_large", "", f"the schema holds more than {MOST_CONTAINERS:,} objects and lists")
        level = following
    words = f"the schema is nested deeper than {MOST_LEVELS} levels of JSON, and is not judged; make it flatter"
    return refused("nested_too_deeply", "", words) if level else None


def _pointer(place: Place) -> str:
    steps: list[str] = []
    while place is not None:
        place, step = place
        steps.insert(0, step)
    return pointer(*steps)


def _items(value: object) -> Iterable[tuple[object, object]]:
    if isinstance(value, Mapping):
        return value.items()
    return ((str(index), item) for index, item in enumerate(value)) if isinstance(value, list) else ()


def _no_json(key: object, value: object) -> tuple[str, str] | None:
    """Why a key with its value has no JSON."""
    if not isinstance(key, str):
        return "not_json", f"a key is {one_line(repr(key), 60)}; keys are texts"
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        return (
            "number_too_large",
            f"{one_line(key, 60)} is a number of more than {MOST_BITS:,} bits; write a smaller one",
        )
    if isinstance(value, float) and not math.isfinite(value):
        return "not_json", f"{one_line(key, 60)} is {value}, which is not a number of JSON; write a number"
    if value is None or isinstance(value, str | int | float | dict | list | Mapping):
        return None
    return "not_json", f"{one_line(key, 60)} is a {type(value).__name__}; JSON has no such value"


def _all(schema: Schema) -> Iterator[Refusal]:
    if not schema:
        return  # anything is allowed
    size = _size(schema)
    if size > rulebook.MOST_BYTES:
        words = f"the schema takes {size:,} bytes, at most {rulebook.MOST_BYTES:,} are accepted; make it smaller"
        yield refused("schema_too_large", "", words)
    found = list(all_parts(schema))
    yield from _over("too_many_properties", "", rulebook.PROPERTIES, _properties(found), "properties in all")
    if size > FAR_TOO_LARGE:
        return
    for part in found:
        yield from chain.from_iterable(check(part) for check in ABOUT_A_PART)
    yield from _references(schema, [part for part in found if isinstance(part.schema.get("$ref"), str)])


def _size(schema: Schema) -> int:
    """Bytes of a schema as walle writes it."""
    text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"), default=dict)
    return len(text.encode("utf-8", "surrogatepass")) + 5 * sum(map(text.count, "<>&"))


def _properties(found: Iterable[Part]) -> int:
    named = (part.schema.get("properties") for part in found)
    return sum(len(names) for names in named if isinstance(names, Mapping))


def _over(rule: str, path: str, most: Most, count: int, what: str) -> Iterator[Refusal]:
    """A limit that is passed: the validator's own, or the documented one alone."""
    if count > most.documented:
        beyond = count > most.validator
        told = f"at most {most.validator:,} are accepted" if beyond else (
            f"the documentation allows {most.documented}, the validator {most.validator:,}"
        )  # fmt: skip
        yield refused(rule, path, f"{count:,} {what}; {told}", by="server" if beyond else "documentation")


def _references(schema: Schema, refers: list[Part]) -> Iterator[Refusal]:
    known = References(schema, refers)
    there = [part for part in refers if known.target(str(part.schema["$ref"])) is not None]
    for part in refers:
        if local(str(part.schema["$ref"])) and known.target(str(part.schema["$ref"])) is None:
            shown = one_line(part.schema["$ref"], 80)
            words = f"$ref {shown} leads to no schema; define it under $defs of the root, without / or ~ in its name"
            yield refused("ref_not_found", f"{part.path}/$ref", words)
    yield from _depth(schema, known)
    for part in there:
        yield from _said_twice(part, known)
    for part in References(schema, there).endless():
        words = f"{part.schema['$ref']} makes every value contain another like it without end; let it be absent or null"
        yield refused("recursion_without_end", f"{part.path}/$ref", words)


def _depth(schema: Schema, known: References) -> Iterator[Refusal]:
    deepest, where = 0, ""
    for part in all_parts(schema):
        ref = part.schema.get("$ref")
        levels = part.levels + (known.levels(ref) if isinstance(ref, str) and known.target(ref) else 0)
        if levels > max(deepest, rulebook.LEVELS.documented):
            deepest, where = levels, part.path
    yield from _over("too_many_levels", where, rulebook.LEVELS, deepest, "levels of properties")


def _said_twice(part: Part, known: References) -> Iterator[Refusal]:
    """What stands beside a reference, and also where it leads; not asked of what the definitions refer to."""
    if _defined(part):
        return
    target, chained = known.expanded(str(part.schema["$ref"]))
    branches = target.get("anyOf")
    at = [target, *(branches if isinstance(branches, list) else [])]
    beside = part.schema.keys() - {"$ref"} | ({"type"} if "anyOf" in part.schema else set())
    both = {word for inner in at if isinstance(inner, Mapping) for word in beside & inner.keys()}
    for word in sorted({*chained, *both}):
        words = f"{one_line(word, 60)} stands beside $ref and also where it leads; keep it in one place"
        place = part.path + pointer(word) if word in part.schema else part.path
        yield refused("said_twice", place, words, by="validator" if word in rulebook.ANNOTATIONS else "server")


def _defined(part: Part | None) -> bool:
    while part is not None:
        if part.kind == "definition":
            return True
        part = part.parent
    return False

"""From an id, as a model wrote it, to the tool that it means.

An id that holds letters names something: it is that tool, spelled some way, or
no tool at all. Arguments decide between tools only where the id names nothing,
and never where they are empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from k2lab.wire.arguments import decode
from k2lab.wire.opaque import is_opaque
from k2lab.wire.records import ID

Schemas = Mapping[str, Mapping[str, object]]

LONGEST_ID = 256
"""An id beyond this many characters is none; it also bounds the search for names in it."""

LEAK_WINDOW = 160
"""How far before an argument marker an id is looked for whose opening marker was lost."""

BARE_ID = re.compile(r"(?P<name>[\w.-]+):(?P<index>[0-9]{1,9})")
PREFIX = re.compile(r"(?:functions?[_.:/-]*|(?:tools?|func|default_api)[.:/]+|tool_[0-9]+_)*", re.IGNORECASE)
"""What models write before a name and what names no tool; tool_0_NAME is OpenRouter's."""
PREFIX_BEGINS = frozenset("fFtTdD")
NUMBER = re.compile(r"[_.:/-]*([0-9]*)")
VENDORS = re.compile(r"(?:call|toolu|tooluse|fc|chatcmpl-tool|function-call)[_-]")
ODD_INDEX = re.compile(r"[^\s:<>]{0,32}|[0-9:]{1,32}")
MOST_LETTERS = 5
"""Letters of an index that is no number (``c1``, ``index2``), three where it has no digit: more are a name."""
NAMESPACED = re.compile(r"functions?[.:](?P<name>[^\s]*?[^\s:.])(?::(?P<index>[0-9]+|[^\s:]{0,32})|\.)?", re.IGNORECASE)
AROUND = " \t\r\n\"'`*()[]<>,;"
"""What may stand around an id and is no part of it."""
FUNCTIONS_AT_THE_END = re.compile(
    r"(?:functions\.\w[\w.:/-]{0,96}|(?<![\w.-])functions?(?:[_.:/]\w[\w.:/-]{0,96}|\w{1,96}[0-9]))$"
)
SPACE = re.compile(r"\s+")
NAME_CHARACTERS = re.compile(r"[\w.:/@+-]+")


@dataclass(frozen=True)
class Identity:
    """What an id says: ``name`` is ``None`` where it cannot be known or could be two.

    ``reason`` is empty for the documented form. ``change`` takes a name that
    was written into the arguments out of them.
    """

    name: str | None
    index: int | None
    reason: str
    change: Callable[[Mapping[str, object]], Mapping[str, object]] | None = None


def leaked_id_start(text: str, start: int, end: int) -> int | None:
    """Where an id begins that ends plain text just before ``end``: ``NAME:IDX``, or any with ``functions``."""
    window = text[max(start, end - LEAK_WINDOW) : end].rstrip()
    prefixed = FUNCTIONS_AT_THE_END.search(window)
    if prefixed:
        return max(start, end - LEAK_WINDOW) + prefixed.start()
    head, colon, digits = window.rpartition(":")
    if not colon or not digits.strip().isdigit():
        return None
    length = len(head)
    while length and (head[length - 1].isalnum() or head[length - 1] in "_.-"):
        length -= 1
    return max(start, end - LEAK_WINDOW) + length if length < len(head) else None


def identify(header: str, arguments: Mapping[str, object] | None, schemas: Schemas | None) -> Identity:
    """The tool that a header names; ``schemas`` are the tools on offer, ``None`` where unknown."""
    text = header.strip()
    if len(text) > LONGEST_ID:
        return Identity(None, None, f"an id of {len(text)} characters")
    match = ID.fullmatch(text)
    if match and (schemas is None or match["name"] in schemas):
        return Identity(match["name"], int(match["index"]), "white space around the id" if text != header else "")
    packed = SPACE.sub("", text).strip(AROUND)
    if schemas:
        found = _declared(text, packed, schemas)
        if found:
            return found
    if is_opaque(packed):
        return _by_arguments(text, arguments, schemas or {})
    return _undeclared(text, packed, schemas)


def _declared(text: str, packed: str, schemas: Schemas) -> Identity | None:
    """The declared tool that an id spells, or that it can be several; ``None`` where it spells none."""
    exact = ID.fullmatch(packed) or re.fullmatch(r"functions\.(?P<name>.+):(?P<index>[0-9]{1,9})", packed)
    if exact and exact["name"] in schemas:
        odd = "white space in the id" if SPACE.search(text) else f"id {text!r} read as {exact['name']}"
        return Identity(exact["name"], int(exact["index"]), odd)
    readings = {**_odd_indexes(packed, schemas), **_readings(packed, schemas)}
    if len(readings) > 1:
        return Identity(None, None, f"id {text!r} can be {' or '.join(sorted(readings))}")
    for name, index in readings.items():
        return Identity(name, index, f"id {text!r} read as {name}{_index_said(packed, name, index)}")
    return None


def _index_said(packed: str, name: str, index: int | None) -> str:
    if index is not None:
        return ""
    missing = packed.rstrip("_.:/-").endswith(SPACE.sub("", name))
    return " without an index" if missing else ", its index not being a number"


def _readings(packed: str, schemas: Schemas) -> dict[str, int | None]:
    """Every declared tool whose name, with or without prefix, separators and number, is this id."""
    starts = {0, *_prefix_ends(packed)}
    found: dict[str, int | None] = {}
    for name in schemas:
        spelled = SPACE.sub("", name)
        for start in starts:
            number = NUMBER.fullmatch(packed, start + len(spelled)) if packed.startswith(spelled, start) else None
            if number and spelled:
                found[name] = int(number[1]) if 0 < len(number[1]) <= 9 else None
    return found


def _odd_indexes(packed: str, schemas: Schemas) -> dict[str, int | None]:
    """Declared tools between prefix and colon where what follows the colon is no number.

    What follows may itself name something: both are then readings. Without
    ``functions`` before it, it must hold a digit to be an index.
    """
    found: dict[str, int | None] = {}
    for start in {0, *_prefix_ends(packed)}:
        head, colon, tail = packed[start:].partition(":")
        if not colon or head not in schemas or not ODD_INDEX.fullmatch(tail):
            continue
        if start or re.search(r"[0-9]", tail):
            found[head] = None
            found |= dict.fromkeys(_readings(tail, schemas) or ([] if _is_index(tail) else [f"{head}:{tail}"]))
    return found


def _is_index(tail: str) -> bool:
    """Whether what stands for an index names nothing."""
    letters = sum(character.isalpha() for character in tail)
    return letters <= (MOST_LETTERS if re.search(r"[0-9]", tail) else 3) or is_opaque(tail)


def _prefix_ends(packed: str) -> set[int]:
    """Where a name can begin: behind each prefix, and behind each separator that ends one."""
    if packed[:1] not in PREFIX_BEGINS:
        return set()
    whole = PREFIX.match(packed)
    ends = {len(whole[0])} if whole and whole[0] else set()
    for word in re.finditer(r"functions?", packed[: max(ends, default=0)], re.IGNORECASE):
        ends |= {word.end(), word.end() - (word[0][-1] in "sS")}
        ends |= {word.end() + 1} if packed[word.end() : word.end() + 1] in ("_", ".", ":", "/", "-") else set()
    return ends


def _undeclared(text: str, packed: str, schemas: Schemas | None) -> Identity:
    """An id that spells no declared tool: the name that it gives where its bounds are clear."""
    if re.search(r"\w\s+\w", text):
        return Identity(None, None, f"id {text!r} cannot be read as an id: white space stands between its words")
    documented = ID.fullmatch(packed)
    if documented:
        return Identity(documented["name"], int(documented["index"]), _spelling(text, packed))
    bare = BARE_ID.fullmatch(packed)
    if bare and not PREFIX.fullmatch(bare["name"]):
        return Identity(bare["name"], int(bare["index"]), f"id {text!r} lacks functions.")
    named = NAMESPACED.fullmatch(packed)
    if named and NAME_CHARACTERS.fullmatch(named["name"]) and re.search(r"[^\W\d_]", named["name"]):
        return _namespaced(text, named["name"], named["index"], schemas)
    word = re.fullmatch(r"[^\W\d][\w-]*", packed)
    if word and schemas is not None and not VENDORS.match(packed) and not _prefix_ends(packed):
        return Identity(packed, None, f"id {text!r} lacks functions. and an index")
    if PREFIX.fullmatch(re.sub(r"[^A-Za-z]*$", "", packed)):
        return Identity(None, None, f"id {text!r} names no tool: nothing stands between functions. and the index")
    return Identity(
        None,
        None,
        f"id {text!r} spells no tool on offer" + ("" if schemas is not None else ": the tools are not known"),
    )


def _namespaced(text: str, name: str, index: str | None, schemas: Schemas | None) -> Identity:
    number = re.fullmatch(r"(.*[^0-9_.-])[_.-]*[0-9]+", name)
    if index is None and number and schemas is None:
        two = f"{name} without an index or {number[1]} with one"
        return Identity(None, None, f"id {text!r} can be {two}: the tools on offer would tell")
    odd = "without an index" if not index else f"with the index {index!r}"
    counted = int(index) if index and re.fullmatch(r"[0-9]{1,9}", index) else None
    return Identity(name, counted, f"id {text!r} read as {name} {odd}")


def _spelling(text: str, packed: str) -> str:
    return "white space in the id" if SPACE.search(text) else "" if text == packed else f"id {text!r} read as {packed}"


def _by_arguments(text: str, arguments: Mapping[str, object] | None, schemas: Schemas) -> Identity:
    """For an id that names nothing: the one tool that the arguments name, or fit."""
    unknown = f"id {text!r} names no tool"
    if arguments is None:
        return Identity(None, None, unknown)
    if not arguments:
        return Identity(None, None, f"{unknown}, and empty arguments cannot tell which")
    fitting = [name for name, schema in schemas.items() if _fits(arguments, schema)]
    named = arguments.get("name")
    if isinstance(named, str) and named in schemas and "name" not in _properties(schemas[named]):
        if not set(fitting) - {named}:
            return Identity(named, None, f"{unknown}; the arguments name {named}", _without_name)
        fitting = [named, *fitting]
    if len(fitting) == 1:
        return Identity(fitting[0], None, f"{unknown}; the arguments fit {fitting[0]} alone")
    return Identity(None, None, f"{unknown}; the arguments fit {' and '.join(sorted(set(fitting))) or 'no tool'}")


def _without_name(arguments: Mapping[str, object]) -> Mapping[str, object]:
    rest = {key: value for key, value in arguments.items() if key != "name"}
    inner = rest.get("arguments")
    if isinstance(inner, str):
        inner = decode(inner).value
    return inner if set(rest) == {"arguments"} and isinstance(inner, dict) else rest


def _properties(schema: Mapping[str, object]) -> Mapping[str, object]:
    properties = schema.get("properties")
    return properties if isinstance(properties, Mapping) else {}


def required_of(schema: Mapping[str, object]) -> list[str]:
    """Names of the required parameters; what is no name is passed over."""
    required = schema.get("required")
    return [name for name in required if isinstance(name, str)] if isinstance(required, list) else []


def _fits(arguments: Mapping[str, object], schema: Mapping[str, object]) -> bool:
    """Whether arguments can be a tool's: its required keys, no key that it does not know, values of their kind.

    A schema that says its keys elsewhere (``$ref``, ``anyOf`` ...) can take any.
    """
    if not set(required_of(schema)) <= set(arguments):
        return False
    if any(key in schema for key in ("$ref", "anyOf", "oneOf", "allOf")):
        return True
    known, others = _properties(schema), schema.get("additionalProperties", False)
    return all(_accepts(known.get(key, others), value) for key, value in arguments.items())


def _accepts(schema: object, value: object) -> bool:
    """Whether a value can follow a schema, by its type, its ``const`` and its ``enum`` alone."""
    if not isinstance(schema, Mapping):
        return schema is not False
    if "const" in schema and schema["const"] != value:
        return False
    if isinstance(schema.get("enum"), list) and value not in schema["enum"]:
        return False
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list) else []
    return not kinds or any(_is_of(value, kind) for kind in kinds)


def _is_of(value: object, kind: object) -> bool:
    if isinstance(value, bool) or value is None:
        return kind == ("null" if value is None else "boolean")
    if isinstance(value, int | float):
        return kind == "number" or (kind == "integer" and (isinstance(value, int) or value.is_integer()))
    return kind == ("string" if isinstance(value, str) else "array" if isinstance(value, list) else "object")


def alike(name: str, names: Iterable[str]) -> str:
    """A word on the tools whose names differ from one by letter case and separators alone."""
    found = sorted(other for other in names if _letters(other) == _letters(name))
    return f" (spelled alike: {', '.join(found)})" if found else ""


def _letters(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())

"""The JSON of a call's arguments: read it, and say where and why that fails.

One tolerance: a literal control character within a string, as a model writes
a line break there (MoonshotAI/kimi-cli#1378). All else that is no JSON is left
as it is, with its place: a missing quote or one brace too many has more than
one right reading.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

INVALID: object = object()
EMPTY: object = object()

FOUND = 12
"""Characters shown of what stands where something else is due."""

DUE = {
    "Expecting property name enclosed in double quotes": "a key in double quotes is due",
    "Expecting ':' delimiter": "':' is due",
    "Expecting ',' delimiter": "',' or the end of the object or list is due",
    "Expecting value": "a value is due",
    "Illegal trailing comma before end of object": "a comma stands before the end of the object",
    "Illegal trailing comma before end of array": "a comma stands before the end of the list",
    "Invalid \\escape": "a backslash escapes nothing",
    "Invalid \\uXXXX escape": "\\u wants four hexadecimal digits",
    "Invalid control character at": "a control character stands in a string",
    "Unterminated string starting at": "a string begins that is never closed",
}
TOKEN = re.compile(r'"(?:[^"\\]|\\.?)*+(?:"|\Z)|(?P<constant>NaN|-?Infinity)|(?P<digits>[0-9]++)', re.DOTALL)
MOST_DIGITS = 4300
"""Python reads no longer integers (``sys.int_info.default_max_str_digits``)."""
WORDS = ("true", "false", "null", "-")


class Read(NamedTuple):
    """JSON read from a text.

    ``stop`` is where it ended, or where it broke; ``unfinished``: it broke
    because the text ended. ``fault`` says in words what is due, without the place.
    """

    value: object
    stop: int
    fault: str = ""
    unfinished: bool = False
    in_string: bool = False
    repaired: str = ""


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


_STRICT = json.JSONDecoder(parse_constant=_refuse_constant)
_LENIENT = json.JSONDecoder(parse_constant=_refuse_constant, strict=False)


def decode(text: str) -> Read:
    """The JSON that a text begins with; what stands after it is the caller's to judge."""
    read = _decode(text, _STRICT)
    if read.fault != DUE["Invalid control character at"]:
        return read
    again = _decode(text, _LENIENT)
    if again.value is INVALID:
        return again
    return again._replace(repaired=f"control character {text[read.stop]!r} in a string, {place(text, read.stop)}")


def place(text: str, at: int) -> str:
    """A character's place in words, both counted from 1."""
    return f"line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}"


def where(text: str, at: int, fault: str) -> str:
    """Why a text is not JSON, with line, column and what was found there."""
    found = repr(text[at : at + FOUND]) if text[at:].strip() else "the end"
    return f"the arguments are not JSON: {place(text, at)}: {fault}, found {found}"


def as_object(read: Read, reasons: list[str]) -> tuple[dict[str, object] | None, str]:
    """The arguments as an object, and what is wrong where they are none; repairs go to ``reasons``."""
    value = read.value
    if value is EMPTY:
        reasons.append("empty arguments read as {}")
        return {}, ""
    if value is INVALID:
        return None, read.fault
    if read.repaired:
        reasons.append(read.repaired)
    if isinstance(value, str):
        inner = decode(value.strip())
        if isinstance(inner.value, dict) and inner.stop == len(value.strip()):
            reasons += ["arguments encoded twice", *([inner.repaired] if inner.repaired else [])]
            return inner.value, ""
    if not isinstance(value, dict):
        return None, f"the arguments are {_kind(value)}, not an object"
    return value, ""


def _decode(text: str, decoder: json.JSONDecoder) -> Read:
    try:
        value, stop = decoder.raw_decode(text)
        return Read(value, stop)
    except json.JSONDecodeError as error:
        in_string = error.msg.startswith("Unterminated string")
        fault = DUE.get(error.msg, error.msg)
        return Read(INVALID, error.pos, fault, in_string or _at_the_end(text, error.pos), in_string)
    except RecursionError:
        return Read(INVALID, 0, "objects and lists are nested too deep")
    except ValueError:  # NaN and its like, or a number of more digits than Python reads
        tokens = (m for m in TOKEN.finditer(text) if m["constant"] or len(m["digits"] or "") > MOST_DIGITS)
        match = next(tokens, None)
        fault = f"JSON has no {match['constant']}" if match and match["constant"] else "a number of too many digits"
        return Read(INVALID, match.start() if match else 0, fault)


def _at_the_end(text: str, at: int) -> bool:
    """Whether JSON breaks because nothing more came: at the end, or in a word or an escape that the end cuts."""
    rest = text[at : at + 8].rstrip()
    cut_word = bool(rest) and any(word.startswith(rest) for word in WORDS)
    cut_escape = len(text) - at < 7 and text[max(0, at - 2) : at + 1].find("\\") >= 0
    return not text[at:].strip() or (len(text) - at <= 8 and cut_word) or cut_escape


def _kind(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower().replace("none", "null")
    return "a string" if isinstance(value, str) else "a list" if isinstance(value, list) else "a number"

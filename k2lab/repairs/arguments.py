"""The arguments of earlier calls: text that holds one JSON object, or what is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from k2lab import wire
from k2lab.chat import Message, schemas_by_name
from k2lab.repairs.records import Editor, Problem
from k2lab.wire.identity import required_of

STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
CONTROL = re.compile(r"[\x00-\x1f]")
DEEPEST_ENCODING = 8
"""How many times an object may have been encoded as a string within a string."""

FINDING = "history_arguments_not_json"
FIX = "write the arguments as the text of one JSON object, or take the call and its result out"
KINDS = {list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number", type(None): "null"}


def mend(editor: Editor, tools: Sequence[Mapping[str, object]]) -> None:
    """Write as the text of one object whatever can be read as one only."""
    schemas = schemas_by_name(tools)
    for index, message in enumerate(editor.messages):
        for place, call in enumerate(message.get("tool_calls") or ()):
            function = call["function"]
            before = function.get("arguments")
            after, reason = _mended(before, schemas.get(function["name"]))
            if reason:
                function["arguments"] = after
                editor.note(index, f"tool_calls[{place}].function.arguments", before, after, reason, FINDING)


def problems(messages: Sequence[Message]) -> Iterator[Problem]:
    """Arguments that are no text of a JSON object, with the line and column of what is in the way."""
    for index, message in enumerate(messages):
        for place, call in enumerate(message.get("tool_calls") or ()):
            fault = _fault(call["function"].get("arguments"))
            if fault:
                path = f"messages[{index}].tool_calls[{place}].function.arguments"
                problem = f"arguments of {call['function']['name']}: {fault}"
                yield Problem(message=index, path=path, problem=problem, fix=FIX, finding=FINDING)


def decoded(text: str) -> object:
    """The JSON value of a text; raises ``ValueError`` for anything that RFC 8259 does not allow."""
    return _DECODER.decode(text)


def object_of(value: object) -> Mapping[str, object] | None:
    """The object that arguments say, as text or decoded; ``None`` where they say none."""
    if isinstance(value, str):
        try:
            value = decoded(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, Mapping) else None


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not a JSON value")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def _mended(value: object, schema: Mapping[str, object] | None) -> tuple[object, str]:
    """A value of ``arguments`` and why it was changed; the reason is empty where it was not."""
    if isinstance(value, Mapping):
        return wire.arguments_text(value), "an object written as JSON text"
    if value is None or (isinstance(value, str) and not value.strip()):
        takes_none = schema is not None and not required_of(schema)
        return ("{}", "empty arguments of a tool that requires none") if takes_none else (value, "")
    if not isinstance(value, str):
        return value, ""
    text, reasons = value, []
    for _ in range(DEEPEST_ENCODING):
        found, escaped = _lenient(text)
        if escaped != text:
            text = escaped
            reasons.append("control characters in strings escaped")
        if isinstance(found, Mapping):
            return text, ", ".join(dict.fromkeys(reasons))
        if not isinstance(found, str):
            break
        text = found
        reasons.append("a JSON string that held the arguments opened")
    return value, ""


def _lenient(text: str) -> tuple[object, str]:
    """The value of a text and the text itself, control characters in its strings escaped; ``None`` for no JSON."""
    try:
        return decoded(text), text
    except (ValueError, RecursionError):
        escaped = STRING.sub(lambda string: CONTROL.sub(lambda c: json.dumps(c[0])[1:-1], string[0]), text)
    try:
        return decoded(escaped), escaped
    except (ValueError, RecursionError):
        return None, text


def _fault(value: object) -> str:
    if not isinstance(value, str):
        return "missing" if value is None else f"{KINDS.get(type(value), 'a value')}, not the JSON text of an object"
    if not value.strip():
        return "empty, and the tool requires some or is not declared"
    try:
        found = decoded(value)
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, column {error.colno}"
        next_one = repr(value[error.pos]) if error.pos < len(value) else "the end"
        return f"not JSON: {error.msg.lower()} at {at}, found {next_one}"
    except (ValueError, RecursionError) as error:
        return f"not JSON: {str(error) or 'nested too deeply'}"
    if isinstance(found, Mapping):
        return ""
    return f"{KINDS.get(type(found), 'a value')}, not an object: {value.strip()[:60]}"

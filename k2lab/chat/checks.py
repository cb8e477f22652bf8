"""What a request must be: each part checked, each fault told with its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from k2lab.chat.calls import OBJECT, function_of
from k2lab.errors import RequestError

Message = dict[str, Any]
Tool = dict[str, Any]

SYSTEM_ROLES = ("system", "_input")
"""``_input`` is K2-Vendor-Verifier's name for the system role."""

ROLES = frozenset({"system", "user", "assistant", "tool", "developer", "_input"})
"""Roles that are taken as they are."""


def listed(name: str, value: object) -> Sequence[object]:
    """A list of a request's field ``name``; raises where it is none."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise RequestError(f"{name} must be a list, found {kind(value)}")
    return list(value)


def mapping(name: str, value: object) -> Mapping[str, object]:
    """An object of a request's field ``name``, empty for ``None``; raises where it is none."""
    if value is not None and not isinstance(value, Mapping):
        raise RequestError(f"{name} must be an object, found {kind(value)}")
    return value or {}


def checked_parameters(parameters: Mapping[str, object]) -> dict[str, object]:
    """The parameters, of which those that shape a prompt are checked."""
    mapping("chat_template_kwargs", parameters.get("chat_template_kwargs"))
    return dict(parameters)


def checked_message(index: int, message: object) -> Message:
    """A copy of a message; raises with its place where it is none."""
    fault = message_fault(message)
    if fault:
        raise RequestError(f"messages[{index}]{fault}")
    return dict(message)  # type: ignore[call-overload, no-any-return]


def message_fault(message: object) -> str:
    """What is wrong with a message, to be read behind its place; empty for nothing."""
    if not isinstance(message, OBJECT):
        return f" must be an object, found {kind(message)}"
    role = message.get("role")
    if not isinstance(role, str):
        return f" has no role: add one of {', '.join(sorted(ROLES))}"
    if role not in ROLES:
        return f" has the unknown role {role!r}: use one of {', '.join(sorted(ROLES))}"
    content = message.get("content")
    if content is not None and not isinstance(content, str | list):
        return f".content must be a string, a list of parts or null, found {kind(content)}"
    calls = message.get("tool_calls")
    return "" if calls is None else _calls_fault(calls)


def _calls_fault(calls: object) -> str:
    if not isinstance(calls, list):
        return f".tool_calls must be a list, found {kind(calls)}"
    for index, call in enumerate(calls):
        if not isinstance(function_of(call).get("name"), str):
            return f".tool_calls[{index}] has no function.name"
    return ""


def checked_tool(index: int, tool: object) -> Tool:
    """A copy of a tool; raises with its place where it is none."""
    function = tool.get("function") if isinstance(tool, Mapping) else None
    if not isinstance(tool, Mapping) or not isinstance(function, Mapping):
        raise RequestError(f'tools[{index}] must be {{"type": "function", "function": {{...}}}}')
    if not isinstance(function.get("name"), str) or not function["name"]:
        raise RequestError(f"tools[{index}].function has no name")
    return dict(tool)


def kind(value: object) -> str:
    """A value's kind in JSON's words."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "a number"
    names = {"dict": "an object", "list": "a list", "str": "a string", "NoneType": "null", "bool": "a boolean"}
    return names.get(type(value).__name__, f"a value of type {type(value).__name__}")

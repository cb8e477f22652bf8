"""Tools written anew so that Moonshot's API accepts them, in the form in which they came."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from k2lab.apis import API_NAMES
from k2lab.chat import name_of
from k2lab.check import forms
from k2lab.errors import InputError
from k2lab.mfjs import Fixed, fixed, refusals_of_tools


@dataclass(frozen=True, kw_only=True, slots=True)
class FixedTools:
    """A file's value with other schemas: what was changed by tool, and what is still refused by Moonshot's API."""

    value: Any
    made: tuple[tuple[str, Fixed], ...]
    left: tuple[str, ...]

    @property
    def lost(self) -> Iterator[str]:
        """What of the meaning could not be kept, a line each."""
        return (f"{name}: {loss}" for name, made in self.made for loss in made.lost)


def fixed_tools(value: object) -> FixedTools:
    """The tools of a decoded file, written anew where they are refused; the value that is handed in stays as it is.

    Raises :class:`~k2lab.errors.InputError` where it holds no tools.

    >>> refused = {"name": "pick", "parameters": {"type": "object", "properties": {"a": {"enum": ["x"]}}}}
    >>> fixed_tools([{"type": "function", "function": refused}]).value[0]["function"]["parameters"]["properties"]
    {'a': {'type': 'string', 'enum': ['x']}}
    """
    made: list[tuple[str, Fixed]] = []
    whole = copy.deepcopy(value)
    tools = list(_tools(whole))
    for tool in tools:
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("parameters"), dict):
            continue
        written = fixed(function["parameters"], parameters=True)
        if written.changes:
            function["parameters"] = written.schema
            made.append((name_of(tool) or "a tool without a name", written))
    left = tuple(str(one) for one in refusals_of_tools(tools) if one.refusal.by == "server")
    return FixedTools(value=whole, made=tuple(made), left=left)


def _tools(value: object) -> Iterator[Any]:
    for item in forms.items(value):
        if item.api != "chat":
            raise InputError(f"it is of {API_NAMES[item.api]}: tools are written anew in the chat API's form alone")
        found = item.tools if item.kind == "tools" else None
        if item.kind in ("request", "exchange") and isinstance(item.request, dict):
            found = item.request.get("tools")
        if not isinstance(found, list):
            raise InputError("it holds no list of tools to write anew")
        yield from found

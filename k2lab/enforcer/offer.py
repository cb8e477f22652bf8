"""Which tools an answer may call, and whether it must: the tools and the ``tool_choice`` of a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from k2lab import wire
from k2lab.chat import Request, Tool, name_of, repeated_names, tools_by_name
from k2lab.errors import InputError

Function = Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """The functions that may be called, by name; ``must``: one has to be; ``several``: more than one may."""

    functions: Mapping[str, Function]
    must: bool
    several: bool


def offer_of(request: Request) -> Offer:
    """What a request offers; raises :class:`InputError` for tools or a ``tool_choice`` that no grammar can hold."""
    declared = _by_name(request.tools)
    choice = request.parameters.get("tool_choice") or "auto"
    several = request.parameters.get("parallel_tool_calls") is not False
    if isinstance(choice, Mapping) and choice.get("type") == "allowed_tools":
        declared, choice = _allowed(declared, choice)
    if isinstance(choice, Mapping):
        return Offer(functions=_named(declared, choice), must=True, several=False)
    if choice not in ("auto", "required", "none"):
        raise InputError(f"tool_choice must be auto, required, none or a named tool, not {choice!r}")
    if choice == "required" and not declared:
        raise InputError("tool_choice is required, and no tool is declared")
    return Offer(functions={} if choice == "none" else declared, must=choice == "required", several=several)


def _by_name(tools: Sequence[Tool]) -> dict[str, Function]:
    for name in repeated_names(tools):
        raise InputError(f"two tools are called {name!r}: an id could not say which is meant")
    found = tools_by_name(tools)
    for name in found:
        if not wire.ID.fullmatch(wire.call_id(name, 0)):
            raise InputError(f"tool name {name!r} cannot stand in an id: use letters, digits, '_', '-' and '.'")
    return found


def _named(declared: Mapping[str, Function], choice: Mapping[str, object]) -> dict[str, Function]:
    name = name_of(choice)
    if name is None or name not in declared:
        raise InputError(f"tool_choice names {name!r}, which is not declared: {', '.join(declared) or 'nothing is'}")
    return {name: declared[name]}


def _allowed(declared: Mapping[str, Function], choice: Mapping[str, object]) -> tuple[dict[str, Function], object]:
    """The functions and the mode of a ``tool_choice`` of type ``allowed_tools``."""
    allowed = choice.get("allowed_tools")
    listed = allowed.get("tools") if isinstance(allowed, Mapping) else None
    if not isinstance(allowed, Mapping) or not isinstance(listed, list):
        raise InputError("tool_choice of type allowed_tools has no list allowed_tools.tools")
    names = set(map(name_of, listed))
    missing = sorted(str(name) for name in names - declared.keys())
    if missing:
        raise InputError(f"tool_choice allows {', '.join(missing)}, which is not declared")
    return {name: function for name, function in declared.items() if name in names}, str(allowed.get("mode", "auto"))

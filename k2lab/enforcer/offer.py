"""Which tools an answer may call, and whether it must: the tools and the ``tool_choice`` of a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from k2lab.chat import Choice, Request, Tool, repeated_names, tools_by_name
from k2lab.errors import InputError

Function = Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """The functions that may be called, by name; ``must``: one has to be; ``several``: more than one may."""

    functions: Mapping[str, Function]
    must: bool
    several: bool


def offer_of(request: Request, unnameable: Callable[[str], str]) -> Offer:
    """What a request offers; raises :class:`InputError` for tools or a ``tool_choice`` that no grammar can hold.

    ``unnameable`` says why a tool's name cannot be written, empty where it can.
    """
    declared, choice = _by_name(request.tools, unnameable), request.choice
    if choice.mode == "unknown":
        raise InputError(
            "tool_choice must be auto, required, none or a named tool, or allowed_tools with a mode and a list of"
            f" tools, not {request.parameters['tool_choice']!r:.80}"
        )
    if choice.mode == "required" and not declared:
        raise InputError("tool_choice is required, and no tool is declared")
    several = choice.mode != "named" and request.parameters.get("parallel_tool_calls") is not False
    functions = {} if choice.mode == "none" else _allowed(declared, choice)
    return Offer(functions=functions, must=choice.mode in ("required", "named"), several=several)


def _by_name(tools: Sequence[Tool], unnameable: Callable[[str], str]) -> dict[str, Function]:
    for name in repeated_names(tools):
        raise InputError(f"two tools are called {name!r}: a call could not say which is meant")
    found = tools_by_name(tools)
    for name in found:
        why = unnameable(name)
        if why:
            raise InputError(f"tool name {name!r} {why}")
    return found


def _allowed(declared: dict[str, Function], choice: Choice) -> dict[str, Function]:
    """The functions that a choice names or lists; all where it does neither."""
    if choice.allowed is None:
        return declared
    missing = sorted(choice.allowed - declared.keys())
    if missing:
        raise InputError(
            f"tool_choice names {', '.join(map(repr, missing))}, which is not declared:"
            f" {', '.join(declared) or 'nothing is'}"
        )
    return {name: function for name, function in declared.items() if name in choice.allowed}

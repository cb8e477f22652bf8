"""What Moonshot's API refuses of a list of tools: their names, their number, and the schemas of their parameters.

Names and number are those of https://platform.kimi.ai/docs/api/tool-use; that the
API refuses other characters is reported in MoonshotAI/kimi-cli#1773, and that the
root of the parameters has to name the type ``object`` by users of Kimi K3.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from k2lab import wire
from k2lab.chat.calls import name_of
from k2lab.chat.checks import kind
from k2lab.legible import one_line
from k2lab.mfjs.judging import refusals
from k2lab.mfjs.keywords import refused
from k2lab.mfjs.rulebook import MOST_TOOLS, Refusal

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
LENGTHS = range(3, 65)


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolRefusal:
    """A refusal of one tool: ``index`` in the list, its name, and the refusal, whose path begins in the tool."""

    index: int
    tool: str
    refusal: Refusal

    def __str__(self) -> str:
        return f"{one_line(self.tool, 80)}: {self.refusal}"


def refusals_of_tools(tools: Sequence[object]) -> tuple[ToolRefusal, ...]:
    """Why Moonshot's API refuses a list of tools, and which names cannot stand in the id of a call.

    Takes any list and never raises; paths are JSON pointers in the tool.

    >>> bad = {"name": "21st", "parameters": {"type": "object", "properties": {"a": {"enum": [1]}}}}
    >>> [(why.tool, why.refusal.path) for why in refusals_of_tools([{"type": "function", "function": bad}])]
    [('21st', '/function/name'), ('21st', '/function/parameters/properties/a')]
    """
    counts = Counter(name for name in map(name_of, tools) if name is not None)
    found: list[ToolRefusal] = []
    for index, tool in enumerate(tools):
        name = name_of(tool) or ""
        refusing = [*_of_tool(tool), *_repeated(name, counts[name])]
        if index == MOST_TOOLS:
            words = f"{len(tools):,} tools; at most {MOST_TOOLS} are accepted, so leave some out"
            refusing.append(refused("too_many_tools", "", words))
        found += [ToolRefusal(index=index, tool=name, refusal=refusal) for refusal in refusing]
    return tuple(found)


def _of_tool(tool: object) -> Iterator[Refusal]:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    if not isinstance(function, Mapping):
        anthropic = isinstance(tool, Mapping) and "input_schema" in tool
        words = "it has the form of Anthropic's API; the chat API has input_schema as function.parameters"
        known = "it has no function; a tool has the type function and a function"
        yield refused("tool_without_function", "", words if anthropic else known)
        return
    name = function.get("name")
    if isinstance(name, str) and name:
        yield from refusals_of_name(name)
    else:
        yield refused("name_missing", "/function/name", "the function has no name; give it one")
    yield from _of_parameters(function)


def refusals_of_name(name: str) -> Iterator[Refusal]:
    """Why a name is no good for a tool: refused by the API, no part of an id, or cut by a parser."""
    shown = one_line(repr(name), 60)
    if not NAME.fullmatch(name):
        words = (
            f"{shown} has to begin with a letter or _, and to go on with letters, digits, _ and -; call it otherwise"
        )
        yield refused("name_form", "/function/name", words)
    if len(name) not in LENGTHS:
        words = f"{shown} has {len(name):,} characters; the documentation asks for 3 to 64"
        yield refused("name_length", "/function/name", words)
    if not wire.ID.fullmatch(wire.call_id(name, 0)):
        words = f"{shown} cannot stand in an id of Kimi's format; use letters, digits, _, - and ."
        yield refused("name_not_in_id", "/function/name", words)
    elif "." in name:
        words = f"{shown} has a dot, at which the parser of vLLM 0.11.0 cuts it; call it otherwise"
        yield refused("name_cut", "/function/name", words)


def _repeated(name: str, count: int) -> Iterator[Refusal]:
    if count > 1:
        words = (
            f"{count} tools are called {one_line(repr(name), 60)}; an id could not say which is meant, so rename them"
        )
        yield refused("name_repeated", "/function/name", words)


def _of_parameters(function: Mapping[str, object]) -> Iterator[Refusal]:
    path = "/function/parameters"
    parameters = function.get("parameters")
    if parameters is None:
        words = 'there are no parameters, which the documentation asks for; write {"type": "object", "properties": {}}'
        yield refused("parameters_missing", path, words)
        return
    if isinstance(parameters, Mapping) and parameters.get("type") not in ("object", ["object"]):
        told = one_line(parameters["type"], 40) if "type" in parameters else "no type"
        words = f"the root of the parameters has {told}; it has to be of the type object"
        yield refused("root_not_an_object", path, words)
    elif not isinstance(parameters, Mapping):
        yield refused("not_an_object", path, f"the parameters are {kind(parameters)}; they have to be an object")
        return
    for refusal in refusals(parameters):
        yield replace(refusal, path=path + refusal.path)

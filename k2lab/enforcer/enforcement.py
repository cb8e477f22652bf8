"""The grammar for a whole request: its tools, its choice, the next index, and what the grammar does not hold."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from k2lab import wire
from k2lab.chat import Tool
from k2lab.enforcer.arguments import rule
from k2lab.enforcer.grammar import Grammar, Loss
from k2lab.enforcer.schema import translation as schemas
from k2lab.enforcer.schema.scalars import LONGEST_STRING
from k2lab.enforcer.schema.translation import Limit, Translated
from k2lab.enforcer.tag import FORMS, Form, Thinking, has_macros, request_fields, root
from k2lab.errors import InputError, UnsupportedError

MAX_CALLS = 8
"""Calls that one answer may make; the grammar ends there."""

LARGEST_GRAMMAR_BYTES = 256 << 10
"""A server parses the grammar anew with each request; beyond this that and its first compilation take a second."""

LARGEST_ANY_ORDER_BYTES = 64 << 10
"""Orders of keys that make a grammar larger are given up."""

MOST_PERMUTED = 4
"""Up to so many keys come in any order, more in the schema's: each further one doubles the states."""

Choice = str | Mapping[str, Any]


@dataclass(frozen=True)
class ToolLimit:
    """A part of a tool's schema that the grammar does not hold: an invalid value can pass there."""

    tool: str
    limit: Limit

    def __str__(self) -> str:
        return f"{self.tool}: {self.limit}"


@dataclass(frozen=True)
class ToolLoss:
    """A part of a tool's schema in which some valid values cannot be written."""

    tool: str
    loss: Loss

    def __str__(self) -> str:
        return f"{self.tool}: {self.loss}"


@dataclass(frozen=True)
class Enforcement:
    """The grammar for one request to a server of some ``form``, and what it does not hold or takes too much of.

    A tool with up to ``any_order`` keys may have them in any order, others have
    them in their schema's. In all of its strings and keys :data:`MARKERS` cannot
    be written.
    """

    form: Form
    grammar: str
    first_index: int
    max_calls: int
    any_order: int
    limits: tuple[ToolLimit, ...]
    losses: tuple[ToolLoss, ...]

    @property
    def tag(self) -> dict[str, Any]:
        """The grammar as a structural tag."""
        return {"type": "structural_tag", "format": {"type": "grammar", "grammar": self.grammar}}

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The fields of a chat request that carry it to the server."""
        return request_fields(self.form, self.grammar)

    def to_json(self) -> dict[str, Any]:
        """The tag and the numbers; limits as ``{"tool", "path", "keyword", "reason"}``, losses without keyword."""
        limits = [{"tool": item.tool, **vars(item.limit)} for item in self.limits]
        losses = [{"tool": item.tool, **vars(item.loss)} for item in self.losses]
        names = ("form", "tag", "first_index", "max_calls", "any_order")
        return {**{name: getattr(self, name) for name in names}, "limits": limits, "losses": losses}


def enforce(
    tools: Sequence[Tool],
    *,
    tool_choice: Choice = "auto",
    first_index: int = 0,
    parallel: bool = True,
    max_calls: int = MAX_CALLS,
    thinking: Thinking = "no",
    max_string: int | None = None,
    loosen: bool = False,
    form: Form = "vllm",
) -> Enforcement:
    """The grammar for a request.

    ``first_index`` is the number of calls in the history (:func:`calls_so_far`).
    ``thinking`` tells where reasoning stands, in which anything may be written
    but a marker: nothing would hold a call that is begun there. A vLLM that runs
    with a reasoning parser begins the grammar behind the reasoning by itself,
    wants ``no``, and holds nothing where the reasoning never ends, unless it was
    told ``enable_in_reasoning``. ``max_string`` bounds the characters of strings,
    and with it the size of numbers, that the schema leaves unbounded: a model that
    is made to fill one in which it has nothing to say may write on until it is cut
    off. ``loosen`` goes on where the grammar cannot hold a
    part of a schema; without it that raises :class:`UnsupportedError` with each
    tool, path and keyword. Raises :class:`InputError` for tools or a choice
    that are none, and for tools too many.
    """
    _check(form, first_index, max_calls, max_string)
    tools, tool_choice = _allowed(tools, tool_choice)
    offered = _chosen(_by_name(tools), tool_choice)
    translated = {name: _arguments(name, function) for name, function in offered.items()}
    limits = [ToolLimit(name, limit) for name, made in translated.items() for limit in made.limits]
    if not loosen and any(item.limit.asserted for item in limits):
        listed = "; ".join(str(item) for item in limits if item.limit.asserted)
        raise UnsupportedError(f"the grammar would let invalid arguments pass, loosen these parts or refuse: {listed}")
    most = 1 if not parallel or isinstance(tool_choice, Mapping) else max_calls
    must = tool_choice == "required" or isinstance(tool_choice, Mapping)

    def written(permuted: int) -> tuple[str, list[ToolLoss]]:
        grammar = Grammar(has_macros(form), max_string)
        rules, losses = _rules(grammar, translated, permuted)
        whole = root(grammar, rules, first_index, most, must=must, thinking=thinking)
        return grammar.text(whole), losses

    permuted = MOST_PERMUTED
    text, losses = written(permuted)
    if len(text) > LARGEST_ANY_ORDER_BYTES:
        fewest = len(written(1)[0])
        while len(text) > max(LARGEST_ANY_ORDER_BYTES, fewest):
            permuted -= 1
            text, losses = written(permuted)
    _check_size(text, len(offered), most)
    return Enforcement(form, text, first_index, most, permuted, tuple(limits), tuple(losses))


def calls_so_far(messages: Sequence[Mapping[str, Any]]) -> int:
    """How many calls a history holds: the index of the next one."""
    return sum(len(message.get("tool_calls") or ()) for message in messages)


def attach(request: Mapping[str, Any], **options: Any) -> tuple[dict[str, Any], Enforcement]:
    """A chat request with its grammar; ``options`` are those of :func:`enforce`.

    The server is told ``tool_choice: auto`` whatever the request says, and no
    tool stays ``strict``: with either vLLM 0.32.0 puts its own tag in place of,
    or beside, the one that is sent. What the request asks for is in the grammar.
    """
    made = dict(request)
    tools = [_without_strict(tool) for tool in request.get("tools") or ()]
    settings: dict[str, Any] = {
        "tool_choice": request.get("tool_choice") or ("auto" if tools else "none"),
        "parallel": request.get("parallel_tool_calls") is not False,
        "first_index": calls_so_far(request["messages"]),
        **options,
    }
    made_for = enforce(tools, **settings)
    taken = made_for.fields.keys() & request.keys()
    if taken:
        raise InputError(
            f"the request has a {taken.pop()} of its own, beside which no grammar can be sent: leave it out"
        )
    for name in ("tool_choice", "parallel_tool_calls"):
        made.pop(name, None)
    if tools:
        made |= {"tools": tools, "tool_choice": "auto"}
    return made | made_for.fields, made_for


def _check(form: Form, first_index: int, max_calls: int, max_string: int | None) -> None:
    if form not in FORMS:
        raise InputError(f"form must be one of {', '.join(FORMS)}, not {form!r}")
    if first_index < 0 or max_calls < 1:
        raise InputError(f"first_index and max_calls must not be below 0 and 1: {first_index} and {max_calls}")
    if max_string is not None and not 0 < max_string <= LONGEST_STRING:
        raise InputError(f"max_string must be from 1 to {LONGEST_STRING}, what the grammar can count: {max_string}")


def _by_name(tools: Sequence[Tool]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for tool in tools:
        function = tool["function"]
        name = function["name"]
        if not wire.ID.fullmatch(wire.call_id(name, 0)):
            raise InputError(f"tool name {name!r} cannot stand in an id: use letters, digits, '_', '-' and '.'")
        if name in found:
            raise InputError(f"two tools are called {name!r}: an id could not say which is meant")
        found[name] = function
    return found


def _allowed(tools: Sequence[Tool], choice: Choice) -> tuple[Sequence[Tool], Choice]:
    """The tools and the mode of a ``tool_choice`` of type ``allowed_tools``; any other choice as it is."""
    if not isinstance(choice, Mapping) or choice.get("type") != "allowed_tools":
        return tools, choice
    allowed = choice.get("allowed_tools")
    listed = allowed.get("tools") if isinstance(allowed, Mapping) else None
    if not isinstance(allowed, Mapping) or not isinstance(listed, list):
        raise InputError("tool_choice of type allowed_tools has no list allowed_tools.tools")
    names = {_name_of(item) for item in listed}
    missing = sorted(str(name) for name in names - {tool["function"]["name"] for tool in tools})
    if missing:
        raise InputError(f"tool_choice allows {', '.join(missing)}, which is not declared")
    return [tool for tool in tools if tool["function"]["name"] in names], str(allowed.get("mode", "auto"))


def _name_of(choice: object) -> Any:
    function = choice.get("function") if isinstance(choice, Mapping) else None
    return function.get("name") if isinstance(function, Mapping) else None


def _chosen(tools: dict[str, Mapping[str, Any]], choice: Choice) -> dict[str, Mapping[str, Any]]:
    if choice == "none":
        return {}
    if isinstance(choice, Mapping):
        name = _name_of(choice)
        if name not in tools:
            raise InputError(f"tool_choice names {name!r}, which is not declared: {', '.join(tools) or 'nothing is'}")
        return {str(name): tools[str(name)]}
    if choice not in ("auto", "required"):
        raise InputError(f"tool_choice must be auto, required, none or a named tool, not {choice!r}")
    if choice == "required" and not tools:
        raise InputError("tool_choice is required, and no tool is declared")
    return tools


def _arguments(name: str, function: Mapping[str, Any]) -> Translated:
    """The schema of a tool's arguments as the grammar follows it; arguments are always an object."""
    schema = function.get("parameters")
    try:
        if schema is None or schema is True or schema == {}:
            schema = {"type": "object"}
        if not isinstance(schema, Mapping):
            raise InputError(f"parameters must be a JSON Schema, not {json.dumps(schema)[:80]}")
        return _translated(json.dumps(schema))
    except InputError as error:
        raise InputError(f"tool {name!r}: {error}") from None


@lru_cache(maxsize=1024)
def _translated(schema: str) -> Translated:
    """By the text of the schema: the tools of a conversation come again with each of its turns."""
    return schemas.arguments(json.loads(schema))


def _rules(
    grammar: Grammar, translated: Mapping[str, Translated], permuted: int
) -> tuple[dict[str, str], list[ToolLoss]]:
    """The rule of each tool's arguments."""
    rules, losses = {}, []
    for name, made in translated.items():
        try:
            rules[name] = rule(grammar, made.schema, permuted)
        except InputError as error:
            raise InputError(f"tool {name!r}: {error}") from None
        losses += [ToolLoss(name, loss) for loss in dict.fromkeys(grammar.losses)]
        grammar.losses.clear()
    return rules, losses


def _without_strict(tool: Tool) -> Tool:
    function = tool.get("function")
    if not isinstance(function, Mapping) or "strict" not in function:
        return tool
    return {**tool, "function": {key: value for key, value in function.items() if key != "strict"}}


def _check_size(text: str, tools: int, most: int) -> None:
    if len(text) > LARGEST_GRAMMAR_BYTES:
        raise InputError(
            f"{tools} tools and {most} calls make a grammar of {len(text) >> 10} KiB, at most"
            f" {LARGEST_GRAMMAR_BYTES >> 10} are compiled in reasonable time: offer fewer tools, or allow fewer calls"
            " (max_calls, or parallel_tool_calls false)"
        )

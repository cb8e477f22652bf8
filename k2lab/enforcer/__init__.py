r"""The Enforcer for Kimi K2: only declared tools, only valid arguments, only the right index.

A structural tag (xgrammar's, as vLLM takes it) that leaves text free and, once a
call section is opened, admits nothing but calls of declared tools whose ids are
``functions.NAME:IDX`` with each IDX the very next one of the conversation, whose
arguments follow the tool's schema, and of which there is a bounded number.

The built-in ``kimi`` tag of xgrammar leaves IDX open (``\d+``): a model that is
kept from the tool it wanted can write digits until it is cut off.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from k2lab import wire
from k2lab.chat import Tool
from k2lab.enforcer.guard import EXCLUDES, guard
from k2lab.enforcer.order import MOST_PERMUTED, any_order
from k2lab.enforcer.scalars import LONGEST_STRING
from k2lab.enforcer.schemas import Limit, Translated, translate
from k2lab.errors import InputError, UnsupportedError

__all__ = ["Enforcement", "Thinking", "ToolLimit", "attach", "calls_so_far", "enforce"]

MAX_CALLS = 8
"""Calls that one answer may make; the grammar ends there."""

LARGEST_TAG_BYTES = 256 << 10
"""A server parses the tag anew with each request; beyond this that takes most of a second."""

LARGEST_ANY_ORDER_BYTES = 64 << 10
"""Orders of keys that make a tag larger are given up: parsing so much takes 20 ms, and vLLM 0.32.0 does it twice."""

DEEPEST_TAG = 80
"""vLLM 0.32.0 refuses a tag that is nested deeper: 64 levels for a schema and 16 for what is around it."""

TEXT = {"type": "any_text", "excludes": ["<|tool_call", "<|im_"]}
"""Free text, in which no marker of a call or of a turn may be written; the end of the turn stays allowed."""

WHITE_SPACE = 16
"""Blanks in a row that JSON may hold: room for indented JSON, and no room to run on for ever."""

Choice = str | Mapping[str, Any]

Thinking = Literal["no", "may", "begun"]
"""Whether an answer holds reasoning that the grammar is to leave free: none, perhaps (``<think>`` is the model's, as
with Kimi-K2-Thinking), or from its first token on (``<think>`` ends the prompt, as with K2.5 and later)."""

BEGIN_THINKING, END_THINKING = "<think>", "</think>"


@dataclass(frozen=True)
class ToolLimit:
    """A part of a tool's schema that the grammar does not hold."""

    tool: str
    limit: Limit

    def __str__(self) -> str:
        return f"{self.tool}: {self.limit}"


@dataclass(frozen=True)
class Enforcement:
    """A structural tag for one request; ``structures`` is the form that vLLM before its grammar's rewrite takes.

    A tool with up to ``any_order`` keys may have them in any order, others have
    them in their schema's.
    """

    tag: Mapping[str, Any]
    structures: Mapping[str, Any] | None
    first_index: int
    max_calls: int
    any_order: int
    limits: tuple[ToolLimit, ...]

    def to_json(self) -> dict[str, Any]:
        """The fields but for ``structures``, each limit as ``{"tool", "path", "keyword", "reason"}``."""
        limits = [{"tool": item.tool, **vars(item.limit)} for item in self.limits]
        names = ("tag", "first_index", "max_calls", "any_order")
        return {**{name: getattr(self, name) for name in names}, "limits": limits}


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
) -> Enforcement:
    """The tag for a request.

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
    that are none.
    """
    if first_index < 0 or max_calls < 1:
        raise InputError(f"first_index and max_calls must not be below 0 and 1: {first_index} and {max_calls}")
    if max_string is not None and not 0 < max_string <= LONGEST_STRING:
        raise InputError(
            f"max_string must be from 1 to {LONGEST_STRING}, what the grammar counts rightly: {max_string}"
        )
    offered = _chosen(_by_name(tools), tool_choice)
    arguments, limits = _arguments(offered, max_string)
    if limits and not loosen:
        listed = "; ".join(map(str, limits))
        raise UnsupportedError(f"the grammar would let invalid arguments pass, loosen these parts or refuse: {listed}")
    most = 1 if not parallel or isinstance(tool_choice, Mapping) else max_calls
    ordered, permuted = _ordered(arguments, most)
    section = _section(ordered, first_index, most) if ordered else None
    must = tool_choice == "required" or isinstance(tool_choice, Mapping)
    parts = [*([] if must else [TEXT]), *([section if must else _optional(section)] if section else [])]
    tag = {"type": "structural_tag", "format": _sequence([*_reasoning(thinking), *parts])}
    _check_size(tag, len(offered), most)
    return Enforcement(tag, _structures(arguments, first_index, most), first_index, most, permuted, tuple(limits))


def calls_so_far(messages: Sequence[Mapping[str, Any]]) -> int:
    """How many calls a history holds: the index of the next one."""
    return sum(len(message.get("tool_calls") or ()) for message in messages)


def attach(request: Mapping[str, Any], *, old_form: bool = False, **options: Any) -> tuple[dict[str, Any], Enforcement]:
    """A chat request with its tag; ``options`` are those of :func:`enforce`.

    The server is told ``tool_choice: auto`` whatever the request says, and no
    tool stays ``strict``: with either vLLM 0.32.0 puts its own tag in place of,
    or beside, the one that is sent. What the request asks for is in the tag.
    ``old_form`` is for vLLM 0.11.0.
    """
    made = dict(request)
    tools = [_without_strict(tool) for tool in request.get("tools") or ()]
    choice = request.get("tool_choice") or ("auto" if tools else "none")
    settings: dict[str, Any] = {
        "parallel": request.get("parallel_tool_calls") is not False,
        "first_index": calls_so_far(request["messages"]),
        **options,
    }
    made_for = enforce(tools, tool_choice=choice, **settings)
    form = made_for.structures if old_form else made_for.tag
    if old_form and (choice not in ("auto", "none") or form is None):
        raise UnsupportedError("the older form of structural tags cannot force a call: use a later vLLM")
    for name in ("tool_choice", "parallel_tool_calls"):
        made.pop(name, None)
    if tools:
        made |= {"tools": tools, "tool_choice": "auto"}
    made["structured_outputs"] = {"structural_tag": json.dumps(form, ensure_ascii=False, separators=(",", ":"))}
    return made, made_for


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


def _chosen(tools: dict[str, Mapping[str, Any]], choice: Choice) -> dict[str, Mapping[str, Any]]:
    if choice == "none":
        return {}
    if isinstance(choice, Mapping):
        function = choice.get("function")
        name = function.get("name") if isinstance(function, Mapping) else None
        if name not in tools:
            raise InputError(f"tool_choice names {name!r}, which is not declared: {', '.join(tools) or 'nothing is'}")
        return {str(name): tools[str(name)]}
    if choice not in ("auto", "required"):
        raise InputError(f"tool_choice must be auto, required, none or a named tool, not {choice!r}")
    if choice == "required" and not tools:
        raise InputError("tool_choice is required, and no tool is declared")
    return tools


def _arguments(
    tools: Mapping[str, Mapping[str, Any]], max_string: int | None
) -> tuple[dict[str, Any], list[ToolLimit]]:
    """The schema of each tool's arguments as the grammar follows it; arguments are always an object."""
    made: dict[str, Any] = {}
    limits: list[ToolLimit] = []
    for name, function in tools.items():
        schema = function.get("parameters")
        if schema is None or schema is True or schema == {}:
            schema = {"type": "object"}
        try:
            if not isinstance(schema, Mapping):
                raise InputError(f"parameters must be a JSON Schema, not {json.dumps(schema)[:80]}")
            translated = _translated(json.dumps(schema if "type" in schema else {**schema, "type": "object"}))
            arguments = guard(translated.schema, max_string)
        except InputError as error:
            raise InputError(f"tool {name!r}: {error}") from None
        made[name] = arguments
        limits += [ToolLimit(name, limit) for limit in translated.limits]
    return made, limits


@lru_cache(maxsize=1024)
def _translated(schema: str) -> Translated:
    """By the text of the schema: the tools of a conversation come again with each of its turns."""
    return translate(json.loads(schema))


def _ordered(arguments: Mapping[str, Any], most: int) -> tuple[dict[str, Any], int]:
    """Arguments with their keys in any order, for tools of up to as many keys as the size of the tag allows."""
    for permuted in range(MOST_PERMUTED, 1, -1):
        made = {name: any_order(schema, permuted) for name, schema in arguments.items()}
        if most * len(json.dumps(made)) <= LARGEST_ANY_ORDER_BYTES:
            return made, permuted
    return dict(arguments), 1


def _section(arguments: Mapping[str, Any], first_index: int, most: int) -> dict[str, Any]:
    calls: dict[str, Any] | None = None
    for index in reversed(range(first_index, first_index + most)):
        one = _either([_call(name, schema, index) for name, schema in arguments.items()])
        calls = _sequence([one, _optional(calls)]) if calls else one
    return _sequence([_const(wire.SECTION_BEGIN), *([calls] if calls else []), _const(wire.SECTION_END)])


def _call(name: str, schema: Mapping[str, Any], index: int) -> dict[str, Any]:
    begin = f"{wire.CALL_BEGIN}{wire.call_id(name, index)}{wire.ARGUMENT_BEGIN}"
    options = {"max_whitespace_cnt": WHITE_SPACE, "excludes": list(EXCLUDES)}
    body = {"type": "json_schema", "json_schema": schema, **options}
    return _sequence([_const(begin), body, _const(wire.CALL_END)])


def _structures(arguments: Mapping[str, Any], first_index: int, most: int) -> dict[str, Any] | None:
    """The older form: begin, schema and end after a trigger. Of several calls it holds the indexes, not their order."""
    if not arguments:
        return None
    outer = (wire.SECTION_BEGIN, wire.SECTION_END) if most == 1 else ("", "")
    made = [
        {
            "begin": f"{outer[0]}{wire.CALL_BEGIN}{wire.call_id(name, index)}{wire.ARGUMENT_BEGIN}",
            "schema": schema,
            "end": f"{wire.CALL_END}{outer[1]}",
        }
        for index in range(first_index, first_index + most)
        for name, schema in arguments.items()
    ]
    return {"type": "structural_tag", "structures": made, "triggers": [outer[0] or wire.CALL_BEGIN]}


def _reasoning(thinking: Thinking) -> list[dict[str, Any]]:
    if thinking == "no":
        return []
    begin = "" if thinking == "begun" else BEGIN_THINKING
    free = {"type": "tag", "begin": begin, "content": TEXT, "end": END_THINKING}
    return [free if thinking == "begun" else _optional(free), {"type": "regex", "pattern": "\\s*"}]


def _without_strict(tool: Tool) -> Tool:
    function = tool.get("function")
    if not isinstance(function, Mapping) or "strict" not in function:
        return tool
    return {**tool, "function": {key: value for key, value in function.items() if key != "strict"}}


def _check_size(tag: Mapping[str, Any], tools: int, most: int) -> None:
    size = len(json.dumps(tag))
    if size > LARGEST_TAG_BYTES:
        raise InputError(
            f"{tools} tools and {most} calls make a tag of {size >> 10} KiB, at most {LARGEST_TAG_BYTES >> 10} are"
            " compiled in reasonable time: offer fewer tools, or allow fewer calls (max_calls)"
        )
    depth = _depth(tag)
    if depth > DEEPEST_TAG:
        raise InputError(
            f"{most} calls nest the tag {depth} levels deep, vLLM takes {DEEPEST_TAG}: allow fewer (max_calls)"
        )


def _depth(value: Any) -> int:
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, parts), default=0)


def _const(value: str) -> dict[str, Any]:
    return {"type": "const_string", "value": value}


def _optional(content: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "optional", "content": content}


def _either(formats: list[dict[str, Any]]) -> dict[str, Any]:
    return formats[0] if len(formats) == 1 else {"type": "or", "elements": formats}


def _sequence(formats: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return dict(formats[0]) if len(formats) == 1 else {"type": "sequence", "elements": list(formats)}

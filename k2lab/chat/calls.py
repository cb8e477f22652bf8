"""Tool calls and tools by name: what every room asks of them, asked in one place.

A model may write anything for a call, and a server may pass it on: reading one
never raises. What is not there is ``None``, and what is wrong is said in words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from k2lab.errors import first_line
from k2lab.jsonread import MOST_LEVELS, is_deep

OBJECT = (dict, Mapping)
"""For ``isinstance``: an object of JSON is a ``dict`` nearly always, which is told in a fifth of the time."""

NO_ARGUMENTS = "there are no arguments"

_SORTED = json.JSONEncoder(sort_keys=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCall:
    """A call as an answer or a history has it.

    ``arguments`` are as they came: JSON text as the API asks, or decoded already.

    >>> call = k2lab.ToolCall.of({"id": "functions.f:0", "function": {"name": "f", "arguments": '{"x": 1}'}})
    >>> call.name, call.value
    ('f', {'x': 1})
    """

    name: str | None
    arguments: object = None
    id: object = None
    raw: object = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, call: object) -> ToolCall:
        """A call of the chat API's form; of whatever else comes, what there is of it."""
        function = function_of(call)
        name = function.get("name")
        return cls(
            name=name if isinstance(name, str) and name else None,
            arguments=function.get("arguments"),
            id=call.get("id") if isinstance(call, OBJECT) else None,
            raw=call,
        )

    @property
    def value(self) -> object:
        """The decoded arguments; ``None`` where they are no JSON."""
        return decoded(self.arguments)[0]

    @property
    def problem(self) -> str:
        """What is wrong with the arguments as JSON, in a line; empty for nothing."""
        return decoded(self.arguments)[1]

    def to_json(self) -> dict[str, object]:
        """The call in the chat API's form, its arguments as text."""
        text = self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments, ensure_ascii=False)
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": text}}


def calls_of(message: Mapping[str, object]) -> tuple[ToolCall, ...]:
    """The calls of a message, none for what holds none."""
    calls = message.get("tool_calls")
    return tuple(map(ToolCall.of, calls)) if isinstance(calls, list | tuple) else ()


def count_calls(messages: Iterable[Mapping[str, object]]) -> int:
    """How many calls the messages hold: the index of the next one in Kimi K2's numbering."""
    return sum(len(calls) for message in messages if isinstance(calls := message.get("tool_calls"), list | tuple))


def decoded(arguments: object) -> tuple[object, str]:
    """The JSON value of a call's arguments, and what is wrong with them; a server may send them decoded already."""
    if not isinstance(arguments, str):
        return arguments, "" if arguments is not None else NO_ARGUMENTS
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError) as error:
        return None, f"{first_line(error)}: {arguments[:100]!r}"
    if arguments.count("[") + arguments.count("{") > MOST_LEVELS and is_deep(value):
        return None, f"nested deeper than {MOST_LEVELS} levels: {arguments[:100]!r}"
    return value, ""


def canonical(calls: Iterable[ToolCall]) -> str:
    """Names and arguments of calls as one text, by which two answers call the same; empty for no call.

    Keys are sorted and equal numbers written alike, as JSON Schema counts 1.0 and
    1 as one number; arguments that are no JSON stand as the text that they are.

    >>> one, two = ToolCall(name="f", arguments='{"a": 1, "b": 2.0}'), ToolCall(name="f", arguments={"b": 2, "a": 1})
    >>> canonical([one]) == canonical([two])
    True
    """
    said = [_one_form(call) for call in calls]
    return f"[{', '.join(said)}]" if said else ""


def _one_form(call: ToolCall) -> str:
    """Arguments that are nested deeper than Python goes stand as the text that they are."""
    value, problem = decoded(call.arguments)
    try:
        return _SORTED.encode([call.name, call.arguments if problem else _numbered(value)])
    except RecursionError:
        return json.dumps([call.name, call.arguments if isinstance(call.arguments, str) else None])


def function_of(item: object) -> Mapping[str, object]:
    """The function of a call, or of a tool; empty for what is none."""
    function = item.get("function") if isinstance(item, OBJECT) else None
    return function if isinstance(function, OBJECT) else {}


def name_of(item: object) -> str | None:
    """The name of a tool or a call, where it has one."""
    name = function_of(item).get("name")
    return name if isinstance(name, str) and name else None


def tools_by_name(tools: object) -> dict[str, Mapping[str, object]]:
    """The function of each tool by its name; the first counts where a name stands twice, as with K2-Vendor-Verifier.

    What is no tool is passed over.

    >>> list(tools_by_name([{"type": "function", "function": {"name": "search"}}]))
    ['search']
    """
    found: dict[str, Mapping[str, object]] = {}
    for tool in tools if isinstance(tools, Iterable) else ():
        function = function_of(tool)
        name = function.get("name")
        if isinstance(name, str) and name:
            found.setdefault(name, function)
    return found


def schemas_by_name(tools: object) -> dict[str, Mapping[str, object]]:
    """The schema of each tool's parameters by its name, empty where it has none; the first of a name counts."""
    found = {name: function.get("parameters") for name, function in tools_by_name(tools).items()}
    return {name: schema if isinstance(schema, OBJECT) else {} for name, schema in found.items()}


def repeated_names(tools: Iterable[object]) -> tuple[str, ...]:
    """Names under which more than one tool stands, in order."""
    names = [name for name in map(name_of, tools) if name is not None]
    return tuple(dict.fromkeys(name for name in names if names.count(name) > 1))


def _numbered(value: object) -> object:
    """A value with whole floats as integers."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _numbered(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbered(item) for item in value]
    return value

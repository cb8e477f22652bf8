"""Tools as they are offered, and what a model may say to them."""

from k2lab import wire
from k2lab.chat import Request
from k2lab.enforcer import Options, enforce

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NOTE = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "prio": {"type": "integer"}},
    "required": ["text"],
}


def tool(name, parameters=None):
    function = {"name": name} if parameters is None else {"name": name, "parameters": parameters}
    return {"type": "function", "function": function}


def many(tools, keys):
    """Tools with so many keys, none like another."""
    return [
        tool(f"server_{i}_action", {"properties": {f"key_{i}_{k}": {"type": "string"} for k in range(keys)}})
        for i in range(tools)
    ]


TOOLS = [tool("get_weather", CITY), tool("add_note", NOTE), tool("now")]
NAMED = {"type": "function", "function": {"name": "get_weather"}}


TALK = [{"role": "user", "content": "hi"}]


def enforced(tools, *, tool_choice="auto", parallel=True, **options):
    """The grammar of a first turn in which some tools are offered."""
    parameters = {"tool_choice": tool_choice, "parallel_tool_calls": parallel}
    return enforce(Request.of(TALK, tools, parameters), options=Options(**options))


def said(*calls, first=3, text=""):
    return wire.format_calls(calls, text, first_index=first)


def string_tool(**schema):
    return [tool("write", {"properties": {"text": {"type": "string", **schema}}, "required": ["text"]})]

"""Histories, and how they are repaired in tests."""

from k2lab import wire

USER = {"role": "user", "content": "go"}
TOOLS = [
    {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
    {"type": "function", "function": {"name": "search", "parameters": {"type": "object", "required": ["q"]}}},
]
SECTION = (
    f"{wire.SECTION_BEGIN}{wire.CALL_BEGIN}functions.now:0{wire.ARGUMENT_BEGIN}{{}}{wire.CALL_END}{wire.SECTION_END}"
)


def result(call_id="x", content="12:00"):
    return {"role": "tool", "tool_call_id": call_id, "content": content}

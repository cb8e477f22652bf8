"""A raw output of the model as an assistant message of the chat API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from k2lab import wire
from k2lab.chat import Message
from k2lab.families import Family
from k2lab.repairs.records import RepairedOutput


def repair_output(
    text: str,
    tools: Sequence[Mapping[str, object]],
    *,
    first_index: int = 0,
    thinking: bool | None = None,
    family: Family | None = None,
) -> RepairedOutput:
    """An assistant message from a raw output, by the tolerant parse.

    Ids run on from ``first_index``, the number of calls in the history. Calls
    that are not usable are left out of ``tool_calls`` and named in ``changes``.
    ``family`` is the model's, by default the one that the output's markers say;
    one whose calls have no ids, as K3, gets ids that say nothing.

    >>> tools = [{"type": "function", "function": {"name": "search"}}]
    >>> raw = ("<|tool_calls_section_begin|><|tool_call_begin|>search:0<|tool_call_argument_begin|>{}"
    ...        "<|tool_call_end|><|tool_calls_section_end|>")
    >>> k2lab.repair_output(raw, tools, first_index=3).message["tool_calls"][0]["id"]
    'functions.search:3'
    """
    parsed = wire.parse(text, tools, thinking=thinking, family=family)
    calls: list[dict[str, object]] = []
    changes: list[str] = []
    for call in parsed.calls:
        if not call.usable:
            changes.append(f"left out: {call.status}: {call.reason}")
            continue
        if call.reason:
            changes.append(f"repaired: {call.reason}")
        index = first_index + len(calls)
        made = wire.call_id(str(call.name), index) if parsed.family.numbers_ids else f"call_{index}"
        arguments = call.arguments_raw.strip() if call.status == "ok" else wire.arguments_text(call.arguments or {})
        calls.append({"id": made, "type": "function", "function": {"name": call.name, "arguments": arguments}})
    message: Message = {"role": "assistant", "content": parsed.content}
    if parsed.reasoning is not None:
        message["reasoning_content"] = parsed.reasoning
    if calls:
        message["tool_calls"] = calls
    return RepairedOutput(message=message, changes=tuple(changes))

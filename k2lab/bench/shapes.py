"""The shape of an answer that can be judged: JSON with a choice, a message and an ending; or why it is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from k2lab import wire
from k2lab.families import Family
from k2lab.server.shapes import answer_of
from k2lab.server.transport import Failed


def finish_reason(data: Mapping[str, object]) -> str:
    """How a chat answer ended; raises :class:`Failed` where it has no message or does not say so."""
    choice = answer_of(data)
    if choice.message is None:
        raise Failed.of("garbage", "an answer without a message")
    if choice.finish_reason is None:
        raise Failed.of("incomplete", "an answer without a finish_reason")
    return choice.finish_reason


def as_chat(
    answer: Mapping[str, object], tools: Sequence[Mapping[str, object]] | None, family: Family | None = None
) -> dict[str, object]:
    """A plain completion read as the chat answer that a server with a tolerant parser makes of it.

    A call that names a tool and has arguments is a call, right or wrong; what is
    malformed stays content, but for a call that the end of the room cut off.
    The raw text is kept as ``completion``. Raises :class:`Failed` where there is
    no text.
    """
    choice = answer_of(answer)
    text = choice.text
    if text is None:
        raise Failed.of("garbage", "a completion without a text")
    parsed = wire.parse(text, tools, family=family)
    finish = choice.finish_reason
    calls, content = [], parsed.content or ""
    for call in parsed.calls:
        if call.name and call.status not in ("malformed", "truncated"):
            calls.append(_as_call(call))
        elif call.status != "truncated" or finish != "length":
            content += call.raw
    message: dict[str, object] = {"role": "assistant", "content": content or None, "tool_calls": calls or None}
    if parsed.reasoning:
        message["reasoning_content"] = parsed.reasoning
    finish = "tool_calls" if calls and finish == "stop" else finish
    return {**answer, "choices": [{"index": 0, "message": message, "finish_reason": finish, "completion": text}]}


def _as_call(call: wire.Call) -> dict[str, object]:
    mended = call.status == "repaired" and call.arguments is not None
    arguments = wire.arguments_text(call.arguments or {}) if mended else call.arguments_raw
    made = call.id or f"call_{call.index}"
    return {"id": made, "type": "function", "function": {"name": call.name, "arguments": arguments}}

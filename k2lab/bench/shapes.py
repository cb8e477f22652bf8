"""The shape of an answer that can be judged: JSON with a choice, a message and an ending; or why it is none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from k2lab import wire
from k2lab.server.transport import Failure, FailureKind


class Failed(Exception):
    """Carries a :class:`~k2lab.server.transport.Failure` up to where the attempt is recorded."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure

    @classmethod
    def of(cls, kind: FailureKind, detail: str) -> Failed:
        """By the kind of failure and its words."""
        return cls(Failure(kind=kind, detail=detail))


def json_object(text: str) -> dict[str, object]:
    """The JSON object that a text is; raises :class:`Failed` where it is none."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise Failed.of("garbage", f"not JSON: {text[:80]!r}") from None
    if not isinstance(data, dict):
        raise Failed.of("garbage", f"not a JSON object: {text[:80]!r}")
    return data


def first_choice(data: Mapping[str, object]) -> Mapping[str, object]:
    """The answer's first choice; raises :class:`Failed` where there is none."""
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Failed.of("garbage", "an answer without choices")
    return choices[0]


def finish_reason(data: Mapping[str, object]) -> str:
    """How a chat answer ended; raises :class:`Failed` where it has no message or does not say so."""
    choice = first_choice(data)
    if not isinstance(choice.get("message"), dict):
        raise Failed.of("garbage", "an answer without a message")
    reason = choice.get("finish_reason")
    if not isinstance(reason, str):
        raise Failed.of("incomplete", "an answer without a finish_reason")
    return reason


def as_chat(answer: Mapping[str, object], tools: Sequence[Mapping[str, object]] | None) -> dict[str, object]:
    """A plain completion read as the chat answer that a server with a tolerant parser makes of it.

    A call that names a tool and has arguments is a call, right or wrong; what is
    malformed stays content, but for a call that the end of the room cut off.
    The raw text is kept as ``completion``. Raises :class:`Failed` where there is
    no text.
    """
    choice = first_choice(answer)
    text = choice.get("text")
    if not isinstance(text, str):
        raise Failed.of("garbage", "a completion without a text")
    parsed = wire.parse(text, tools)
    finish = choice.get("finish_reason")
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
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}

"""Messages as other libraries keep them, brought into the form of the chat API; what that loses is named.

The parts of OpenTelemetry's GenAI conventions are those of
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-input-messages.json and
gen-ai-output-messages.json.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from k2lab.audit.forms.base import decoded, encoded

FINISH = {"tool_call": "tool_calls"}
"""What the conventions call otherwise than the API."""


def value_in(value: object) -> object:
    """A value, out of a text of JSON where it stands in one."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return decoded(value.encode("utf-8", "surrogatepass"))
        except ValueError:
            return value
    return value


def from_parts(messages: object) -> Iterator[dict[str, object]]:
    """Chat messages of messages in parts; one without parts is passed on as it is.

    >>> part = {"type": "tool_call_response", "id": "functions.now:0", "response": "12:00"}
    >>> list(from_parts([{"role": "tool", "parts": [part]}]))
    [{'role': 'tool', 'tool_call_id': 'functions.now:0', 'content': '12:00'}]
    """
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, Mapping) or not isinstance(message.get("parts"), list):
            yield message
            continue
        parts = [part for part in message["parts"] if isinstance(part, Mapping)]
        results = [part for part in parts if part.get("type") == "tool_call_response"]
        others = [part for part in parts if part.get("type") != "tool_call_response"]
        if others or not results:
            yield _message(message, others)
        for part in results:
            said = part.get("response", part.get("result"))
            yield {"role": "tool", "tool_call_id": part.get("id"), "content": _text(said)}


def _message(message: Mapping[str, object], parts: Sequence[Mapping[str, object]]) -> dict[str, object]:
    calls = [_call(part) for part in parts if part.get("type") == "tool_call"]
    thoughts = [_text(part.get("content")) for part in parts if part.get("type") in ("reasoning", "thinking")]
    said = [part for part in parts if part.get("type") not in ("tool_call", "reasoning", "thinking")]
    made: dict[str, object] = {"role": message.get("role"), "content": _content(said)}
    if calls:
        made["tool_calls"] = calls
    if thoughts:
        made["reasoning_content"] = "".join(thoughts)
    return made


def _content(parts: Sequence[Mapping[str, object]]) -> object:
    if not parts:
        return None
    if all(part.get("type") == "text" for part in parts):
        return "".join(_text(part.get("content")) for part in parts)
    return [
        {"type": "text", "text": _text(part.get("content"))} if part.get("type") == "text" else dict(part)
        for part in parts
    ]


def _call(part: Mapping[str, object]) -> dict[str, object]:
    function = {"name": part.get("name"), "arguments": _text(part.get("arguments"))}
    return {"id": part.get("id"), "type": "function", "function": function}


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else encoded(value).decode()


def has_decoded_arguments(messages: object) -> bool:
    """Whether a call's arguments stand there as a value: then their text is lost, and whether it was JSON with it."""
    return any(
        isinstance(part, Mapping) and part.get("type") == "tool_call" and not isinstance(part.get("arguments"), str)
        for message in (messages if isinstance(messages, list) else ())
        if isinstance(message, Mapping) and isinstance(message.get("parts"), list)
        for part in message["parts"]
    )


def tools_from(value: object) -> list[object] | None:
    """Tools in the form of the chat API; ``None`` where none are to be made out."""
    tools = value_in(value)
    if not isinstance(tools, list) or not tools or not all(isinstance(value_in(tool), Mapping) for tool in tools):
        return None
    made: list[object] = []
    for tool in map(value_in, tools):
        assert isinstance(tool, Mapping)
        if isinstance(tool.get("function"), Mapping) or "name" not in tool:
            made.append(tool)
        else:
            made.append({"type": "function", "function": {name: tool[name] for name in tool if name != "type"}})
    return made


def answer_of(choices: Sequence[Mapping[str, object]], reasons: Sequence[object] = ()) -> dict[str, object]:
    """An answer of output messages in parts; ``reasons`` are those of the choices, where the messages have none."""
    made = []
    for index, said in enumerate(choices):
        reason = said.get("finish_reason") or (reasons[index] if index < len(reasons) else None)
        message = next(from_parts([said]), {})
        message = {name: value for name, value in message.items() if name != "finish_reason"}
        named = FINISH.get(reason, reason) if isinstance(reason, str) else reason
        made.append({"index": index, "finish_reason": named, "message": message})
    return {"choices": made}

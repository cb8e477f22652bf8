"""What a server makes of a request before its template sees it: contents as lists of parts, arguments as objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from k2lab.chat import Request, decoded


def as_served(request: Request) -> Request:
    """The request as vLLM hands it to a template that it takes for one of lists of parts.

    Each content that is a text becomes a list of one part, an empty one too, and
    arguments of earlier calls are decoded. vLLM 0.11.0 does both to every message
    (its ``chat_utils.py``: the detected content format, and ``_postprocess_messages``).

    >>> from k2lab.chat import Request
    >>> as_served(Request.of([{"role": "user", "content": "Hello"}])).messages[0]["content"]
    [{'type': 'text', 'text': 'Hello'}]
    """
    handed = with_decoded_arguments(request)
    return replace(handed, messages=tuple(_in_parts(message) for message in handed.messages))


def with_decoded_arguments(request: Request) -> Request:
    """The arguments of earlier calls as objects, which a template prints as JSON of its own."""
    messages = request.to_json()["messages"]
    for message in messages:
        for call in message.get("tool_calls") or ():
            value, problem = decoded(call["function"].get("arguments"))
            if not problem:
                call["function"]["arguments"] = value
    return request.with_messages(messages)


def _in_parts(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    return {**message, "content": [{"type": "text", "text": content}]} if isinstance(content, str) else dict(message)

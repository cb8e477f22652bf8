"""Which API a request or an answer is of, told by its form or by the path that it was sent to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from k2lab.apis.records import PATH_OF, Api, listed, word
from k2lab.chat.calls import OBJECT

PATHS: Mapping[str, Api] = {**{path: api for api, path in PATH_OF.items()}, "/completions": "chat"}
"""Ends of paths, each with the API that is asked there."""

OF_EMBEDDINGS = frozenset({"encoding_format", "dimensions"})
CHOICES = frozenset({"auto", "any", "tool", "none"})
BLOCKS = frozenset({"tool_use", "tool_result", "thinking", "redacted_thinking", "server_tool_use", "document"})


def api_of_path(path: str) -> Api | None:
    """The API that a path asks; ``None`` for another path.

    >>> api_of_path("/v1/responses"), api_of_path("/v1/messages/count_tokens")
    ('responses', None)
    """
    return next((api for end, api in PATHS.items() if path.endswith(end)), None)


def api_of_answer(answer: object) -> Api | None:
    """The API of an answer's form; ``None`` where it has that of none, or is an error of whichever."""
    if not isinstance(answer, OBJECT):
        return None
    if "choices" in answer:
        return "chat"
    if answer.get("object") == "response" or (isinstance(answer.get("output"), list) and "status" in answer):
        return "responses"
    of_messages = answer.get("type") == "message" and "stop_reason" in answer
    return "messages" if of_messages or answer.get("type") == "error" else None


def api_of_request(request: object) -> Api | None:
    """The API of a request's form; ``None`` where it has that of none.

    A request of the Messages API differs from a chat request in small things: it is
    taken for one where it says ``max_tokens``, as that API asks, has something that
    the chat API lacks, and nothing that only the chat API has.

    >>> api_of_request({"model": "m", "input": "Hi"}), api_of_request({"messages": [], "max_tokens": 9})
    ('responses', 'chat')
    """
    if not isinstance(request, OBJECT):
        return None
    if "messages" in request:
        return "messages" if "max_tokens" in request and _is_of_messages(request) else "chat"
    if "prompt" in request and not {"input", "instructions"} & request.keys():
        return "chat" if not isinstance(request["prompt"], Mapping) else "responses"
    given = request.get("input")
    items = isinstance(given, list) and (not given or any(isinstance(item, Mapping) for item in given))
    named = bool({"model", "tools", "instructions", "previous_response_id"} & request.keys())
    return "responses" if (items or isinstance(given, str)) and named and not OF_EMBEDDINGS & request.keys() else None


def api_of(request: object, answer: object) -> Api:
    """The API of an exchange's request: that of its form; of chat and Messages, which are alike, that of the answer's.

    >>> api_of({"messages": []}, {"type": "message", "content": [], "stop_reason": "end_turn"})
    'messages'
    """
    asked, said = api_of_request(request), api_of_answer(answer)
    if asked is None:
        return said or "chat"
    return asked if asked == "responses" or said in (None, "responses") else said


def _is_of_messages(request: Mapping[str, Any]) -> bool:
    messages, tools = listed(request.get("messages")), listed(request.get("tools"))
    if any("function" in tool for tool in tools if isinstance(tool, Mapping)):
        return False
    if any(_is_of_chat(message) for message in messages):
        return False
    beside = bool(request.get("system")) or "stop_sequences" in request
    choice = word(request.get("tool_choice"), "type") in CHOICES
    return beside or choice or any(map(_has_schema, tools)) or any(map(_has_blocks, messages))


def _is_of_chat(message: object) -> bool:
    return isinstance(message, Mapping) and ("tool_calls" in message or message.get("role") in ("tool", "developer"))


def _has_schema(tool: object) -> bool:
    return isinstance(tool, Mapping) and "input_schema" in tool


def _has_blocks(message: object) -> bool:
    content = message.get("content") if isinstance(message, Mapping) else None
    return any(word(block, "type") in BLOCKS or _is_cached(block) for block in listed(content))


def _is_cached(block: object) -> bool:
    return isinstance(block, Mapping) and "cache_control" in block

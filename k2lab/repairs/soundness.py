"""Whether a history is of the documented form throughout: what most are, told in a fraction of a repair's time."""

from __future__ import annotations

import re
from collections.abc import Mapping

from k2lab import wire
from k2lab.chat import Request
from k2lab.families import Family
from k2lab.repairs import reasoning
from k2lab.repairs.arguments import object_of

FIELDS = {"role", "content", "tool_calls", "tool_call_id", "name", "reasoning_content"}
CALL_FIELDS = {"id", "type", "function"}
IN_BRACKETS = re.compile(r"\[(?:BOS|EOS|EOT|UNK|PAD)\]")
"""Added tokens without ``<|`` and ``think>``, one of which stands in all the others."""


def is_plain(request: Request, family: Family) -> bool:
    """Whether a repair surely changes nothing in the messages and names no problem of them.

    ``False`` says nothing: the repair is to be asked. Tools are not looked at.

    >>> is_plain(k2lab.Request.of([{"role": "user", "content": "Hello"}]), k2lab.families.K2)
    True
    """
    return keeps_form(request, family) and not reasoning.missing(request, family)


def keeps_form(request: Request, family: Family) -> bool:
    """Whether a repair surely changes nothing in the messages, and reasoning is all that can be missing in them."""
    messages = request.messages
    if not messages or not family.numbers_ids or request.parameters.get("system"):
        return False
    waiting: list[str] = []
    count = 0
    for message in messages:
        role = message["role"]
        if not message.keys() <= FIELDS or not _is_plain_text(message.get("name", "")):
            return False
        if "reasoning_content" in message and (role != "assistant" or not _is_plain_text(message["reasoning_content"])):
            return False
        if (role == "tool") != bool(waiting) or ("tool_calls" in message and role != "assistant"):
            return False
        if role == "tool" and (message.get("tool_call_id") != waiting.pop(0) or "tool_calls" in message):
            return False
        if role == "assistant" and message.get("tool_calls"):
            waiting = _ids(message["tool_calls"], count)
            count += len(waiting)
            if not waiting or message.get("content") == "":
                return False
        elif role not in ("user", "system", "tool", "assistant") or not message.get("content"):
            return False
        if not _is_plain_text(message.get("content") or ""):
            return False
    return not waiting


def _ids(calls: object, count: int) -> list[str]:
    """The ids of calls that are all of the documented form, as the count goes on; none where one is not."""
    found: list[str] = []
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, Mapping) and call.keys() <= CALL_FIELDS else None
        if not isinstance(function, Mapping):
            return []
        name = function.get("name")
        if not isinstance(name, str) or call.get("id") != wire.call_id(name, count + len(found)):
            return []
        arguments = function.get("arguments")
        if not isinstance(arguments, str) or "\\u" in arguments or not _is_plain_text(name + arguments):
            return []
        if object_of(arguments) is None:
            return []
        found.append(call["id"])
    return found


def _is_plain_text(text: object) -> bool:
    if not isinstance(text, str) or "<|" in text or "think>" in text:
        return False
    return "[" not in text or IN_BRACKETS.search(text) is None

"""A streamed chat answer put together again: the events of one response into the response they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEXT_FIELDS = ("content", "reasoning_content", "reasoning", "refusal")


class Assembly:
    """Takes decoded events in order; :meth:`response` is the whole, in the shape of an answer that was not streamed.

    Calls are told apart by their index. A server that gives none (``null``)
    begins a new call with each new id, and what comes without an id belongs to
    the call before it.
    """

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self._head: dict[str, Any] = {}
        self._usage: Any = None
        self._texts: dict[str, list[str]] = {}
        self._calls: list[dict[str, Any]] = []
        self._place: dict[int, dict[str, Any]] = {}
        self._token_ids: list[int] = []

    def event(self, event: Mapping[str, Any]) -> None:
        """Take one event; one that is not of the API's shape raises TypeError, AttributeError or ValueError."""
        for key in ("id", "created", "model"):
            if event.get(key):
                self._head.setdefault(key, event[key])
        self._usage = event.get("usage") or self._usage
        for choice in event.get("choices") or ():
            if choice.get("index"):
                continue  # a second choice is another answer
            self._usage = choice.get("usage") or self._usage  # where Moonshot's API puts it
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            self._token_ids += choice.get("token_ids") or ()
            delta = choice.get("delta") or {}
            for name in TEXT_FIELDS:
                if delta.get(name):
                    self._texts.setdefault(name, []).append(_text(delta[name]))
            for part in delta.get("tool_calls") or ():
                self._add(part)

    def response(self) -> dict[str, Any]:
        """The answer as ``/chat/completions`` gives it at once; ``finish_reason`` is ``None`` when none came."""
        message: dict[str, Any] = {"role": "assistant", "content": None}
        message |= {name: "".join(parts) for name, parts in self._texts.items()}
        for call in self._calls:
            call["function"]["arguments"] = "".join(call["function"]["arguments"])
        message["tool_calls"] = self._calls or None
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        if self._token_ids:  # vLLM gives them where they are asked for (return_token_ids)
            choice["token_ids"] = self._token_ids
        return {**self._head, "object": "chat.completion", "choices": [choice], "usage": self._usage}

    def _add(self, part: Mapping[str, Any]) -> None:
        call = self._call_of(part)
        call["id"] = call["id"] or part.get("id")
        function = part.get("function") or {}
        call["function"]["name"] = function.get("name") or call["function"]["name"]
        if function.get("arguments"):
            call["function"]["arguments"].append(_text(function["arguments"]))

    def _call_of(self, part: Mapping[str, Any]) -> dict[str, Any]:
        index = part.get("index")
        if index is None:
            same = self._calls and (not part.get("id") or part["id"] == self._calls[-1]["id"])
            return self._calls[-1] if same else self._new()
        if index not in self._place:
            self._place[index] = self._new()
        return self._place[index]

    def _new(self) -> dict[str, Any]:
        call: dict[str, Any] = {"id": None, "type": "function", "function": {"name": "", "arguments": []}}
        self._calls.append(call)
        return call


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where a text belongs")
    return value

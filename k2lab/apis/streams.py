"""Streamed answers of the Responses and the Messages API put together: the events of one answer into that answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from k2lab.apis.records import Api, Json, listed, word

MOST_PARTS = 100_000
"""Blocks, items and parts of one answer; an index beyond is no answer's."""

RESPONSE_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})
RESPONSE_DELTAS: Mapping[str, tuple[str, str]] = {
    "response.output_text.delta": ("content", "text"),
    "response.refusal.delta": ("content", "refusal"),
    "response.reasoning_text.delta": ("content", "text"),
    "response.reasoning_summary_text.delta": ("summary", "text"),
    "response.function_call_arguments.delta": ("", "arguments"),
    "response.custom_tool_call_input.delta": ("", "input"),
}
"""For each kind of delta the list that its part stands in, none for the item itself, and the field of its text."""
MESSAGE_DELTAS: Mapping[str, str] = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "input_json_delta": "partial_json",
}
"""For each kind of delta the field that holds its text; that of arguments is kept as text."""

MESSAGE_EVENTS = frozenset(
    {"message_start", "message_delta", "message_stop", "content_block_start", "content_block_delta"}
    | {"content_block_stop", "ping"}
)


class ApiAssembly(Protocol):
    """Takes decoded events in order; see the two that there are."""

    api: Api
    end: str
    """The event that ends a stream."""
    ended: bool

    def event(self, event: Mapping[str, Any]) -> None:
        """Take one event; one that is not of the API's shape raises ValueError."""

    def answer(self) -> Json:
        """The whole answer, as far as it came."""


def api_of_event(event: object) -> Api | None:
    """The API of which a decoded event is; ``None`` where it does not say.

    >>> api_of_event({"type": "response.created"}), api_of_event({"choices": []})
    ('responses', 'chat')
    """
    kind = word(event, "type")
    if kind.startswith("response."):
        return "responses"
    if kind in MESSAGE_EVENTS:
        return "messages"
    return "chat" if isinstance(event, Mapping) and "choices" in event else None


class MessageAssembly:
    """A streamed answer of the Messages API."""

    api: Api = "messages"
    end = "message_stop"

    def __init__(self) -> None:
        self.ended = False
        self._head: Json = {"type": "message", "role": "assistant"}
        self._reason: object = None
        self._usage: Json = {}
        self._blocks: dict[int, tuple[Json, dict[str, list[str]]]] = {}

    def event(self, event: Mapping[str, Any]) -> None:
        """Take one event; one that is not of the API's shape raises ValueError."""
        kind = word(event, "type")
        if kind == "message_start":
            self._head |= {name: value for name, value in _object(event, "message").items() if name != "content"}
        elif kind == "content_block_start":
            self._blocks[_index(event, "index")] = (dict(_object(event, "content_block")), {})
        elif kind == "content_block_delta":
            self._delta(_index(event, "index"), _object(event, "delta"))
        elif kind == "message_delta":
            self._reason = _object(event, "delta").get("stop_reason") or self._reason
            self._usage |= event["usage"] if isinstance(event.get("usage"), dict) else {}
        self.ended = self.ended or kind == "message_stop"

    def answer(self) -> Json:
        """The whole answer, as far as it came; arguments that came in pieces are ``partial_json``."""
        blocks = [block | {name: block.get(name, "") + "".join(texts[name]) for name in texts}
                  for _, (block, texts) in sorted(self._blocks.items())]  # fmt: skip
        return {**self._head, "content": blocks, "stop_reason": self._reason, "usage": self._usage}

    def _delta(self, index: int, delta: Mapping[str, Any]) -> None:
        if index not in self._blocks:
            raise ValueError(f"a delta of block {index}, which was not begun")
        name = MESSAGE_DELTAS.get(word(delta, "type"))
        if name is not None:
            block, texts = self._blocks[index]
            block[name] = word(block, name)
            texts.setdefault(name, []).append(_text(delta, name))


class ResponseAssembly:
    """A streamed answer of the Responses API: what its last event says, or where that is missing its deltas."""

    api: Api = "responses"
    end = "response.completed"

    def __init__(self) -> None:
        self.ended = False
        self._head: Json = {"object": "response"}
        self._last: Json | None = None
        self._items: dict[int, Json] = {}
        self._texts: dict[tuple[int, str, int, str], list[str]] = {}

    def event(self, event: Mapping[str, Any]) -> None:
        """Take one event; one that is not of the API's shape raises ValueError."""
        kind = word(event, "type")
        if kind in RESPONSE_ENDS:
            self.ended, self._last = True, dict(_object(event, "response"))
        elif kind == "response.created":
            self._head |= _object(event, "response")
        elif kind in ("response.output_item.added", "response.output_item.done"):
            self._items[_index(event, "output_index")] = dict(_object(event, "item"))
        elif kind in RESPONSE_DELTAS:
            self._delta(event, *RESPONSE_DELTAS[kind])
        if kind == "response.output_item.done":
            self._forget(_index(event, "output_index"))

    def answer(self) -> Json:
        """The whole answer, as far as it came; one without an end has no status."""
        if self._last is not None and isinstance(self._last.get("output"), list):
            return self._last
        told = {} if self._last is None else self._last
        items = [self._item(index) for index in sorted(self._items)]
        return {**self._head, "status": None, **told, "output": items}

    def _delta(self, event: Mapping[str, Any], part: str, name: str) -> None:
        index = _index(event, "output_index")
        if index not in self._items:
            raise ValueError(f"a delta of item {index}, which was not begun")
        beside = _index(event, "summary_index" if part == "summary" else "content_index") if part else 0
        self._texts.setdefault((index, part, beside, name), []).append(_text(event, "delta"))

    def _forget(self, index: int) -> None:
        """An item that is done says all of its texts again."""
        for key in [key for key in self._texts if key[0] == index]:
            del self._texts[key]

    def _item(self, index: int) -> Json:
        item = dict(self._items[index])
        for (_, part, place, name), texts in sorted(pair for pair in self._texts.items() if pair[0][0] == index):
            if part:
                item[part] = [*listed(item.get(part))[:place], {name: "".join(texts)}]
            else:
                item[name] = word(item, name) + "".join(texts)
        return item


def assembly_of(api: Api) -> ApiAssembly | None:
    """What puts together the streams of an API; ``None`` for the chat API, whose events are others."""
    made: dict[Api, type[MessageAssembly | ResponseAssembly]] = {
        "messages": MessageAssembly,
        "responses": ResponseAssembly,
    }
    return made[api]() if api in made else None


def _object(event: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = event.get(name)
    if not isinstance(value, Mapping):
        raise ValueError(f"no object stands under {name}")
    return value


def _index(event: Mapping[str, Any], name: str) -> int:
    index = event.get(name)
    if type(index) is not int or not 0 <= index < MOST_PARTS:
        raise ValueError(f"its {name} is no index")
    return index


def _text(event: Mapping[str, Any], name: str) -> str:
    text = event.get(name)
    if not isinstance(text, str):
        raise ValueError(f"no text stands under {name}")
    return text

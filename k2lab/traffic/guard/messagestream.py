"""A streamed Messages answer: text at once, a leaked call held until it is told, and then a block of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from k2lab.apis.messages import REASONS
from k2lab.traffic.exchanges import Changed
from k2lab.traffic.guard.eventstream import SalvagingStream, data_with, decoded
from k2lab.traffic.guard.ids import Ids, renaming
from k2lab.traffic.guard.leaks import AnswerTexts, Channel, LeakWatch
from k2lab.traffic.guard.salvaging import Salvage, SalvagedCall, SalvageVerdict
from k2lab.traffic.guard.splicing import dumped
from k2lab.traffic.guard.sse import data_of, with_data
from k2lab.traffic.guard.waiting import Waiting

FIELDS: Mapping[str, tuple[Channel, str]] = {
    "text_delta": ("content", "text"),
    "thinking_delta": ("reasoning", "thinking"),
}
"""For each kind of delta its channel, and the field that holds its text."""

Json = dict[str, Any]


@dataclass(kw_only=True, slots=True)
class _Item:
    """An event."""

    event: bytes
    data: str
    value: Json
    said: AnswerTexts
    ends: Mapping[Channel, int] = field(default_factory=dict)

    def with_text(self, channel: Channel, text: str) -> bytes:
        """The event with another text."""
        delta = self.value["delta"]
        after = {**self.value, "delta": {**delta, FIELDS[delta["type"]][1]: text}}
        return with_data(self.event, data_with(self.data, self.value, after))

    def behind(self, channel: Channel, kept: str) -> _Item:
        """The rest of the text in an event of its own."""
        event = self.with_text(channel, self.said.text(channel)[len(kept) :])
        item = _item(event, data_of(event), decoded(data_of(event)))
        item.ends = self.ends
        return item


class MessageStream(SalvagingStream):
    """The stream of one answer; what it changes is added to ``changes`` and said in a comment at its end."""

    def __init__(self, salvage: Salvage | None, ids: Ids, most: int, changes: list[Changed]) -> None:
        super().__init__(salvage, ids, most, changes)
        self._waiting: Waiting[_Item] = Waiting(watch=LeakWatch(most))
        self._blocks = 0

    def _event(self, event: bytes) -> list[bytes]:
        data = data_of(event)
        value = decoded(data) if data else None
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(value, dict) or kind == "ping":
            return [event]
        if kind in ("message_stop", "error"):
            return [*self._release(), *self._last(), event]
        if kind == "content_block_start":
            self._blocks = max(self._blocks, _index(value) + 1)
            event, data, value = self._with_known_id(event, data, value)
        if self._salvage is None:
            return [event]
        self._waiting.add(_item(event, data, value))
        reason = _stop_reason(value)
        return self._ended(reason) if reason is not None else self._waiting.settled()

    def _ended(self, reason: object) -> list[bytes]:
        channel, verdict = self._verdict(self._waiting.watch, REASONS.get(str(reason)), "content")
        return self._with_calls(channel, verdict) if verdict.calls else self._waiting.drain()

    def _with_calls(self, channel: Channel, verdict: SalvageVerdict) -> list[bytes]:
        """What waits, with calls in place of the text that they were."""
        *items, last = self._waiting.take()
        rest, out = verdict.rest, list[bytes]()
        for item in items:
            text = item.said.text(channel)
            kept, rest = self._waiting.kept(item, channel) + (rest if text else ""), "" if text else rest
            if kept or not text:
                out.append(item.event if kept == text else item.with_text(channel, kept))
        for place, call in enumerate(verdict.calls, self._blocks):
            out += _block(last.event, place, call)
        delta = last.value["delta"]
        reason = "tool_use" if delta["stop_reason"] == "end_turn" else delta["stop_reason"]
        after = {**last.value, "delta": {**delta, "stop_reason": reason}}
        return [*out, with_data(last.event, data_with(last.data, last.value, after))]

    def _with_known_id(self, event: bytes, data: str, value: Json) -> tuple[bytes, str, Json]:
        """The begin of a call whose id its client does not know as another call's."""
        block = value.get("content_block")
        known = block.get("id") if isinstance(block, dict) else None
        if not isinstance(block, dict) or not isinstance(known, str) or known not in self._ids.known:
            return event, data, value
        after = {**value, "content_block": {**block, "id": self._ids.fresh(known)}}
        self._changes.append(renaming(f"content[{_index(value)}].id"))
        text = data_with(data, value, after)
        return with_data(event, text), text, after

    def _release(self) -> list[bytes]:
        return self._waiting.drain()


def _item(event: bytes, data: str, value: Any) -> _Item:
    return _Item(event=event, data=data, value=value, said=_said(value))


def _said(value: Json) -> AnswerTexts:
    delta, block = value.get("delta"), value.get("content_block")
    kind = str(delta.get("type")) if isinstance(delta, dict) else ""
    if isinstance(block, dict) and block.get("type") == "tool_use":
        return AnswerTexts(calls=True)
    if kind not in FIELDS or not isinstance(delta, dict) or not isinstance(delta.get(FIELDS[kind][1]), str):
        return AnswerTexts()
    text = delta[FIELDS[kind][1]]
    return AnswerTexts(content=text) if kind == "text_delta" else AnswerTexts(reasoning=text)


def _stop_reason(value: Json) -> object:
    delta = value.get("delta")
    return delta.get("stop_reason") if value.get("type") == "message_delta" and isinstance(delta, dict) else None


def _index(value: Json) -> int:
    index = value.get("index")
    return index if isinstance(index, int) else 0


def _block(form: bytes, index: int, call: SalvagedCall) -> list[bytes]:
    """The events of a block that is a call."""
    block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
    values: list[Json] = [
        {"type": "content_block_start", "index": index, "content_block": block},
        {"type": "content_block_delta", "index": index,
         "delta": {"type": "input_json_delta", "partial_json": call.arguments}},
        {"type": "content_block_stop", "index": index},
    ]  # fmt: skip
    return [named(form, value) for value in values]


def named(form: bytes, value: Json) -> bytes:
    """An event with its type as its name, where the stream names its events."""
    data = with_data(b"data: x\n\n", dumped(value))
    return f"event: {json.dumps(value['type'])[1:-1]}\n".encode() + data if b"event:" in form else data

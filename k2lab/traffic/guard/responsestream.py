"""A streamed Responses answer: text at once, a leaked call held until the answer is complete, and then an item.

Events are counted (``sequence_number``), and those that end a text say it again:
where a call was cut out of it, what was held is counted anew and says what is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from k2lab.apis.records import word
from k2lab.apis.responses import CALLS, finish_reason_of
from k2lab.traffic.exchanges import Changed
from k2lab.traffic.guard.eventstream import SalvagingStream, data_with, decoded
from k2lab.traffic.guard.ids import Ids, renaming
from k2lab.traffic.guard.leaks import AnswerTexts, Channel, LeakWatch
from k2lab.traffic.guard.messagestream import named
from k2lab.traffic.guard.responses import TEXTS, call_item, changed_response
from k2lab.traffic.guard.salvaging import Salvage, SalvagedCall, SalvageVerdict
from k2lab.traffic.guard.sse import data_of, with_data
from k2lab.traffic.guard.waiting import Waiting

DELTAS: Mapping[str, Channel] = {
    "response.output_text.delta": "content",
    "response.reasoning_text.delta": "reasoning",
}
ENDS = ("response.completed", "response.incomplete", "response.failed")

Json = dict[str, Any]


@dataclass(kw_only=True, slots=True)
class _Item:
    """An event."""

    event: bytes
    data: str
    value: Json
    said: AnswerTexts
    ends: Mapping[Channel, int] = field(default_factory=dict)
    is_rest: bool = False
    """Whether it is the rest of an event that was given in two."""

    def with_text(self, channel: Channel, text: str) -> bytes:
        """The event with another delta."""
        return self.written({**self.value, "delta": text})

    def behind(self, channel: Channel, kept: str) -> _Item:
        """The rest of the delta in an event of its own; both have one number as yet."""
        event = self.with_text(channel, self.said.text(channel)[len(kept) :])
        item = _item(event, data_of(event), decoded(data_of(event)))
        item.ends, item.is_rest = self.ends, True
        return item

    def counted(self, more: int) -> None:
        """Count it on by so many."""
        number = self.value.get("sequence_number")
        if more and isinstance(number, int):
            after = {**self.value, "sequence_number": number + more}
            self.event = self.written(after)
            self.data, self.value = data_of(self.event), after

    def written(self, after: Json) -> bytes:
        """The event with another value."""
        return with_data(self.event, data_with(self.data, self.value, after))


class ResponsesStream(SalvagingStream):
    """The stream of one answer; what it changes is added to ``changes`` and said in a comment at its end."""

    def __init__(self, salvage: Salvage | None, ids: Ids, most: int, changes: list[Changed]) -> None:
        super().__init__(salvage, ids, most, changes)
        self._waiting: Waiting[_Item] = Waiting(watch=LeakWatch(most))
        self._starts: dict[int, int] = {}
        self._items = self._more = 0

    def _event(self, event: bytes) -> list[bytes]:
        data = data_of(event)
        value = decoded(data) if data else None
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(value, dict) or not isinstance(kind, str):
            return [*(self._release() if data else ()), event]
        event, data, value = self._with_known_ids(event, data, value)
        if self._salvage is None:
            return [event]
        item = _item(event, data, value)
        item.counted(self._more)
        self._note_start(item)
        self._waiting.add(item)
        return self._ended(item) if kind in ENDS or kind == "error" else self._settled()

    def _settled(self) -> list[bytes]:
        """What need not wait; where an event was given in two, all behind the first half count one more."""
        out, queue = self._waiting.settled(), self._waiting.queue
        if queue and queue[0].is_rest:
            queue[0].is_rest = False
            self._more += 1
            for item in queue:
                item.counted(1)
        return out

    def _note_start(self, item: _Item) -> None:
        """Where in its channel the text of an item begins."""
        index = _index(item.value)
        self._items = max(self._items, index + 1)
        if item.said.content or item.said.reasoning:
            channel: Channel = "content" if item.said.content else "reasoning"
            self._starts.setdefault(index, self._waiting.watch.of(channel).length)

    def _ended(self, last: _Item) -> list[bytes]:
        response = last.value.get("response")
        reason = finish_reason_of(response) if isinstance(response, dict) else None
        channel, verdict = self._verdict(self._waiting.watch, reason, "output")
        out = self._with_calls(channel, verdict) if verdict.calls else self._waiting.drain()
        return [*out[:-1], *self._last(), out[-1]]

    def _with_calls(self, channel: Channel, verdict: SalvageVerdict) -> list[bytes]:
        """What waits, with calls in place of the text that they were, counted on from its first event."""
        *items, last = self._waiting.take()
        values = list[tuple[_Item, Json]]()
        cut = _Cut(channel, self._waiting.watch.of(channel).settled, verdict.rest, self._starts)
        for item in items:
            if item.said.text(channel):
                kept = cut.text(_index(item.value), item.said.text(channel), item.ends[channel])
                values += [(item, {**item.value, "delta": kept})] if kept else []
            else:
                values.append((item, cut.done(item.value)))
        response = last.value["response"]
        for place, call in enumerate(verdict.calls, self._items):
            values += [(last, value) for value in _call_events(place, response.get("id"), call)]
        made, _ = changed_response(response, self._salvage, Ids(), self._most, [])
        values.append((last, {**last.value, "response": made}))
        first = (items or [last])[0].value.get("sequence_number")
        return [_counted(item, value, first, number) for number, (item, value) in enumerate(values)]

    def _with_known_ids(self, event: bytes, data: str, value: Json) -> tuple[bytes, str, Json]:
        """An event in which no new call has an id that its client knows as another call's."""
        if not self._ids.known:
            return event, data, value
        after, item, response = value, value.get("item"), value.get("response")
        if isinstance(item, dict) and word(item, "type") in CALLS and word(item, "call_id") in self._ids.known:
            after = {**value, "item": {**item, "call_id": self._ids.fresh(item["call_id"])}}
            if value["type"] == "response.output_item.added":
                self._changes.append(renaming(f"output[{_index(value)}].call_id"))
        elif isinstance(response, dict):
            made, _ = changed_response(response, None, self._ids, self._most, [])
            after = value if made is response else {**value, "response": made}
        if after is value:
            return event, data, value
        text = data_with(data, value, after)
        return with_data(event, text), text, after

    def _release(self) -> list[bytes]:
        return self._waiting.drain()


class _Cut:
    """What is left of the texts of a channel from a place on, ``rest`` behind the first that is cut."""

    def __init__(self, channel: Channel, settled: int, rest: str, starts: Mapping[int, int]) -> None:
        self._channel, self._settled, self._rest, self._starts = channel, settled, rest, starts
        self._first: int | None = None

    def text(self, index: int, text: str, end: int) -> str:
        """What is left of a delta that ends at a place in the channel."""
        kept = text[: max(0, self._settled - (end - len(text)))]
        if kept != text and self._first is None:
            self._first = index
            return kept + self._rest
        return kept

    def done(self, value: Json) -> Json:
        """An event that says an item's text again, with what is left of it."""
        if TEXTS.get(_kind(value)) != self._channel:
            return value
        index, made = _index(value), dict(value)
        if isinstance(value.get("text"), str):
            made["text"] = self._whole(index, value["text"])
        if isinstance(value.get("part"), dict):
            made["part"] = self._part(index, value["part"])
        item = value.get("item")
        if isinstance(item, dict) and isinstance(item.get("content"), list):
            made["item"] = {**item, "content": [self._part(index, part) for part in item["content"]]}
        return made

    def _part(self, index: int, part: Any) -> Any:
        text = part.get("text") if isinstance(part, dict) else None
        return {**part, "text": self._whole(index, text)} if isinstance(text, str) else part

    def _whole(self, index: int, text: str) -> str:
        kept = text[: max(0, self._settled - self._starts.get(index, 0))]
        return kept + self._rest if index == self._first else kept


def _kind(value: Json) -> str:
    """Which kind of item an event that ends something is about."""
    kind, part, item = str(value.get("type")), value.get("part"), value.get("item")
    said = part if isinstance(part, dict) else item if isinstance(item, dict) else {}
    about = str(said.get("type") or kind)
    if not kind.endswith(".done"):
        return ""
    return "reasoning" if "reasoning" in about else "message" if about == "message" or "text" in about else ""


def _item(event: bytes, data: str, value: Any) -> _Item:
    return _Item(event=event, data=data, value=value, said=_said(value))


def _said(value: Json) -> AnswerTexts:
    channel, delta, item = DELTAS.get(word(value, "type")), value.get("delta"), value.get("item")
    if channel and isinstance(delta, str):
        return AnswerTexts(content=delta) if channel == "content" else AnswerTexts(reasoning=delta)
    return AnswerTexts(calls=isinstance(item, dict) and word(item, "type") not in TEXTS)


def _index(value: Json) -> int:
    index = value.get("output_index")
    return index if isinstance(index, int) else 0


def _call_events(index: int, response_id: object, call: SalvagedCall) -> list[Json]:
    """The events of an item that is a call."""
    whole = call_item(response_id, call)
    known = {"output_index": index, "item_id": whole["id"], "sequence_number": -1}
    return [
        {"type": "response.output_item.added", "output_index": index, "sequence_number": -1,
         "item": call_item(response_id, call, "in_progress")},
        {"type": "response.function_call_arguments.delta", **known, "delta": call.arguments},
        {"type": "response.function_call_arguments.done", **known, "arguments": call.arguments, "name": call.name},
        {"type": "response.output_item.done", "output_index": index, "sequence_number": -1, "item": whole},
    ]  # fmt: skip


def _counted(item: _Item, value: Json, first: object, number: int) -> bytes:
    if isinstance(first, int) and "sequence_number" in value:
        value = {**value, "sequence_number": first + number}
    return item.written(value) if value.get("type") == item.value.get("type") else named(item.event, value)

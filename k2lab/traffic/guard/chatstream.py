"""A streamed chat answer: ordinary text at once, a leaked call held until it is told, and then given as a call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from k2lab.traffic.exchanges import Changed
from k2lab.traffic.guard.chatanswers import FIELDS, Json, ended, said_of, with_fresh_ids, with_text
from k2lab.traffic.guard.eventstream import SalvagingStream, data_with, decoded
from k2lab.traffic.guard.ids import Ids
from k2lab.traffic.guard.leaks import AnswerTexts, Channel, LeakWatch
from k2lab.traffic.guard.salvaging import Salvage, SalvageVerdict
from k2lab.traffic.guard.splicing import dumped
from k2lab.traffic.guard.sse import data_of, with_data
from k2lab.traffic.guard.waiting import Waiting

MOST_CHOICES = 4096
BESIDE = frozenset({"index", "delta", "finish_reason"})
"""What a choice holds when it says nothing beside its delta."""


@dataclass(kw_only=True, slots=True)
class _Item:
    """An event of one choice."""

    event: bytes
    data: str
    value: Json
    said: AnswerTexts
    ends: Mapping[Channel, int] = field(default_factory=dict)

    @classmethod
    def of(cls, event: bytes, data: str, value: Json) -> _Item:
        return cls(event=event, data=data, value=value, said=said_of(value["choices"][0].get("delta")))

    @property
    def choice(self) -> Json:
        choice: Json = self.value["choices"][0]
        return choice

    @property
    def delta(self) -> Json:
        delta = self.choice.get("delta")
        return delta if isinstance(delta, dict) else {}

    def with_text(self, channel: Channel, text: str, **changed: object) -> bytes:
        """The event, its choice saying another text in a channel."""
        return self._with(delta=with_text(self.delta, channel, self.said.text(channel), text), **changed)

    def behind(self, channel: Channel, kept: str) -> _Item:
        """The rest of the text in an event of its own, without what the first one has said."""
        text = self.said.text(channel)
        rest = {name: text[len(kept) :] for name in FIELDS[channel] if self.delta.get(name) == text}
        event = self._with(delta=rest, **{name: None for name in self.choice if name not in BESIDE})
        item = _Item.of(event, data_of(event), decoded(data_of(event)))  # type: ignore[arg-type]
        item.ends = self.ends
        return item

    def says_more(self, channel: Channel) -> bool:
        """Whether something stands in it beside its text in a channel."""
        delta = with_text(self.delta, channel, self.said.text(channel), None)
        beside = (value for name, value in self.choice.items() if name not in BESIDE)
        return any(delta.values()) or any(value is not None for value in beside)

    def _with(self, **changed: object) -> bytes:
        after = {**self.value, "choices": [{**self.choice, **changed}]}
        return with_data(self.event, data_with(self.data, self.value, after))


class ChatStream(SalvagingStream):
    """The stream of one answer; what it changes is added to ``changes`` and said in a comment at its end."""

    def __init__(self, salvage: Salvage | None, ids: Ids, most: int, changes: list[Changed]) -> None:
        super().__init__(salvage, ids, most, changes)
        self._choices: dict[int, Waiting[_Item]] = {}

    def _event(self, event: bytes) -> list[bytes]:
        data = data_of(event)
        if not data:
            return [event]
        if data.strip() == "[DONE]":
            return [*self._release(), *self._last(), event]
        value = decoded(data)
        choices = value.get("choices") if isinstance(value, dict) else None
        if isinstance(value, dict) and choices == []:
            return [event]
        if not (isinstance(value, dict) and isinstance(choices, list) and all(map(_is_choice, choices))):
            return [*self._release(), event]
        return self._salvaging(*self._with_known_ids(event, data, value))

    def _salvaging(self, event: bytes, data: str, value: Json) -> list[bytes]:
        choices = value["choices"]
        if self._salvage is None:
            return [event]
        if len(choices) == 1:
            return self._take(event, data, value)
        said = [(self._choice(choice), said_of(choice.get("delta"))) for choice in choices]
        if any(waiting.queue or "<" in text.content + text.reasoning for waiting, text in said):
            apart = (with_data(event, data_with(data, value, {**value, "choices": [choice]})) for choice in choices)
            return [out for part in apart for out in self._take(part, data_of(part), decoded(data_of(part)))]
        for waiting, text in said:
            waiting.watch.feed(text)
        return [event]

    def _take(self, event: bytes, data: str, value: Any) -> list[bytes]:
        """An event of one choice."""
        item = _Item.of(event, data, value)
        waiting = self._choice(item.choice)
        waiting.add(item)
        finish_reason = item.choice.get("finish_reason")
        if finish_reason is None:
            return waiting.settled()
        place = f"choices[{item.choice.get('index', 0)}].delta"
        channel, verdict = self._verdict(waiting.watch, finish_reason, place)
        return _with_calls(waiting, channel, verdict) if verdict.calls else waiting.drain()

    def _choice(self, choice: Json) -> Waiting[_Item]:
        index = choice.get("index", 0)
        if index not in self._choices and len(self._choices) >= MOST_CHOICES:
            raise ValueError(f"more than {MOST_CHOICES} choices")
        return self._choices.setdefault(index, Waiting(watch=LeakWatch(self._most)))

    def _with_known_ids(self, event: bytes, data: str, value: Json) -> tuple[bytes, str, Json]:
        """An event whose new calls have no id that the client knows as another call's."""
        if not self._ids.known:
            return event, data, value
        choices = [with_fresh_ids(choice, "delta", self._ids, self._changes) for choice in value["choices"]]
        if all(one is other for one, other in zip(choices, value["choices"], strict=True)):
            return event, data, value
        after = {**value, "choices": choices}
        text = data_with(data, value, after)
        return with_data(event, text), text, after

    def _release(self) -> list[bytes]:
        return [event for waiting in self._choices.values() for event in waiting.drain()]


def _is_choice(choice: object) -> bool:
    return isinstance(choice, dict) and isinstance(choice.get("index", 0), int)


def _with_calls(waiting: Waiting[_Item], channel: Channel, verdict: SalvageVerdict) -> list[bytes]:
    """What waits, with calls in place of the text that they were."""
    *items, last = waiting.take()
    rest, out = verdict.rest, list[bytes]()
    for item in items:
        text = item.said.text(channel)
        kept, rest = waiting.kept(item, channel) + (rest if text else ""), "" if text else rest
        if kept == text:
            out.append(item.event)
        elif kept or item.says_more(channel):
            out.append(item.with_text(channel, kept))
    kept = waiting.kept(last, channel) + rest
    if kept:
        out.append(last.with_text(channel, kept, finish_reason=None))
    out += [_calling(last, number, call.to_json()) for number, call in enumerate(verdict.calls)]
    return [*out, last.with_text(channel, "", finish_reason=ended(last.choice.get("finish_reason")))]


def _calling(last: _Item, number: int, call: Mapping[str, object]) -> bytes:
    """An event with a call in it, in the form of the stream's last one."""
    kept = {name: value for name, value in last.value.items() if name not in ("choices", "usage")}
    nothing = {name: None for name in last.choice if name not in BESIDE}
    choice = {"index": last.choice.get("index", 0), "delta": {"tool_calls": [{"index": number, **call}]}, **nothing}
    return with_data(last.event, dumped({**kept, "choices": [{**choice, "finish_reason": None}]}))

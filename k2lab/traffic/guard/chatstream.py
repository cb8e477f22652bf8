"""A streamed chat answer: ordinary text at once, a leaked call held until it is told, and then given as a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from k2lab.traffic.exchanges import Changed
from k2lab.traffic.guard.chatanswers import CHANNELS, FIELDS, Channel, ChoiceWatch, Said, ended, salvaged, with_text
from k2lab.traffic.guard.eventstream import EventStream, data_with, decoded
from k2lab.traffic.guard.ids import Ids
from k2lab.traffic.guard.salvaging import Salvage, Verdict
from k2lab.traffic.guard.splicing import dumped
from k2lab.traffic.guard.sse import comment, data_of, with_data
from k2lab.traffic.guard.watching import LONGEST

MOST_CHOICES = 4096
BESIDE = frozenset({"index", "delta", "finish_reason"})
"""What a choice holds when it says nothing beside its delta."""

Json = dict[str, Any]


@dataclass(kw_only=True, slots=True)
class _Item:
    """An event of one choice that waits: its bytes, its JSON, and where each of its texts ends in its channel."""

    event: bytes
    data: str
    value: Json
    said: Said
    ends: Mapping[Channel, int]

    @property
    def choice(self) -> Json:
        choice: Json = self.value["choices"][0]
        return choice

    def kept(self, channel: Channel, settled: int) -> str:
        """Of its text in a channel what stands before a place."""
        text = self.said.text(channel)
        return text[: max(0, settled - (self.ends[channel] - len(text)))]

    def written(self, **changed: object) -> bytes:
        """The event, its choice having other values of some names."""
        after = {**self.value, "choices": [{**self.choice, **changed}]}
        return with_data(self.event, data_with(self.data, self.value, after))

    def with_text(self, channel: Channel, text: str, **changed: object) -> bytes:
        """The event, its choice saying another text in a channel."""
        delta = with_text(self.choice.get("delta") or {}, channel, self.said.text(channel), text)
        return self.written(delta=delta, **changed)

    def says_more(self, channel: Channel) -> bool:
        """Whether something stands in it beside its text in a channel."""
        delta = with_text(self.choice.get("delta") or {}, channel, self.said.text(channel), None)
        beside = (value for name, value in self.choice.items() if name not in BESIDE)
        return any(delta.values()) or any(value is not None for value in beside)


@dataclass(kw_only=True, slots=True)
class _Choice:
    """One choice of an answer: its texts so far, and the events that wait."""

    watch: ChoiceWatch
    queue: list[_Item] = field(default_factory=list)

    def settled(self) -> list[bytes]:
        """The events that need not wait any longer, and of the next one the text that is too much to hold."""
        number = 0
        while number < len(self.queue) and not self._waits(self.queue[number]):
            number += 1
        out = [item.event for item in self.queue[:number]]
        del self.queue[:number]
        return out + (self._split() if self.queue else [])

    def _waits(self, item: _Item) -> bool:
        return any(item.ends[channel] > self.watch.of(channel).settled for channel in CHANNELS)

    def _split(self) -> list[bytes]:
        """The first event in two, where more ordinary text stands in it than a marker is long."""
        item = self.queue[0]
        channel = next(channel for channel in CHANNELS if item.ends[channel] > self.watch.of(channel).settled)
        watch = self.watch.of(channel)
        kept = item.kept(channel, watch.settled)
        pending = 0 if watch.state == "held" else watch.length - watch.settled
        if not kept or len(kept) + pending <= LONGEST:
            return []
        text, delta = item.said.text(channel), item.choice.get("delta") or {}
        rest = {name: text[len(kept) :] for name in FIELDS[channel] if delta.get(name) == text}
        beside = {name: None for name in item.choice if name not in BESIDE}
        second = item.written(delta=rest, **beside)
        out = [item.with_text(channel, kept)]
        self.queue[0] = _item(second, data_of(second), item.ends)
        return out

    def drain(self) -> list[bytes]:
        """All that waits, as it came."""
        out = [item.event for item in self.queue]
        self.queue.clear()
        return out

    def calls(self, channel: Channel, verdict: Verdict) -> list[bytes]:
        """What waits, with calls in place of the text that they were."""
        *items, last = self.queue
        self.queue.clear()
        settled, rest, out = self.watch.of(channel).settled, verdict.rest, list[bytes]()
        for item in items:
            text = item.said.text(channel)
            kept, rest = item.kept(channel, settled) + (rest if text else ""), "" if text else rest
            if kept == text:
                out.append(item.event)
            elif kept or item.says_more(channel):
                out.append(item.with_text(channel, kept))
        kept = last.kept(channel, settled) + rest
        if kept:
            out.append(last.with_text(channel, kept, finish_reason=None))
        out += [_calling(last, number, call.to_json()) for number, call in enumerate(verdict.calls)]
        for watched in CHANNELS:
            self.watch.of(watched).give_up()
        return [*out, last.with_text(channel, "", finish_reason=ended(last.choice.get("finish_reason")))]


class ChatStream(EventStream):
    """The stream of one answer; what it changes is added to ``changes`` and said in a comment at its end."""

    def __init__(self, salvage: Salvage | None, ids: Ids, most: int, changes: list[Changed]) -> None:
        super().__init__()
        self._salvage, self._ids, self._most, self._changes = salvage, ids, most, changes
        self._choices: dict[int, _Choice] = {}
        self._said = 0
        self._why = ""

    def _event(self, event: bytes) -> list[bytes]:
        data = data_of(event)
        if not data:
            return [event]
        if data.strip() == "[DONE]":
            return [*self._release(), *self._last(), event]
        value = decoded(data)
        choices = value.get("choices") if isinstance(value, dict) else None
        if not isinstance(choices, list) or not isinstance(value, dict):
            return [*self._release(), event]
        if not choices:
            return [event]
        if not all(isinstance(choice, dict) and isinstance(choice.get("index", 0), int) for choice in choices):
            return [*self._release(), event]
        event, data, value = self._with_known_ids(event, data, value)
        if self._salvage is None:
            return [event]
        return self._salvaging(event, data, value)

    def _salvaging(self, event: bytes, data: str, value: Json) -> list[bytes]:
        choices = value["choices"]
        if len(choices) == 1:
            return self._take(event, data, value)
        said = [(self._choice(choice), Said.of(choice.get("delta"))) for choice in choices]
        if any(choice.queue or "<" in text.content + text.reasoning for choice, text in said):
            apart = (with_data(event, data_with(data, value, {**value, "choices": [choice]})) for choice in choices)
            return [out for part in apart for out in self._take(part, data_of(part), decoded(data_of(part)))]
        for choice, text in said:
            choice.watch.feed(text)
        return [event]

    def _take(self, event: bytes, data: str, value: Any) -> list[bytes]:
        """An event of one choice."""
        item = _item(event, data, {}, value)
        choice = self._choice(item.choice)
        choice.watch.feed(item.said)
        item.ends = {channel: choice.watch.of(channel).length for channel in CHANNELS}
        choice.queue.append(item)
        if item.choice.get("finish_reason") is None:
            return choice.settled()
        return self._finished(choice, item.choice)

    def _finished(self, choice: _Choice, last: Json) -> list[bytes]:
        channel, verdict = choice.watch.end(last.get("finish_reason"), self._salvage)
        if not verdict.calls:
            self._why = self._why or verdict.why
            return choice.drain()
        place = f"choices[{last.get('index', 0)}].delta"
        self._changes += salvaged(verdict.calls, channel, place)
        self._said += len(verdict.calls)
        return choice.calls(channel, verdict)

    def _choice(self, choice: Json) -> _Choice:
        index = choice.get("index", 0)
        if index not in self._choices and len(self._choices) >= MOST_CHOICES:
            raise ValueError(f"more than {MOST_CHOICES} choices")
        return self._choices.setdefault(index, _Choice(watch=ChoiceWatch(self._most)))

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
        return [event for choice in self._choices.values() for event in choice.drain()]

    def _last(self) -> list[bytes]:
        """What happened in comments, once."""
        calls, self._said = self._said, 0
        why, self._why = self._why, ""
        out = [comment(f"k2lab salvaged {calls} call{'s' if calls > 1 else ''}")] if calls else []
        return [*out, *([comment(f"k2lab left a leaked call as text: {why}")] if why else [])]


def with_fresh_ids(choice: Json, name: str, ids: Ids, changes: list[Changed]) -> Json:
    """A choice whose calls have ids that their client does not know as another's; the same object where all do."""
    message = choice.get(name)
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    if not isinstance(calls, list) or not isinstance(message, dict):
        return choice
    made = [_fresh(call, ids) for call in calls]
    renamed = [place for place, (one, other) in enumerate(zip(made, calls, strict=True)) if one is not other]
    if not renamed:
        return choice
    for place in renamed:
        path = f"choices[{choice.get('index', 0)}].{name}.tool_calls[{place}].id"
        changes.append(renaming(path))
    return {**choice, name: {**message, "tool_calls": made}}


def renaming(place: str) -> Changed:
    """What is said of an id that a client knows as another call's."""
    detail = "the client's history has this id for another call: the next one beyond its ids"
    return Changed(kind="id", place=place, code="repeated_call_id", detail=detail)


def _fresh(call: Any, ids: Ids) -> Any:
    known = call.get("id") if isinstance(call, dict) else None
    made = ids.fresh(known) if isinstance(known, str) else known
    return call if made == known else {**call, "id": made}


def _item(event: bytes, data: str, ends: Mapping[Channel, int], value: Any = None) -> _Item:
    whole: Any = decoded(data) if value is None else value
    return _Item(event=event, data=data, value=whole, said=Said.of(whole["choices"][0].get("delta")), ends=ends)


def _calling(last: _Item, number: int, call: Mapping[str, object]) -> bytes:
    """An event with a call in it, in the form of the stream's last one."""
    kept = {name: value for name, value in last.value.items() if name not in ("choices", "usage")}
    nothing = {name: None for name in last.choice if name not in BESIDE}
    choice = {"index": last.choice.get("index", 0), "delta": {"tool_calls": [{"index": number, **call}]}, **nothing}
    return with_data(last.event, dumped({**kept, "choices": [{**choice, "finish_reason": None}]}))


def whole_choices(
    choices: Sequence[object], salvage: Salvage | None, ids: Ids, most: int, changes: list[Changed]
) -> tuple[list[object], str]:
    """The choices of a whole answer, and why a leaked call in them was left as text; each as it was, if nothing is."""
    made, why = list[object](), ""
    for choice in choices:
        if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
            made.append(choice)
            continue
        fresh = with_fresh_ids(choice, "message", ids, changes) if ids.known else choice
        watch, said = ChoiceWatch(most), Said.of(fresh["message"])
        watch.feed(said)
        channel, verdict = watch.end(fresh.get("finish_reason"), salvage)
        if verdict.calls:
            changes += salvaged(verdict.calls, channel, f"choices[{choice.get('index', 0)}].message")
            fresh = _with_calls(fresh, channel, said, watch.of(channel).settled, verdict)
        why = why or verdict.why
        made.append(fresh)
    return made, why


def _with_calls(choice: Json, channel: Channel, said: Said, settled: int, verdict: Verdict) -> Json:
    text = said.text(channel)
    message = with_text(choice["message"], channel, text, text[:settled] + verdict.rest or None)
    calls = [call.to_json() for call in verdict.calls]
    return {**choice, "message": {**message, "tool_calls": calls}, "finish_reason": ended(choice.get("finish_reason"))}

"""Events that wait until it is told what their texts are: ordinary ones go on, those of a leaked call are held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from k2lab.traffic.guard.leaks import CHANNELS, AnswerTexts, Channel, LeakWatch
from k2lab.traffic.guard.watching import LONGEST

ItemT = TypeVar("ItemT", bound="WaitingEvent")


class WaitingEvent(Protocol):
    """An event that can wait: its bytes, what it says, and where its texts end in their channels."""

    event: bytes
    said: AnswerTexts
    ends: Mapping[Channel, int]

    def with_text(self, channel: Channel, text: str) -> bytes:
        """The event with another text in a channel."""

    def behind(self: ItemT, channel: Channel, kept: str) -> ItemT:
        """An event with the rest of its text, behind one with what was kept of it."""


@dataclass(kw_only=True)
class Waiting(Generic[ItemT]):
    """The texts of one answer so far, and the events that wait for them to be told."""

    watch: LeakWatch
    queue: list[ItemT] = field(default_factory=list)

    def add(self, item: ItemT) -> None:
        """Take the next event."""
        self.watch.feed(item.said)
        item.ends = {channel: self.watch.of(channel).length for channel in CHANNELS}
        self.queue.append(item)

    def settled(self) -> list[bytes]:
        """The events that need not wait any longer, and of the next one the text that is too much to hold."""
        number = 0
        while number < len(self.queue) and not self._waits(self.queue[number]):
            number += 1
        out = [item.event for item in self.queue[:number]]
        del self.queue[:number]
        return out + (self._split() if self.queue else [])

    def kept(self, item: ItemT, channel: Channel) -> str:
        """Of an event's text in a channel what is ordinary."""
        text = item.said.text(channel)
        return text[: max(0, self.watch.of(channel).settled - (item.ends[channel] - len(text)))]

    def drain(self) -> list[bytes]:
        """All that waits, as it came."""
        out = [item.event for item in self.queue]
        self.queue.clear()
        return out

    def take(self) -> list[ItemT]:
        """All that waits, to be given otherwise; nothing is looked at from here on."""
        items, self.queue = self.queue, []
        for channel in CHANNELS:
            self.watch.of(channel).close()
        return items

    def _waits(self, item: ItemT) -> bool:
        return any(item.ends[channel] > self.watch.of(channel).settled for channel in CHANNELS)

    def _split(self) -> list[bytes]:
        """The first event in two, where more ordinary text stands in it than a marker is long."""
        item = self.queue[0]
        channel = next(channel for channel in CHANNELS if item.ends[channel] > self.watch.of(channel).settled)
        watch, kept = self.watch.of(channel), self.kept(item, channel)
        pending = 0 if watch.state == "held" else watch.length - watch.settled
        if not kept or len(kept) + pending <= LONGEST:
            return []
        out = item.with_text(channel, kept)
        self.queue[0] = item.behind(channel, kept)
        return [out]

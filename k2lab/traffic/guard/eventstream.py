"""A stream of events through a guard: events in, events out, and all that was held given back where anything fails."""

from __future__ import annotations

import json
import logging
from abc import ABC, abstractmethod

from k2lab.traffic.exchanges import Changed
from k2lab.traffic.guard.ids import Ids
from k2lab.traffic.guard.leaks import Channel, LeakWatch, salvaged
from k2lab.traffic.guard.salvaging import Salvage, SalvageVerdict
from k2lab.traffic.guard.splicing import Decode, JSONPart, blank, rewritten
from k2lab.traffic.guard.sse import Cutter, comment

DECODE: Decode = json.JSONDecoder(
    parse_int=lambda digits: int(digits) if len(digits) < 4300 else float("inf")
).raw_decode
"""Numbers of an event are never written anew, so that any may stand there."""


class EventStream(ABC):
    """An :class:`k2lab.traffic.turns.AnswerStream` of server-sent events."""

    def __init__(self) -> None:
        self._cutter = Cutter()
        self._plain = False

    def feed(self, data: bytes) -> bytes:
        """What can be passed on by now."""
        if self._plain:
            return data
        out = list[bytes]()
        events = self._cutter.feed(data)
        for number, event in enumerate(events):
            try:
                out += self._event(event)
            except Exception:
                logging.getLogger(__name__).exception("the guard failed at an event: the stream goes on as it comes")
                return b"".join([*out, *self._given_up(), *events[number:], self._cutter.rest()])
        if self._cutter.is_stuck:
            out += [*self._given_up(), self._cutter.rest()]
        return b"".join(out)

    def end(self) -> bytes:
        """The rest, what was held as it came."""
        return b"".join([*self._given_up(), self._cutter.rest(), *self._last()])

    def _given_up(self) -> list[bytes]:
        self._plain = True
        return self._release()

    @abstractmethod
    def _event(self, event: bytes) -> list[bytes]:
        """What goes on when an event has come."""

    @abstractmethod
    def _release(self) -> list[bytes]:
        """What is held, as it came; nothing is held from here on."""

    def _last(self) -> list[bytes]:
        """What is said behind the last event."""
        return []


class SalvagingStream(EventStream):
    """One that makes calls of what leaked; what it changes is added to ``changes``, and said in comments at its end."""

    def __init__(self, salvage: Salvage | None, ids: Ids, most: int, changes: list[Changed]) -> None:
        super().__init__()
        self._salvage, self._ids, self._most, self._changes = salvage, ids, most, changes
        self._salvaged = 0
        self._why = ""

    def _verdict(self, watch: LeakWatch, finish_reason: object, place: str) -> tuple[Channel, SalvageVerdict]:
        """What comes of an answer's texts now that it has ended."""
        channel, verdict = watch.end(finish_reason, self._salvage)
        self._changes += salvaged(verdict.calls, channel, place)
        self._salvaged += len(verdict.calls)
        self._why = self._why or verdict.why
        return channel, verdict

    def _last(self) -> list[bytes]:
        """What happened, once."""
        calls, self._salvaged = self._salvaged, 0
        why, self._why = self._why, ""
        out = [comment(f"k2lab salvaged {calls} call{'s' if calls > 1 else ''}")] if calls else []
        return [*out, *([comment(f"k2lab left a leaked call as text: {why}")] if why else [])]


def decoded(data: str) -> object:
    """The JSON of an event's data; ``None`` for what is none."""
    try:
        value, end = DECODE(data, blank(data, 0))
    except (ValueError, RecursionError):
        return None
    return value if blank(data, end) == len(data) else None


def data_with(data: str, before: object, after: object) -> str:
    """The text of a changed value; what in it did not change is as it was."""
    return rewritten(data, JSONPart(value=before, start=blank(data, 0), end=len(data.rstrip())), after, DECODE)

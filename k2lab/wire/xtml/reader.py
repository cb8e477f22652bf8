"""Reading an XTML output: one pass over its tags, from text to channels, pieces and calls."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from k2lab.chat import schemas_by_name
from k2lab.families import Family
from k2lab.families.special import END_OF_MSG, TURN_MARKER
from k2lab.wire import records
from k2lab.wire.bare import XTML_REASON, bare_xtml_calls
from k2lab.wire.records import Call, Parsed, Piece, PieceKind, Status
from k2lab.wire.xtml import tags as xtml
from k2lab.wire.xtml.calls import CallReader, Taken
from k2lab.wire.xtml.tags import Tag
from k2lab.wire.xtml.valueforms import unescape

Channel = Literal["think", "response"]

K2_MARKER = re.compile(f"{records.MARKER.pattern}|{TURN_MARKER.pattern}")
K2_NOTE = "markers of Kimi K2's format stand in it, which K3 does not write: they are left as text"
UNPLACED = (
    "the text before the tools stands in no channel: it is taken for content; where the prompt opened the reasoning,"
    " it is that (thinking)"
)
DOUBT = "what follows it is no whole call: a string of it may hold tags and go on up to there"
GOES_ON = "a string of the call before it may hold this call, and go on in it"
UNCLOSED = "the reasoning is not closed before the response"
BEHIND = "behind the end of the message"


class Reader:
    """One pass over the tags of a text.

    ``control`` are the places of markers that are tokens of their own, where
    that is known: a marker elsewhere is then text.
    """

    def __init__(
        self,
        text: str,
        tools: Sequence[Mapping[str, object]] | None,
        strict: bool,
        family: Family,
        control: Iterable[int] | None = None,
    ) -> None:
        self.text, self.strict, self.family = text, strict, family
        self.certain = control is not None
        self.tags = xtml.find(text, control)
        self.reader = CallReader(text, self.tags, None if tools is None else schemas_by_name(tools), self.certain)
        self.thinks = [n for n, tag in enumerate(self.tags) if tag.name == "think"]
        self.responses = [n for n, tag in enumerate(self.tags) if tag.name == "response"]
        self.pieces: list[Piece] = []
        self.calls: list[Call] = []
        self.notes: list[str] = []
        self.channel: Channel | None = None
        self.responded = self.thought = self.ended = False
        self.due = 1
        self.foreign: int | None = None
        self.strings: int | None = None
        self.doubtful = self.doubt_end = 0
        self.open_ended = False

    def read(self, thinking: bool | None) -> Parsed:
        """Everything that the text holds; ``thinking`` as in :func:`k2lab.wire.parse`."""
        self.channel = self._first_channel(thinking)
        self.responded = self.channel == "response"
        place, number = 0, 0
        while number < len(self.tags):
            place, number = self._outside(place, number)
        self._say(place, len(self.text))
        if not self.tags:
            self._read_bare_calls()
        return self._result()

    def _read_bare_calls(self) -> None:
        """Records of calls whose markers are gone, out of the text."""
        pieces, self.pieces = self.pieces, []
        for piece in pieces:
            place = piece.start
            for begin, end in bare_xtml_calls(self.text, piece):
                start = begin.start()
                self._add(piece.kind, place, start)
                name, index = unescape(begin["name"]), int(begin["index"])
                self._keep(self._unread(start, end, "malformed", XTML_REASON, name, index))
                place = end
            self._add(piece.kind, place, piece.end)

    def _first_channel(self, thinking: bool | None) -> Channel | None:
        """The channel in which the output begins: the one that its first tag of a channel shows was open."""
        if thinking is not None:
            return "think" if thinking else "response"
        for tag in self.tags:
            if self._is_spoken_of(tag) or tag.name not in ("think", "response", "tools", "call"):
                continue
            if tag.kind == "close":
                return "think" if tag.name == "think" else "response" if tag.name == "response" else None
            return "think" if tag.name == "response" and self.text[: tag.start].strip() else None
        return None

    def _is_spoken_of(self, tag: Tag) -> bool:
        return not self.certain and xtml.is_spoken_of(self.text, tag)

    def _add(self, kind: PieceKind, start: int, end: int) -> None:
        if end > start:
            self.pieces.append(Piece(kind, start, end))

    def _say(self, start: int, end: int) -> None:
        """Text outside the tools: of the open channel, or of none."""
        kind: PieceKind = "reasoning" if self.channel == "think" else "content"
        if self.foreign is not None or (self.channel is None and self.tags and not self.text[start:end].strip()):
            kind = "stray"
        self._add(kind, start, end)

    def _outside(self, place: int, number: int) -> tuple[int, int]:
        """A tag outside the tools; returns where to go on."""
        tag = self.tags[number]
        if self._is_spoken_of(tag) and not self._opens_calls(number):
            self._say(place, tag.end)
            return tag.end, number + 1
        if tag.opens("tools", "call", "argument", "json"):
            return self._tools(place, number)
        if tag.opens("think", "response") or tag.closes("think", "response"):
            self._say(place, tag.start)
            self._turn_to(tag)
        elif tag.kind == "end" or tag.name == "message":
            self._say(place, tag.start)
            self._message(tag)
        else:
            self._say(place, tag.start)
            self._lone(tag)
        return tag.end, number + 1

    def _opens_calls(self, number: int) -> bool:
        """Whether the tools or the call that a tag opens, as prose may, lead to anything."""
        tag, following = self.tags[number], self.reader.values.at(number + 1)
        if following is None or not xtml.is_close(self.text, tag, following):
            return False
        if tag.opens("tools"):
            return following.opens("call")
        return tag.opens("call") and (following.opens("argument", "json") or following.closes("call"))

    def _turn_to(self, tag: Tag) -> None:
        """A channel opens or closes."""
        name: Channel = "think" if tag.name == "think" else "response"
        known = tag.kind == "open" or self.channel == name or tag.cut
        self._add("marker" if known else "stray", tag.start, tag.end)
        if tag.kind == "open":
            if name == "response" and self.calls and not self.responded:
                self._blame(0, "the response stands behind the tools")
            if name == "response" and self.channel == "think" and any(p.kind == "reasoning" for p in self.pieces):
                self.notes.append(UNCLOSED)
            self.channel = name
        elif self.channel == name:
            self.channel = None
        self.thought |= name == "think"
        self.responded |= name == "response"

    def _message(self, tag: Tag) -> None:
        """A message opens or is over."""
        self._add("marker", tag.start, tag.end)
        role = (tag.attributes or {}).get("role", "assistant")
        if tag.kind != "open":
            self.ended |= tag.start > 0
        elif role == "assistant":
            self.due = 1
        elif self.foreign is None:
            self.foreign = tag.start
            self._foreign_note(role)
        self.channel = None

    def _foreign_note(self, role: str) -> None:
        if self.foreign == 0:
            self.notes.append("the text begins with a message that is not the assistant's: a prompt, not an output")
        else:
            self.notes.append(
                f"the model went on behind its message with one for {role!r}: what follows is no part of the answer;"
                f" a server ends the output at {END_OF_MSG}"
            )

    def _lone(self, tag: Tag) -> None:
        """A closing tag that closes nothing, or a marker that makes no tag."""
        if tag.closes("argument", "json"):
            self._doubt()
        self._add("marker" if tag.cut else "stray", tag.start, tag.end)

    def _doubt(self) -> None:
        """What stands here may be of a string that was taken to end before: so may all calls since the first string."""
        if not self.certain:
            self.doubtful = len(self.calls)

    def _tools(self, place: int, number: int) -> tuple[int, int]:
        """The tools, or what stands outside them and belongs there."""
        tag = self.tags[number]
        self._say(place, tag.start)
        reasons = self._reasons(tag)
        if self.channel is None and not (self.calls or self.thought) and self.text[place : tag.start].strip():
            self.notes.append(UNPLACED)
            reasons.append("no channel is closed before the tools")
        kept = self.channel if self.channel and self._closes_later(number, self.channel) else None
        if not tag.opens("tools"):
            place, number = self._bare(number, reasons)
        elif tag.cut or (number + 1 == len(self.tags) and not self.text[tag.end :].strip()):
            self._nothing(tag, reasons)
            place, number = len(self.text), len(self.tags)
        else:
            self._add("marker", tag.start, tag.end)
            place, number = self._within(tag.end, number + 1, [*reasons, *tag.faults])
        self.channel = kept
        return place, number

    def _reasons(self, tag: Tag) -> list[str]:
        """What is odd about where the tools stand."""
        reasons = [BEHIND] if self.ended else [UNCLOSED] if UNCLOSED in self.notes else []
        if not tag.opens("tools"):
            reasons.append("no tools around the call")
        if self.channel == "think":
            reasons.append("the reasoning is not closed before the tools")
        elif self.channel == "response":
            reasons.append("the response is not closed before the tools")
        elif not self.responded and self.thought and not self.calls:
            reasons.append("no response before the tools")
        return reasons

    def _closes_later(self, number: int, name: Channel) -> bool:
        """Whether the open channel is closed behind the tools before it, or the response, is opened anew."""
        numbers = self.thinks if name == "think" else self.responses
        place = bisect_left(numbers, number)
        if place == len(numbers) or self.tags[numbers[place]].kind != "close":
            return False
        others = self.responses if name == "think" else self.thinks
        other = bisect_left(others, number)
        return other == len(others) or others[other] > numbers[place]

    def _nothing(self, tag: Tag, reasons: Sequence[str]) -> None:
        reason = "; ".join([*reasons, "ends where the tools open"])
        self._keep(self._unread(tag.start, len(self.text), "truncated", reason))

    def _unread(
        self, start: int, end: int, status: Status, reason: str, name: str | None = None, index: int | None = None
    ) -> Call:
        """A record of what stands in ``[start, end)``, without arguments."""
        raw = self.text[start:end]
        return Call(name=name, arguments=None, arguments_raw="", id="", index=index, status=status, reason=reason,
                    raw=raw, start=start, end=end)  # fmt: skip

    def _keep(self, call: Call) -> None:
        self.calls.append(call)
        self._add("call", call.start, call.end)

    def _take(self, taken: Taken) -> None:
        if taken.has_string and self.strings is None:
            self.strings = len(self.calls)
        doubted = taken.call.start < self.doubt_end
        self._keep(_malformed(taken.call, GOES_ON) if doubted else taken.call)
        self.doubt_end = max(self.doubt_end, taken.doubt)
        if taken.loose or (self.open_ended and taken.call.status in ("malformed", "invalid_arguments")):
            self._doubt()
        self.open_ended |= taken.open_ended
        if taken.call.index is not None:
            self.due = taken.call.index
        self.due += 1

    def _bare(self, number: int, reasons: list[str]) -> tuple[int, int]:
        """A call, or an argument, that stands outside the tools."""
        if self.tags[number].opens("call"):
            taken = self.reader.read(number, self.due, reasons)
        else:
            taken = self.reader.without_call(number, reasons)
        self._take(taken)
        return taken.place, taken.number

    def _within(self, place: int, number: int, reasons: list[str]) -> tuple[int, int]:
        """What stands between the tags of the tools; returns where it ends."""
        first = len(self.calls)
        while number < len(self.tags):
            tag = self.tags[number]
            if tag.ends_the_turn or tag.name in ("think", "response", "message") or tag.opens("tools"):
                break
            self._add("stray", place, tag.start)
            if tag.closes("tools"):
                self._add("marker", tag.start, tag.end)
                self._blame(first, *tag.faults, *(("the tools are not closed",) if tag.cut else ()))
                return tag.end, number + 1
            if tag.opens("call", "argument", "json"):
                place, number = self._bare(number, reasons)
                continue
            self._lone(tag)
            self._blame(first, "a tag too many behind it")
            place, number = tag.end, number + 1
        self._blame(first, "the tools are not closed")
        end = self.reader.values.limit(number)
        self._add("stray", place, end)
        return end, number

    def _blame(self, first: int, *reasons: str) -> None:
        """Note a fault of the tools on their last call."""
        if reasons and len(self.calls) > first and self.calls[-1].status in ("ok", "repaired", "undeclared"):
            last = self.calls[-1]
            status: Status = "repaired" if last.status == "ok" else last.status
            new = [reason for reason in reasons if reason not in last.reason]
            self.calls[-1] = replace(last, status=status, reason="; ".join(filter(None, (last.reason, *new))))

    def _result(self) -> Parsed:
        calls = [self._judged(number, call) for number, call in enumerate(self.calls)]
        if any(p.kind in ("content", "reasoning") and K2_MARKER.search(self.text, p.start, p.end) for p in self.pieces):
            self.notes.append(K2_NOTE)
        return records.assembled(
            self.text, self.pieces, calls, notes=self.notes, family=self.family, strict=self.strict
        )

    def _judged(self, number: int, call: Call) -> Call:
        """A call in the light of what follows it."""
        reasons = []
        if self.strings is not None and self.strings <= number < self.doubtful:
            reasons.append(DOUBT)
        if self.foreign is not None and call.start >= self.foreign:
            reasons.append("stands behind a message that is not the assistant's")
        return _malformed(call, *reasons) if reasons else call


def _malformed(call: Call, *reasons: str) -> Call:
    return replace(call, status="malformed", reason="; ".join(filter(None, (call.reason, *reasons))))

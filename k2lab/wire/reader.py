"""Reading an output: one pass over its markers, from text to pieces and calls."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from k2lab.chat import schemas_by_name
from k2lab.families import K2, Family
from k2lab.wire import arguments, channels, marks
from k2lab.wire.arguments import EMPTY, INVALID, Read
from k2lab.wire.bare import bare_calls
from k2lab.wire.identity import LEAK_WINDOW, Identity, alike, identify, leaked_id_start, required_of
from k2lab.wire.marks import FOREIGN_TURN, TURN, Mark
from k2lab.wire.payload import PayloadReader
from k2lab.wire.records import (
    ARGUMENT_BEGIN,
    CALL_BEGIN,
    CALL_END,
    SECTION_BEGIN,
    SECTION_END,
    Call,
    Parsed,
    Piece,
    PieceKind,
    Span,
    Status,
    assembled,
)

ID_LIKE = re.compile(r"[\w.:-]*")
CALL_LIKE = re.compile(r"\s{0,16}(?:functions?[_.:]\w|[\w.-]{1,96}:\s{0,16}[0-9]|[\w.:-]{0,96}\s{0,16}\{)")
"""What stands behind a begin marker that is meant: an id, or arguments."""
JSON_BEGIN = re.compile(r"\s*+\{")


class Reader:
    """One pass over the markers of a text."""

    def __init__(
        self, text: str, tools: Sequence[Mapping[str, object]] | None, strict: bool, family: Family = K2
    ) -> None:
        self.text, self.strict, self.family = text, strict, family
        self.schemas = None if tools is None else schemas_by_name(tools)
        self.calls: list[Call] = []
        self.pieces: list[Piece] = []
        self.marks = marks.find(text)
        self.payloads = PayloadReader(text, self.marks)
        self.ended = False
        self.foreign: int | None = None

    def read(self, thinking: bool | None) -> Parsed:
        """Everything that the text holds; ``thinking`` as in :func:`k2lab.wire.parse`."""
        place, number = 0, 0
        while number < len(self.marks):
            place, number = self._outside(place, number)
        self._add("content", place, len(self.text))
        if all(mark.of_turn for mark in self.marks):
            self._read_bare_calls()
        pieces = self.pieces
        if thinking is not False:
            pieces = channels.with_reasoning(self.text, pieces, bool(thinking), self.foreign)
        if self.foreign is not None:
            pieces = channels.cut(pieces, self.foreign)
        return self._result(pieces)

    def _result(self, pieces: list[Piece]) -> Parsed:
        calls = [self._in_turn(call) for call in self.calls]
        notes = channels.notes(self.text, pieces, self.foreign)
        return assembled(self.text, pieces, calls, notes=notes, family=self.family, strict=self.strict)

    def _in_turn(self, call: Call) -> Call:
        """A call behind a turn that the model made up for someone else is no call of this answer."""
        if self.foreign is None or call.start < self.foreign:
            return call
        reason = "stands behind a turn that is not the assistant's"
        return replace(call, status="malformed", reason="; ".join(filter(None, (call.reason, reason))))

    def _add(self, kind: PieceKind, start: int, end: int) -> None:
        if end > start:
            self.pieces.append(Piece(kind, start, end))

    def _keep(self, kind: PieceKind, place: int, mark: Mark, number: int) -> tuple[int, int]:
        """A lone marker, taken for ``kind``, behind the content before it."""
        self._add("content", place, mark.start)
        self._add(kind, mark.start, mark.end)
        return mark.end, number + 1

    def _outside(self, place: int, number: int) -> tuple[int, int]:
        """A marker outside any section; returns where to go on."""
        mark = self.marks[number]
        if mark.of_turn:
            return self._turn(place, number)
        if mark.kind == SECTION_BEGIN:
            return self._section(place, number)
        if mark.kind in (CALL_BEGIN, ARGUMENT_BEGIN):
            lost = [] if mark.kind == CALL_BEGIN else ["call begin marker lost"]
            start = mark.start if mark.kind == CALL_BEGIN else leaked_id_start(self.text, place, mark.start)
            if start is not None and not (mark.kind == CALL_BEGIN and self._is_mention(number)):
                self._add("content", place, start)
                return self._calls(start, number, [*self._late(), *lost, "no section around the call"])
            if start is None and JSON_BEGIN.match(self.text, mark.end):
                return self._leads_nowhere(place, number, "arguments without an id before them")
        return self._keep("content" if self._is_mention(number) else "stray", place, mark, number)

    def _turn(self, place: int, number: int) -> tuple[int, int]:
        mark = self.marks[number]
        self.ended |= mark.kind == TURN and mark.start > 0
        if mark.kind == FOREIGN_TURN and self.foreign is None:
            self.foreign = mark.start
        blank = self.ended and not self.text[place : mark.start].strip() and bool(self.pieces)
        self._add("marker" if blank else "content", place, mark.start)
        end, following = mark.end, number + 1
        if following == len(self.marks) and mark.start and not self.text[end:].strip():
            end = len(self.text)
        self._add("marker", mark.start, end)
        return end, following

    def _late(self) -> list[str]:
        return ["the call stands behind the end of the turn"] if self.ended else []

    def _is_mention(self, number: int) -> bool:
        """Whether a marker of a call is spoken of: it stands as a word does, and no call comes behind it."""
        mark = self.marks[number]
        later = self.payloads.limit(number + 1)
        if marks.is_followed(self.text, mark, later) or not marks.is_mentioned(self.text, mark.start, mark.end):
            return False
        return mark.kind in (CALL_END, SECTION_END) or not CALL_LIKE.match(self.text, mark.end)

    def _section(self, place: int, number: int) -> tuple[int, int]:
        opening = self.marks[number]
        follower = self.marks[number + 1] if number + 1 < len(self.marks) else None
        between = self.text[opening.end : self.payloads.limit(number + 1)]
        if follower and follower.kind == SECTION_END and not between.strip():
            self._add("content", place, opening.start)
            self._add("marker", opening.start, follower.end)
            return follower.end, number + 2
        if (follower is None or follower.of_turn) and not between.strip():
            end = self.payloads.limit(number + 1)
            self._add("content", place, opening.start)
            self._add_call(
                self._record(opening.start, end, Span(end, end), "truncated", ["ends after the section begin"])
            )
            return end, number + 1
        if self._opens_calls(number):
            self._add("content", place, opening.start)
            self._add("marker", opening.start, opening.end)
            singular = ["section marker in the singular"] if opening.singular else []
            return self._calls(opening.end, number + 1, [*self._late(), *singular], in_section=True)
        if self._is_mention(number):
            return self._keep("content", place, opening, number)
        return self._leads_nowhere(place, number, "section begin that leads to no call")

    def _opens_calls(self, number: int) -> bool:
        """Whether a call's own markers come behind a section's begin."""
        if number + 1 >= len(self.marks):
            return False
        follower = self.marks[number + 1]
        if follower.kind == ARGUMENT_BEGIN:
            between = self.text[self.marks[number].end : follower.start]
            return bool(between.strip()) or JSON_BEGIN.match(self.text, follower.end) is not None
        return follower.kind == CALL_BEGIN and not (self._is_mention(number) and self._is_mention(number + 1))

    def _leads_nowhere(self, place: int, number: int, reason: str) -> tuple[int, int]:
        """A begin marker that no usable call follows: a record up to the next marker, or to the end."""
        mark = self.marks[number]
        self._add("content", place, mark.start)
        end, following = self.payloads.region(mark.end, number + 1), number + 1
        brace = self.text.find("{", mark.end, end)
        header, given = Span(mark.end, end), None
        if brace >= 0:
            header, given = Span(mark.end, brace), Span(brace, end)
        read = arguments.decode(self.text[brace:end]) if given else Read(EMPTY, 0)
        value = read.value if isinstance(read.value, dict) else None
        if following < len(self.marks) and self.marks[following].start == end:
            closing = self.marks[following]
            if closing.kind in (CALL_END, SECTION_END):
                end, following = closing.end, following + 1
        header = header if header.end - header.start <= LEAK_WINDOW else Span(mark.end, mark.end)
        found = identify(self._at(header), None, self.schemas)
        call = self._made(mark.start, end, header, found, value, given, "malformed", [*self._late(), reason])
        self._add_call(call)
        return end, following

    def _calls(self, place: int, number: int, reasons: list[str], *, in_section: bool = False) -> tuple[int, int]:
        """Calls until the section ends; without a section, one call and what closes it."""
        while number < len(self.marks):
            mark = self.marks[number]
            if mark.of_turn:
                break
            if mark.kind == SECTION_END:
                self._add("stray", place, mark.start)
                self._add("marker", mark.start, mark.end)
                if mark.singular and "section marker in the singular" not in reasons:
                    self._blame_last("section marker in the singular")
                return mark.end, number + 1
            if mark.kind == CALL_BEGIN:
                self._add("stray", place, mark.start)
                place, number = self._call(mark.start, mark.end, number + 1, reasons)
            elif mark.kind == ARGUMENT_BEGIN and self._has_arguments(place, mark):
                lost = [] if "call begin marker lost" in reasons else ["call begin marker lost"]
                place, number = self._call(place, place, number, [*reasons, *lost])
            elif mark.kind == SECTION_BEGIN and not in_section:
                return place, number
            else:
                self._add("stray", place, mark.end)
                place, number = mark.end, number + 1
                continue
            if not in_section:
                follower = self.marks[number] if number < len(self.marks) else None
                if follower is None or self.text[place : follower.start].strip() or follower.kind == SECTION_BEGIN:
                    return place, number
                if follower.kind == ARGUMENT_BEGIN:
                    return place, number
        if in_section:
            self._blame_last("section end missing")
            end = self.payloads.region(place, number)
            self._add("stray", place, end)
            place = end
        return place, number

    def _has_arguments(self, place: int, mark: Mark) -> bool:
        return bool(self.text[place : mark.start].strip()) or JSON_BEGIN.match(self.text, mark.end) is not None

    def _blame_last(self, reason: str) -> None:
        """Note a fault of the section on its last call."""
        if self.calls and self.calls[-1].status in ("ok", "repaired", "undeclared"):
            last = self.calls[-1]
            status: Status = "repaired" if last.status == "ok" else last.status
            self.calls[-1] = replace(last, status=status, reason="; ".join(filter(None, (last.reason, reason))))

    def _add_call(self, call: Call) -> None:
        self.calls.append(call)
        self._add("call", call.start, call.end)

    def _record(
        self, start: int, end: int, header: Span, status: Status, reasons: list[str], given: Span | None = None
    ) -> Call:
        """A record without usable arguments."""
        found = identify(self._at(header), None, self.schemas)
        return self._made(start, end, header, found, None, given, status, reasons)

    def _at(self, span: Span | None) -> str:
        return "" if span is None else self.text[span.start : span.end]

    def _made(
        self,
        start: int,
        end: int,
        header: Span,
        found: Identity,
        value: Mapping[str, object] | None,
        given: Span | None,
        status: Status,
        reasons: list[str],
    ) -> Call:
        return Call(
            name=found.name,
            arguments=value,
            arguments_raw=self._at(given),
            id=self._at(header).strip(),
            index=found.index,
            status=status,
            reason="; ".join(reasons),
            raw=self.text[start:end],
            start=start,
            end=end,
            id_span=self._within(header, start),
            arguments_span=self._within(given, start),
        )

    def _within(self, span: Span | None, start: int) -> Span | None:
        """A span without the white space around it, from the start of its call on."""
        said = self._at(span)
        if span is None or not said.strip():
            return None
        first = span.start - start + len(said) - len(said.lstrip())
        return Span(first, first + len(said.strip()))

    def _call(self, start: int, header_start: int, number: int, reasons: list[str]) -> tuple[int, int]:
        """One call whose header begins at ``header_start``; ``number`` is the marker that should open its arguments."""
        opening = self.marks[number] if number < len(self.marks) else None
        limit = min(self.payloads.limit(number), header_start + LEAK_WINDOW)
        brace = self.text.find("{", header_start, limit)
        if brace >= 0 and not (opening and opening.kind == ARGUMENT_BEGIN and JSON_BEGIN.match(self.text, opening.end)):
            header = Span(header_start, brace)
            return self._with_arguments(
                start, header, brace, number, [*reasons, "argument marker missing"], strictly=True
            )
        if opening is None or opening.of_turn:
            return self._unfinished_header(start, header_start, number, reasons)
        header = Span(header_start, opening.start)
        if opening.kind != ARGUMENT_BEGIN:
            closes = opening.kind == CALL_END
            end = opening.end if closes else opening.start
            missing = "argument marker missing, and no arguments"
            self._add_call(self._record(start, end, header, "malformed", [*reasons, missing]))
            return end, number + 1 if closes else number
        return self._with_arguments(start, header, opening.end, number + 1, reasons)

    def _with_arguments(
        self, start: int, header: Span, begin: int, number: int, reasons: list[str], *, strictly: bool = False
    ) -> tuple[int, int]:
        """A call whose arguments begin at ``begin``; ``strictly``: text behind them leaves it unusable."""
        read, stop, after = self.payloads.read(begin, number)
        given = Span(begin, stop)
        closing = self.marks[after] if after < len(self.marks) else None
        last = closing is None or closing.of_turn
        end, following, reasons = stop, after, list(reasons)
        if closing is not None and closing.kind == CALL_END and not self.text[stop : closing.start].strip():
            end, following = closing.end, after + 1
        elif read.value is INVALID and last and read.unfinished:
            stated = [*reasons, "ends inside the arguments"]
            self._add_call(self._record(start, stop, header, "truncated", stated, given))
            return stop, after
        else:
            reasons.append("call end marker missing")
        call = self._finished(start, end, header, read, given, reasons)
        if strictly and not call.usable and call.status != "undeclared":
            call = replace(call, status="malformed")
        self._add_call(call)
        return end, following

    def _unfinished_header(self, start: int, header_start: int, number: int, reasons: list[str]) -> tuple[int, int]:
        end = self.payloads.region(header_start, number)
        header = Span(header_start, end)
        if ID_LIKE.fullmatch(self._at(header).strip()) and end == self.payloads.limit(number):
            self._add_call(self._record(start, end, header, "truncated", [*reasons, "ends inside the id"]))
        else:
            nowhere = [*reasons, "call begin that leads to no call"]
            self._add_call(
                self._record(start, end, Span(header_start, min(end, header_start + LEAK_WINDOW)), "malformed", nowhere)
            )
        return end, number

    def _finished(self, start: int, end: int, header: Span, read: Read, given: Span, reasons: list[str]) -> Call:
        """Name, arguments and status of a call that came to its end."""
        reasons = list(reasons)
        value, fault = arguments.as_object(read, reasons)
        found = identify(self._at(header), value, self.schemas)
        if found.reason:
            reasons.append(found.reason)
        if value is not None and found.change:
            value = dict(found.change(value))
        needed = required_of((self.schemas or {}).get(found.name or "", {})) if read.value is EMPTY else []
        if needed:
            value, fault = None, f"no arguments where {', '.join(needed)} is required"
        if fault:
            reasons.append(fault)
        status = self._status(found.name, value, reasons)
        return self._made(start, end, header, found, value, given, status, reasons)

    def _status(self, name: str | None, value: Mapping[str, object] | None, reasons: list[str]) -> Status:
        if name is None:
            return "malformed"
        undeclared = self.schemas is not None and name not in self.schemas
        if undeclared:
            reasons.append(f"no tool {name!r} is on offer{alike(name, self.schemas or {})}")
        if value is None:
            return "invalid_arguments"
        return "undeclared" if undeclared else "repaired" if reasons else "ok"

    def _read_bare_calls(self) -> None:
        """Records of ids with arguments whose markers are gone, out of the content."""
        pieces, self.pieces = self.pieces, []
        for piece in pieces:
            place = piece.start
            for bare in bare_calls(self.text, piece, self.schemas) if piece.kind == "content" else ():
                header, given = Span(bare.start, bare.brace), Span(bare.brace, bare.end)
                found = identify(self._at(header).strip(), None, self.schemas)
                self._add("content", place, bare.start)
                self._add_call(
                    self._made(bare.start, bare.end, header, found, bare.arguments, given, "malformed", [bare.reason])
                )
                place = bare.end
            self._add(piece.kind, place, piece.end)

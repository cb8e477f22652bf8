"""Reading an output: one pass over its markers, from text to pieces and calls."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from k2lab.wire.identify import LEAK_WINDOW, Identity, identify, leaked_id_start, required_of, schemas_of
from k2lab.wire.records import (
    ARGUMENT_BEGIN,
    CALL_BEGIN,
    CALL_END,
    MARKER,
    SECTION_BEGIN,
    SECTION_END,
    SINGULAR,
    THINK_BEGIN,
    THINK_END,
    Call,
    Parsed,
    Piece,
    PieceKind,
    Status,
)

ID_LIKE = re.compile(r"[\w.:-]*")
EXTRA_READS = 4
"""How many times the length of the text may be spent on JSON that runs past the next marker; keeps time linear."""


class Mark(NamedTuple):
    """A marker in the text; ``kind`` is its documented spelling."""

    kind: str
    start: int
    end: int
    singular: bool


class Reader:
    """One pass over the markers of a text."""

    def __init__(self, text: str, tools: Sequence[Mapping[str, Any]] | None, strict: bool) -> None:
        self.text = text
        self.strict = strict
        self.schemas = None if tools is None else schemas_of(tools)
        self.calls: list[Call] = []
        self.pieces: list[Piece] = []
        self.budget = EXTRA_READS * len(text) + 1000
        self.marks: list[Mark] = []

    def read(self, thinking: bool | None) -> Parsed:
        """Everything that the text holds; ``thinking`` as in :func:`k2lab.wire.parse`."""
        start = self._read_reasoning(thinking)
        self.marks = [
            Mark(SINGULAR.get(m[0], m[0]), m.start(), m.end(), m[0] in SINGULAR)
            for m in MARKER.finditer(self.text, start)
        ]
        place, number = start, 0
        while number < len(self.marks):
            place, number = self._outside(place, number)
        self._add("content", place, len(self.text))
        return self._result()

    def _result(self) -> Parsed:
        def joined(kind: PieceKind) -> str:
            return "".join(self.text[p.start : p.end] for p in self.pieces if p.kind == kind)

        content = joined("content")
        blank = not content or (bool(self.calls) and content.isspace())
        reasoning = joined("reasoning")
        stray = tuple(self.text[p.start : p.end] for p in self.pieces if p.kind == "stray")
        calls = tuple(self._strictly(call) for call in self.calls)
        kept = tuple(s for s in stray if not s.isspace())
        return Parsed(None if blank else content, reasoning or None, calls, kept, tuple(self.pieces))

    def _strictly(self, call: Call) -> Call:
        if self.strict and call.status == "repaired":
            return replace(call, status="malformed", reason=f"not the documented form: {call.reason}")
        return call

    def _add(self, kind: PieceKind, start: int, end: int) -> None:
        if end > start:
            self.pieces.append(Piece(kind, start, end))

    def _read_reasoning(self, thinking: bool | None) -> int:
        """Take the reasoning off the front; returns where the rest begins."""
        begin = len(THINK_BEGIN) if self.text.startswith(THINK_BEGIN) else 0
        end = self.text.find(THINK_END)
        marker = MARKER.search(self.text)
        if end >= 0 and (marker is None or end < marker.start()) and thinking is not False:
            rest = end + len(THINK_END)
        elif thinking or (begin and thinking is None):
            end = rest = marker.start() if marker else len(self.text)
        else:
            return 0
        self._add("marker", 0, begin)
        self._add("reasoning", begin, end)
        self._add("marker", end, rest)
        return rest

    def _outside(self, place: int, number: int) -> tuple[int, int]:
        """A marker outside any section; returns where to go on."""
        mark = self.marks[number]
        if mark.kind == SECTION_BEGIN:
            return self._section(place, number)
        if mark.kind in (CALL_BEGIN, ARGUMENT_BEGIN):
            lost = [] if mark.kind == CALL_BEGIN else ["call begin marker lost"]
            start = mark.start if mark.kind == CALL_BEGIN else leaked_id_start(self.text, place, mark.start)
            if start is not None:
                self._add("content", place, start)
                return self._calls(start, number, [*lost, "no section around the call"])
        self._add("content", place, mark.end)
        return mark.end, number + 1

    def _section(self, place: int, number: int) -> tuple[int, int]:
        opening = self.marks[number]
        follower = self.marks[number + 1] if number + 1 < len(self.marks) else None
        reasons = ["section marker in the singular"] if opening.singular else []
        if follower is None:
            if self.text[opening.end :].strip():
                return self._keep_as_content(place, opening.end, number + 1)
            self._add("content", place, opening.start)
            self._add_call(
                self._record(opening.start, len(self.text), "", "truncated", ["ends after the section begin"])
            )
            return len(self.text), number + 1
        between = self.text[opening.end : follower.start]
        if follower.kind == SECTION_END:
            if between.strip():
                return self._keep_as_content(place, follower.end, number + 2)
            self._add("content", place, opening.start)
            self._add("marker", opening.start, follower.end)
            return follower.end, number + 2
        if follower.kind not in (CALL_BEGIN, ARGUMENT_BEGIN) or (
            follower.kind == ARGUMENT_BEGIN and not between.strip()
        ):
            return self._keep_as_content(place, opening.end, number + 1)
        self._add("content", place, opening.start)
        self._add("marker", opening.start, opening.end)
        return self._calls(opening.end, number + 1, reasons, in_section=True)

    def _keep_as_content(self, place: int, end: int, number: int) -> tuple[int, int]:
        self._add("content", place, end)
        return end, number

    def _calls(self, place: int, number: int, reasons: list[str], *, in_section: bool = False) -> tuple[int, int]:
        """Calls until the section ends; without a section, one call and what closes it."""
        while number < len(self.marks):
            mark = self.marks[number]
            if mark.kind == SECTION_END:
                self._add("stray", place, mark.start)
                self._add("marker", mark.start, mark.end)
                if mark.singular and "section marker in the singular" not in reasons:
                    self._blame_last("section marker in the singular")
                return mark.end, number + 1
            if mark.kind == CALL_BEGIN:
                self._add("stray", place, mark.start)
                place, number = self._call(mark.start, mark.end, number + 1, reasons)
            elif mark.kind == ARGUMENT_BEGIN and self.text[place : mark.start].strip():
                lost = [] if "call begin marker lost" in reasons else ["call begin marker lost"]
                place, number = self._call(place, place, number, [*reasons, *lost])
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
            self._add("stray", place, len(self.text))
            place = len(self.text)
        return place, number

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
        self, start: int, end: int, header: str, status: Status, reasons: list[str], raw_arguments: str = ""
    ) -> Call:
        """A record without usable arguments."""
        found = identify(header, None, self.schemas)
        return self._made(start, end, header, found, None, raw_arguments, status, reasons)

    def _made(
        self,
        start: int,
        end: int,
        header: str,
        found: Identity,
        arguments: dict[str, Any] | None,
        raw_arguments: str,
        status: Status,
        reasons: list[str],
    ) -> Call:
        return Call(
            name=found.name,
            arguments=arguments,
            arguments_raw=raw_arguments,
            id=header.strip(),
            index=found.index,
            status=status,
            reason="; ".join(reasons),
            raw=self.text[start:end],
            start=start,
            end=end,
        )

    def _call(self, start: int, header_start: int, number: int, reasons: list[str]) -> tuple[int, int]:
        """One call whose header begins at ``header_start``; ``number`` is the marker that should open its arguments."""
        if number >= len(self.marks):
            return self._unfinished_header(start, header_start, reasons)
        opening = self.marks[number]
        header = self.text[header_start : opening.start]
        if opening.kind != ARGUMENT_BEGIN:
            closes = opening.kind == CALL_END
            end = opening.end if closes else opening.start
            self._add_call(self._record(start, end, header, "malformed", [*reasons, "no arguments"]))
            return end, number + 1 if closes else number
        value, stop, after = self._arguments(opening.end, number + 1)
        raw_arguments = self.text[opening.end : stop]
        closing = self.marks[after] if after < len(self.marks) else None
        end, following, reasons = stop, after, list(reasons)
        if closing is not None and closing.kind == CALL_END and not self.text[stop : closing.start].strip():
            end, following = closing.end, after + 1
        elif value is INVALID and closing is None:
            whole = len(self.text)
            record = self._record(
                start, whole, header, "truncated", [*reasons, "ends inside the arguments"], raw_arguments
            )
            self._add_call(record)
            return whole, after
        else:
            reasons.append("call end marker missing")
        self._add_call(self._finished(start, end, header, value, raw_arguments, reasons))
        return end, following

    def _unfinished_header(self, start: int, header_start: int, reasons: list[str]) -> tuple[int, int]:
        header, end = self.text[header_start:], len(self.text)
        if ID_LIKE.fullmatch(header.strip()) and len(header) <= LEAK_WINDOW:
            self._add_call(self._record(start, end, header, "truncated", [*reasons, "ends inside the id"]))
        else:
            self._add("content", start, end)
        return end, len(self.marks)

    def _arguments(self, start: int, number: int) -> tuple[Any, int, int]:
        """``(value, stop, marker)``: the decoded JSON, where it ends, and the first marker after it.

        A marker inside a JSON string is text. Where the text is no JSON, the
        arguments end at the next marker and the value is ``INVALID``.
        """
        limit = self.marks[number].start if number < len(self.marks) else len(self.text)
        begin = _skip_space(self.text, start, limit)
        if begin == limit:
            return EMPTY, limit, number
        inside = self.text[begin:limit]
        value, stop = decode(inside)
        if value is not INVALID:
            whole = _skip_space(inside, stop, len(inside)) == len(inside)
            return (value if whole else INVALID), limit, number
        if stop == len(inside) and number < len(self.marks) and self.budget > 0:
            return self._arguments_over_markers(begin, limit, number)
        return INVALID, limit, number

    def _arguments_over_markers(self, begin: int, limit: int, number: int) -> tuple[Any, int, int]:
        """The same where a JSON string is still open at the next marker: read on, twice as many markers each time."""
        further = 1
        while self.budget > 0 and number + further // 2 < len(self.marks):
            last = number + further
            end = self.marks[last].start if last < len(self.marks) else len(self.text)
            value, stop = decode(self.text[begin:end])
            self.budget -= end - begin
            if value is not INVALID:
                after = bisect_left(self.marks, begin + stop, key=lambda mark: mark.start)
                closing = self.marks[after].start if after < len(self.marks) else len(self.text)
                whole = _skip_space(self.text, begin + stop, closing) == closing
                return (value, closing, after) if whole else (INVALID, limit, number)
            if stop < end - begin:
                break
            further *= 2
        return INVALID, limit, number

    def _finished(self, start: int, end: int, header: str, value: Any, raw: str, reasons: list[str]) -> Call:
        """Name, arguments and status of a call that came to its end."""
        reasons = list(reasons)
        arguments, fault = _as_object(value, reasons)
        found = identify(header, arguments, self.schemas)
        if found.reason:
            reasons.append(found.reason)
        if arguments is not None and found.change:
            arguments = dict(found.change(arguments))
        needed = required_of((self.schemas or {}).get(found.name or "", {})) if value is EMPTY else []
        if needed:
            arguments, fault = None, f"no arguments where {', '.join(needed)} is required"
        if fault:
            reasons.append(fault)
        status = self._status(found.name, arguments, reasons)
        return self._made(start, end, header, found, arguments, raw, status, reasons)

    def _status(self, name: str | None, arguments: Mapping[str, Any] | None, reasons: list[str]) -> Status:
        if name is None:
            return "malformed"
        if arguments is None:
            return "invalid_arguments"
        if self.schemas is not None and name not in self.schemas:
            reasons.append(f"no tool {name!r} is on offer")
            return "undeclared"
        return "repaired" if reasons else "ok"


INVALID: Any = object()
EMPTY: Any = object()


def _skip_space(text: str, start: int, end: int) -> int:
    while start < end and text[start].isspace():
        start += 1
    return start


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_JSON = json.JSONDecoder(parse_constant=_refuse_constant)


def decode(text: str, start: int = 0) -> tuple[Any, int]:
    """``(value, stop)`` of the JSON at ``start``; ``(INVALID, len(text))`` where it is unfinished or no JSON at all."""
    try:
        return _JSON.raw_decode(text, start)
    except json.JSONDecodeError as error:
        return INVALID, len(text) if error.msg.startswith("Unterminated string") else error.pos
    except (ValueError, RecursionError):  # a number of thousands of digits, NaN, or nesting without end
        return INVALID, len(text)


def _as_object(value: Any, reasons: list[str]) -> tuple[dict[str, Any] | None, str]:
    """The arguments as an object, and what is wrong where they are none."""
    if value is EMPTY:
        reasons.append("empty arguments read as {}")
        return {}, ""
    if value is INVALID:
        return None, "the arguments are no JSON"
    if isinstance(value, str):
        inner, stop = decode(value, _skip_space(value, 0, len(value)))
        if isinstance(inner, dict) and _skip_space(value, stop, len(value)) == len(value):
            reasons.append("arguments encoded twice")
            return inner, ""
    if not isinstance(value, dict):
        return None, "the arguments are no object"
    return value, ""

"""One XTML call: from the tag that opens it to a record with its arguments, its status and the reason."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import NamedTuple

from k2lab.wire import arguments
from k2lab.wire.arguments import INVALID
from k2lab.wire.identity import Schemas, alike
from k2lab.wire.records import Call, Span, Status
from k2lab.wire.xtml.tags import Tag
from k2lab.wire.xtml.valueforms import type_of
from k2lab.wire.xtml.values import TYPES, Value, ValueReader, fits

INDEXED = re.compile(r":[0-9]{1,9}\Z")
EMPTY_NAME = "the tool's name is empty"
WRITTEN_AS_SPACES = "spaces around the special tokens, as a server's detokenizer puts them, were taken out"


class Draft:
    """A call as far as it is read; ``worst`` is the gravest thing that is wrong with it."""

    def __init__(self, start: int, faults: tuple[str, ...]) -> None:
        self.start = self.end = start
        self.reasons = list(dict.fromkeys(faults))
        self.worst: Status = "ok"
        self.values: dict[str, object] = {}
        self.texts: dict[str, str] = {}
        self.first: int | None = None
        self.last = start
        self.has_string = self.lost = self.loose = self.open_ended = False
        self.doubt = 0

    def mend(self, *reasons: str) -> None:
        """Note what was repaired."""
        self.reasons += [reason for reason in reasons if reason not in self.reasons]

    def spoil(self, status: Status, reason: str) -> None:
        """Note why the call is of no use; what was found first stays the status."""
        if self.worst == "ok":
            self.worst = status
        self.mend(reason)

    def put(self, key: str, value: object, text: str) -> None:
        """Take an argument; one that is there already is a fault unless it says the same."""
        if key in self.values and (type_of(self.values[key]), self.values[key]) != (type_of(value), value):
            self.spoil("malformed", f"the argument {key} twice: {_short(self.texts[key])} and {_short(text)}")
        elif key in self.values:
            self.mend(f"the argument {key} twice, with the same value")
        self.values[key], self.texts[key] = value, text

    def covers(self, start: int, end: int) -> None:
        """Count a stretch of the text to the arguments."""
        self.first = start if self.first is None else self.first
        self.last = self.end = end


class Taken(NamedTuple):
    """A call, and the place and the number of the tag where to go on.

    ``has_string``: it holds a string as it was written; up to ``doubt`` that
    string goes on in one of two readings. ``loose``: a tag of an argument
    belongs to none; ``open_ended``: it is not closed.
    """

    call: Call
    place: int
    number: int
    has_string: bool
    doubt: int = 0
    loose: bool = False
    open_ended: bool = False


class CallReader:
    """Reads the calls of a text whose tags are known."""

    def __init__(self, text: str, tags: list[Tag], schemas: Schemas | None, certain: bool) -> None:
        self.text, self.tags, self.schemas = text, tags, schemas
        self.certain = certain
        self.values = ValueReader(text, tags, certain)

    def read(self, number: int, due: int, reasons: list[str]) -> Taken:
        """The call that the tag ``number`` opens; ``due`` is the index that it should have."""
        tag = self.tags[number]
        draft = Draft(tag.start, (*reasons, *tag.faults))
        name = self._name(draft, tag)
        following = len(self.tags) if tag.cut else self._body(draft, number, self._schema(name))
        if tag.cut:
            draft.end = len(self.text)
            draft.spoil("truncated", "ends inside the tag that opens the call")
        index = self._index(draft, tag, due)
        return self._taken(draft, self._made(draft, name, index), following)

    def _taken(self, draft: Draft, call: Call, number: int) -> Taken:
        return Taken(call, draft.end, number, draft.has_string, draft.doubt, draft.loose, draft.open_ended)

    def without_call(self, number: int, reasons: list[str]) -> Taken:
        """An argument that stands in no call, to its end or to the next tag that is none of it."""
        tag = self.tags[number]
        draft = Draft(tag.start, tuple(reasons))
        draft.spoil("malformed", f"{'an argument' if tag.name == 'argument' else 'JSON'} that stands in no call")
        following = self._swallow(draft, number + 1, tag.name)
        draft.has_string = draft.loose = True
        return self._taken(draft, self._made(draft, None, None), following)

    def _name(self, draft: Draft, tag: Tag) -> str | None:
        said = (tag.attributes or {}).get("tool")
        if said is None:
            if not tag.cut:
                draft.spoil("malformed", "the tag that opens the call names no tool")
            return None
        if self.schemas is None or said in self.schemas:
            if not said.strip():
                draft.spoil("malformed", EMPTY_NAME)
            return said if said.strip() else None
        return self._other_name(draft, said)

    def _other_name(self, draft: Draft, said: str) -> str | None:
        """A name that is not on offer as it stands: the one tool that K2's form or white space makes of it, or none."""
        bare = said.strip()
        forms = {bare, bare.removeprefix("functions.")}
        found = sorted(
            {name for form in forms for name in (form, INDEXED.sub("", form)) if name in (self.schemas or {})}
        )
        if len(found) == 1:
            draft.mend(f"the name {_short(said)} read as {found[0]}")
            return found[0]
        if found or not bare:
            draft.spoil("malformed", f"the name {_short(said)} can be {' or '.join(found)}" if found else EMPTY_NAME)
            return None
        return said

    def _schema(self, name: str | None) -> Mapping[str, object]:
        found = (self.schemas or {}).get(name or "", {}).get("properties")
        return found if isinstance(found, Mapping) else {}

    def _index(self, draft: Draft, tag: Tag, due: int) -> int | None:
        said = (tag.attributes or {}).get("index")
        if said is None:
            if not tag.cut:
                draft.mend("no index")
            return None
        packed = said.strip()
        index = int(packed) if packed.isascii() and packed.isdigit() and len(packed) <= 9 else None
        if index is None:
            draft.mend(f"the index {_short(said)} is no number")
        elif index != due:
            draft.mend(f"the index {index} where {due} is due")
        return index

    def _body(self, draft: Draft, number: int, properties: Mapping[str, object]) -> int:
        """What stands in the call, up to its end; returns the number of the tag behind it."""
        draft.end = place = self.tags[number].end
        number += 1
        while True:
            tag = self.values.at(number)
            number, place, text = self._between(draft, number, place)
            if tag is None or tag.cut:
                draft.end = len(self.text)
                draft.spoil("truncated", "ends inside the call")
                return len(self.tags)
            if text and tag.closes("call"):
                self._bare(draft, place - len(text), text)
            elif text:
                draft.spoil("malformed", f"the text {_short(text)} stands in the call and is no argument")
            if tag.closes("call"):
                draft.mend(*tag.faults)
                draft.end = tag.end
                return number + 1
            if tag.opens("argument", "json"):
                number = self._element(draft, number, properties)
                if draft.lost:
                    return number
                place = draft.end
            elif tag.closes("argument", "json") or tag.kind == "lone":
                draft.loose |= bool(tag.name)
                why = "a tag in the call that closes nothing" if tag.name else "a marker that makes no tag"
                draft.spoil("malformed", why)
                draft.end = place = tag.end
                number += 1
            else:
                self._unclosed(draft, tag)
                return number

    def _between(self, draft: Draft, number: int, place: int) -> tuple[int, int, str]:
        """The text before the tag, white space aside, which is a fault where a tag follows."""
        limit = self.values.limit(number)
        text = self.text[place:limit]
        if text and not text.strip() and number < len(self.tags):
            draft.mend("white space between the tags of the call")
        return number, limit, text if text.strip() else ""

    def _unclosed(self, draft: Draft, tag: Tag) -> None:
        draft.mend("the call is not closed")
        draft.open_ended = True
        if tag.opens("think", "response") or tag.closes("think", "response"):
            draft.spoil("malformed", f"a tag of {tag.name} stands in it")

    def _bare(self, draft: Draft, start: int, text: str) -> None:
        """Arguments as one JSON object where their elements should stand."""
        read = arguments.decode(text.lstrip())
        whole = isinstance(read.value, dict) and not text.lstrip()[read.stop :].strip()
        if draft.first is not None or not whole:
            draft.spoil("malformed", f"the text {_short(text)} stands in the call and is no argument")
            return
        draft.mend("arguments as JSON, not as elements", *filter(None, [read.repaired]))
        draft.covers(start, start + len(text))
        for key, value in read.value.items():  # type: ignore[attr-defined]
            draft.put(key, value, json.dumps(value, ensure_ascii=False))

    def _element(self, draft: Draft, number: int, properties: Mapping[str, object]) -> int:
        """An argument or a ``json`` element; returns the number of the tag behind it."""
        tag = self.tags[number]
        draft.mend(*tag.faults)
        key = (tag.attributes or {}).get("key")
        what = (
            f"the argument {_short(key)[1:-1]}"
            if key is not None
            else "the json element"
            if tag.name == "json"
            else "an argument"
        )
        value = self._value(draft, number, key, properties, what)
        if value.state in ("cut", "two readings", "unclosed"):
            return self._lose(draft, number, value, what)
        draft.covers(tag.start, value.end)
        closing = self.tags[value.number - 1]
        draft.mend(*(f"{what}: {reason}" for reason in value.reasons))
        if closing.closes(tag.name) and closing.end == value.end:
            draft.mend(*closing.faults)
        is_string = isinstance(value.value, str)
        draft.has_string |= is_string and tag.name == "argument"
        if value.state == "not JSON":
            draft.spoil("invalid_arguments", f"{what} {value.fault}")
        elif tag.name == "json":
            self._json_element(draft, value)
        elif key is None:
            draft.spoil("malformed", "an argument without a key")
        else:
            raw = self.text[tag.end : value.stop].strip()
            draft.put(key, value.value, json.dumps(value.value, ensure_ascii=False) if is_string else raw)
        return value.number

    def _value(self, draft: Draft, number: int, key: str | None, properties: Mapping[str, object], what: str) -> Value:
        """The value of an element by its type; one of no known type is a string where it can be nothing else."""
        tag = self.tags[number]
        kind = (tag.attributes or {}).get("type")
        if tag.name == "json":
            return self.values.read(number, "json", "object")
        if kind in (*TYPES, "integer"):
            value = self.values.read(number, "argument", kind)
            if value.state != "read":
                return value
            if kind == "string":
                return self._unspaced(draft, number, value)
            if not fits(kind, value.value):
                draft.mend(f"{what} says {kind}, its value is {type_of(value.value)}")
            elif kind == "integer":
                draft.mend(f"{what} says integer, the form number")
            return value
        value = self.values.read(number, "argument", "string")
        return value if value.state != "read" else self._untyped(draft, value, kind, properties.get(key or ""), what)

    def _untyped(self, draft: Draft, value: Value, kind: str | None, schema: object, what: str) -> Value:
        """A value without a type, or of one that is none: what it can be by itself and by the tool's schema."""
        text = str(value.value)
        said = f"{what} has no type" if kind is None else f"{what} has the type {_short(kind)}"
        read = arguments.decode(text.strip())
        as_json = read.value is not INVALID and read.stop == len(text.strip())
        declared = schema.get("type") if isinstance(schema, Mapping) else None
        if not as_json or declared == "string":
            draft.mend(f"{said}: read as a string")
            return value
        if isinstance(declared, str) and fits(declared, read.value):
            draft.mend(f"{said}: read as {declared}, as the tool declares it")
            return value._replace(value=read.value)
        draft.spoil("malformed", f"{said}: it can be a string or {type_of(read.value)}")
        return value

    def _unspaced(self, draft: Draft, number: int, value: Value) -> Value:
        """A string without the spaces that a detokenizer put around special tokens, where it did so to both tags."""
        opened, closed = self.tags[number], self.tags[value.number - 1]
        text = str(value.value)
        if opened.spaced and closed.spaced and len(text) > 1 and text[0] == text[-1] == " ":
            draft.mend(WRITTEN_AS_SPACES)
            return value._replace(value=text[1:-1])
        return value

    def _json_element(self, draft: Draft, value: Value) -> None:
        if not isinstance(value.value, dict):
            draft.spoil("invalid_arguments", f"the arguments are {type_of(value.value)}, not an object")
            return
        draft.mend("arguments in a json element")
        for key, inner in value.value.items():
            draft.put(key, inner, json.dumps(inner, ensure_ascii=False))

    def _lose(self, draft: Draft, number: int, value: Value, what: str) -> int:
        """An element that takes the call with it: cut, or with an end that can be in two places."""
        if value.state == "cut":
            draft.covers(self.tags[number].start, value.stop)
            draft.spoil("truncated", f"ends inside {what}")
            draft.lost = True
            return value.number
        draft.spoil("malformed", f"{what}: {value.fault}")
        draft.covers(self.tags[number].start, value.stop)
        draft.lost = True
        if value.state == "unclosed":
            return value.number
        draft.has_string = True
        draft.doubt = self.values.next_end(value.number)
        return self._swallow(draft, value.number, "call")

    def _swallow(self, draft: Draft, number: int, name: str) -> int:
        """Take all up to the end of an element, or to what ends the tools; returns the number of the tag behind it."""
        while number < len(self.tags):
            tag = self.tags[number]
            if tag.closes(name):
                draft.end = tag.end
                return number + 1
            if tag.closes("tools", "message") or tag.kind == "end" or (name != "call" and tag.kind != "lone"):
                draft.end = tag.start
                return number
            number += 1
        draft.end = len(self.text)
        return number

    def _made(self, draft: Draft, name: str | None, index: int | None) -> Call:
        status = draft.worst
        value: Mapping[str, object] | None = draft.values if status == "ok" else None
        if name is not None and self.schemas is not None and name not in self.schemas:
            draft.mend(f"no tool {name!r} is on offer{alike(name, self.schemas)}")
            status = "undeclared" if status == "ok" else status
        if status == "ok" and draft.reasons:
            status = "repaired"
        span = None if draft.first is None else Span(draft.first - draft.start, draft.last - draft.start)
        return Call(
            name=name,
            arguments=value,
            arguments_raw=self._arguments_raw(draft, value),
            id="",
            index=index,
            status=status,
            reason="; ".join(draft.reasons),
            raw=self.text[draft.start : draft.end],
            start=draft.start,
            end=draft.end,
            arguments_span=span,
        )

    def _arguments_raw(self, draft: Draft, value: Mapping[str, object] | None) -> str:
        """The JSON that the elements make, each value as it was written; what stands there where they make none."""
        if value is not None:
            inner = (f"{json.dumps(key, ensure_ascii=False)}: {draft.texts[key]}" for key in value)
            return f"{{{', '.join(inner)}}}"
        return "" if draft.first is None else self.text[draft.first : draft.last]


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")

"""Files as they lie there: one JSON value, one a line, a captured stream, or a raw output; read within limits."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from k2lab import fastjson, files, jsonread, wire
from k2lab.check import forms
from k2lab.check.captures import api_of_stream
from k2lab.check.records import Item, Kind, Unread
from k2lab.errors import InputError

LEVELS = jsonread.MOST_LEVELS + 10
"""Of a line in which a request and an answer stand a few levels deep."""

DATA = re.compile(r"^data:", re.MULTILINE)
HEADERS = re.compile(r"(?:(?:[*<>] |[{}] \[|[<>]\r?\n)[^\n]*\n?|HTTP/[^\n]*\n(?:[^\r\n{\[]++\r?\n)*+|\s++)*+")
"""What ``curl -i`` and ``curl -v`` print before an answer."""
MARKED = re.compile(r"<\|tool_calls?_(?:section_)?(?:begin|end|argument_begin)|<\|im_(?:end|assistant)|</?think>")


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What a file holds. ``text`` is that of a whole JSON value, in which places have lines."""

    items: Iterator[Item | Unread]
    text: str = field(default="", repr=False)


def contents_of(file: BinaryIO, kind: Kind | None = None) -> Contents:
    """What an open file holds; ``kind`` says what it is to be taken for.

    Raises :class:`InputError` where that cannot be said.
    """
    first = _first_line(file)
    if kind not in ("stream", "output"):
        value = _json(first)
        if value is not None and not isinstance(value[0], str):
            return _json_file(file, first, value[0], kind)
    text = _text(first, file)
    return _of_text(text, kind)


def _first_line(file: BinaryIO) -> bytes:
    """The first line that is not blank, and the blank ones before it."""
    first = b""
    while line := file.readline(files.MAX_LINE_BYTES + 1):
        first += line
        if line.strip() or len(first) > files.MAX_LINE_BYTES:
            break
    if first[:2] == b"\x1f\x8b":
        raise InputError("it is packed (gzip): unpack it first, as with gunzip -c FILE | k2lab check -")
    if not first.strip():
        raise InputError("it is empty")
    return first


def _json(line: bytes) -> tuple[object] | None:
    """The value of a line; ``None`` where it is no JSON."""
    if line.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b"[") or len(line) > files.MAX_LINE_BYTES:
        return None
    try:
        return (value_of(line),)
    except jsonread.NotJSON:
        return None


def _json_file(file: BinaryIO, first: bytes, value: object, kind: Kind | None) -> Contents:
    """A file whose first line is a JSON value: the only one, or one of many."""
    second = next(_lines(file, first.count(b"\n") + 1), None)
    if second is not None:
        later = _lines(file, second[0] + 1)
        return Contents(items=_each(itertools.chain([second], later), first.count(b"\n"), value, kind))
    if forms.is_event(value) and not kind:
        raise InputError("it is one event of a stream: the whole stream is looked at")
    return Contents(items=iter([*forms.items(value, kind)]), text=first.decode("utf-8-sig", "replace"))


def value_of(line: bytes) -> object:
    """The value of a JSON text of others, such as a line; raises :class:`~k2lab.jsonread.NotJSON`."""
    containers = line.count(b"[") + line.count(b"{")
    if containers + line.count(b",") < jsonread.MOST_PARTS:
        try:
            value = fastjson.decoded(line)
        except ValueError:
            pass  # NaN is Python's own reader's, as are the words for a fault
        else:
            if containers <= LEVELS or not jsonread.is_deep(value, LEVELS):
                return value
    return _plain(line)


def _plain(data: bytes | str) -> object:
    """The value of a JSON text, whose strings are all text; raises :class:`~k2lab.jsonread.NotJSON`."""
    value = jsonread.read_json(data, constants=True, levels=LEVELS)
    lone = jsonread.lone_surrogate(value)
    if lone is not None:
        raise jsonread.NotJSON(f"{ascii(lone)[:80]} holds half a surrogate pair, which no server takes as text")
    return value


def _lines(file: BinaryIO, number: int) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank from that number on."""
    while line := file.readline(files.MAX_LINE_BYTES + 1):
        if len(line) > files.MAX_LINE_BYTES:
            raise InputError(f"line {number} has more than {files.MAX_LINE_BYTES >> 20} MiB")
        if line.strip():
            yield number, line
        number += 1


def _each(lines: Iterator[tuple[int, bytes]], number: int, first: object, kind: Kind | None) -> Iterator[Item | Unread]:
    """The items of a file of lines, whatever each of them is."""
    if forms.is_event(first):
        raise InputError("it has the events of a stream a line: put data: before each, as the server sent them")
    yield from _of_line(first, kind, max(1, number))
    yield from _rest(lines, kind)


def _of_line(value: object, kind: Kind | None, line: int) -> Iterator[Item | Unread]:
    try:
        yield from forms.items(value, kind, line)
    except forms.UnrecognisedError as why:
        yield Unread(line=line, why=str(why))


def _text(first: bytes, file: BinaryIO) -> str:
    data = first + file.read(max(0, files.MAX_BYTES + 1 - len(first)))
    if len(data) > files.MAX_BYTES:
        raise InputError(f"it has more than {files.MAX_BYTES >> 20} MiB, and is not a value a line")
    if b"\0" in data[:4096]:
        raise InputError("it is binary, or text in UTF-16: neither is looked at")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as why:
        raise InputError(f"byte {why.start + 1} is not UTF-8") from None


def _of_text(text: str, kind: Kind | None) -> Contents:
    if kind == "output":
        return Contents(items=iter([_output(text)]))
    if kind == "stream":
        return Contents(items=iter([_stream(text)]))
    body = text[HEADERS.match(text).end() :]  # type: ignore[union-attr]
    if body[:1] in ("{", "["):
        return _of_json(text, body, kind)
    if kind:
        raise InputError("it is not JSON")
    if DATA.search(text):
        return Contents(items=iter([_stream(text)]))
    foreign = wire.foreign_form(text)
    if foreign:
        raise InputError(f"it is {foreign}")
    if MARKED.search(text) or wire.of_output(text) or wire.holds_call(text):
        return Contents(items=iter([_output(text)]))
    raise InputError("it is neither JSON nor a stream nor a text with a marker in it; for a raw output say --as output")


def _stream(text: str) -> Item:
    return Item(kind="stream", api=api_of_stream(text), text=text)


def _output(text: str) -> Item:
    return Item(kind="output", text=text)


def _of_json(text: str, body: str, kind: Kind | None) -> Contents:
    """One JSON value over many lines; or lines of values, of which the first is broken."""
    try:
        value = _plain(body)
    except jsonread.NotJSON as why:
        return _broken(text, why, kind)
    padded = "\n" * text.count("\n", 0, len(text) - len(body)) + body
    return Contents(items=iter([*forms.items(value, kind)]), text=padded)


def _broken(text: str, why: jsonread.NotJSON, kind: Kind | None) -> Contents:
    """A text that begins as JSON and is none: lines of which some are values, an output, or nothing to look at."""
    lines = [(number, line.encode("utf-8", "surrogatepass")) for number, line in enumerate(text.split("\n"), 1)
             if line.strip()]  # fmt: skip
    good = [_json(line) is not None for _, line in lines[:100]]
    if len(good) > 1 and sum(good) * 2 >= len(good):
        first = Unread(line=lines[0][0], why="not JSON")
        return Contents(items=itertools.chain([first], _rest(iter(lines[1:]), kind)))
    if not kind and MARKED.search(text) and not text.lstrip().startswith('{"'):
        return Contents(items=iter([_output(text)]))
    raise InputError(f"it is not JSON: {why}")


def _rest(lines: Iterator[tuple[int, bytes]], kind: Kind | None) -> Iterator[Item | Unread]:
    for at, line in lines:
        try:
            yield from _of_line(value_of(line), kind, at)
        except jsonread.NotJSON as why:
            yield Unread(line=at, why=f"not JSON: {why}")

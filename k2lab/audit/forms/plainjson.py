"""Requests and answers as plain JSON, as K2-Vendor-Verifier's runner and most people's own logs have them.

The form is that of ``results.jsonl`` of MoonshotAI/K2-Vendor-Verifier
(``tool_calls_eval.py``): ``{"data_index", "request", "response", "status",
"tool_calls_valid", "last_run_at", ...}``; others keep ``{"request", "response"}``
with a time and a provider beside them. The texts of both are passed on as they
stand; whatever else ``k2lab check`` knows is taken as it takes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from k2lab.audit.forms.base import NO_FORM, LineForm, decoded, encoded, moment, text_of, unread
from k2lab.audit.tables import Row
from k2lab.check import forms
from k2lab.check.records import Item

TIMES = ("last_run_at", "started_at", "created_at", "timestamp", "time", "ts")
NOTHING = Raw(b"")


class _Line(msgspec.Struct):
    request: Raw
    response: Raw
    extra_body: Raw = NOTHING
    tool_calls_valid: Any = None
    model: Any = None
    vendor: Any = None
    provider: Any = None
    last_run_at: Any = None
    started_at: Any = None
    created_at: Any = None
    timestamp: Any = None
    time: Any = None
    ts: Any = None


class _Asked(msgspec.Struct):
    model: Any = None
    messages: Raw = NOTHING
    tools: Raw = NOTHING
    body: Raw = NOTHING


class _Said(msgspec.Struct):
    created: Any = None
    created_at: Any = None
    model: Any = None
    choices: Raw = NOTHING
    body: Raw = NOTHING


LINE = msgspec.json.Decoder(_Line)
ASKED = msgspec.json.Decoder(_Asked)
SAID = msgspec.json.Decoder(_Said)
EMPTY = (b"", b"null", b"{}", b"[]")


def rows(data: bytes) -> Iterable[Row]:
    """The exchanges of a record."""
    try:
        line = LINE.decode(data)
        asked, said = ASKED.decode(line.request), SAID.decode(line.response)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _slowly(decoded(data))
    if bytes(asked.body) or bytes(said.body) or bytes(line.extra_body) not in EMPTY:
        return _slowly(decoded(data))
    return (_row(line, asked, said),)


def _row(line: _Line, asked: _Asked, said: _Said) -> Row:
    had = bytes(asked.tools) not in EMPTY
    at_us = next((found for name in TIMES if (found := moment(getattr(line, name))) is not None), None)
    return Row(
        request=bytes(line.request),
        answer=bytes(line.response),
        model=text_of(asked.model) or text_of(line.model) or text_of(said.model),
        vendor=text_of(line.vendor) or text_of(line.provider),
        at_us=at_us if at_us is not None else moment(said.created or said.created_at),
        lacks="tools" if line.tool_calls_valid is True and not had else "",
    )


def _slowly(value: object) -> Iterator[Row]:
    beside = value if isinstance(value, Mapping) else {}
    try:
        for item in forms.items(value):
            yield _of_item(item, beside)
    except forms.UnrecognisedError as why:
        yield unread(NO_FORM, why)


def _of_item(item: Item, beside: Mapping[str, object]) -> Row:
    if item.kind not in ("exchange", "request", "conversation", "answer"):
        return unread(NO_FORM, f"it is {item.kind}, which k2lab check looks at", item=_place(item))
    request = item.request if isinstance(item.request, Mapping) else {}
    answer = item.answer if isinstance(item.answer, Mapping) else {}
    left_out = item.stored is True and not request.get("tools")
    times = (*(beside.get(name) for name in TIMES), answer.get("created"))
    return Row(
        api=item.api,
        request=encoded(item.request) if item.request is not None else None,
        answer=encoded(item.answer) if item.answer is not None else None,
        model=text_of(request.get("model")) or text_of(beside.get("model")) or text_of(answer.get("model")),
        vendor=text_of(beside.get("vendor")) or text_of(beside.get("provider")),
        at_us=next((at_us for time in times if (at_us := moment(time)) is not None), None),
        lacks="tools" if left_out else "",
        item=_place(item),
    )


def _place(item: Item) -> str:
    """Where in a list of several it stands."""
    place = item.place("request") if item.request is not None else item.place("answer")
    return place[: place.find("]") + 1] if place.startswith("[") else ""


def takes(value: Mapping[str, object]) -> bool:
    """Whether a record has a request and an answer, or is one of them."""
    if isinstance(value.get("request"), Mapping) and "response" in value:
        return True
    try:
        found = next(forms.items(value))
    except (forms.UnrecognisedError, StopIteration):
        return False
    return found.kind in ("exchange", "request", "conversation", "answer")


def takes_k2vv(value: Mapping[str, object]) -> bool:
    """Whether a record is a line of K2VV's results."""
    return "data_index" in value and isinstance(value.get("request"), Mapping) and "response" in value


K2VV = LineForm(name="k2vv", words="results of K2-Vendor-Verifier", takes=takes_k2vv, rows=rows)
PLAIN = LineForm(name="plain", words="requests with their answers", takes=takes, rows=rows)

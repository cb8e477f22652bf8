"""Batches of OpenAI's API: the lines of an input and of an output, which belong together by their ``custom_id``.

The forms are those of https://platform.openai.com/docs/api-reference/batch/request-input and ``request-output``:
``{"custom_id", "method", "url", "body"}``, and ``{"id", "custom_id", "response": {"status_code", "request_id", "body"},
"error"}``, which a file of errors has, too. :mod:`k2lab.audit.batchpairs` joins them across files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from k2lab.apis import api_of_path
from k2lab.audit.forms.base import LineForm, decoded, encoded, moment, text_of, unread
from k2lab.audit.tables import LEFT_OUT, Row

NOTHING = Raw(b"")
CHAT = "/chat/completions"


class Line(msgspec.Struct):
    """A line of either file."""

    custom_id: Any
    url: Any = None
    body: Raw = NOTHING
    response: Raw = NOTHING
    error: Any = None


LINE = msgspec.json.Decoder(Line)


def line_of(data: bytes) -> Line:
    """A line; raises :class:`ValueError` where it is none of a batch."""
    try:
        line = LINE.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        value = decoded(data)
        if not isinstance(value, Mapping) or "custom_id" not in value:
            raise ValueError("it has no custom_id") from None
        line = LINE.decode(encoded(value))
    if not isinstance(line.custom_id, str):
        raise ValueError("its custom_id is no text")
    return line


def is_input(line: Line) -> bool:
    """Whether a line is a request."""
    return bytes(line.body)[:1] == b"{"


def row_of(asked: bytes | None, said: bytes | None) -> Row:
    """An exchange of a line of the input, a line of the output, or both."""
    request = None if asked is None else line_of(asked)
    answer = None if said is None else line_of(said)
    row = Row(item=(request or answer).custom_id)  # type: ignore[union-attr]
    if request is not None:
        row.model = _model(bytes(request.body))
        row.api = api_of_path(request.url if isinstance(request.url, str) else CHAT)
        if row.api is None:
            row.unknown = f"{LEFT_OUT}of another path than those of chats, completions, responses and messages"
        else:
            row.request = bytes(request.body)
    if answer is not None and row.unknown is None:
        _answered(row, answer)
    return row if row.unknown is None else Row(item=row.item, model=row.model, unknown=row.unknown)


def _answered(row: Row, answer: Line) -> None:
    response = decoded(bytes(answer.response)) if bytes(answer.response) else None
    body = response.get("body") if isinstance(response, Mapping) else None
    if isinstance(body, Mapping):
        row.answer = encoded(body)
        row.at_us, row.model = moment(body.get("created")), row.model or text_of(body.get("model"))
    elif answer.error:
        row.answer = encoded(
            {"error": answer.error if isinstance(answer.error, Mapping) else {"message": answer.error}}
        )
    else:
        row.unknown = "no answer: its line of the output has neither a body nor an error"


def _model(body: bytes) -> str | None:
    value = decoded(body)
    return text_of(value.get("model")) if isinstance(value, Mapping) else None


def rows(data: bytes) -> Iterable[Row]:
    """A line by itself, as where nothing is joined."""
    line = line_of(data)
    if is_input(line):
        return (unread("no answer", "its output is not among the files", item=line.custom_id),)
    return (row_of(None, data),)


def takes(value: Mapping[str, object]) -> bool:
    """Whether a record is a line of a batch."""
    asked = isinstance(value.get("body"), Mapping) and "url" in value
    said = ("response" in value or "error" in value) and "request" not in value
    return isinstance(value.get("custom_id"), str) and (asked or said)


BATCH = LineForm(name="batch", words="lines of OpenAI's batches", takes=takes, rows=rows)

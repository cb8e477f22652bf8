"""What a form of records is: how one is told, and how a record of it becomes exchanges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from k2lab import fastjson, jsonread
from k2lab.audit.tables import Row

EARLIEST_US, LATEST_US = 0, 4_102_444_800_000_000
"""Times that are taken for times: from 1970 to 2100."""

NO_FORM = "of no known form"


@dataclass(frozen=True, kw_only=True, slots=True)
class LineForm:
    """A form of records: ``takes`` tells one by a decoded record, ``rows`` reads the JSON text of one.

    ``rows`` raises :class:`ValueError` for what is no JSON, and gives a row with
    a reason (``unknown``) for what holds no exchange.
    """

    name: str
    words: str
    takes: Callable[[Mapping[str, object]], bool]
    rows: Callable[[bytes], Iterable[Row]]


def unread(kind: str, detail: object = "", item: str = "") -> Row:
    """A record in which there is nothing to look at; ``kind`` is of a few, and counted by."""
    return Row(unknown=f"{kind}: {detail}" if detail else kind, item=item)


def decoded(data: bytes) -> object:
    """The value of a JSON text; raises :class:`~k2lab.jsonread.NotJSON`."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return jsonread.read_json(data, constants=True, levels=jsonread.MOST_LEVELS + 10)


def encoded(value: object) -> bytes:
    """A JSON text of a value."""
    return fastjson.encoded(value)


def moment(value: object) -> int | None:
    """A time as microseconds since 1970, UTC: of ISO 8601, or of seconds, milli-, micro- or nanoseconds as a number.

    A time without a zone is taken for UTC; what is no time is ``None``.

    >>> moment("2026-11-26T12:00:00Z") == moment(1795694400) == moment(1795694400000)
    True
    """
    found: float | None = None
    if isinstance(value, str):
        try:
            found = _of_text(value)
        except ValueError:
            return None
    elif isinstance(value, int | float) and not isinstance(value, bool) and value == value:
        size = abs(value)
        found = value * 1e6 if size < 1e11 else value * 1e3 if size < 1e14 else value if size < 1e17 else value / 1e3
    return round(found) if found is not None and EARLIEST_US <= found <= LATEST_US else None


def _of_text(text: str) -> float:
    if text.isdecimal() and len(text) < 21:
        return moment(int(text)) or -1.0
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1e6


def text_of(value: object) -> str | None:
    """A text that says something."""
    return value if isinstance(value, str) and value else None

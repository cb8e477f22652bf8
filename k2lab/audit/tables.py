"""The two tables of an audit: exchanges as they are read, and findings, with at least one row for each exchange."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from k2lab.apis import Api
from k2lab.legible import one_line

EXCHANGES = pa.schema(
    [
        ("key", pa.string()),
        ("source", pa.string()),
        ("row", pa.int64()),
        ("item", pa.string()),
        ("form", pa.string()),
        ("at", pa.timestamp("us", "UTC")),
        ("day", pa.string()),
        ("model", pa.string()),
        ("vendor", pa.string()),
        ("api", pa.string()),
        ("request", pa.large_binary()),
        ("answer", pa.large_binary()),
        ("sent", pa.large_binary()),
        ("streamed", pa.bool_()),
        ("lacks", pa.string()),
        ("unknown", pa.string()),
    ]
)
"""An exchange a row. ``request`` and ``answer`` are JSON texts in the form of ``api`` (:data:`k2lab.apis.APIS`; of that
which their own form says where it is null), or with ``streamed`` the answer is a stream as it was captured;
``request`` is null where nobody kept it, and ``sent`` is
what the server got where that is another request: the answer is judged by it. ``row`` counts from 1 in ``source``,
``item`` tells exchanges of one row apart. ``lacks`` names what the form did not keep, by comma
(:data:`k2lab.audit.looking.LACKS`), ``unknown`` says why there is nothing to look at, and then both texts are null.
``key`` is 32 hexadecimal digits of the contents and the time: the same wherever the exchange lies."""

FINDINGS = pa.schema(
    [
        *(EXCHANGES.field(name) for name in ("key", "source", "row", "item", "form", "at", "day", "model", "vendor")),
        ("state", pa.string()),
        ("code", pa.string()),
        ("name", pa.string()),
        ("layer", pa.string()),
        ("level", pa.string()),
        ("place", pa.string()),
        ("evidence", pa.string()),
        ("lacks", pa.string()),
        ("firsts", pa.int8()),
    ]
)
"""A finding a row (``state`` is ``present``), or the one row of an exchange without any (``clean``), of one that could
not be looked at (``unknown``, with the reason as ``evidence``), or of one that nobody asked for (``left_out``).
``firsts`` marks by bits the first row of an exchange, and in it that of a code, of a layer and of a level, so that
counts of exchanges are sums over rows, however a table is cut; an exchange that belongs into no share has
:data:`OUTSIDE` instead."""

EXCHANGE, CODE, LAYER, LEVEL, OUTSIDE = 1, 2, 4, 8, 16

LEFT_OUT = "left out: "
"""How the reason of a row begins that is no fault of the record: nobody asked for it."""

LONGEST_NAME = 200
"""Characters of a model's or a vendor's name as a folder's; a longer one is cut, and told apart by its hash."""

LONGEST_ITEM, LONGEST_REASON = 200, 400

NONE = "unknown"
"""Where a model, a vendor or a day is not said."""


@dataclass(kw_only=True, slots=True)
class Row:
    """An exchange as a form reads it; see :data:`EXCHANGES`. ``at_us`` are microseconds since 1970, UTC."""

    api: Api | None = None
    request: bytes | None = None
    answer: bytes | None = None
    sent: bytes | None = None
    streamed: bool = False
    model: str | None = None
    vendor: str | None = None
    at_us: int | None = None
    item: str = ""
    lacks: str = ""
    unknown: str | None = None
    source: str = ""
    """Where it is another file than the builder's."""


class Builder:
    """Exchanges of one source, gathered into tables."""

    def __init__(self, source: str, form: str, vendor: str | None = None) -> None:
        self._source, self._form, self._vendor = source, form, vendor
        self._rows: list[tuple[int, Row]] = []
        self.size = 0

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, number: int, row: Row) -> None:
        """Take an exchange of a row."""
        self._rows.append((number, row))
        self.size += len(row.request or b"") + len(row.answer or b"")

    def table(self) -> pa.Table:
        """What was added since the last one."""
        numbers, rows = [number for number, _ in self._rows], [row for _, row in self._rows]
        self._rows, self.size = [], 0
        columns: dict[str, object] = {
            "key": [key_of(row) for row in rows],
            "source": [row.source or self._source for row in rows],
            "row": numbers,
            "item": [row.item and one_line(row.item, LONGEST_ITEM) for row in rows],
            "form": pa.repeat(self._form, len(rows)),
            "at": pa.array([row.at_us for row in rows], pa.int64()).cast(pa.timestamp("us", "UTC")),
            "day": None,
            "model": [named(row.model) for row in rows],
            "vendor": [named(row.vendor or self._vendor) for row in rows],
            "api": [row.api for row in rows],
            "request": [row.request for row in rows],
            "answer": [row.answer for row in rows],
            "sent": [row.sent for row in rows],
            "streamed": [row.streamed for row in rows],
            "lacks": [row.lacks for row in rows],
            "unknown": [row.unknown and one_line(row.unknown, LONGEST_REASON) for row in rows],
        }
        columns["day"] = days(columns["at"])
        arrays = [pa.array(columns[field.name], field.type) if isinstance(columns[field.name], list)
                  else columns[field.name] for field in EXCHANGES]  # fmt: skip
        return pa.Table.from_arrays(arrays, schema=EXCHANGES)


def key_of(row: Row) -> str:
    """The key of an exchange: a hash of both texts, of the time and of what tells it apart."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (
        row.request or b"",
        row.answer or b"",
        f"{row.at_us}\0{row.item}\0{row.unknown or ''}".encode("utf-8", "replace"),
    ):
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return digest.hexdigest()


def days(at: object) -> pa.Array:
    """The day of each time in UTC, as ``2026-11-26``."""
    return pc.fill_null(pc.strftime(at, format="%Y-%m-%d"), NONE)


@lru_cache(maxsize=4096)
def named(name: object) -> str:
    """A name that can be a folder's: legible, not too long, and ``unknown`` where there is none.

    >>> named("moonshotai/Kimi-K2"), named(None)
    ('moonshotai/Kimi-K2', 'unknown')
    """
    text = one_line(name, 400) if isinstance(name, str) else ""
    if len(quote(text, safe="")) > LONGEST_NAME:
        digest = hashlib.blake2b(str(name).encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
        while len(quote(text, safe="")) > LONGEST_NAME - len(digest) - 1:
            text = text[: len(text) * 9 // 10]
        return f"{text}~{digest}"
    return text or NONE


def completed(table: pa.Table) -> pa.Table:
    """A table of exchanges with every column: what one who has a request and an answer alone may hand in.

    Texts are taken for bytes; the columns that are not there are what is known of
    nothing. Raises :class:`KeyError` where there is neither ``request`` nor ``answer``.
    """
    if table.schema.equals(EXCHANGES):
        return table
    if not {"request", "answer"} & set(table.column_names):
        raise KeyError("a table of exchanges has a column request, a column answer, or both")
    had = {field.name: _cast(table[field.name], field) for field in EXCHANGES if field.name in table.column_names}
    rows = range(1, table.num_rows + 1)
    defaults: dict[str, Iterable[object]] = {
        "row": rows,
        **{name: [""] * table.num_rows for name in ("source", "item", "form", "lacks")},
        **{name: [NONE] * table.num_rows for name in ("model", "vendor")},
        "streamed": [False] * table.num_rows,
    }
    columns = {
        field.name: had[field.name] if field.name in had
        else pa.array(defaults.get(field.name, [None] * table.num_rows), field.type) for field in EXCHANGES
    }  # fmt: skip
    if "day" not in had:
        columns["day"] = days(columns["at"])
    if "key" not in had:
        columns["key"] = pa.array(_keys(columns), pa.string())
    return pa.Table.from_arrays([columns[field.name] for field in EXCHANGES], schema=EXCHANGES)


def _cast(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    if pa.types.is_large_binary(field.type) and pa.types.is_string(column.type):
        column = column.cast(pa.binary())
    return column.cast(field.type)


def _keys(columns: dict[str, pa.ChunkedArray]) -> Sequence[str]:
    names = ("request", "answer", "at", "item", "unknown")
    values = [
        columns[name].cast(pa.int64()).to_pylist() if name == "at" else columns[name].to_pylist() for name in names
    ]
    return [
        key_of(Row(request=request, answer=answer, at_us=at_us, item=item or "", unknown=unknown))
        for request, answer, at_us, item, unknown in zip(*values, strict=True)
    ]

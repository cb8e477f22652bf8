"""The tables of a record of traffic, and an exchange as a row of them: its fields, and its bodies packed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import NoneType
from typing import Literal, get_args

from k2lab import jsonread, sqlitefile
from k2lab.traffic.exchanges import Changed, ChangeKind, Ending, Passed

FORMAT = 1
APPLICATION_ID = 0x6B326C74  # "k2lt"

SCHEMA = """
CREATE TABLE exchanges (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, started_at REAL NOT NULL, method TEXT NOT NULL,
    path TEXT NOT NULL, status INTEGER NOT NULL, ended TEXT NOT NULL, request_type TEXT NOT NULL,
    answer_type TEXT NOT NULL, upstream_ms REAL NOT NULL, first_ms REAL, added_ms REAL NOT NULL,
    request_cut INTEGER NOT NULL, answer_cut INTEGER NOT NULL, changes TEXT, redacted TEXT,
    kept_for TEXT NOT NULL, looked TEXT NOT NULL,
    request BLOB NOT NULL, answer BLOB NOT NULL, sent BLOB, given BLOB);
CREATE INDEX exchanges_by_key ON exchanges (key);
CREATE INDEX exchanges_by_time ON exchanges (started_at);
CREATE TABLE findings (
    exchange_id INTEGER NOT NULL, code TEXT NOT NULL, name TEXT NOT NULL, layer TEXT NOT NULL, place TEXT NOT NULL,
    evidence TEXT NOT NULL);
CREATE INDEX findings_by_exchange ON findings (exchange_id);
CREATE INDEX findings_by_code ON findings (code, exchange_id);
CREATE TABLE tallies (name TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE identity (id TEXT NOT NULL);
INSERT INTO identity VALUES (lower(hex(randomblob(8))));
"""
"""Bodies stand last in a row: what is listed without them does not read them."""

FORM = sqlitefile.FileKind(
    what="record of traffic",
    application_id=APPLICATION_ID,
    format=FORMAT,
    schema=SCHEMA,
    writer="k2lab proxy --record",
    other="recorder",
    pragmas="PRAGMA auto_vacuum = INCREMENTAL;",
    checked_bytes=64 << 20,
)

BODIES = ("request", "answer", "sent", "given")
PLAIN, ZLIB = b"\0", b"\1"
LEAST_PACKED = 256
"""Bytes from which on a body is packed."""

LEVEL = 1
"""zlib's: a body of 4 kB shrinks to 0.26 of it in 27 us of CPU time; level 6 makes 0.23 of it in 48 us."""

MOST_UNPACKED = 1 << 30
"""Bytes of a body that are read back; what says that it has more is no row of ours."""

Looked = Literal["no", "yes", "late", "cannot"]
"""Whether an exchange was looked at: not yet, or nobody looks; it was; there was no time; k2lab cannot read it."""

KeptFor = Literal["all", "sample", "finding", "unlooked"]
"""Why an exchange is in the record: everything is kept; the sample has it; it has a finding; it wasn't looked at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Noted:
    """A finding of an exchange, as a record keeps it: no more than what names it, where it is, and how it is known."""

    code: str
    name: str
    layer: str
    place: str
    evidence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """An exchange in a record: as it passed, what was found, whether it was looked at, and what was replaced.

    ``findings`` without ``looked == "yes"`` say nothing of what is not among
    them. ``redacted`` counts what was replaced in the bodies, by rule.
    """

    passed: Passed
    findings: tuple[Noted, ...] = ()
    looked: Looked = "no"
    redacted: Mapping[str, int] = field(default_factory=dict)
    kept_for: KeptFor = "all"


COLUMNS = tuple(one.name for one in fields(Passed) if one.name not in BODIES)
STORED = (*COLUMNS, "redacted", "kept_for", "looked", *BODIES)
"""The columns of ``exchanges`` but for ``id``, in the order of a row's values."""

INSERT_EXCHANGE = f"INSERT INTO exchanges ({', '.join(STORED)}) VALUES ({', '.join('?' * len(STORED))})"
NOTED = tuple(one.name for one in fields(Noted))
INSERT_FINDING = "INSERT INTO findings VALUES (?, ?, ?, ?, ?, ?)"
ADD_TALLY = "INSERT INTO tallies VALUES (?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count"

NUMBER = (int, float)
KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("key", "method", "path", "ended", "request_type", "answer_type", "kept_for", "looked"), (str,)),
    **dict.fromkeys(("status", "request_cut", "answer_cut"), (int,)),
    **dict.fromkeys(("started_at", "upstream_ms", "added_ms"), NUMBER),
    **dict.fromkeys(("request", "answer"), (bytes,)),
    **dict.fromkeys(("sent", "given"), (bytes, NoneType)),
    **dict.fromkeys(("changes", "redacted"), (str, NoneType)),
    "first_ms": (*NUMBER, NoneType),
}
WORDS = {"ended": get_args(Ending), "looked": get_args(Looked), "kept_for": get_args(KeptFor)}


def packed(body: bytes) -> bytes:
    """A body as it is stored: a byte that says how, and the rest."""
    if len(body) < LEAST_PACKED:
        return PLAIN + body
    small = zlib.compress(body, LEVEL)
    return ZLIB + small if len(small) < len(body) else PLAIN + body


def unpacked(stored: bytes) -> bytes:
    """The body; raises :class:`~k2lab.sqlitefile.DamageError` for what is none."""
    how, rest = stored[:1], stored[1:]
    if how == PLAIN:
        return rest
    if how != ZLIB:
        raise sqlitefile.DamageError("a body is stored in a way that this k2lab does not know")
    reader = zlib.decompressobj()
    try:
        body = reader.decompress(rest, MOST_UNPACKED)
    except zlib.error as error:
        raise sqlitefile.DamageError(f"a body cannot be unpacked: {error}") from None
    if not reader.eof or reader.unused_data:
        raise sqlitefile.DamageError("a body is not whole")
    return body


def row_of(entry: Entry) -> tuple[object, ...]:
    """The values of :data:`STORED`."""
    passed = entry.passed
    return (
        *(sqlitefile.storable(getattr(passed, name)) for name in COLUMNS[: COLUMNS.index("changes")]),
        _changes(passed.changes),
        *(getattr(passed, name) for name in COLUMNS[COLUMNS.index("changes") + 1 :]),
        json.dumps(dict(entry.redacted)) if entry.redacted else None,
        entry.kept_for,
        entry.looked,
        *(None if (body := getattr(passed, name)) is None else packed(body) for name in BODIES),
    )


def finding_rows(number: int, findings: Sequence[Noted]) -> list[tuple[object, ...]]:
    """The rows of an exchange's findings."""
    return [(number, *(sqlitefile.storable(getattr(one, name)) for name in NOTED)) for one in findings]


def entry_of(values: dict[str, object], findings: tuple[Noted, ...]) -> Entry:
    """The exchange of a row; raises :class:`~k2lab.sqlitefile.DamageError` for what is none."""
    sqlitefile.checked(values, KINDS)
    for name, known in WORDS.items():
        if values[name] not in known:
            raise sqlitefile.DamageError(f"{name} is {str(values[name])[:40]!r}")
    bodies = {name: None if values[name] is None else unpacked(values[name]) for name in BODIES}  # type: ignore[arg-type]
    own = {name: values[name] for name in COLUMNS} | bodies | {"changes": _changed(values["changes"])}
    return Entry(
        passed=Passed(**own),  # type: ignore[arg-type]
        findings=findings,
        looked=values["looked"],  # type: ignore[arg-type]
        redacted=_counts(values["redacted"]),
        kept_for=values["kept_for"],  # type: ignore[arg-type]
    )


def noted_of(row: Sequence[object]) -> Noted:
    """A finding of its row, without the number of the exchange."""
    return Noted(**sqlitefile.checked(dict(zip(NOTED, row, strict=True)), dict.fromkeys(NOTED, (str,))))


def _changes(changes: Sequence[Changed]) -> str | None:
    if not changes:
        return None
    return json.dumps([[one.kind, one.place, one.code, one.detail] for one in changes])


def _changed(text: object) -> tuple[Changed, ...]:
    found = _json(text) or []
    if not isinstance(found, list) or not all(_is_change(one) for one in found):
        raise sqlitefile.DamageError("changes stand in no form of k2lab's")
    return tuple(Changed(kind=kind, place=place, code=code, detail=detail) for kind, place, code, detail in found)


def _is_change(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 4 or not all(isinstance(part, str) for part in value):
        return False
    return value[0] in get_args(ChangeKind)


def _counts(text: object) -> dict[str, int]:
    found = _json(text) or {}
    if not isinstance(found, dict) or not all(type(count) is int for count in found.values()):
        raise sqlitefile.DamageError("counts stand in no form of k2lab's")
    return found


def _json(text: object) -> object:
    if text is None:
        return None
    try:
        return jsonread.read_json(str(text))
    except jsonread.NotJSON as error:
        raise sqlitefile.DamageError(f"{str(text)[:40]!r} stands where JSON should: {error}") from None

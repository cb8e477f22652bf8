"""k2lab's own SQLite files as exchanges: a benchmark's, and a record of traffic."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from k2lab.apis import api_of_path
from k2lab.audit.forms.base import decoded, encoded, moment, text_of, unread
from k2lab.audit.looking import SAMPLE
from k2lab.audit.tables import LEFT_OUT, Row
from k2lab.bench import store, tables
from k2lab.bench.records import Result, Run
from k2lab.errors import InputError, first_line
from k2lab.traffic import recordfile, recordrows
from k2lab.traffic.exchanges import Passed

JOURNAL = "journal.db"
"""A record in a folder of Parquet files by the hour: what is not yet in one."""

SLICE = 10_000
"""Exchanges of a slice of a record of traffic, if they came evenly."""

IN_A_FILE = "of the journal, which stand in a Parquet file beside it"
NO_EXCHANGE = "of another path than those of chats, completions, responses and messages"
CUT_SHORT = frozenset({"client_left", "stopped"})
"""Ends of an answer that are not the upstream's doing."""


def kind_of(path: str, head: bytes) -> Literal["benchmark", "traffic"]:
    """Which of k2lab's files it is, by the number in its head; raises :class:`InputError` for another's."""
    number = int.from_bytes(head[68:72])
    if number == tables.APPLICATION_ID:
        return "benchmark"
    if number == recordrows.APPLICATION_ID:
        return "traffic"
    raise InputError(f"{path} is an SQLite file, and neither k2lab's benchmark nor its record of traffic")


def of_benchmark(path: str) -> Iterator[tuple[int, Row]]:
    """Every result of every run, with its ``data_index``."""
    with store.reading(Path(path)) as file:
        for run in file.runs():
            for result in file.results(run):
                yield result.data_index, _of_result(run, result)


def _of_result(run: Run, result: Result) -> Row:
    answer = result.response if result.response is not None else {"error": {"message": result.failure or "failed"}}
    stored = (result.line or {}).get("tool_calls_valid")
    return Row(
        request=encoded(result.request if "messages" in result.request else result.asked),
        answer=encoded(answer),
        model=text_of(run.config.get("model")) or text_of(result.request.get("model")),
        vendor=vendor_of(run.config.get("endpoint") or run.config.get("base_url")),
        at_us=moment(result.started_at),
        item=f"{run.arm} run {run.run_id} trial {result.trial}",
        lacks="tools" if stored is True and not result.request.get("tools") else "",
    )


def vendor_of(url: object) -> str | None:
    """The host that was asked."""
    try:
        return urlsplit(url).hostname if isinstance(url, str) else None
    except ValueError:
        return None


def slices(path: str) -> list[tuple[int, int]]:
    """Half-open ranges of microseconds since 1970 that hold a record of traffic, none of them much too large."""
    with recordfile.reading(path) as record:
        span, count = record.span(), record.counts()["exchanges"]
    if span is None:
        return []
    first, last = int(span[0] * 1e6), int(span[1] * 1e6) + 2
    number = max(1, count // SLICE)
    ends = [first + (last - first) * step // number for step in range(number + 1)]
    return [(low, high) for low, high in itertools.pairwise(ends) if low < high]


def of_traffic(path: str, since_us: int, until_us: int) -> Iterator[tuple[int, Row]]:
    """The exchanges of a slice: what the client sent, what the upstream got of it, and what it answered."""
    written = _written_already(path, since_us, until_us)
    with recordfile.reading(path) as record:
        for entry in record.exchanges(since=since_us / 1e6, until=until_us / 1e6):
            if entry.passed.key in written:
                yield 0, Row(item=entry.passed.key, unknown=f"{LEFT_OUT}{IN_A_FILE}")
            else:
                yield 0, _of_entry(entry)


def _of_entry(entry: recordrows.Entry) -> Row:
    passed = entry.passed
    row = Row(item=passed.key, at_us=moment(passed.started_at), api=api_of_path(passed.path))
    if passed.method != "POST" or row.api is None:
        row.unknown = f"{LEFT_OUT}{NO_EXCHANGE}"
    elif passed.request_cut or passed.answer_cut:
        row.unknown = f"cut by the recorder: {passed.request_cut:,} and {passed.answer_cut:,} bytes are not there"
    elif "encoding=" in f"{passed.request_type}{passed.answer_type}":
        row.unknown = "packed in a way that the recorder could not undo"
    elif not passed.answer:
        row.unknown = f"no answer: {passed.ended}"
    else:
        row.request, row.answer, row.sent = passed.request, passed.answer, passed.sent
        row.streamed = passed.answer_type.startswith("text/event-stream")
        lacks = ["end"] if passed.ended in CUT_SHORT else []
        lacks += [SAMPLE] if entry.kept_for in ("finding", "unlooked") else []
        row.lacks = ",".join(lacks)
    row.model = _model_of(passed.request)
    return row


def _model_of(request: bytes) -> str | None:
    try:
        value = decoded(request)
    except ValueError:
        return None
    return text_of(value.get("model")) if isinstance(value, dict) else None


def of_parquet(path: str, group: int, first: int) -> Iterator[tuple[int, Row]]:
    """The exchanges of a row group of a record that was written as Parquet, by the hour; ``first`` is its first row."""
    from k2lab.audit.parquetrows import values_of_group

    names = [field.name for field in fields(Passed) if field.name not in ("changes", "started_at")]
    for number, values in enumerate(values_of_group(path, group), first):
        try:
            at = values["started_at"]
            started_at = at.timestamp() if isinstance(at, datetime) else float(at)  # type: ignore[arg-type]
            passed = Passed(**{name: values[name] for name in names}, started_at=started_at)  # type: ignore[arg-type]
            yield number, _of_entry(recordrows.Entry(passed=passed, kept_for=values["kept_for"]))  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError, AttributeError) as why:
            yield number, unread("not of its form", first_line(why))


def is_traffic(columns: object) -> bool:
    """Whether a record is a row of such a file."""
    return isinstance(columns, dict) and {"key", "started_at", "request_type", "answer_type", "kept_for"} <= set(
        columns
    )


def _written_already(path: str, since_us: int, until_us: int) -> frozenset[str]:
    """The keys of a journal's exchanges that stand in a Parquet file beside it, and are not yet out of the journal."""
    files = sorted(Path(path).parent.glob("traffic-*.parquet")) if Path(path).name == JOURNAL else []
    if not files:
        return frozenset()
    low, high = (pa.scalar(time, pa.timestamp("us", "UTC")) for time in (since_us, until_us))
    at = pc.field("started_at")
    try:
        table = ds.dataset(files).to_table(columns=["key"], filter=(at >= low) & (at < high))
    except (pa.ArrowException, OSError, KeyError):
        return frozenset()
    return frozenset(table["key"].to_pylist())

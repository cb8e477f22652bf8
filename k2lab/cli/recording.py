"""``k2lab record``, and the options of ``k2lab proxy`` that say what is recorded."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from k2lab.cli.printing import note, print_json, print_line
from k2lab.errors import InputError

if TYPE_CHECKING:
    from k2lab.traffic.recorder import Recorder
    from k2lab.traffic.recordrows import Entry, Looked

FILE = click.Path(path_type=Path)
DAY_S = 86_400
BESIDE = ("record_form", "durable", "sample", "keep_size", "keep_days", "redact", "redact_pattern", "look")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """What of the traffic is recorded, and where; nothing without ``record``."""

    record: Path | None
    record_form: str | None
    durable: bool
    sample: float | None
    keep_size: int | None
    keep_days: float | None
    redact: tuple[str, ...]
    redact_pattern: tuple[str, ...]
    look: bool

    def recorder(self) -> Recorder | None:
        """The recorder, ready; raises :class:`InputError` for what cannot be written, and for options of none."""
        if self.record is None:
            self._refuse_rest()
            return None
        from k2lab.traffic.recorder import recorder_of
        from k2lab.traffic.recording import RecordOptions
        from k2lab.traffic.redaction import Redaction
        from k2lab.traffic.retention import Retention
        from k2lab.traffic.secrets import rules_of

        names = [name for name in self.redact or ("keys",) if name != "none"]
        days = self.keep_days
        return recorder_of(
            RecordOptions(
                path=self.record,
                form="parquet" if self._is_folder() else "sqlite",
                look=self.look,
                sample=1.0 if self.sample is None else self.sample,
                redaction=Redaction(rules=rules_of(names, self.redact_pattern)),
                retention=Retention(most_bytes=self.keep_size, most_age_s=None if days is None else days * DAY_S),
                durable=self.durable,
            )
        )

    def _refuse_rest(self) -> None:
        usual = {"durable": False, "look": True}
        for name in BESIDE:
            if getattr(self, name) not in (None, (), usual.get(name)):
                option = "no-look" if name == "look" else name.replace("_", "-")
                raise InputError(f"--{option} belongs to --record: say where to record to")

    def _is_folder(self) -> bool:
        assert self.record is not None
        return self.record_form == "parquet" or (self.record_form is None and self.record.is_dir())


@click.group(name="record")
def record_group() -> None:
    """Look into a record of traffic, as k2lab proxy --record writes it."""


SINCE = click.option(
    "--since", default=None, metavar="TIME", help="From this moment on: 2026-11-26 or 2026-11-26T19:00."
)
UNTIL = click.option("--until", default=None, metavar="TIME", help="Before then.")
CODE = click.option("--code", default=None, help="Only exchanges with this finding, such as A101.")


@record_group.command(name="show")
@click.argument("file", type=FILE)
@click.option("--key", default=None, help="One exchange in full, by its key.")
@CODE
@SINCE
@UNTIL
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="So many at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_command(
    file: Path, key: str | None, code: str | None, since: str | None, until: str | None, limit: int, as_json: bool
) -> None:
    """List exchanges of a record with what was found in them, or print one in full.

    What a key, a mail address or a pattern was replaced by stands in the bodies; times are in UTC.
    """
    from k2lab.traffic import recordfile

    _refuse_folder(file)
    with recordfile.reading(file) as record:
        if key is not None:
            print_json(_whole(record.exchange(key)))
            return
        found = record.exchanges(since=_moment(since), until=_moment(until), code=code, limit=limit)
        summary = {"counts": record.counts(), "looked": record.looked(), "tallies": record.tallies()}
        if as_json:
            print_json({**summary, "exchanges": [_told(entry) for entry in found]})
            return
        for entry in found:
            print_line(_line(entry))
        exchanges, *codes = record.counts().items()
        told = ", ".join(f"{name} {count:,}" for name, count in codes) or "no findings"
        note(f"{exchanges[1]:,} exchanges; {told}; {_unlooked(record.looked())}")


@record_group.command(name="look")
@click.argument("file", type=FILE)
def look_command(file: Path) -> None:
    """Look for findings in what nobody looked at: there was no time, the proxy was killed, or ran with --no-look.

    Exchanges are judged as they are written: what was kept out of the record is not seen. Not while a proxy writes
    into FILE.
    """
    from k2lab.traffic import recordfile
    from k2lab.traffic.lookback import look_back

    _refuse_folder(file)
    with recordfile.reading(file):
        pass  # no file is made where there is none
    with recordfile.writing(file) as record:
        counts = look_back(record)
    print_line(
        f"looked at {counts['yes']:,} exchanges, {counts['findings']:,} with a finding;"
        f" {counts['cannot']:,} cannot be read"
    )


@record_group.command(name="export")
@click.argument("file", type=FILE)
@CODE
@SINCE
@UNTIL
@click.option("-o", "--output", type=FILE, default=None, metavar="LINES", help="Write the lines here.")
def export_command(file: Path, code: str | None, since: str | None, until: str | None, output: Path | None) -> None:
    """Write requests with their answers a line each, as k2lab check and k2lab bench read them.

    An answer that was streamed is put together; what is wrong with its events is not in the lines. What is no chat
    completion, or was cut off, is left out and counted.
    """
    from k2lab.traffic import exports, recordfile

    _refuse_folder(file)
    left_out = written = 0
    with recordfile.reading(file) as record, _lines(output) as out:
        for entry in record.exchanges(since=_moment(since), until=_moment(until), code=code):
            line = exports.line_of(entry)
            if line is None:
                left_out += 1
                continue
            out.write(json.dumps(line) + "\n")
            written += 1
    note(f"{written:,} lines; left out, since they are no whole chat completions: {left_out:,}")


def _refuse_folder(path: Path) -> None:
    if path.is_dir():
        rest = f"; what is in none of them yet is in {path / 'journal.db'}" if (path / "journal.db").exists() else ""
        raise InputError(f"{path} is a folder: k2lab audit and DuckDB read its Parquet files{rest}")


@contextlib.contextmanager
def _lines(output: Path | None) -> Iterator[TextIO]:
    from k2lab import kept

    if output is None:
        yield sys.stdout
        return
    try:
        with kept.replacing(output, private=True) as fresh, fresh.open("w") as out:
            yield out
    except OSError as error:
        raise InputError(f"cannot write {output}: {error.strerror or error}") from None


def _moment(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{text[:40]!r} is no time: one looks like 2026-11-26 or 2026-11-26T19:00") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def _line(entry: Entry) -> str:
    passed = entry.passed
    codes = " ".join(sorted({one.code for one in entry.findings}))
    said = {"yes": "clean", "no": "not looked at", "late": "not looked at in time", "cannot": _unread(passed.path)}
    ended = "" if passed.ended == "whole" else f" {passed.ended}"
    in_part = f"{codes} (not looked at in full)" if entry.looked == "cannot" else codes
    began, told = _time(passed.started_at), in_part if codes else said[entry.looked]
    return f"{began} {passed.key} {passed.method} {passed.path} {passed.status}{ended}  {told}"


def _unread(path: str) -> str:
    """What is said of an exchange of which not all was looked at, though there was time."""
    from k2lab.apis import api_of_path

    return "not read" if api_of_path(path) is None else "not looked at in full"


def _unlooked(looked: Mapping[Looked, int]) -> str:
    words: dict[Looked, str] = {
        "no": "not looked at",
        "late": "not looked at in time",
        "cannot": "of a form that is not read",
    }
    told = [f"{looked[name]:,} {said}" for name, said in words.items() if looked.get(name)]
    return ", ".join(told) or "all looked at"


def _told(entry: Entry) -> dict[str, object]:
    """An exchange without its bodies."""
    passed = entry.passed
    names = ("key", "method", "path", "status", "ended", "request_type", "answer_type", "upstream_ms", "first_ms",
             "added_ms", "request_cut", "answer_cut")  # fmt: skip
    return {
        "started_at": _time(passed.started_at),
        **{name: getattr(passed, name) for name in names},
        "changes": [{"kind": one.kind, "place": one.place, "code": one.code, "detail": one.detail}
                    for one in passed.changes],
        "findings": [{"code": one.code, "name": one.name, "layer": one.layer, "place": one.place,
                      "evidence": one.evidence} for one in entry.findings],
        "looked": entry.looked, "kept_for": entry.kept_for, "redacted": dict(entry.redacted),
    }  # fmt: skip


def _whole(entry: Entry) -> dict[str, object]:
    passed = entry.passed
    bodies = {name: getattr(passed, name) for name in ("request", "answer", "sent", "given")}
    return {
        **_told(entry),
        **{name: None if body is None else body.decode("utf-8", "backslashreplace") for name, body in bodies.items()},
    }

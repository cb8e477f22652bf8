"""What an audit reads: files, folders and patterns as files, each told by its content."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import BinaryIO, Literal

import pyarrow as pa

from k2lab import files
from k2lab.audit.forms import known
from k2lab.audit.forms.base import decoded, encoded
from k2lab.errors import InputError
from k2lab.legible import one_line

Container = Literal["lines", "array", "parquet", "benchmark", "traffic", "pairs"]

HEAD_LINES, HEAD_BYTES = 50, 1 << 20
"""Of a file, by which its form is told."""

MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
SQLITE, PARQUET = b"SQLite format 3\0", b"PAR1"


@dataclass(frozen=True, kw_only=True, slots=True)
class InputSource:
    """A file: where it is, what it is, and what tells whether it is still the same."""

    path: str
    container: Container
    form: str
    packed: str = ""
    size: int
    mtime_ns: int
    name: str = ""
    """How it is called, where that is not its path."""
    digest: str = ""
    """Of what came by standard input, which nothing else would know again."""

    @property
    def shown(self) -> str:
        """As it stands in tables and reports."""
        return legible_name(self.name or self.path)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """The files of an audit, in the order of their paths.

    ``refused`` were asked for by name and could not be read, ``passed_over`` lie in
    a folder and hold no exchanges: each with the reason.
    """

    found: tuple[InputSource, ...]
    refused: tuple[tuple[str, str], ...] = ()
    passed_over: tuple[tuple[str, str], ...] = ()


def sources_of(paths: Sequence[str], form: str | None = None) -> Sources:
    """Every file that the paths name; ``form`` says what records are, by default their content does.

    Raises :class:`InputError` where a path names nothing, or nothing at all is found.
    """
    if form is not None:
        known.form_named(form)
    found: dict[str, InputSource] = {}
    refused: dict[str, str] = {}
    passed_over: dict[str, str] = {}
    seen: set[str] = set()
    for path, is_named in sorted(dict(_files(paths)).items()):
        real = os.path.realpath(path)
        if real in seen:
            passed_over[path] = "it is another path's file, and counted once"
            continue
        seen.add(real)
        try:
            found[path] = source_of(path, form)
        except InputError as why:
            (refused if is_named else passed_over)[path] = one_line(why, 300)
    if not found and not refused:
        raise InputError(f"no exchanges are in {', '.join(one_line(path, 100) for path in list(paths)[:5])}")
    return Sources(
        found=tuple(found[path] for path in sorted(found)),
        refused=tuple(sorted(refused.items())),
        passed_over=tuple(sorted(passed_over.items())),
    )


def _files(paths: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Each file, and whether it was asked for by name."""
    for path in paths:
        if os.path.isdir(path):
            yield from ((file, False) for file in _below(path))
        elif has_magic(path) and not os.path.lexists(path):
            matches = glob(path, recursive=True)
            if not matches:
                raise InputError(f"no file is named as {path}")
            yield from (
                (file, False) for match in matches for file in (_below(match) if os.path.isdir(match) else [match])
            )
        elif not os.path.lexists(path):
            raise InputError(f"there is no file or folder {path}")
        else:
            yield path, True


def _below(folder: str) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (os.path.join(place, name) for name in sorted(names) if not name.startswith("."))


def source_of(path: str, form: str | None = None) -> InputSource:
    """A file told by its content; raises :class:`InputError` with the reason where it holds no exchanges."""
    with files.opened(path, "file") as file:
        if not file.seekable():
            raise InputError(f"{path} is a pipe: give it as standard input, which is -")
        state = os.fstat(file.fileno())
        container, named, packed = _told(path, file, form)
    return InputSource(
        path=path, container=container, form=named, packed=packed, size=state.st_size, mtime_ns=state.st_mtime_ns
    )


def _told(path: str, file: BinaryIO, form: str | None) -> tuple[Container, str, str]:
    head = file.read(72)
    file.seek(0)
    if head.startswith(SQLITE):
        from k2lab.audit.databases import kind_of

        kind = kind_of(path, head)
        return kind, kind, ""
    if head.startswith(PARQUET):
        from k2lab.audit.databases import is_traffic
        from k2lab.audit.parquetrows import first_record

        first = first_record(path)
        if form is None and is_traffic(first):
            return "parquet", known.TRAFFIC, ""
        return "parquet", form or _form(path, [first]), ""
    packed = next((name for magic, name in MAGIC.items() if head.startswith(magic)), "")
    with unpacked(file, packed) as lines:
        try:
            start = _beginning(lines)
        except (OSError, EOFError) as why:
            raise InputError(f"{path} cannot be unpacked: {why}") from None
    container: Container = "lines" if _is_lines(start) and not _wraps(start) else "array"
    if container == "array" and form is None:
        from k2lab.audit.units import records_of

        with files.opened(path, "file") as again, unpacked(again, packed) as whole:
            values = [decoded(record) for _, record in zip(range(HEAD_LINES), records_of(path, whole), strict=False)]
    else:
        values = [] if form else list(_values(start))
    return container, form or _form(path, values), packed


def _beginning(lines: BinaryIO) -> bytes:
    """The first bytes and a whole first line, as far as a file that was cut off holds them."""
    data = b""
    while len(data) < HEAD_BYTES or (b"\n" not in data and len(data) < files.MAX_LINE_BYTES):
        try:
            more = lines.read1(HEAD_BYTES)  # type: ignore[attr-defined]
        except (OSError, EOFError):
            if not data:
                raise
            break
        if not more:
            break
        data += more
    return data


def unpacked(file: BinaryIO, packed: str) -> BinaryIO:
    """The contents of a file that is packed, or not."""
    if packed == "gzip":
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]
    if packed == "zstd":
        return io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(file), "zstd"))
    return file


def _is_lines(start: bytes) -> bool:
    """Whether a file has a value a line: the first line that is not blank is one by itself, and no list."""
    first = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    line = first.partition(b"\n")[0].strip()
    if first[:1] == b"[":
        return False
    if first[:1] != b"{":
        return True
    try:
        decoded(line)
    except ValueError:
        return len(line) >= len(first) or first.count(b"\n{") > 0
    return True


def _wraps(start: bytes) -> bool:
    """Whether the first line is one object around a list of records, as an API answers."""
    from k2lab.audit.units import LISTS

    try:
        value = decoded(start.strip().partition(b"\n")[0])
    except ValueError:
        return False
    around = isinstance(value, dict) and any(isinstance(value.get(name), list) for name in LISTS)
    return around and known.form_of(value) is None


def _values(start: bytes) -> Iterator[object]:
    """The values of the first lines; those that are none are left out."""
    lines = start.removeprefix(b"\xef\xbb\xbf").splitlines()
    for line in lines[:HEAD_LINES]:
        try:
            yield decoded(line)
        except ValueError:
            continue


def _form(path: str, values: Iterable[object]) -> str:
    seen = None
    for value in values:
        seen = value if seen is None else seen
        form = known.form_of(value)
        if form is not None:
            return form.name
    if seen is None:
        raise InputError(f"{path} holds no JSON in its first lines")
    shown = ", ".join(sorted(map(str, seen))[:6]) if isinstance(seen, dict) else encoded(seen)[:40].decode()
    raise InputError(
        f"{path} is of no form that is known (it begins with {one_line(shown, 120)}): say which with --form"
    )


def legible_name(path: str) -> str:
    """A path as it stands in tables and reports."""
    return one_line(os.fsencode(Path(path)).decode("utf-8", "backslashreplace"), 1000)

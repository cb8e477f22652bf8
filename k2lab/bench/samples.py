"""Benchmark requests: K2-Vendor-Verifier's JSONL, read as it is.

A samples file holds one chat request a line; a request is known by its line
number, ``data_index``, from 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k2lab import files, jsonread
from k2lab.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One request, as it stands in the file."""

    data_index: int
    request: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Samples:
    """A checked samples file; iterating reads it anew, a line at a time."""

    path: Path
    count: int
    sha256: str

    def __iter__(self) -> Iterator[Sample]:
        for number, line in files.lines(self.path, "samples"):
            yield Sample(data_index=number, request=_checked(self.path, number, line))


def open_samples(path: str | Path) -> Samples:
    """Read the whole file once and check each line; raises :class:`InputError` with the line at fault."""
    path = Path(path)
    digest, count = hashlib.sha256(), 0
    for number, line in files.lines(path, "samples", every=digest.update):
        _checked(path, number, line)
        count += 1
    if not count:
        raise InputError(f"samples {path} is empty: expected a chat request a line")
    return Samples(path=path, count=count, sha256=digest.hexdigest())


def _checked(path: Path, number: int, line: bytes) -> Mapping[str, Any]:
    try:
        request = jsonread.read_json(line)
    except ValueError as error:
        raise InputError(f"samples {path}, line {number} is not JSON: {error}") from None
    messages = request.get("messages") if isinstance(request, dict) else None
    if (
        not isinstance(request, dict)
        or not isinstance(messages, list)
        or not all(isinstance(message, dict) for message in messages)
        or not messages
    ):
        raise InputError(f"samples {path}, line {number} is not a chat request: it has no list of messages")
    if not isinstance(request.get("tools") or [], list):
        raise InputError(f"samples {path}, line {number}: tools must be a list")
    return request

"""Benchmark requests: K2-Vendor-Verifier's JSONL read as it is, and k2-nano's own set with labels.

A samples file holds one chat request a line; a request is known by its line
number, ``data_index``, from 1. Labels are a result file in K2-Vendor-Verifier's
form, as a server that is always right would have answered.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k2lab import wire
from k2lab.errors import InputError
from k2lab.nano import evaluate, synth
from k2lab.nano.synth import Case, Mix

NANO_COUNT = 4000
NANO_SEED = 2025
NANO_MIX = Mix(foreign_ids=0.3)
"""As in training, but three conversations in ten carry ids of another system, as the histories of K2VV's set do."""


@dataclass(frozen=True)
class Sample:
    """One request, as it stands in the file."""

    data_index: int
    request: Mapping[str, Any]


@dataclass(frozen=True)
class Samples:
    """A checked samples file; iterating reads it anew, a line at a time."""

    path: Path
    count: int
    sha256: str

    def __iter__(self) -> Iterator[Sample]:
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield Sample(number, json.loads(line))


def open_samples(path: str | Path) -> Samples:
    """Read the whole file once and check each line; raises :class:`InputError` with the line at fault."""
    path = Path(path)
    digest, count = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                digest.update(line)
                if line.strip():
                    _check(path, number, line)
                    count += 1
    except OSError as error:
        raise InputError(f"cannot read samples {path}: {error.strerror or error}") from error
    if not count:
        raise InputError(f"samples {path} is empty: expected a chat request a line")
    return Samples(path, count, digest.hexdigest())


def _check(path: Path, number: int, line: bytes) -> None:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"samples {path}, line {number} is not JSON: {error}") from None
    messages = request.get("messages") if isinstance(request, dict) else None
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages) or not messages:
        raise InputError(f"samples {path}, line {number} is no chat request: it has no list of messages")
    if not isinstance(request.get("tools") or [], list):
        raise InputError(f"samples {path}, line {number}: tools must be a list")


def nano_cases(count: int = NANO_COUNT, seed: int = NANO_SEED) -> list[Case]:
    """k2-nano's benchmark cases, of tools that it never saw in training; case ``i`` is ``data_index`` ``i + 1``."""
    return synth.cases("held-out", seed, count, ("call", "undeclared", "small_talk", "answer"), NANO_MIX)


def write_nano(folder: Path, count: int = NANO_COUNT, seed: int = NANO_SEED) -> tuple[Path, Path]:
    """Write ``samples.jsonl`` and ``labels.jsonl`` of k2-nano's set into a folder; returns both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    samples, labels = folder / "samples.jsonl", folder / "labels.jsonl"
    with samples.open("w", encoding="utf-8") as requests, labels.open("w", encoding="utf-8") as answers:
        for data_index, case in enumerate(nano_cases(count, seed), 1):
            request = nano_request(case)
            requests.write(json.dumps(request, ensure_ascii=False) + "\n")
            answers.write(json.dumps(_label(data_index, request, case), ensure_ascii=False) + "\n")
    return samples, labels


def nano_request(case: Case) -> dict[str, Any]:
    """A case as a chat request, greedy."""
    data = case.conversation.to_json()
    return {key: value for key, value in data.items() if value} | dict(evaluate.PARAMS)


def _label(data_index: int, request: Mapping[str, Any], case: Case) -> dict[str, Any]:
    earlier = sum(len(message.get("tool_calls") or ()) for message in case.conversation.messages)
    calls = [
        {
            "id": wire.call_id(name, earlier + place),
            "type": "function",
            "function": {"name": name, "arguments": wire.arguments_text(arguments)},
        }
        for place, (name, arguments) in enumerate(case.label.calls)
    ]
    finish = "tool_calls" if calls else "stop"
    message = {"role": "assistant", "content": case.label.content, "tool_calls": calls or None}
    return {
        "data_index": data_index,
        "request": request,
        "response": {"choices": [{"index": 0, "message": message, "finish_reason": finish}]},
        "status": "success",
        "finish_reason": finish,
        "tool_calls_valid": True if calls else None,
        "kind": case.label.kind,
    }

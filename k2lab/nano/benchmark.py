"""k2-nano's benchmark: requests of tools that it never saw, and their labels.

Labels are a result file in K2-Vendor-Verifier's form, as a server that is always
right would have answered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from k2lab import kept, wire
from k2lab.nano import evaluate, synth
from k2lab.nano.synth import Case, Mix

COUNT = 4000
SEED = 2025
MIX = Mix(foreign_ids=0.3)
"""As in training, but three conversations in ten carry ids of another system, as the histories of K2VV's set do."""


def cases(count: int = COUNT, seed: int = SEED) -> list[Case]:
    """k2-nano's benchmark cases, of tools that it never saw in training; case ``i`` is ``data_index`` ``i + 1``."""
    return synth.cases("held-out", seed, count, ("call", "undeclared", "small_talk", "answer"), MIX)


def write(folder: Path, count: int = COUNT, seed: int = SEED) -> tuple[Path, Path]:
    """Write ``samples.jsonl`` and ``labels.jsonl`` of k2-nano's set into a folder; returns both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    samples, labels = folder / "samples.jsonl", folder / "labels.jsonl"
    with (
        kept.replacing(samples, private=True) as fresh_samples,
        kept.replacing(labels, private=True) as fresh_labels,
        fresh_samples.open("w", encoding="utf-8") as requests,
        fresh_labels.open("w", encoding="utf-8") as answers,
    ):
        for data_index, case in enumerate(cases(count, seed), 1):
            request = request_of(case)
            requests.write(json.dumps(request, ensure_ascii=False) + "\n")
            answers.write(json.dumps(_label(data_index, request, case), ensure_ascii=False) + "\n")
    return samples, labels


def request_of(case: Case) -> dict[str, Any]:
    """A case as a chat request, greedy."""
    data = case.request.to_json()
    return {key: value for key, value in data.items() if value} | dict(evaluate.PARAMS)


def _label(data_index: int, request: Mapping[str, Any], case: Case) -> dict[str, Any]:
    earlier = sum(len(message.get("tool_calls") or ()) for message in case.request.messages)
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

"""Exchange with K2-Vendor-Verifier: its results.jsonl and summary.json, read and written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from k2lab.bench import metrics, store
from k2lab.bench.metrics import Reference
from k2lab.bench.store import Result, Run, Store
from k2lab.bench.verdicts import called, judge, judge_all, messages_of
from k2lab.errors import InputError

SUMMARY_FIELDS = ("success_count", "failure_count", "finish_stop", "finish_tool_calls", "finish_others",
                  "finish_others_detail", "schema_validation_error_count", "successful_tool_call_count")  # fmt: skip


def export(file: Store, run: Run, folder: Path, *, trial: int = 0) -> tuple[Path, Path]:
    """Write one trial of an arm as ``results.jsonl`` and ``summary.json``; returns both paths.

    Where a prompt was rendered by hand, ``request`` is the chat request that it stands for.
    """
    results, summary = folder / "results.jsonl", folder / "summary.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with results.open("w", encoding="utf-8") as lines:
            for result in file.results(run):
                if result.trial == trial:
                    lines.write(json.dumps(_line(result)) + "\n")
        made = json.dumps(_summary(file, run, trial), indent=4)
        summary.write_text(made + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write into {folder}: {error.strerror or error}") from error
    return results, summary


def load(file: Store, path: Path, arm: str) -> Run:
    """Take a result file of K2VV into the store as an arm; the latest line of a ``data_index`` counts."""
    latest: dict[int, Mapping[str, Any]] = {}
    for line in read(path):
        latest[line["data_index"]] = line
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    model = next((str(line["request"].get("model") or "") for line in latest.values()), "")
    config = {"endpoint": f"imported from {path.name}", "model": model, "sha256": digest}
    run = file.begin(arm, config, path.name, digest)
    file.load(run, (_result(line) for line in latest.values()))
    return run


def reference(path: Path) -> dict[int, Reference]:
    """What an official run, or a label, does with each request of a result file."""
    found = {}
    for line in read(path):
        response = line.get("response") or {}
        messages = messages_of(line["request"])
        found[line["data_index"]] = Reference(line.get("finish_reason"), called(response), messages)
    return found


def reference_of(file: Store, arm: str) -> dict[int, Reference]:
    """An arm of the same store as the reference for another, its first trial."""
    return {
        result.data_index: Reference(result.finish_reason, result.calls, result.messages)
        for result in judge_all(file.results(file.run_of(arm)))
        if result.trial == 0
    }


def read(path: Path) -> Iterator[Mapping[str, Any]]:
    """The lines of a result file; raises :class:`InputError` with the one that is none."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                if text.strip():
                    yield _checked(path, number, text)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read results {path}: {getattr(error, 'strerror', None) or error}") from error


def request_hash(request: Mapping[str, Any]) -> str:
    """K2VV's hash of a request: MD5 of its JSON with sorted keys, letters unescaped."""
    text = json.dumps(request, sort_keys=True, ensure_ascii=False)
    return hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def _checked(path: Path, number: int, text: str) -> Mapping[str, Any]:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"results {path}, line {number} is not JSON: {error}") from None
    if not isinstance(line, dict) or not isinstance(line.get("data_index"), int):
        raise InputError(f"results {path}, line {number} has no data_index: is it a result file of K2VV?")
    if not isinstance(line.get("request"), dict) or not isinstance(line.get("response") or {}, dict):
        raise InputError(f"results {path}, line {number}: request and response must be objects")
    return line


def _line(result: Result) -> dict[str, Any]:
    request = result.request if "messages" in result.request else result.asked
    valid = judge(result.asked, result.response or {}).k2vv_valid
    return {
        "data_index": result.data_index,
        "request": request,
        "response": result.response if result.status == "success" else {"error": result.failure},
        "status": result.status,
        "finish_reason": result.finish_reason,
        "tool_calls_valid": valid,
        "last_run_at": result.last_run_at,
        "duration_ms": int(result.duration_ms),
        "hash": request_hash(request),
    }


def _result(line: Mapping[str, Any]) -> Result:
    response = line.get("response") or {}
    usage = response.get("usage") or {}
    answered = line.get("status") == "success"
    return Result(
        line["data_index"],
        0,
        "success" if answered else "failed",
        line.get("finish_reason"),
        response if answered else None,
        None if answered else str(response.get("error")),
        float(line.get("duration_ms") or 0),
        None,
        store.count_of(usage.get("prompt_tokens")),
        store.count_of(usage.get("completion_tokens")),
        str(line.get("last_run_at") or ""),
        line["request"],
        line["request"],
    )


def _summary(file: Store, run: Run, trial: int) -> dict[str, Any]:
    results = [result for result in judge_all(file.results(run)) if result.trial == trial]
    counts = asdict(metrics.k2vv(results))
    started, finished = _span(file, run, trial)
    return {
        "model": run.config.get("model", ""),
        **{name: counts[name] for name in SUMMARY_FIELDS},
        "usage": metrics.usage(results),
        "eval_started_at": started.isoformat() if started else None,
        "eval_finished_at": finished.isoformat() if finished else None,
        "eval_duration_ms": int((finished - started) / timedelta(milliseconds=1)) if started and finished else None,
    }


def _span(file: Store, run: Run, trial: int) -> tuple[datetime | None, datetime | None]:
    """From the first request's start to the last answer's end."""
    started: datetime | None = None
    finished: datetime | None = None
    for result in file.results(run):
        if result.trial == trial:
            try:
                begun = datetime.fromisoformat(result.last_run_at)
            except ValueError:  # of an imported file
                continue
            ended = begun + timedelta(milliseconds=result.duration_ms)
            started = min(started or begun, begun)
            finished = max(finished or ended, ended)
    return started, finished

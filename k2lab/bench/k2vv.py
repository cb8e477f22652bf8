"""Exchange with K2-Vendor-Verifier: its results.jsonl and summary.json, read and written.

K2VV's ``last_run_at`` is when a request *ended*, and its ``duration_ms`` runs
from when the request was queued: the wait for a place among those at once and
every retry are in it (its ``process_request`` and ``send_request``). What it
wrote is kept whole and comes out again as it was.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from k2lab import files, jsonread, kept
from k2lab.bench import metrics
from k2lab.bench.judged import judge_all, messages_of
from k2lab.bench.metrics import Reference
from k2lab.bench.records import IMPORTED, MOST, Result, Run, count_of
from k2lab.bench.store import Store
from k2lab.chat import Exchange, canonical
from k2lab.errors import InputError
from k2lab.findings.verdicts import judge

LINE_LEVELS = jsonread.MOST_LEVELS + 10
"""Of a line, in which a request and an answer stand a few levels deep."""

SUMMARY_FIELDS = ("success_count", "failure_count", "finish_stop", "finish_tool_calls", "finish_others",
                  "finish_others_detail", "schema_validation_error_count", "successful_tool_call_count")  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """What an import brought: ``note`` says why the summary beside the results was not taken, if it was not."""

    run: Run
    results: int
    note: str = ""


def export(file: Store, run: Run, folder: Path, *, trial: int = 0) -> tuple[Path, Path]:
    """Write one trial of an arm as ``results.jsonl`` and ``summary.json``; returns both paths.

    Where a prompt was rendered by hand, ``request`` is the chat request that it
    stands for. An imported arm comes out as it came in. Raises
    :class:`InputError` for one that an older k2lab imported, which kept less.
    """
    results, summary = folder / "results.jsonl", folder / "summary.json"
    if run.imported and any(result.line is None for result in itertools.islice(file.results(run), 1)):
        raise InputError(f"arm {run.arm!r} was imported by an older k2lab, which kept less of it: import it again")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with kept.replacing(results, private=True) as fresh:
            with fresh.open("w", encoding="utf-8") as lines:
                for result in file.results(run):
                    if result.trial == trial:
                        lines.write(json.dumps(_line(result)) + "\n")
            made = json.dumps(_summary(file, run, trial), indent=4)
            kept.write_whole(summary, made + "\n", private=True)
    except OSError as error:
        raise InputError(f"cannot write into {folder}: {error.strerror or error}") from error
    return results, summary


def load(file: Store, path: Path, arm: str, summary: Path | None = None) -> Loaded:
    """Take a result file of K2VV into the store as an arm; the latest line of a ``data_index`` counts, as there.

    ``summary`` is what its runner wrote beside them, by default a
    ``summary.json`` in the same folder: from it come the times of the whole.
    One that counts otherwise than the lines belongs to another run: a named one
    raises :class:`InputError`, one that merely lies there is left with a note.
    """
    digest = hashlib.sha256()
    results = [_result(line) for line in _latest(path, every=digest.update)]
    beside = path.with_name("summary.json")
    stored, note = _stored_summary(summary or beside, results) if summary or beside.is_file() else (None, "")
    if note and summary:
        raise InputError(note)
    model = next((str(result.request.get("model") or "") for result in results), "")
    config = {"endpoint": f"{IMPORTED}{path.name}", "model": model, "sha256": digest.hexdigest(), "summary": stored}
    run = file.load(arm, config, path.name, digest.hexdigest(), results=results)
    return Loaded(run=run, results=len(results), note=note)


def reference(path: Path) -> dict[int, Reference]:
    """What an official run, or a label, does with each request of a result file."""
    found = {}
    for line in _latest(path):
        exchange = Exchange.of(line["request"], line.get("response") or {})
        found[line["data_index"]] = Reference(
            finish_reason=line.get("finish_reason"),
            calls=canonical(exchange.answer.calls),
            messages=messages_of(exchange.request),
            model=str(line["request"].get("model") or ""),
            prompt_tokens=count_of(exchange.answer.usage.get("prompt_tokens")),
        )
    return found


def reference_of(file: Store, arm: str) -> dict[int, Reference]:
    """An arm of the same store as the reference for another, its first trial."""
    run = file.run_of(arm)
    model = str(run.config.get("model") or "")
    return {
        result.data_index: Reference(
            finish_reason=result.finish_reason,
            calls=result.calls,
            messages=result.messages,
            model=model,
            prompt_tokens=result.prompt_tokens,
        )
        for result in judge_all(file.results(run))
        if result.trial == 0
    }


def read(path: Path, *, every: Callable[[bytes], object] = len) -> Iterator[Mapping[str, Any]]:
    """The lines of a result file, ``every`` called with each; raises :class:`InputError` with the one that is none."""
    for number, line in files.lines(path, "results", every=every):
        yield _checked(path, number, line)


def _latest(path: Path, *, every: Callable[[bytes], object] = len) -> list[Mapping[str, Any]]:
    """One line for each ``data_index``: that with the latest ``last_run_at``, of equal ones the last."""
    found: dict[int, Mapping[str, Any]] = {}
    for line in read(path, every=every):
        earlier = found.get(line["data_index"])
        if earlier is None or str(line.get("last_run_at") or "") >= str(earlier.get("last_run_at") or ""):
            found[line["data_index"]] = line
    if not found:
        raise InputError(f"results {path} is empty: expected a result a line, as K2VV writes them")
    return list(found.values())


def request_hash(request: Mapping[str, Any]) -> str:
    """K2VV's hash of a request: MD5 of its JSON with sorted keys, letters unescaped."""
    text = json.dumps(request, sort_keys=True, ensure_ascii=False)
    return hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def _checked(path: Path, number: int, text: bytes) -> Mapping[str, Any]:
    try:
        line = jsonread.read_json(text, constants=True, levels=LINE_LEVELS)
    except ValueError as error:
        raise InputError(f"results {path}, line {number} is not JSON: {error}") from None
    if not isinstance(line, dict) or count_of(line.get("data_index")) is None:
        raise InputError(f"results {path}, line {number} has no data_index: is it a result file of K2VV?")
    if not isinstance(line.get("request"), dict) or not isinstance(line.get("response") or {}, dict):
        raise InputError(f"results {path}, line {number}: request and response must be objects")
    messages = line["request"].get("messages") or []
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise InputError(f"results {path}, line {number}: the messages of a request must be objects in a list")
    for name, kinds in (("finish_reason", str), ("duration_ms", int | float), ("last_run_at", str)):
        value = line.get(name)
        out_of_range = isinstance(value, int | float) and not 0 <= value < MOST
        if not isinstance(value, kinds | None) or out_of_range:
            raise InputError(f"results {path}, line {number}: {name} cannot be {str(line[name])[:80]!r}")
    return line


def _line(result: Result) -> dict[str, Any]:
    if result.line is not None:
        answer = {"response": result.response} if _is_kept(result.line, result.response) else {}
        return {**result.line, "request": result.request, **answer}
    request = result.request if "messages" in result.request else result.asked
    valid = judge(result.exchange).k2vv_valid
    return {
        "data_index": result.data_index,
        "request": request,
        "response": result.response if result.status == "success" else {"error": result.failure},
        "status": result.status,
        "finish_reason": result.finish_reason,
        "tool_calls_valid": valid,
        "last_run_at": _moved(result.started_at, result.duration_ms),
        "duration_ms": int(result.duration_ms),
        "hash": request_hash(request),
    }


def _result(line: Mapping[str, Any]) -> Result:
    response = line.get("response") or {}
    usage = response.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    answered = line.get("status") == "success"
    duration_ms = float(line.get("duration_ms") or 0)
    kept = {**line, "request": None}
    return Result(
        data_index=line["data_index"],
        trial=0,
        status="success" if answered else "failed",
        finish_reason=line.get("finish_reason"),
        response=response if answered else None,
        failure=None if answered else _failure(response),
        duration_ms=duration_ms,
        first_ms=None,
        prompt_tokens=count_of(usage.get("prompt_tokens")),
        completion_tokens=count_of(usage.get("completion_tokens")),
        started_at=_moved(line.get("last_run_at") or "", -duration_ms),
        request=line["request"],
        asked=line["request"],
        line={**kept, "response": None} if _is_kept(line, response) else kept,
    )


def _is_kept(line: Mapping[str, Any], response: Mapping[str, Any] | None) -> bool:
    """Whether a line's response is stored as the answer that it is, and not with the rest of the line."""
    return line.get("status") == "success" and bool(response)


def _failure(response: Mapping[str, Any]) -> str:
    """Kind and reason in one line: K2VV writes ``error_type`` and ``error_message``, earlier ``error`` alone."""
    said = str(response.get("error_message") or response.get("error") or "no reason given")
    return f"{response['error_type']}: {said}" if response.get("error_type") else said


def _moved(moment: str, by_ms: float) -> str:
    """A time in ISO 8601 so much later; what is none stays as it is."""
    try:
        return (datetime.fromisoformat(moment) + timedelta(milliseconds=by_ms)).isoformat()
    except (ValueError, OverflowError):
        return moment


def _stored_summary(path: Path, results: Iterable[Result]) -> tuple[dict[str, Any] | None, str]:
    """A summary of K2VV's runner that agrees with the results; or ``None``, and why it is not taken."""
    try:
        stored = files.read_json(path, "summary")
    except InputError as error:
        return None, f"summary {path} is not taken: {error}"
    if not isinstance(stored, dict) or "success_count" not in stored:
        return None, f"summary {path} is not taken: it has no success_count; is it K2VV's?"
    judged = list(judge_all(results))
    counts = asdict(metrics.count_as_k2vv(judged))
    for name, value in ({name: counts[name] for name in SUMMARY_FIELDS} | {"usage": metrics.usage(judged)}).items():
        if name in stored and stored[name] != value:
            why = f"its {name} is {str(stored[name])[:100]}, that of the results {value}"
            return None, f"summary {path} is not taken, as it is of other results: {why}"
    return stored, ""


def _summary(file: Store, run: Run, trial: int) -> dict[str, Any]:
    if trial == 0 and run.config.get("summary"):
        return dict(run.config["summary"])
    results = [result for result in judge_all(file.results(run)) if result.trial == trial]
    counts = asdict(metrics.count_as_k2vv(results))
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
                begun = datetime.fromisoformat(result.started_at)
                ended = begun + timedelta(milliseconds=result.duration_ms)
                started, finished = min(started or begun, begun), max(finished or ended, ended)
            except (ValueError, OverflowError, TypeError):  # of an imported file; a time with a zone, and one without
                continue
    return started, finished

"""Stored results with their verdicts, without the texts: what all counts of a benchmark are made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from k2lab.chat import Request, canonical, with_system_role
from k2lab.findings.answers import is_raw
from k2lab.findings.verdicts import Verdict, judge

if TYPE_CHECKING:
    from k2lab.bench.records import Result

_SORTED = json.JSONEncoder(sort_keys=True)

RAW = "prompt "
"""How the digest of a prompt as text begins: it says nothing about the messages that were rendered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A stored result with its verdict, without the texts."""

    data_index: int
    trial: int
    answered: bool
    finish_reason: str | None
    failure: str | None
    verdict: Verdict
    calls: str
    """Names and arguments as one text, to tell whether two answers call the same; see :func:`k2lab.chat.canonical`."""
    messages: str
    """A digest of the request's messages before they were changed; see :func:`messages_of`."""
    duration_ms: float
    first_ms: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None


def judge_all(results: Iterable[Result]) -> Iterator[Judged]:
    """A verdict for each stored result; the valid of K2VV's own runner where it gave one."""
    for result in results:
        exchange = result.exchange
        answer, total = exchange.answer, exchange.answer.usage.get("total_tokens")
        stored = (result.line or {}).get("tool_calls_valid")
        yield Judged(
            data_index=result.data_index,
            trial=result.trial,
            answered=result.status == "success",
            finish_reason=result.finish_reason,
            failure=result.failure,
            verdict=judge(exchange, stored=stored if isinstance(stored, bool) else None),
            calls=canonical(answer.calls),
            messages=messages_of(exchange.request),
            duration_ms=result.duration_ms,
            first_ms=result.first_ms,
            prompt_tokens=result.prompt_tokens,
            completion_tokens=result.completion_tokens,
            total_tokens=total if isinstance(total, int) else None,
        )


def messages_of(request: Request) -> str:
    """A digest of a request's messages, K2VV's role ``_input`` read as ``system``; of its text where it is raw."""
    raw = is_raw(request)
    asked = request.parameters.get("prompt") if raw else [with_system_role(message) for message in request.messages]
    return RAW * raw + hashlib.blake2b(_SORTED.encode(asked).encode(), digest_size=16).hexdigest()

"""What a benchmark file holds: runs, results with their requests, and what became of a request on its way there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from k2lab.chat import Answer, Exchange, Request
from k2lab.findings.answers import is_raw

if TYPE_CHECKING:
    from k2lab.bench.client import Attempt

MOST = 1 << 53
"""What every program that reads a number of a file takes for a whole one."""

IMPORTED = "imported from "
"""How the endpoint of a run begins whose results are another runner's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """An arm under one configuration and one samples file."""

    run_id: int
    arm: str
    config: Mapping[str, Any]
    samples: str
    samples_sha256: str
    started_at: str
    finished_at: str | None

    @property
    def imported(self) -> bool:
        """Whether its results were got elsewhere and read from a file."""
        return str(self.config.get("endpoint")).startswith(IMPORTED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What became of a request: its attempts in order, the last of which counts."""

    data_index: int
    trial: int
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """A stored result with its request: ``request`` as it was sent, ``asked`` before a repair or a rendering.

    ``started_at`` is when the last attempt began. ``line`` is what else stood in
    the line of an imported result, its values but for those that are kept here.
    """

    data_index: int
    trial: int
    status: str
    finish_reason: str | None
    response: Mapping[str, Any] | None
    failure: str | None
    duration_ms: float
    first_ms: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    started_at: str
    request: Mapping[str, Any]
    asked: Mapping[str, Any]
    line: Mapping[str, Any] | None = None

    @property
    def exchange(self) -> Exchange:
        """What was asked and what came; plain where the prompt was sent as text."""
        asked = Request.unchecked(self.asked)
        sent = asked if self.request is self.asked else Request.unchecked(self.request)
        return Exchange(request=asked, answer=Answer.of(self.response or {}), plain=is_raw(sent))


def count_of(value: object) -> int | None:
    """A number of tokens, or ``None`` for what a server sent instead."""
    return value if type(value) is int and 0 <= value < MOST else None

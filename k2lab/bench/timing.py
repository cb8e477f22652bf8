"""How long the answers of an arm took, from the median to the slowest in a hundred, and how many are valid."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from k2lab.bench import metrics, store
from k2lab.bench.judged import Judged, judge_all
from k2lab.stats import Share


@dataclass(frozen=True, kw_only=True, slots=True)
class Percentiles:
    """Of ``count`` times in milliseconds, in proportion between two of them: the 99th of few is near the longest."""

    count: int
    p50: float
    p90: float
    p95: float
    p99: float

    @classmethod
    def of(cls, times_ms: Iterable[float]) -> Percentiles | None:
        """Those of these times; ``None`` where there are none.

        >>> Percentiles.of([10.0, 20.0, 30.0]).p50
        20.0
        """
        times = sorted(times_ms)
        if not times:
            return None
        cuts = statistics.quantiles(times, n=100, method="inclusive") if len(times) > 1 else times * 99
        return cls(count=len(times), p50=cuts[49], p90=cuts[89], p95=cuts[94], p99=cuts[98])


@dataclass(frozen=True, kw_only=True, slots=True)
class Timed:
    """The answered requests of one arm, all trials. A time that was not measured is ``None``."""

    first: Percentiles | None
    """To the first event of a streamed answer, which is its first token or comes with it."""
    per_token: Percentiles | None
    """From there to the end, over the tokens after the first; streamed answers of two tokens or more."""
    whole: Percentiles | None
    """From sending to the end."""
    valid: Share
    """K2VV's schema accuracy: of the answers that end as a tool call, those whose calls pass their schemas."""


def timed(results: Iterable[Judged]) -> Timed:
    """The times of an arm. Each is that of the attempt that was answered, without the retries before it."""
    results = list(results)
    answered = [result for result in results if result.answered]
    return Timed(
        first=Percentiles.of(result.first_ms for result in answered if result.first_ms is not None),
        per_token=Percentiles.of(
            (result.duration_ms - result.first_ms) / (tokens - 1)
            for result in answered
            if result.first_ms is not None and (tokens := result.completion_tokens or 0) > 1
        ),
        whole=Percentiles.of(result.duration_ms for result in answered),
        valid=metrics.count_as_k2vv(results).schema_accuracy,
    )


def timed_arms(path: Path, arms: Sequence[str] = ()) -> dict[str, Timed]:
    """The times of these arms of a benchmark file, of all of them where none is named.

    Raises :class:`~k2lab.errors.InputError` for what is no such file, or an arm that it does not have.
    """
    with store.reading(path) as kept:
        runs = [kept.run_of(arm) for arm in arms] or kept.arms()
        return {run.arm: timed(judge_all(kept.results(run))) for run in runs}

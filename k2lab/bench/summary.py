"""An arm summed up: both readings, the reference, tokens and times; repeated trials folded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from k2lab.bench import metrics, standing
from k2lab.bench.judged import Judged, judge_all
from k2lab.bench.metrics import Folded, K2vv, Reference, Strict, Trigger
from k2lab.bench.prompt_tokens import PromptTokens, compared_prompt_tokens
from k2lab.bench.records import Result, Run
from k2lab.bench.standing import Asked, Standing
from k2lab.bench.store import Store
from k2lab.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """One arm: its counts are those of the first trial, ``folded`` tells how shares vary over all of them."""

    arm: str
    imported: bool
    """Whether its results, and so its durations, are another runner's: K2VV's include the wait to be sent."""
    trials: int
    requests: int
    attempts: int
    k2vv: K2vv
    strict: Strict
    later: tuple[Strict, ...]
    """The same of the other trials."""
    trigger: Trigger | None
    usage: Mapping[str, int]
    durations_ms: Mapping[str, float]
    folded: Mapping[str, Folded]
    standings: tuple[Standing, ...] = ()
    """Where it stands beside what K2VV published of its model."""
    prompt_tokens: PromptTokens | None = None
    """Beside what the reference counted, where it says so."""
    unplaced: str = ""
    """Why nothing published is set beside it, where nothing is."""


SETTINGS = ("temperature", "max_tokens")
"""What a published run says of its requests."""


def summarise(
    file: Store,
    run: Run,
    reference: Mapping[int, Reference] | None = None,
    *,
    model: str | None = None,
    official: bool | None = None,
) -> Summary:
    """Sum up an arm; raises :class:`InputError` for one without results, or a reference of other requests.

    ``model``: which published one it is, where its own name does not say that;
    ``official``: whether the reference is a run of Moonshot's API, where that is known.
    """
    asked: dict[str, set[object]] = {}
    trials = metrics.by_trial(judge_all(_noted(file.results(run), asked)))
    if not trials:
        raise InputError(f"arm {run.arm!r} has no results yet: start it again with k2lab bench run")
    first = trials[0]
    counts, trigger = metrics.count_as_k2vv(first), _trigger(first, reference)
    values = {name: frozenset(found) for name, found in asked.items()}
    models = frozenset(one.model for one in (reference or {}).values())
    how = Asked(requests=len(first), values=values, official=official, reference_models=models)
    name = standing.model_of(str(run.config.get("model") or ""), model)
    return Summary(
        arm=run.arm,
        imported=run.imported,
        trials=len(trials),
        requests=len(first),
        attempts=file.attempts(run),
        k2vv=counts,
        strict=metrics.count_strictly(first),
        later=tuple(metrics.count_strictly(trial) for trial in trials[1:]),
        trigger=trigger,
        usage=metrics.usage(first),
        durations_ms=metrics.durations_ms(first),
        folded=_folded(trials, reference) if len(trials) > 1 else {},
        standings=standing.standings(name, counts, trigger, how),
        prompt_tokens=compared_prompt_tokens(first, reference) if reference else None,
        unplaced=standing.unplaced(name),
    )


def _trigger(results: Iterable[Judged], reference: Mapping[int, Reference] | None) -> Trigger | None:
    """Nothing of a reference that knows how long prompts are, and of no answer how it ends."""
    if not reference or all(one.finish_reason is None and one.prompt_tokens is not None for one in reference.values()):
        return None
    return metrics.trigger(results, reference)


def _noted(results: Iterable[Result], asked: dict[str, set[object]]) -> Iterator[Result]:
    """The results as they pass, the values of :data:`SETTINGS` in their requests noted."""
    for result in results:
        for name in SETTINGS:
            value = result.request.get(name)
            asked.setdefault(name, set()).add(value if isinstance(value, int | float) else None)
        yield result


def _folded(trials: list[list[Judged]], reference: Mapping[int, Reference] | None) -> dict[str, Folded]:
    counts = [metrics.count_as_k2vv(trial) for trial in trials]
    figures = {
        "schema_accuracy": [count.schema_accuracy.value for count in counts if count.finish_tool_calls],
        "soundness": [value for trial in trials if (value := metrics.count_strictly(trial).soundness.value) == value],
    }
    if reference and (triggers := [found for trial in trials if (found := _trigger(trial, reference))]):
        figures["tool_call_f1"] = [trigger.f1 for trigger in triggers]
        figures["tool_call_precision"] = [t.precision.value for t in triggers if t.precision.total]
        figures["tool_call_recall"] = [t.recall.value for t in triggers if t.recall.total]
    return {name: metrics.fold(values) for name, values in figures.items() if values}

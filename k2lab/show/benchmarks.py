"""A benchmark to look at: its arms in tables, two arms compared, and a run's progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from k2lab.bench import answers
from k2lab.bench.metrics import Comparison, Strict
from k2lab.bench.progress import Progress
from k2lab.bench.summary import Summary
from k2lab.show.parts import View, joined, line, note, table
from k2lab.stats import Share

ANOTHERS_RESULTS = (
    "imported: K2-Vendor-Verifier's numbers count the verdicts of the file, where it has them.\n"
    "* milliseconds as the file has them: K2-Vendor-Verifier's runner also counts the wait for a free place among its"
    " concurrent requests, and retries. Do not set them beside k2lab's."
)


def arm_summary(value: Summary) -> View:
    """One arm."""
    return bench_summaries([value])


def bench_summaries(summaries: Sequence[Summary]) -> View:
    """Arms of a benchmark, a row each: K2VV's numbers, the strict ones, why calls are invalid, and trials folded."""
    if not summaries:
        return line("No arm has results.")
    parts = [
        table([_k2vv_row(item) for item in summaries], "K2-Vendor-Verifier's numbers (k2vv)"),
        table([_strict_row(item) for item in summaries], "The same answers, strictly (strict)"),
        *([note(ANOTHERS_RESULTS)] if any(item.imported for item in summaries) else []),
        _fault_table(summaries),
    ]
    folded = [
        {"arm": item.arm, "trials": item.trials, "share": name, "mean ± sd [lowest, highest]": str(value)}
        for item in summaries
        for name, value in item.folded.items()
    ]
    parts += [table(folded, "Over repeated trials; the tables above are the first one's")] if folded else []
    return joined(*parts)


def comparison(made: Comparison, flips: int = 10) -> View:
    """Two arms on the same requests, and the first ``flips`` requests on which they differ."""
    first, second = made.arms
    rows = [
        {"arm": first, "right": str(made.first)},
        {"arm": second, "right": str(made.second)},
        {"arm": f"{second} against {first}", "right": f"{made.test} (McNemar, exact)"},
    ]
    shown = [{"data_index": flip.data_index, first: flip.before, second: flip.after} for flip in made.flips[:flips]]
    return joined(table(rows), table(shown, f"{len(shown)} of {len(made.flips)} requests that differ"))


def step_table(values: Mapping[str, Comparison]) -> View:
    """Several comparisons by name, without the requests that differ."""
    return table(
        [
            {
                "step": name,
                "before": str(made.first),
                "after": str(made.second),
                "paired": f"{made.test} (McNemar, exact)",
            }
            for name, made in values.items()
        ]
    )


def costs(went: Mapping[str, Progress], summaries: Mapping[str, Summary]) -> View:
    """What each arm cost: how fast it went, its tokens, its times."""
    return table(
        [
            {
                "arm": name,
                "requests/s": f"{went[name].rate:.1f}" if name in went else "not run",
                "completion tokens": item.usage["completion_tokens"],
                **{f"ms {part}": f"{item.durations_ms[part]:.0f}" for part in ("median", "p95") if item.durations_ms},
            }
            for name, item in summaries.items()
        ]
    )


def live() -> Callable[[str, Progress], None]:
    """For a run's ``show`` in a notebook: a line for each name, which is written over as the run goes on.

    Where no kernel runs, as in a script, a line is said once and not written over.
    """
    from IPython.display import display

    handles: dict[str, Any] = {}
    show: Callable[..., Any] = display

    def update(name: str, progress: Progress) -> None:
        shown = line(f"{name}: {progress}")
        if name not in handles:
            handles[name] = show(shown, display_id=True)
        elif handles[name] is not None:
            handles[name].update(shown)

    return update


def _label(item: Summary) -> str:
    return f"{item.arm} (imported)" if item.imported else item.arm


def _k2vv_row(item: Summary) -> dict[str, Any]:
    counts, trigger = item.k2vv, item.trigger
    row: dict[str, Any] = {
        "arm": _label(item),
        "requests": item.requests,
        "failed": counts.failure_count,
        "stop": counts.finish_stop,
        "tool_calls": counts.finish_tool_calls,
        "others": counts.finish_others,
        "schema errors": counts.schema_validation_error_count,
        "successful": counts.successful_tool_call_count,
        "schema accuracy": _percent(counts.schema_accuracy),
    }
    if trigger:
        low, high = trigger.f1_interval
        row |= {"precision": _percent(trigger.precision), "recall": _percent(trigger.recall)}
        row |= {"F1": f"{trigger.f1:.1%} [{low:.1%}, {high:.1%}]"}
    return row


def _strict_row(item: Summary) -> dict[str, Any]:
    counts, times = item.strict, item.durations_ms
    row = {
        "arm": _label(item),
        "calling": counts.calling,
        "sound": counts.sound,
        "unjudged": counts.unjudged,
        "soundness": _percent(counts.soundness),
    }
    if item.trigger:
        row["same calls as the reference"] = _percent(item.trigger.same_calls)
    row["completion tokens"] = item.usage["completion_tokens"]
    mark = " *" if item.imported else ""
    row["ms median / p95"] = f"{times['median']:.0f} / {times['p95']:.0f}{mark}" if times else "none"
    return row


def _fault_table(summaries: Sequence[Summary]) -> View:
    """What is wrong, or cannot be said, and in how many calls, answers or requests of each arm; all trials."""
    faults: dict[str, dict[str, int]] = {}
    for item in summaries:
        for strict, where in ((item.strict, ""), *((later, ", later trials") for later in item.later)):
            for name, count in _faults(strict):
                arms = faults.setdefault(name + where, {})
                arms[item.arm] = arms.get(item.arm, 0) + count
    rows = [{"what is wrong": name, **{item.arm: counts.get(item.arm, 0) for item in summaries}}
            for name, counts in sorted(faults.items())]  # fmt: skip
    return table(rows, "Why") if rows else line("Nothing is wrong.")


def _faults(strict: Strict) -> Iterable[tuple[str, int]]:
    for what, counts in (
        ("call", strict.call_faults),
        ("answer", strict.answer_faults),
        ("answer cut short", strict.cut_short),
        ("not judged", strict.not_judged),
        ("request", strict.unanswered),
    ):
        for name, count in counts.items():
            words = answers.WORDS.get(name)
            yield f"{what}: {name.replace('_', ' ')}" + (f" ({words})" if words else ""), count


def _percent(value: Share) -> str:
    return f"{value.value:.1%} [{value.low:.1%}, {value.high:.1%}]" if value.total else "none"

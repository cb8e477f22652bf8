"""A benchmark to look at: its arms in tables, two arms compared, and a run's progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from k2lab.bench.metrics import Comparison, Strict
from k2lab.bench.progress import Progress
from k2lab.bench.standing import MARGIN, Standing
from k2lab.bench.summary import Summary
from k2lab.findings import answers
from k2lab.show.parts import View, joined, line, note, table
from k2lab.stats import Share

ANOTHERS_RESULTS = (
    "imported: K2-Vendor-Verifier's numbers count the verdicts of the file, where it has them.\n"
    "* milliseconds as the file has them: K2-Vendor-Verifier's runner also counts the wait for a free place among its"
    " concurrent requests, and retries. Do not set them beside k2lab's."
)

NAMED = 6
"""Vendors that a line names."""

FIGURES = {"tool_call_f1": "F1", "schema_accuracy": "schema accuracy"}


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
        *_prompt_token_views(summaries),
        *standing_views(summaries),
    ]
    folded = [
        {"arm": item.arm, "trials": item.trials, "share": name, "mean ± sd [lowest, highest]": str(value)}
        for item in summaries
        for name, value in item.folded.items()
    ]
    parts += [table(folded, "Over repeated trials; the tables above are the first one's")] if folded else []
    return joined(*parts)


def _prompt_token_views(summaries: Sequence[Summary]) -> list[View]:
    """Prompts that a server counts otherwise than the reference."""
    rows = [
        {
            "arm": _label(item),
            "as many": _percent(found.alike),
            "0 to 3 more": _percent(found.accepted),
            "other counts": str(found) or "none",
            "not counted": found.uncounted,
            "first other request": found.first or "none",
        }
        for item in summaries
        if (found := item.prompt_tokens)
    ]
    return [table(rows, "Tokens of the prompt, beside what the reference counted")] if rows else []


def standing_views(summaries: Sequence[Summary]) -> list[View]:
    """Where arms stand beside what was published, what that takes for granted, and why others are not compared."""
    placed = [(_label(item), standing) for item in summaries for standing in item.standings]
    words = [
        *(_accepted(standing) for _, standing in placed),
        *(line for item in summaries for line in _grounds(item)),
        *(f"{item.unplaced}." for item in summaries if item.unplaced),
        *(f"Source: {standing.url}" for _, standing in placed),
    ]
    title = "Normal or not: beside what K2-Vendor-Verifier published"
    shown = [table([_standing_row(arm, standing) for arm, standing in placed], title)] if placed else []
    return shown + ([note("\n".join(dict.fromkeys(words)))] if words else [])


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


def _standing_row(arm: str, standing: Standing) -> dict[str, Any]:
    return {
        "arm": arm,
        "figure": FIGURES[standing.figure],
        "here": f"{standing.value:.1%} [{standing.low:.1%}, {standing.high:.1%}]",
        "accepted": f"{standing.bar:.0%} and more",
        "stand": standing.said,
    }


def _accepted(standing: Standing) -> str:
    """Whose word the bar is."""
    if standing.figure == "tool_call_f1":
        return (
            f"F1 is held to what K2-Vendor-Verifier accepts of {standing.model} ({standing.date});"
            f" Moonshot's API against itself has {standing.average:.0%} on average."
        )
    return (
        f"Schema accuracy is held to {100 * MARGIN:.0f} point less than that of Moonshot's API in the table of"
        f" {standing.model} ({standing.date}), which is k2lab's choice: K2-Vendor-Verifier names no bound."
    )


def _grounds(item: Summary) -> Iterable[str]:
    """Which vendors are like an arm, and what no file says and the comparison needs."""
    for standing in item.standings:
        if standing.alike:
            named = ", ".join(standing.alike[:NAMED])
            more = f" and {len(standing.alike) - NAMED} more" if len(standing.alike) > NAMED else ""
            yield f"{_label(item)}: schema accuracy cannot be told apart from that of {named}{more}."
    wanted = dict.fromkeys(
        condition.what
        for standing in item.standings
        for condition in standing.conditions
        if condition.holds is None and standing.stand != "not comparable"
    )
    if wanted:
        yield f"{_label(item)}: this holds if {'; '.join(wanted)}. No file says so."


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

"""Shares, counts and steps as figures: each function draws records, and gives the table that it drew."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from k2lab.show import charts, style
from k2lab.show.comparisons import Successes, before_after, flips, latency
from k2lab.show.figures import Figure
from k2lab.stats import Share

if TYPE_CHECKING:
    from k2lab.bench.summary import Summary

__all__ = [
    "Successes",
    "before_after",
    "call_faults",
    "finish_reasons",
    "flips",
    "latency",
    "share_curves",
    "share_pairs",
    "shares",
    "stacked",
    "triggers",
    "waterfall",
]

ENDINGS = ("tool_calls", "stop", "length")


def shares(values: Mapping[str, Share], *, xlabel: str = "share of the requests") -> Figure:
    """A bar for each share, with its interval and its count; those below a half are hatched."""
    with charts.drawn(len(values)) as (drawing, (ax,)):
        for row, (name, value) in enumerate(values.items()):
            if value.total:
                series = style.MAIN if value.value >= 0.5 else style.OTHER
                charts.bar(ax, row, 0, value.value, series, str(value))
                charts.whisker(ax, row, value.low, value.high)
            charts.aside(ax, row, f"{value.count:,} of {value.total:,}")
            charts.label(ax, row, name)
        charts.downwards(ax, len(values), xlabel)
        charts.percentages(ax)
        return charts.finished(
            drawing,
            alt=f"Bars, {xlabel}. {charts.listed(values)}",
            caption=f"{xlabel}; {charts.INTERVALS}",
            counted=charts.n_of([value.total for value in values.values()]),
            rows=[{"": name, **charts.share_row(value)} for name, value in values.items()],
        )


def finish_reasons(counts: Mapping[str, Mapping[str, int]], *, order: Sequence[str] = ENDINGS) -> Figure:
    """A stacked bar for each arm: how its requests ended."""
    return stacked(counts, order=order, xlabel="requests by how they end")


def stacked(counts: Mapping[str, Mapping[str, int]], *, order: Sequence[str] = (), xlabel: str = "calls") -> Figure:
    """A stacked bar for each arm; parts beyond ``order`` follow by name. A part has one look in every arm."""
    others = sorted({name for arm in counts.values() for name in arm} - set(order))
    looks = style.looks([*order, *others])
    looks = {name: look for name, look in looks.items() if any(arm.get(name) for arm in counts.values())}
    with charts.drawn(len(counts)) as (drawing, (ax,)):
        for row, (name, arm) in enumerate(counts.items()):
            start = 0
            for part, look in looks.items():
                if count := arm.get(part, 0):
                    charts.bar(ax, row, start, count, look, f"{charts.plain(part, charts.LONGEST_NAME)}: {count:,}")
                start += count
            charts.aside(ax, row, f"{start:,}")
            charts.label(ax, row, name)
        charts.downwards(ax, len(counts), f"{xlabel} (count)")
        charts.whole_numbers(ax)
        charts.key(drawing, [(part.replace("_", " "), charts.patch(look)) for part, look in looks.items()])
        return charts.finished(
            drawing,
            alt=f"Stacked bars, {xlabel}. {charts.listed(counts, _parts)}",
            caption=xlabel,
            counted=charts.n_of([sum(arm.values()) for arm in counts.values()]),
            rows=[{"": name, **{part: arm.get(part, 0) for part in looks}} for name, arm in counts.items()],
        )


def waterfall(steps: Mapping[str, Share], *, xlabel: str = "successful tool calls") -> Figure:
    """How a count grows from step to step: what was there in grey, what came in blue, what went hatched.

    The whisker is the step's own interval; the text its count and the change.
    """
    rows: list[dict[str, object]] = []
    with charts.drawn(len(steps)) as (drawing, (ax,)):
        before = 0
        for row, (name, step) in enumerate(steps.items()):
            change, stays = step.count - before, min(before, step.count)
            if stays:
                charts.bar(ax, row, 0, stays, None, f"as before: {stays:,}")
            if change:
                charts.bar(ax, row, stays, abs(change), style.MAIN if change > 0 else style.OTHER, f"{change:+,}")
            charts.whisker(ax, row, step.low * step.total, step.high * step.total)
            charts.aside(ax, row, f"{step.count:,} ({change:+,})")
            charts.label(ax, row, name)
            rows.append({"": name, "change": f"{change:+d}", **charts.share_row(step)})
            before = step.count
        charts.downwards(ax, len(steps), f"{xlabel} (count)")
        charts.whole_numbers(ax)
        return charts.finished(
            drawing,
            alt=f"Bars that grow from step to step, {xlabel}. {charts.listed(steps)}",
            caption=f"{xlabel} at each step: grey as before, blue gained, hatched lost; {charts.INTERVALS}",
            counted=charts.n_of([step.total for step in steps.values()], "requests of each step"),
            rows=rows,
        )


def share_pairs(values: Mapping[str, Mapping[str, Share]], *, xlabel: str = "share") -> Figure:
    """Several shares of each arm, such as precision and recall, as marks with their intervals."""
    names = list(dict.fromkeys(name for arm in values.values() for name, share in arm.items() if share.total))
    looks = style.looks(names)
    with charts.drawn(1.25 * len(values)) as (drawing, (ax,)):
        for row, (arm, known) in enumerate(values.items()):
            for place, (name, look) in enumerate(looks.items()):
                if (value := known.get(name)) is not None and value.total:
                    at = row + 0.5 * ((place + 0.5) / len(looks) - 0.4)
                    charts.whisker(ax, at, value.low, value.high, look.light)
                    charts.dot(ax, at, value.value, look, f"{charts.plain(name, charts.LONGEST_NAME)}: {value}")
            charts.label(ax, row, arm)
        charts.downwards(ax, len(values), xlabel)
        charts.percentages(ax, 1.01)
        if looks:
            charts.key(drawing, [(name, charts.mark(look)) for name, look in looks.items()])
        pairs = [(arm, name, value) for arm, known in values.items() for name, value in known.items()]
        return charts.finished(
            drawing,
            alt=f"Marks with intervals, {xlabel}. "
            + "; ".join(f"{arm}, {name}: {value}" for arm, name, value in pairs),
            caption=f"{' and '.join(names)}, {xlabel}; {charts.INTERVALS}",
            counted=charts.n_of([value.total for _, _, value in pairs]),
            rows=[{"": arm, "what": name, **charts.share_row(value)} for arm, name, value in pairs],
        )


def triggers(summaries: Mapping[str, Summary], *names: str) -> Figure:
    """Figures of each arm against its reference, such as ``precision``; see :class:`k2lab.bench.metrics.Trigger`."""
    return share_pairs(
        {
            arm: {name.replace("_", " "): getattr(item.trigger, name) for name in names}
            for arm, item in summaries.items()
            if item.trigger
        },
        xlabel="share, against the reference",
    )


def call_faults(summaries: Mapping[str, Summary]) -> Figure:
    """Why the calls of each arm are invalid."""
    counts = {arm: item.strict.call_faults for arm, item in summaries.items()}
    return stacked(counts, xlabel="calls with a fault, by the first one")


def share_curves(points: Sequence[float], curves: Mapping[str, Sequence[Share]], *, xlabel: str, ylabel: str) -> Figure:
    """Shares with their intervals over a number, a line for each label."""
    from matplotlib.ticker import PercentFormatter

    looks = style.looks(curves)
    with charts.drawn(4.5) as (drawing, (ax,)):
        for name, values in curves.items():
            look = looks[name]
            middle = [value.value for value in values]
            ends = [value.value - value.low for value in values], [value.high - value.value for value in values]
            ax.errorbar(points, middle, ends, color=look.light, marker=look.marker, linestyle=look.line, capsize=4)
        ax.set_xticks(list(points))
        ax.set_ylim(-0.03, 1.03)
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        ax.set_xlabel(charts.plain(xlabel, charts.LONGEST_LABEL))
        ax.set_ylabel(charts.plain(ylabel, charts.LONGEST_NAME))
        ax.grid(axis="y")
        if looks:
            charts.key(drawing, [(name, charts.mark(look, line=look.line)) for name, look in looks.items()])
        every = [(name, at, value) for name, along in curves.items() for at, value in zip(points, along, strict=True)]
        return charts.finished(
            drawing,
            alt=f"Lines, {ylabel} over {xlabel}. {charts.listed(curves, _along)}",
            caption=f"{ylabel} over {xlabel}; {charts.INTERVALS}",
            counted=charts.n_of([value.total for _, _, value in every], "at each point"),
            rows=[{"": name, xlabel: at, **charts.share_row(value)} for name, at, value in every],
        )


def _parts(arm: Mapping[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in arm.items() if count) or "none"


def _along(values: Sequence[Share]) -> str:
    return ", ".join("none" if math.isnan(value.value) else f"{value.value:.0%}" for value in values)

"""Records to matplotlib axes. Blue and orange, told apart by hatching too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from k2lab.legible import one_line
from k2lab.stats import Share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from k2lab.bench.summary import Summary

BLUE, ORANGE, GREY, PALE = "#2c6fd1", "#e6820f", "#9a9a9a", "#d9d9d9"
LONGEST_LABEL = 120
PART_STYLES = ((ORANGE, "//"), (BLUE, ""), (GREY, ".."), ("#f2c07d", "xx"), ("#8db4ec", "\\\\"), ("#5b5b5b", "++"))
FINISH_STYLE = {"tool_calls": (BLUE, ""), "stop": (ORANGE, "//"), "length": (GREY, "..")}


def shares(values: Mapping[str, Share], ax: Axes | None = None, *, xlabel: str = "share of the requests") -> Axes:
    """A horizontal bar for each share, with its interval and its count."""
    ax = ax or _axes(len(values))
    for row, (label, value) in enumerate(values.items()):
        colour, hatch = (BLUE, "") if value.value >= 0.5 else (ORANGE, "//")
        ax.barh(row, value.value, color=colour, hatch=hatch, edgecolor="white", height=0.6)
        ax.plot([value.low, value.high], [row, row], color="black", linewidth=1.5, marker="|", markersize=9)
        ax.text(1.02, row, f"{value.count} of {value.total}", va="center", transform=ax.get_yaxis_transform())
        ax.text(0.0, row - 0.34, _plain(label), va="bottom", fontsize=9)
    _bare(ax, len(values), xlabel)
    return ax


def finish_reasons(
    counts: Mapping[str, Mapping[str, int]],
    ax: Axes | None = None,
    *,
    order: Sequence[str] = ("tool_calls", "stop", "length"),
) -> Axes:
    """A stacked bar for each arm: how its requests ended."""
    return stacked(counts, ax, order=order, xlabel="requests")


def stacked(
    counts: Mapping[str, Mapping[str, int]], ax: Axes | None = None, *, order: Sequence[str] = (), xlabel: str = "calls"
) -> Axes:
    """A stacked bar for each arm; parts beyond ``order`` follow by name."""
    ax = ax or _axes(len(counts))
    names = [*order, *sorted({name for arm in counts.values() for name in arm} - set(order))]
    names = [name for name in names if any(arm.get(name) for arm in counts.values())]
    for row, (label, arm) in enumerate(counts.items()):
        start = 0
        for place, name in enumerate(names):
            colour, hatch = FINISH_STYLE.get(name) or PART_STYLES[place % len(PART_STYLES)]
            ax.barh(row, arm.get(name, 0), left=start, color=colour, hatch=hatch, edgecolor="white", height=0.6,
                    label=_plain(name.replace("_", " ")) if row == 0 else None)  # fmt: skip
            start += arm.get(name, 0)
        ax.text(0.0, row - 0.34, _plain(label), va="bottom", fontsize=9)
    _bare(ax, len(counts), xlabel, limit=None)
    if names:
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    return ax


def waterfall(steps: Mapping[str, Share], ax: Axes | None = None, *, xlabel: str = "successful tool calls") -> Axes:
    """How a count grows from step to step: what was there in grey, what came in blue, what went in orange.

    The whisker is the step's own interval; the text its count and the change.
    """
    ax = ax or _axes(len(steps))
    before = 0
    for row, (label, step) in enumerate(steps.items()):
        change = step.count - before
        colour, hatch = (BLUE, "") if change >= 0 else (ORANGE, "//")
        ax.barh(row, min(before, step.count), color=PALE, edgecolor="white", height=0.6)
        ax.barh(
            row, abs(change), left=min(before, step.count), color=colour, hatch=hatch, edgecolor="white", height=0.6
        )
        ends = [step.low * step.total, step.high * step.total]
        ax.plot(ends, [row, row], color="black", linewidth=1.5, marker="|", markersize=9)
        ax.text(1.02, row, f"{step.count} ({change:+d})", va="center", transform=ax.get_yaxis_transform())
        ax.text(0.0, row - 0.34, _plain(label), va="bottom", fontsize=9)
        before = step.count
    total = max((step.total for step in steps.values()), default=1)
    _bare(ax, len(steps), f"{xlabel}, of {total} requests", limit=None)
    return ax


def share_pairs(values: Mapping[str, Mapping[str, Share]], ax: Axes | None = None, *, xlabel: str = "share") -> Axes:
    """Several shares of each arm, such as precision and recall, as marks with their intervals."""
    ax = ax or _axes(len(values))
    styles = ((BLUE, "o"), (ORANGE, "s"), (GREY, "^"))
    for row, (label, shares_of) in enumerate(values.items()):
        for place, (name, value) in enumerate(shares_of.items()):
            colour, marker = styles[place % len(styles)]
            y = row + 0.22 * (place - (len(shares_of) - 1) / 2)
            if value.total:
                ax.plot([value.low, value.high], [y, y], color=colour, linewidth=1.5)
                ax.plot([value.value], [y], color=colour, marker=marker, linestyle="", label=_plain(name))
        ax.text(0.0, row - 0.34, _plain(label), va="bottom", fontsize=9)
    _bare(ax, len(values), xlabel)
    ax.set_xlim(0, 1.01)
    found = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    names = [name for name in dict.fromkeys(_plain(name) for arm in values.values() for name in arm) if name in found]
    ax.legend([found[name] for name in names], names, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    return ax


def triggers(summaries: Mapping[str, Summary], *names: str) -> Axes:
    """Figures of each arm against its reference, such as ``precision``; see :class:`k2lab.bench.metrics.Trigger`."""
    return share_pairs(
        {
            arm: {name.replace("_", " "): getattr(item.trigger, name) for name in names}
            for arm, item in summaries.items()
            if item.trigger
        }
    )


def call_faults(summaries: Mapping[str, Summary]) -> Axes:
    """Why the calls of each arm are invalid."""
    counts = {arm: item.strict.call_faults for arm, item in summaries.items()}
    return stacked(counts, xlabel="calls with a fault, by the first one")


def share_curves(
    points: Sequence[float], curves: Mapping[str, Sequence[Share]], *, xlabel: str, ylabel: str, ax: Axes | None = None
) -> Axes:
    """Shares with their intervals over a number, a line for each label."""
    ax = ax or _axes(4)
    styles = ((BLUE, "o", "-"), (ORANGE, "s", "--"), (GREY, "^", ":"))
    for (label, values), (colour, marker, line) in zip(curves.items(), styles, strict=False):
        middle = [value.value for value in values]
        below = [value.value - value.low for value in values]
        above = [value.high - value.value for value in values]
        ax.errorbar(
            points, middle, (below, above), color=colour, marker=marker, linestyle=line, capsize=4, label=_plain(label)
        )
    ax.set_xticks(list(points))
    ax.set_ylim(-0.03, 1.03)
    ax.set_xlabel(_plain(xlabel))
    ax.set_ylabel(_plain(ylabel))
    ax.legend(frameon=False, loc="best")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _plain(label: object) -> str:
    """A label as it is read: no formula between dollars, no name that a legend leaves out, not too long."""
    text = one_line(label, LONGEST_LABEL).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def _axes(rows: int) -> Axes:
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(8, 0.75 * rows + 0.9), layout="constrained")
    return ax


def _bare(ax: Axes, rows: int, xlabel: str, limit: float | None = 1.0) -> None:
    if limit is not None:
        ax.set_xlim(0, limit)
    ax.set_ylim(rows - 0.3, -0.6)
    ax.set_yticks([])
    ax.set_xlabel(_plain(xlabel))
    ax.spines[["top", "right", "left"]].set_visible(False)

"""Two sides in one figure: published beside measured, an arm beside another, speed beside validity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from k2lab.show import charts, style
from k2lab.show.figures import Figure
from k2lab.stats import Share, share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from k2lab.bench.metrics import Comparison
    from k2lab.bench.timing import Percentiles, Timed


@dataclass(frozen=True, kw_only=True, slots=True)
class Successes:
    """Successful tool calls of one run, as K2VV counts them, and what they are held against."""

    count: int
    requests: int
    wanted: int | None = None
    """Calls that the run's reference makes."""
    at_least: bool = False
    """Whether there are more of these than ``wanted``, and nobody says how many."""

    @property
    def of_requests(self) -> Share:
        """Of all requests."""
        return share(self.count, self.requests)

    @property
    def of_wanted(self) -> Share | None:
        """Of the calls that the reference makes, where it is known and no smaller."""
        return share(self.count, self.wanted) if self.wanted and self.count <= self.wanted else None


def before_after(groups: Mapping[str, Mapping[str, Successes]], *, note: str = "") -> Figure:
    """Runs by group, such as those of a publication and those measured here, on the same axes: a share each.

    Left of all requests, right of the calls that the reference makes. ``note`` goes into the caption.
    """
    runs = [(group, name, run) for group, members in groups.items() for name, run in members.items()]
    looks = style.looks(groups)
    with charts.drawn(len(runs) + 0.8 * len(groups), 2) as (drawing, panels):
        at = -1.0
        for group, members in groups.items():
            at += 0.8
            charts.label(panels[0], at + 0.55, group, bold=True)
            for name, run in members.items():
                at += 1
                charts.label(panels[0], at, name)
                for ax, value, more in (
                    (panels[0], run.of_requests, ""),
                    (panels[1], run.of_wanted, "+" * run.at_least),
                ):
                    _share_bar(ax, at, value, looks[group], more)
        for ax, xlabel in zip(panels, ("of all requests", "of the calls wanted"), strict=True):
            charts.downwards(ax, at + 1, f"successful tool calls, {xlabel}")
            charts.percentages(ax)
        charts.key(drawing, [(group, charts.patch(look)) for group, look in looks.items()])
        return charts.finished(
            drawing,
            alt="Bars, successful tool calls. " + "; ".join(f"{g}, {n}: {run.of_requests}" for g, n, run in runs),
            caption=f"Successful tool calls as K2VV counts them; {charts.INTERVALS}",
            counted="; ".join(_counted(group, members) for group, members in groups.items())
            + (f". {note}" * bool(note)),
            rows=[_successes_row(group, name, run) for group, name, run in runs],
        )


def flips(compared: Mapping[str, Comparison], *, what: str = "a successful tool call") -> Figure:
    """Requests that two arms answer differently, a row for each pair: gained to the right, lost to the left."""
    with charts.drawn(len(compared)) as (drawing, (ax,)):
        for row, (name, made) in enumerate(compared.items()):
            for count, series, words in (
                (made.test.gained, style.MAIN, "gained"),
                (-made.test.lost, style.OTHER, "lost"),
            ):
                if count:
                    charts.bar(ax, row, 0, count, series, f"{abs(count):,} {words}")
            charts.aside(ax, row, f"+{made.test.gained:,}, -{made.test.lost:,}, {_chance(made)}")
            charts.label(ax, row, name)
        charts.downwards(ax, len(compared), "requests lost ← → requests gained (count)")
        charts.whole_numbers(ax, signed=True)
        ax.vlines([0] * len(compared), *_around(len(compared)), color=style.INK, linewidth=1)
        charts.key(drawing, [("gained", charts.patch(style.MAIN)), ("lost", charts.patch(style.OTHER))])
        return charts.finished(
            drawing,
            alt="Bars to both sides, requests that flip. " + charts.listed(compared, lambda made: str(made.test)),
            caption=f"Requests that flip between two arms: gained is {what} in the second alone; p is McNemar's, exact",
            counted=charts.n_of([made.first.total for made in compared.values()], "requests in both arms"),
            rows=[_flips_row(name, made) for name, made in compared.items()],
        )


TIMES = {"first": "time to first token", "per_token": "time per output token", "whole": "end to end"}
LATENCY = "Latency of answered requests, the first token with a stream's first event, beside K2VV's schema accuracy"
POINTS = {"p50": style.SERIES[0], "p90": style.SERIES[1], "p95": style.SERIES[2], "p99": style.SERIES[3]}


def latency(arms: Mapping[str, Timed], *, more: str = "") -> Figure:
    """What each arm took, from the median to the 99th percentile on a scale of powers, beside the share of valid calls.

    A time that no arm has measured gets no panel. ``more`` goes into the caption.
    """
    known = [name for name in TIMES if any(getattr(arm, name) for arm in arms.values())]
    with charts.drawn(1.15 * len(arms), len(known) + 1) as (drawing, panels):
        for row, (arm, measured) in enumerate(arms.items()):
            charts.label(panels[0], row, arm)
            for ax, name in zip(panels, known, strict=False):
                _times(ax, row, getattr(measured, name))
            _share_dot(panels[-1], row, measured.valid)
        for ax, name in zip(panels, known, strict=False):
            charts.downwards(ax, len(arms), f"{TIMES[name]} (ms)")
            charts.powers(ax)
        charts.downwards(panels[-1], len(arms), "valid tool calls")
        charts.percentages(panels[-1], 1.02)
        charts.key(drawing, [(name, charts.mark(series)) for name, series in POINTS.items()])
        return charts.finished(
            drawing,
            alt="Marks on lines, latency in milliseconds beside validity. " + charts.listed(arms, _times_in_words),
            caption=f"{LATENCY}; {charts.INTERVALS}",
            counted=_timed_n(arms) + (f". {more}" if more else ""),
            rows=[_times_row(name, measured) for name, measured in arms.items()],
        )


def _around(rows: int) -> tuple[list[float], list[float]]:
    """From above the bar of each row to below it: between the labels."""
    return [row - charts.ABOVE for row in range(rows)], [row + charts.ABOVE for row in range(rows)]


def _share_bar(ax: Axes, at: float, value: Share | None, series: style.Series, more: str) -> None:
    if value is None or not value.total:
        charts.aside(ax, at, "not known")
        return
    charts.bar(ax, at, 0, value.value, series, str(value))
    charts.whisker(ax, at, value.low, value.high)
    charts.aside(ax, at, f"{value.count:,} of {value.total:,}{more}")


def _counted(group: str, members: Mapping[str, Successes]) -> str:
    counted = charts.n_of([run.requests for run in members.values()], "requests")
    return f"{charts.plain(group, charts.LONGEST_NAME)}: {counted}"


def _successes_row(group: str, name: str, run: Successes) -> dict[str, object]:
    row: dict[str, object] = {"": name, "whose": group, "successful": run.count}
    wanted = run.of_wanted
    for column, total, value in (
        ("requests", f"{run.requests}", run.of_requests),
        ("calls wanted", _wanted(run), wanted),
    ):
        known = value is not None and bool(value.total)
        row[column] = total
        row[f"of {column}"] = (
            f"{value.value:.1%} [{value.low:.1%}, {value.high:.1%}]" if value and known else "not known"
        )
    return row


def _wanted(run: Successes) -> str:
    return "not known" if run.wanted is None else f"{'over ' * run.at_least}{run.wanted}"


def _chance(made: Comparison) -> str:
    return f"p = {made.test.p_value:.2g}" if made.test.p_value >= 1e-4 else "p < 0.0001"


def _flips_row(name: str, made: Comparison) -> dict[str, object]:
    test = made.test
    before, after = str(made.first), str(made.second)
    return {
        "": name,
        "gained": test.gained,
        "lost": test.lost,
        "p": _chance(made)[2:],
        "before": before,
        "after": after,
    }


def _times(ax: Axes, row: float, times: Percentiles | None) -> None:
    if times is None:
        ax.text(0.02, row, "not streamed", va="center", fontsize=style.SMALL, transform=ax.get_yaxis_transform())
        return
    ax.plot([times.p50, times.p99], [row, row], color=style.INK, linewidth=1.2, zorder=1)
    said = f"{times.p50:,.3g} to {times.p99:,.3g}" if times.p99 < 1000 else f"{times.p50:,.0f} to {times.p99:,.0f}"
    ax.text(times.p50, row + 0.16, said, va="top", fontsize=style.SMALL, in_layout=False)
    for name, series in POINTS.items():
        charts.dot(ax, row, getattr(times, name), series, f"{name}: {getattr(times, name):.3g} ms of {times.count:,}")


def _share_dot(ax: Axes, row: float, value: Share) -> None:
    if value.total:
        charts.whisker(ax, row, value.low, value.high)
        charts.dot(ax, row, value.value, style.MAIN, str(value))
    charts.aside(ax, row, f"{value.count:,} of {value.total:,}")


def _times_row(name: str, measured: Timed) -> dict[str, object]:
    row: dict[str, object] = {"": name}
    for what, said in TIMES.items():
        times: Percentiles | None = getattr(measured, what)
        row |= {f"{said}, {point}, ms": f"{getattr(times, point):.4g}" if times else "not measured" for point in POINTS}
        row[f"{said}, n"] = times.count if times else 0
    return {**row, "valid tool calls": str(measured.valid)}


def _times_in_words(measured: Timed) -> str:
    found = [(said, getattr(measured, name)) for name, said in TIMES.items() if getattr(measured, name)]
    times = ", ".join(f"{said} p50 {value.p50:.3g}, p99 {value.p99:.3g}" for said, value in found)
    return f"{times or 'no times'}, valid {measured.valid}"


def _timed_n(arms: Mapping[str, Timed]) -> str:
    return charts.n_of([arm.whole.count for arm in arms.values() if arm.whole], "answered requests of each arm")

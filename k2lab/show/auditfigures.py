"""What an audit came to as figures: shares by finding, by model and vendor, over the days, and where they changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from k2lab.audit.summary import AuditSummary, Change, DailyCounts, Group
from k2lab.audit.tables import NONE
from k2lab.legible import one_line
from k2lab.show import charts, style
from k2lab.show.drawing import GRID, MAIN, OTHER, WIDTH, Drawing, percent, ticks
from k2lab.show.figures import Figure
from k2lab.stats import CONFIDENCE, Share, share

MOST_BARS, MOST_POINTS, MOST_DOTS = 12, 92, 62
"""Bars of a figure; points of a line, days being put together beyond them; points that are marked one by one."""

ROW, BAR = 34.0, 11.0
BARS_WIDE = 424.0
"""What bars have of the width; the rest says their numbers."""

LEFT, RIGHT, PANEL = 46.0, WIDTH - 8, 96.0
"""Of a panel: where its axis begins and ends, and its height."""

DAY_WIDE = 64.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """Shares over days, and what changed when: each change is the index of its first day, and its name."""

    title: str
    days: tuple[str, ...]
    shares: tuple[Share, ...]
    changes: tuple[tuple[int, str], ...] = ()
    levels: tuple[tuple[int, float], ...] = ()
    """From an index on, the share of all days to the next: nothing where there are none."""


def by_finding(value: AuditSummary) -> Figure | None:
    """The share of exchanges with each finding, the most frequent; ``None`` where nothing was found."""
    shown = {f"{one.code} {one.title} ({one.level})": one.exchanges for one in value.codes if one.exchanges.total}
    rest = [one.code for one in value.codes[MOST_BARS:]]
    more = f"; not drawn, since less frequent: {', '.join(rest)}" if rest else ""
    return _bars(dict(list(shown.items())[:MOST_BARS]), "share of exchanges with each finding", more)


def by_arm(value: AuditSummary) -> Figure | None:
    """The share with any finding of each model at each vendor; ``None`` where there is one alone."""
    arms = sorted((one for one in value.arms if one.looked), key=lambda one: (-one.looked, one.name))
    if len(arms) < 2:
        return None
    shown = sorted(arms[:MOST_BARS], key=lambda one: (-one.faulty.value, one.name))
    rest = arms[MOST_BARS:]
    values = {one.name: one.faulty for one in shown}
    more = ""
    if rest:
        values[f"the other {len(rest):,}, together"] = _sum(rest)
        more = f"; the {MOST_BARS} with the most exchanges, and the rest together"
    return _bars(values, "share of exchanges with any finding, by model and vendor", more)


def over_time(value: AuditSummary) -> Figure | None:
    """The share with any finding by day; ``None`` where fewer than two days are known."""
    days = [one for one in value.days if one.name != NONE and one.looked]
    if len(days) < 2:
        return None
    names = [one.name for one in days]
    marks: dict[int, list[str]] = {}
    for series, change in _told(value):
        codes = marks.setdefault(names.index(change.day), [])
        codes += [series.code] if series.code not in codes else []
    panel = Panel(
        title="all exchanges: those with any finding",
        days=tuple(names),
        shares=tuple(one.faulty for one in days),
        changes=tuple((at, ", ".join(codes)) for at, codes in sorted(marks.items())),
    )
    unknown = sum(one.looked for one in value.days if one.name == NONE)
    more = f"; {unknown:,} exchanges without a time are not drawn" if unknown else ""
    more += "; upright lines: where the share of a finding changed" if marks else ""
    return _panels([panel], "share of exchanges with any finding, by day", more)


def changed(value: AuditSummary) -> Figure | None:
    """The findings whose share changed, the most certain first, with the levels before and after."""
    panels = [_panel(series, [change for one, change in _told(value) if one is series]) for series in value.series]
    if not panels:
        return None
    kinds = {(one.code, one.model, one.vendor) for one in value.changes}
    more = f"; the {len(panels)} most certain of {len(kinds)}" if len(kinds) > len(panels) else ""
    return _panels(panels, "findings whose share changed: dashed, the level of each stretch of days", more)


def _told(value: AuditSummary) -> Iterator[tuple[DailyCounts, Change]]:
    """Each series that is kept, with each of its changes."""
    for series in value.series:
        for one in value.changes:
            if (one.code, one.model, one.vendor) == (series.code, series.model, series.vendor):
                yield series, one


def _panel(series: DailyCounts, changes: Sequence[Change]) -> Panel:
    at = [series.days.index(change.day) for change in changes]
    return Panel(
        title=f"{series.code}: {one_line(series.model, 80)} at {one_line(series.vendor, 80)}",
        days=series.days,
        shares=tuple(share(count, total) for count, total in series.counts),
        changes=tuple((index, change.day) for index, change in zip(at, changes, strict=True)),
        levels=tuple(
            zip([0, *at], [changes[0].before.value, *(change.after.value for change in changes)], strict=True)
        ),
    )


def _sum(groups: Sequence[Group]) -> Share:
    return share(sum(one.faulty.count for one in groups), sum(one.looked for one in groups))


def _bars(values: Mapping[str, Share], xlabel: str, more: str) -> Figure | None:
    if not values:
        return None
    drawing, scale = Drawing(), ticks(max(one.high for one in values.values()))
    wide, bottom = BARS_WIDE / scale[-1], ROW * len(values) + 4
    for tick in scale:
        drawing.line([(tick * wide + 1, 0), (tick * wide + 1, bottom)], GRID)
        place = "start" if not tick else "middle"
        drawing.text(tick * wide + 1, bottom + 13, percent(tick), size=style.SMALL, anchor=place)
    for row, (name, one) in enumerate(values.items()):
        top = ROW * row + 16
        drawing.text(0, top - 4, name)
        drawing.bar(1, top, one.value * wide, BAR, f"{name}: {one}")
        drawing.whisker(one.low * wide + 1, one.high * wide + 1, top + BAR / 2)
        said = f"{one.value:.2%}: {one.count:,} of {one.total:,}"
        drawing.text(WIDTH, top + BAR - 2, said, room=WIDTH - BARS_WIDE, size=style.SMALL, anchor="end")
    alt = f"Bars, {xlabel}. {charts.listed(values)}"
    rows = [{"": name, **charts.share_row(one)} for name, one in values.items()]
    return _figure(drawing, bottom + 18, alt, f"{xlabel}{more}; {charts.INTERVALS}", rows)


def _panels(panels: Sequence[Panel], caption: str, more: str) -> Figure:
    drawing, top, rows, said = Drawing(), 0.0, list[Mapping[str, object]](), list[str]()
    for panel in panels:
        shown = _together(panel)
        top = _draw(drawing, top, shown)
        first = {"": panel.title} if len(panels) > 1 else {}
        rows += [
            {**first, "day": day, **charts.share_row(one)} for day, one in zip(shown.days, shown.shares, strict=True)
        ]
        said.append(_in_words(panel))
    alt = f"Lines over days, {caption}. {'; '.join(said)}"
    return _figure(drawing, top, alt, f"{caption}{more}; shaded: Wilson's interval, {CONFIDENCE:.0%}", rows)


def _in_words(panel: Panel) -> str:
    least, most = min(one.value for one in panel.shares), max(one.value for one in panel.shares)
    span = f"{panel.title}, {panel.days[0]} to {panel.days[-1]}: from {least:.1%} to {most:.1%}"
    levels = [f"{level:.1%} from {panel.days[at]}" for at, level in panel.levels]
    return f"{span}, levels {', then '.join(levels)}" if levels else span


def _together(panel: Panel) -> Panel:
    """A panel of no more points than are drawn; it says how many days one of them is."""
    days = -(-len(panel.days) // MOST_POINTS)
    if days == 1:
        return panel
    parts = [panel.shares[at : at + days] for at in range(0, len(panel.days), days)]
    return Panel(
        title=f"{panel.title}, {days} days a point",
        days=panel.days[::days],
        shares=tuple(share(sum(one.count for one in part), sum(one.total for one in part)) for part in parts),
        changes=tuple((at // days, name) for at, name in panel.changes),
        levels=tuple((at // days, level) for at, level in panel.levels),
    )


def _draw(drawing: Drawing, top: float, panel: Panel) -> float:
    """Draw a panel below ``top``; where it ends."""
    step = (RIGHT - LEFT) / max(1, len(panel.days))
    middles = [LEFT + step * (at + 0.5) for at in range(len(panel.days))]
    drawing.text(0, top + 12, panel.title, bold=True)
    top = _changes(drawing, top + 18, panel, step) + 4
    bottom = top + PANEL
    scale = ticks(max(one.high for one in panel.shares))
    high = PANEL / scale[-1]
    for tick in scale:
        drawing.line([(LEFT, bottom - tick * high), (RIGHT, bottom - tick * high)], GRID)
        drawing.text(LEFT - 4, bottom - tick * high + 3, percent(tick), size=style.SMALL, anchor="end")
    lower = [(x, bottom - one.low * high) for x, one in zip(middles, panel.shares, strict=True)]
    upper = [(x, bottom - one.high * high) for x, one in zip(middles, panel.shares, strict=True)]
    drawing.area([*lower, *reversed(upper)], MAIN)
    for at, _ in panel.changes:
        drawing.line([(LEFT + step * at, top - 4), (LEFT + step * at, bottom)], width=1, dash="2 2")
    ends = [*(at for at, _ in panel.levels[1:]), len(panel.days)]
    for (start, level), end in zip(panel.levels, ends, strict=False):
        y = bottom - level * high
        drawing.line([(LEFT + step * start, y), (LEFT + step * end, y)], OTHER, 2.2, dash="7 3")
    points = [(x, bottom - one.value * high) for x, one in zip(middles, panel.shares, strict=True)]
    drawing.line(points, MAIN, 1.6)
    if len(points) <= MOST_DOTS:
        for (x, y), day, one in zip(points, panel.days, panel.shares, strict=True):
            drawing.dot(x, y, f"{day}: {one}")
    drawing.line([(LEFT, bottom), (RIGHT, bottom)])
    _days(drawing, bottom, panel.days, middles)
    return bottom + 26


def _days(drawing: Drawing, y: float, days: Sequence[str], middles: Sequence[float]) -> None:
    """As many days as have room, the first and the last among them."""
    most = min(len(days), int((RIGHT - LEFT) // (DAY_WIDE + 16)))
    for number in range(most):
        at = number * (len(days) - 1) // max(1, most - 1)
        x = min(max(middles[at], LEFT - 16 + DAY_WIDE / 2), RIGHT + 8 - DAY_WIDE / 2)
        drawing.line([(middles[at], y), (middles[at], y + 4)])
        drawing.text(x, y + 14, days[at], room=DAY_WIDE + 8, size=style.SMALL, anchor="middle")


def _changes(drawing: Drawing, top: float, panel: Panel, step: float) -> float:
    """The names of changes above their lines, in as many rows as keep them apart; where the rows end."""
    free: list[float] = []
    for at, name in panel.changes:
        x = LEFT + step * at
        wide = min(DAY_WIDE * 2, 6.2 * len(name) + 6)
        x = min(x, RIGHT - wide)
        row = next((number for number, end in enumerate(free) if x >= end), len(free))
        free[row:] = [x + wide, *free[row + 1 :]]
        drawing.text(x, top + 11 * (row + 1) - 2, name, room=wide + 4, size=style.SMALL)
    return top + 11 * len(free)


def _figure(drawing: Drawing, height: float, alt: str, caption: str, rows: Sequence[Mapping[str, object]]) -> Figure:
    said = one_line(alt, charts.LONGEST_ALT)
    caption = one_line(caption, 600)
    shown = tuple({name: one_line(one) if isinstance(one, str) else one for name, one in row.items()} for row in rows)
    return Figure(
        svg=drawing.written(height, said), alt=said, caption=f"{caption[:1].upper()}{caption[1:]}.", rows=shown
    )

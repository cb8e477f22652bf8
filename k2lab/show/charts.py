"""What every plot is made of: a drawing in the one style with a row for each label, its bars and intervals, its key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from k2lab.legible import one_line
from k2lab.show import style, svg
from k2lab.show.figures import Figure
from k2lab.stats import CONFIDENCE, Share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

LONGEST_LABEL, LONGEST_NAME, LONGEST_ALT, WIDEST_KEY = 84, 40, 1200, 92
INTERVALS = f"whiskers: Wilson's interval, {CONFIDENCE:.0%}"
BAR, ABOVE = 0.5, 0.3
"""Height of a bar, and how far its label stands above its middle, of a row's height."""


@contextmanager
def drawn(rows: float, panels: int = 1, **options: Any) -> Iterator[tuple[Drawing, Sequence[Axes]]]:
    """A drawing and its panels, side by side, in the one style; ``rows`` is its height in rows."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Drawing

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(style.SETTINGS)
        drawing = Drawing(figsize=(style.WIDTH, 0.62 * rows + 0.9), layout="constrained")
        FigureCanvasSVG(drawing)
        yield drawing, drawing.subplots(1, panels, squeeze=False, **options)[0]


def finished(
    drawing: Drawing, *, alt: str, caption: str, rows: Sequence[Mapping[str, object]], counted: str = ""
) -> Figure:
    """The drawing as a figure; ``counted`` says n."""
    said = one_line(alt, LONGEST_ALT)
    caption = one_line(caption)
    words = ". ".join(filter(None, (caption[:1].upper() + caption[1:], counted)))
    table = tuple({one_line(column, LONGEST_LABEL): value for column, value in row.items()} for row in rows)
    return Figure(svg=svg.written(drawing, said), alt=said, caption=f"{words}.", rows=table)


def bar(ax: Axes, row: float, start: float, length: float, series: style.Series | None, words: str) -> None:
    """A bar that says ``words``; without a series in the colour of what rests."""
    colour, hatch = (series.light, series.hatch) if series else (style.REST, "")
    for patch in ax.barh(
        row, length, left=start, color=colour, hatch=hatch, edgecolor=style.PAPER, height=BAR, linewidth=0.8
    ):
        svg.says(patch, words)


def whisker(ax: Axes, row: float, low: float, high: float, colour: str = style.INK) -> None:
    """An interval, set off from the bar that it lies on."""
    ax.plot([low, high], [row, row], color=style.PAPER, linewidth=3.6, solid_capstyle="butt")
    (line,) = ax.plot([low, high], [row, row], color=colour, linewidth=1.4, marker="|", markersize=8, clip_on=False)
    svg.says(line, f"from {low:.3g} to {high:.3g}")


def dot(ax: Axes, row: float, value: float, series: style.Series, words: str) -> None:
    """A mark that says ``words``."""
    (line,) = ax.plot([value], [row], color=series.light, marker=series.marker, markersize=6.5, clip_on=False)
    svg.says(line, words)


def label(ax: Axes, row: float, value: object, *, bold: bool = False) -> None:
    """What a row is, above it at the left."""
    ax.text(
        0.0, row - ABOVE, plain(value, LONGEST_LABEL), va="bottom", transform=ax.get_yaxis_transform(), in_layout=False,
        fontweight="bold" if bold else "normal",
    )  # fmt: skip


def aside(ax: Axes, row: float, words: str) -> None:
    """A figure in words, at the right of a row."""
    ax.text(1.02, row, words, va="center", fontsize=style.SMALL, transform=ax.get_yaxis_transform())


def downwards(ax: Axes, rows: float, xlabel: str) -> None:
    """Rows downwards, no axis but the lower one, its grid behind."""
    ax.set_ylim(rows - 0.5, -0.85)
    ax.set_yticks([])
    ax.set_xlabel(plain(xlabel, LONGEST_LABEL))
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x")


def percentages(ax: Axes, most: float = 1.0) -> None:
    """An axis of shares."""
    from matplotlib.ticker import PercentFormatter

    ax.set_xlim(0, most)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))


def whole_numbers(ax: Axes, *, signed: bool = False) -> None:
    """An axis of counts: whole numbers, thousands apart; ``signed`` ones count to both sides."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value) if signed else value:,.0f}"))


def powers(ax: Axes) -> None:
    """An axis of powers of ten, its numbers written out, with room at both ends."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_xscale("log")
    ax.margins(x=0.12)
    low, high = ax.get_xlim()
    steps = (1, 2, 4, 7) if high < 6 * low else (1, 2, 5) if high < 40 * low else (1,)
    ax.xaxis.set_major_locator(LogLocator(subs=steps, numticks=20))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.12g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def key(drawing: Drawing, entries: Sequence[tuple[str, Any]]) -> None:
    """What the series are, above the panels."""
    names = [plain(name, LONGEST_NAME) for name, _ in entries]
    columns = max(1, min(len(names), WIDEST_KEY // (max(map(len, names), default=0) + 6)))
    drawing.set_figheight(drawing.get_figheight() + 0.2 * -(-len(names) // columns) + 0.1)
    drawing.legend([handle for _, handle in entries], names, loc="outside upper left", ncols=columns)


def patch(series: style.Series) -> Any:
    """A bar's entry of a key."""
    from matplotlib.patches import Patch

    return Patch(facecolor=series.light, hatch=series.hatch, edgecolor=style.PAPER)


def mark(series: style.Series, *, line: Any = "") -> Any:
    """A mark's entry of a key."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=series.light, marker=series.marker, linestyle=line)


def share_row(value: Share) -> dict[str, object]:
    """A share as columns of a table."""
    known = bool(value.total)
    return {
        "count": value.count,
        "of": value.total,
        "share": f"{value.value:.1%}" if known else "none",
        "interval": f"{value.low:.1%} to {value.high:.1%}" if known else "none",
    }


def n_of(totals: Sequence[int], what: str = "") -> str:
    """How many were counted: one number, or from the least to the most."""
    if not totals:
        return "n = 0"
    least, most = min(totals), max(totals)
    number = f"{most:,}" if least == most else f"{least:,} to {most:,}"
    return f"n = {number} {what}".strip()


def listed(values: Mapping[str, Any], words: Callable[[Any], str] = str) -> str:
    """Labels and what is drawn for each, in one sentence."""
    return "; ".join(f"{plain(name, LONGEST_LABEL)}: {words(value)}" for name, value in values.items())


def plain(value: object, most: int) -> str:
    """A label as it is read: on one line, not too long, and no name that a key leaves out."""
    text = one_line(value, most)
    return f" {text}" if text.startswith("_") else text

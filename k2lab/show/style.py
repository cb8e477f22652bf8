"""One style for every figure: its type, its colours in the light and in the dark, and a hatch and a mark beside each.

Colour is never alone: series that stand beside each other differ in lightness
(a ratio of 1.9 at least, light and dark), in hatch and in mark. A figure is
drawn in the light colours; :mod:`k2lab.show.svg` writes each as a custom
property, so that a page turns it dark without a redrawing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """How one series is drawn: its colours, and what tells it from the next without any."""

    name: str
    """Of its custom property, without the dashes before it."""
    light: str
    dark: str
    hatch: str
    marker: str
    line: str


SERIES = (
    Series(name="k2-series-1", light="#1f63b8", dark="#3f83dc", hatch="", marker="o", line="-"),
    Series(name="k2-series-2", light="#df7a00", dark="#ffbf66", hatch="///", marker="s", line="--"),
    Series(name="k2-series-3", light="#4a2a6a", dark="#8a63c9", hatch="...", marker="^", line=":"),
    Series(name="k2-series-4", light="#0f9a84", dark="#8fe3cf", hatch="xxx", marker="D", line="-."),
    Series(name="k2-series-5", light="#8c1d40", dark="#c8486e", hatch="\\\\\\", marker="v", line="-"),
    Series(name="k2-series-6", light="#7d7d7d", dark="#cfcfcf", hatch="+++", marker="P", line="--"),
)
"""In the order of use; see :func:`looks` for more than these."""

LATER_HATCHES = ("|||", "---", "ooo", "\\\\", "OO", "//")
"""Of the same colours, where they are used again."""

MAIN, OTHER = SERIES[0], SERIES[1]

INK, PAPER, GRID, REST = "#222222", "#fefefe", "#d4d4d4", "#d9d9da"
"""Text and axes; what lies under the figure, and between its bars; the grid; what a step leaves as it was."""

PROPERTIES: Mapping[str, tuple[str, str]] = {
    "k2-paper": ("#ffffff", "#15181c"),
    "k2-grid": ("#d4d4d4", "#444444"),
    "k2-rest": ("#d9d9d9", "#4a4a4a"),
    **{series.name: (series.light, series.dark) for series in SERIES},
}
"""The custom properties of a figure: in the light, in the dark, as ``views.css`` has them, too."""

TEXT_COLOURS = ("#1f2328", "#e4e8ec")
"""Of a file of its own; in a page it has the page's."""

DRAWN = {PAPER: "k2-paper", GRID: "k2-grid", REST: "k2-rest", **{series.light: series.name for series in SERIES}}
"""The custom property that each drawn colour becomes; ink becomes the text's own colour."""

WIDTH = 8.5
"""Inches of 72 points: a point is a unit of the SVG, and 4/3 pixels where it has room."""

SMALL, NORMAL = 9.0, 10.0
"""Points: 12 and 13.3 pixels."""

SETTINGS: Any = {
    "font.family": "DejaVu Sans",  # what is measured; the page's own font is no wider
    "font.size": NORMAL,
    "axes.labelsize": NORMAL,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "hatch.linewidth": 1.1,
    "svg.fonttype": "none",
    "svg.hashsalt": "k2lab",
}
"""Of matplotlib: text stays text, a dollar is a dollar, and the same figures give the same file."""


def looks(names: Iterable[str]) -> dict[str, Series]:
    """A look for each name, in their order: twelve that differ, then the same again."""
    later = [replace(series, hatch=hatch) for series, hatch in zip(SERIES, LATER_HATCHES, strict=True)]
    return dict(zip(names, cycle([*SERIES, *later]), strict=False))


def properties(*, dark: bool) -> str:
    """The colours as declarations of a file of its own; a page has both in its sheet, ``views.css``."""
    colours = {name: pair[dark] for name, pair in PROPERTIES.items()}
    return f"color:{TEXT_COLOURS[dark]};" + "".join(f"--{name}:{colour};" for name, colour in colours.items())

"""A drawing written as SVG by hand, in the style of the plots, where matplotlib need not be installed."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size

from k2lab.legible import one_line
from k2lab.show import style, svg

WIDTH = 612.0
"""Units of a drawing, each a point: 4/3 pixels where it has room."""

INK, PAPER, GRID = "currentColor", "var(--k2-paper)", "var(--k2-grid)"
MAIN, OTHER = (f"var(--{series.name})" for series in (style.MAIN, style.OTHER))

SET_OFF = f"paint-order: stroke; stroke: {PAPER}; stroke-width: 3px"
"""Of words: a rim in the colour of the paper, behind them."""

CELL = 0.64
"""Width of a character of one cell, of its size: no letter of DejaVu Sans is wider but a few capitals."""

TICKS = 5


class Drawing:
    """Marks one over the other; ``x`` to the right and ``y`` downwards, in points."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._words: list[str] = []

    def text(
        self, x: float, y: float, words: object, *, room: float = WIDTH, size: float = style.NORMAL,
        anchor: str = "start", bold: bool = False,
    ) -> None:  # fmt: skip
        """Words on one line, above all else; the middle of what would take more than ``room`` goes."""
        look = f' text-anchor="{anchor}"' * (anchor != "start") + ' style="font-weight: bold"' * bold
        shown = html.escape(fitted(words, room, size))
        self._parts.append(
            f'<text class="k2-set-off" x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}"{look}>{shown}</text>'
        )

    def line(
        self, points: Sequence[tuple[float, float]], colour: str = INK, width: float = 0.8, *, dash: str = ""
    ) -> None:
        """A line through points."""
        way = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        dashed = f' stroke-dasharray="{dash}"' * bool(dash)
        self._parts.append(
            f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="{_n(width)}"{dashed}/>'
        )

    def area(self, points: Iterable[tuple[float, float]], colour: str) -> None:
        """A surface that lets through what is behind it."""
        way = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        self._parts.append(f'<polygon points="{way}" fill="{colour}" fill-opacity="0.25"/>')

    def bar(self, x: float, y: float, width: float, height: float, words: str) -> None:
        """A bar that says ``words``."""
        place = f'x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"'
        self._parts.append(f'<rect class="k2-mark" {place} fill="{MAIN}">{_title(words)}</rect>')

    def dot(self, x: float, y: float, words: str) -> None:
        """A mark that says ``words``."""
        place = f'cx="{_n(x)}" cy="{_n(y)}" r="2.6"'
        self._parts.append(f'<circle class="k2-mark" {place} fill="{MAIN}" stroke="{PAPER}">{_title(words)}</circle>')

    def whisker(self, low: float, high: float, y: float) -> None:
        """An interval from left to right, set off from what it lies on."""
        self.line([(low, y), (high, y)], PAPER, 3.6)
        self.line([(low, y), (high, y)], width=1.4)
        for x in (low, high):
            self.line([(x, y - 4), (x, y + 4)], width=1.4)

    def written(self, height: float, alt: str) -> str:
        """The whole as an ``<svg>`` with an alternative text."""
        size = f'viewBox="0 0 {_n(WIDTH)} {_n(height)}" width="{_n(WIDTH)}pt" height="{_n(height)}pt"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{html.escape(alt)}"'
        words = f'<g style="{SET_OFF}">{"".join(self._words)}</g>'
        return f'{head} font-family="{svg.FONTS}" fill="{INK}">{"".join(self._parts)}{words}</svg>'


def fitted(words: object, room: float, size: float = style.NORMAL) -> str:
    """Words on one line that take no more than ``room`` points: a longer one loses its middle.

    >>> fitted("moonshotai/Kimi-K2-Thinking at vendor.example", 200)
    'moonshotai/Kimi-K2…ndor.example'
    """
    text = one_line(words, 400)
    cells = int(room / (CELL * size))
    if cell_len(text) <= cells:
        return text
    last = set_cell_size(text[::-1], (cells - 1) * 2 // 5)[::-1]
    return f"{set_cell_size(text, cells - 1 - cell_len(last))}…{last}"


def ticks(most: float) -> list[float]:
    """A few round numbers from 0 to the first that is no less than ``most``, which is more than 0.

    >>> ticks(0.07), ticks(1.0)
    ([0.0, 0.02, 0.04, 0.06, 0.08], [0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    """
    power = 10 ** math.floor(math.log10(most / TICKS))
    step = next(one * power for one in (1, 2, 5, 10) if one * power * TICKS >= most * (1 - 1e-9))
    return [round(number * step, 12) for number in range(math.ceil(most / step - 1e-9) + 1)]


def percent(value: float) -> str:
    """A tick of shares.

    >>> percent(0.2), percent(0.00002)
    ('20 %', '0.002 %')
    """
    return f"{100 * value:.10g} %"


def _title(words: str) -> str:
    return f"<title>{html.escape(one_line(words, 200))}</title>"


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")

"""What views are made of: a text beside its HTML, tables, notes; everything escaped once."""

from __future__ import annotations

import html
import itertools
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from k2lab.legible import shortened, visible

MARKER = re.compile(r"&lt;\|[a-z_]+\|&gt;")

LONGEST_CELL = 20_000
"""Characters of a cell of a table; in a text, of :data:`k2lab.legible.MOST`."""

LONGEST_TEXT = 2_000_000
"""Characters of a prompt or an answer."""

WIDEST_COLUMN = 120
"""Characters that the cells of a text's column are brought to: one longer value makes no other row longer."""


GAP, LEAST = 2, 8
"""Cells between columns of a text, and of a column whose words are broken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """Something to look at: HTML for a notebook, text for a terminal."""

    html: str
    text: str

    def __post_init__(self) -> None:
        """Whatever is shown, nothing of it moves a cursor or hides itself, here as there."""
        for name in ("html", "text"):
            object.__setattr__(self, name, visible(getattr(self, name)))

    def _repr_html_(self) -> str:
        return f'<style>{sheet()}</style><div class="k2" {reached("shown by k2lab")}>{self.html}</div>'

    def __repr__(self) -> str:
        return self.text


def whole_page(title: str, view: View) -> str:
    """A view as a document of its own: one style sheet, no script, nothing fetched."""
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
    )
    style = (
        f"<style>{sheet()} body {{ background: var(--k2-bg); margin: 1.5em; }} .k2.k2 {{ max-width: none; }}</style>"
    )
    body = f'<body><main class="k2"><h1>{html.escape(title)}</h1>{view.html}</main></body>'
    return f'<!DOCTYPE html>\n<html lang="en" class="k2-page"><head>{head}{style}</head>{body}</html>\n'


def reached(name: str) -> str:
    """What a box that may scroll needs to be reached by keyboard; ``name`` is of our own words."""
    return f'tabindex="0" role="group" aria-label="{name}"'


def escape(value: object) -> str:
    """Text for HTML, with the model's markers set off."""
    return MARKER.sub(lambda match: f'<span class="marker">{match[0]}</span>', html.escape(str(value)))


def table(rows: Sequence[Mapping[str, object]], caption: str = "", *, width: int | None = None) -> View:
    """A small table; columns in the order of the first row. A page with a script may sort and search ``k2-rows``.

    ``width`` is that of the text, in cells of a terminal: there a longer cell goes on below.
    """
    if not rows:
        return View(html=f"<p>{escape(caption)}: no rows</p>", text=f"{caption}: no rows")
    columns = list(rows[0])
    cells = [[shortened(str(row.get(column, "")), LONGEST_CELL) for column in columns] for row in rows]
    head = "".join(f'<th scope="col">{escape(column)}</th>' if column else "<td></td>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in cells)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    shown = f'<table class="k2-rows">{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return View(html=shown, text=_text_table(caption, columns, cells, width))


def text(value: str, caption: str = "") -> View:
    """A prompt or an answer as it is, white space kept."""
    value = shortened(value, LONGEST_TEXT)
    title = f'<p class="quiet">{escape(caption)}</p>' if caption else ""
    return View(html=f"{title}<pre>{escape(value)}</pre>", text=f"{caption}\n{value}" if caption else value)


def line(value: object) -> View:
    """A paragraph of one line."""
    said = shortened(str(value), LONGEST_CELL)
    return View(html=f"<p>{escape(said)}</p>", text=said)


def note(words: str) -> View:
    """Something on the side, a paragraph a line."""
    return View(html="".join(f'<p class="quiet">{escape(said)}</p>' for said in words.splitlines()), text=words)


def joined(*parts: View) -> View:
    """Views under each other."""
    return View(html="".join(part.html for part in parts), text="\n\n".join(part.text for part in parts if part.text))


@cache
def sheet() -> str:
    """The style sheet without its notes and line ends: each output of a notebook carries it."""
    written = resources.files("k2lab.show").joinpath("views.css").read_text(encoding="utf-8")
    return " ".join(re.sub(r"/\*.*?\*/", "", written, flags=re.DOTALL).split())


def _text_table(caption: str, columns: Sequence[str], cells: Sequence[Sequence[str]], width: int | None) -> str:
    rows = [[shortened(visible(" ".join(str(cell).splitlines()))) for cell in row] for row in [columns, *cells]]
    widths = [min(max(len(row[i]) for row in rows), WIDEST_COLUMN) for i in range(len(columns))]
    if width is not None:
        widths = _narrowed(rows, widths, width)
    lines = [line for row in rows for line in _lines(row, widths)]
    return "\n".join([*([caption] if caption else []), *lines])


def _lines(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """A row, each cell as wide as its column or, where it is the longer, one that was narrowed, below each other."""
    cells = [
        textwrap.wrap(cell, width) if len(cell) > width and width < WIDEST_COLUMN else [cell]
        for cell, width in zip(row, widths, strict=True)
    ]
    gap = " " * GAP
    return [
        gap.join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip()
        for parts in itertools.zip_longest(*cells, fillvalue="")
    ]


def _narrowed(rows: Sequence[Sequence[str]], widths: Sequence[int], width: int) -> list[int]:
    """Widths of columns that have room: the widest of words and names gives first, then that of figures."""
    sizes, room = list(widths), width - GAP * (len(widths) - 1)
    figures = [all(row[i][:1].isdigit() for row in rows[1:]) for i in range(len(widths))]
    for gives in (False, True):
        while sum(sizes) > room:
            give = [(size, at) for at, size in enumerate(sizes) if figures[at] in (False, gives)]
            size, at = max(give, default=(0, 0))
            if size <= LEAST:
                break
            sizes[at] -= 1
    return sizes

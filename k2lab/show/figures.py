"""A figure with all that belongs to it: the drawing, what it shows in words, and the data behind it as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from k2lab.legible import visible
from k2lab.show import svg
from k2lab.show.parts import View, escape, reached, table


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """Something drawn: shows itself in a notebook as a ``<figure>``, in a terminal as its table.

    ``rows`` are what is drawn, number for number; ``alt`` says it to whoever does not see it.
    """

    svg: str
    alt: str
    caption: str
    rows: tuple[Mapping[str, object], ...]

    @property
    def html(self) -> str:
        """A ``<figure>``: the drawing, its caption, and its table folded."""
        shown = (
            f'<figure class="k2-drawn"><div {reached("drawing")}>{self.svg}</div>'
            f"<figcaption>{escape(self.caption)}</figcaption>"
            f"<details><summary>The data of this figure</summary>{table(self.rows).html}</details></figure>"
        )
        return visible(shown)

    @property
    def text(self) -> str:
        """Its table under its caption."""
        return visible(table(self.rows, self.caption).text)

    def standalone(self) -> str:
        """The drawing alone, as a file."""
        return svg.standalone(self.svg)

    def _repr_html_(self) -> str:
        return View(html=self.html, text="")._repr_html_()

    def __repr__(self) -> str:
        return self.text

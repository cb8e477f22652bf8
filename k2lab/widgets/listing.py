"""A list of which a page is sent at a time, however long it is: choose a row, turn the pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets

from k2lab.widgets.twin import quietly

PAGE = 50
"""Rows that are sent to the page of the browser at a time."""

WIDE = {"description_width": "6.5em"}
WRAPPED = {"flex_flow": "row wrap"}


class Listing(ipywidgets.VBox):
    """One page of a list; ``opened`` is told the place of a chosen row in it, ``turned`` the page that is wanted.

    Pages count from 0. ``buttons`` stand beside those that turn pages.
    """

    quiet = False

    def __init__(
        self,
        description: str,
        *,
        opened: Callable[[int], object],
        turned: Callable[[int], object],
        buttons: Sequence[ipywidgets.Button] = (),
    ) -> None:
        self.page = 0
        self._opened, self._turned = opened, turned
        self.rows = ipywidgets.Select(
            description=description, style=WIDE, rows=12, options=[], layout={"width": "72em", "max_width": "100%"}
        )
        self.rows.add_class("k2-cases")
        self.before = ipywidgets.Button(description="Page before", icon="arrow-left")
        self.after = ipywidgets.Button(description="Next page", icon="arrow-right")
        self.number = ipywidgets.BoundedIntText(
            value=1, min=1, max=1, description="Page", style=WIDE, layout={"width": "12em"}
        )
        turning = ipywidgets.HBox([self.before, self.after, self.number, *buttons], layout=WRAPPED)
        super().__init__([self.rows, turning])
        self.before.on_click(lambda button: turned(self.page - 1))
        self.after.on_click(lambda button: turned(self.page + 1))
        self.number.observe(self._on_number, "value")
        self.rows.observe(self._on_row, "index")

    def show(self, options: Sequence[Any], page: int, pages: int) -> None:
        """Show one page of so many, no row of it chosen."""
        self.page = page
        with quietly(self):
            self.rows.options = options
            self.rows.index = None
            self.number.max, self.number.value = pages, page + 1
            self.before.disabled, self.after.disabled = page == 0, page + 1 >= pages

    def _on_number(self, change: Any) -> None:
        if not self.quiet:
            self._turned(self.number.value - 1)

    def _on_row(self, change: Any) -> None:
        if not self.quiet and self.rows.index is not None:
            self._opened(self.rows.index)


def fill(control: Any, options: Sequence[tuple[str, str]], value: str) -> None:
    """Give a dropdown what there is, and keep what was chosen where it is still there."""
    control.options = options
    control.value = value if value in [known for _, known in options] else ""

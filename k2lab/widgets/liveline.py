"""A line that says what has happened, to the eye and to a screen reader: it stays in the page, its text changes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import anywidget
import traitlets

from k2lab.errors import K2LabError
from k2lab.legible import one_line

SCRIPT = """
export default {
  render({ model, el }) {
    el.setAttribute("role", "status");
    el.setAttribute("aria-live", "polite");
    const say = () => { el.textContent = model.get("said"); };
    say();
    model.on("change:said", say);
  },
};
"""


class LiveLine(anywidget.AnyWidget):
    """One line, ``say`` replaces it; whatever it says is text."""

    _esm = SCRIPT
    _css = ".k2-live { min-height: 1.5em; font-size: 13px; color: var(--jp-content-font-color1, #222); }"
    said = traitlets.Unicode("").tag(sync=True)

    def __init__(self, said: str = "") -> None:
        super().__init__(said=one_line(said))
        self.add_class("k2-live")

    def say(self, line: object) -> None:
        """Say a line."""
        self.said = one_line(line)

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """A user's mistake, a damaged file and a server's failure in the block are said."""
        try:
            yield
        except K2LabError as error:
            self.say(error)

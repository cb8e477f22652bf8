"""A workbench: a box of widgets that carries a static twin, so that a saved notebook and a report show its state."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import anywidget
import ipywidgets

from k2lab.show.parts import View

KEYS = """
export default {
  render({ el }) {
    requestAnimationFrame(() => {
      const box = el.closest(".jp-OutputArea-output") ?? el.parentElement;
      const keep = ({ target }) => target.setAttribute("data-lm-suppress-shortcuts", "true");
      box?.addEventListener("focusin", keep);
    });
  },
};
"""


class _Keys(anywidget.AnyWidget):
    """Nothing to see: JupyterLab takes Enter, arrows and letters before a focused control, but for one that says so."""

    _esm = KEYS

    def __init__(self) -> None:
        super().__init__(layout={"display": "none"})


class Quiet(Protocol):
    """What hears of changes, and can be told not to."""

    quiet: bool


@contextlib.contextmanager
def quietly(widget: Quiet) -> Iterator[None]:
    """What is set in the block is not taken for a wish of the reader."""
    earlier, widget.quiet = widget.quiet, True
    try:
        yield
    finally:
        widget.quiet = earlier


class Workbench(ipywidgets.VBox):
    """A box whose state a :class:`View` can tell where no widget runs: in a report, on a page, in a terminal.

    What inherits from it says in :meth:`view` what is to be seen now. JupyterLab
    shows the live box; nbconvert, which has no kernel, the twin.
    """

    quiet = False

    def __init__(self, children: Sequence[ipywidgets.Widget]) -> None:
        super().__init__([*children, _Keys()])

    def view(self) -> View:
        """What the box shows now."""
        raise NotImplementedError

    def _repr_mimebundle_(self, include: object = None, exclude: object = None, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(include=include, exclude=exclude, **kwargs)
        shown = self.view()
        twin = {"text/html": shown._repr_html_(), "text/plain": shown.text}
        return ({**bundle[0], **twin}, *bundle[1:]) if isinstance(bundle, tuple) else {**bundle, **twin}

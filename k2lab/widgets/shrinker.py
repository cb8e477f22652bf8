"""The form by which an open exchange is shrunk: by its history and answer alone, or on a server within a budget."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ipywidgets

from k2lab.chat import Request
from k2lab.errors import InputError
from k2lab.findings import Finding
from k2lab.server.endpoint import Endpoint
from k2lab.shrink import Live, Offline, Shrunk, shrunk
from k2lab.widgets.later import Later

GRAVEST = ("the gravest", "")
WIDE = {"description_width": "6.5em"}
STOPPED = "stopped: nothing was shrunk"


class Shrinker(ipywidgets.VBox):
    """Which fault to keep, and where to look; ``Shrink`` works in a thread, ``Stop`` ends it at the next look."""

    def __init__(self, begin: Callable[[], None]) -> None:
        self.fault = ipywidgets.Dropdown(
            description="Keep", options=[GRAVEST], style=WIDE, layout={"width": "30em"}, value=""
        )
        self.base_url = ipywidgets.Text(
            description="Look on",
            placeholder="empty: at the stored request and answer",
            style=WIDE,
            layout={"width": "30em"},
        )
        self.budget = ipywidgets.BoundedIntText(
            description="Requests", value=150, min=20, max=5000, style=WIDE, layout={"width": "14em"}
        )
        self.button = ipywidgets.Button(
            description="Shrink", icon="compress", disabled=True, tooltip="Leave out all that the fault does not need"
        )
        self.stop = ipywidgets.Button(description="Stop looking", icon="stop", disabled=True)
        wrapped = {"flex_flow": "row wrap"}
        head = "<b>Shrink the open exchange</b>"
        words = (
            "A server is sent requests, at most as many as stand here; without one nothing is sent. A fault of an"
            " answer needs a server: the stored one shows it, whatever is left of the request."
        )
        super().__init__(
            [
                ipywidgets.HTML(f'<div class="k2">{head}<p class="quiet">{words}</p></div>'),
                ipywidgets.HBox([self.fault, self.base_url, self.budget], layout=wrapped),
                ipywidgets.HBox([self.button, self.stop], layout=wrapped),
            ]
        )
        self._cancel = threading.Event()
        self.button.on_click(lambda button: begin())
        self.stop.on_click(lambda button: self.cancel())

    def offer(self, findings: Iterable[Finding]) -> None:
        """An exchange with these findings is open."""
        present = {one.code: one.problem for one in findings if one.state == "present"}
        self.fault.options = [GRAVEST, *((f"{code} {problem}", code) for code, problem in sorted(present.items()))]
        self.fault.value = ""
        self.button.disabled = False

    def cancel(self) -> None:
        """End it at the next look."""
        self._cancel.set()

    def run(
        self,
        request: Request,
        answer: Mapping[str, Any] | None,
        later: Later,
        told: Callable[[str], None],
        came: Callable[[Shrunk | Exception], None],
    ) -> threading.Thread:
        """Shrink in a thread; raises :class:`InputError` at once for a server that cannot be."""
        base_url = self.base_url.value.strip()
        sight: Live | Offline = Offline(answer=answer)
        if base_url:
            sight = Live(Endpoint(base_url, request.model or None), budget=self.budget.value)
        self._cancel = cancel = threading.Event()
        fault = self.fault.value or None
        found: list[Shrunk] = []

        def tell(line: str) -> None:
            if cancel.is_set():
                raise InputError(STOPPED)
            later.call(lambda: told(line))

        def ended(error: Exception | None) -> None:
            self._set_busy(False)
            came(error or found[0])

        self._set_busy(True)
        return later.run(lambda: found.append(shrunk(request, sight, fault=fault, tell=tell)), ended)

    def _set_busy(self, busy: bool) -> None:
        self.button.disabled, self.stop.disabled = busy, not busy

"""The form by which a case is sent again: where, and the one thing that is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future

import ipywidgets

from k2lab.bench.again import Again, Answered, Changed, fields_of
from k2lab.bench.records import Result, Run
from k2lab.chat import Request
from k2lab.enforcer import FORMS
from k2lab.errors import K2LabError
from k2lab.legible import one_line
from k2lab.server.keys import KEY_VARIABLE, masked
from k2lab.show.parts import escape
from k2lab.widgets.liveline import LiveLine

CHANGE_WORDS: tuple[tuple[str, Changed], ...] = (
    ("nothing", "nothing"),
    ("a field of the request", "field"),
    ("its history, repaired", "history"),
    ("calls enforced by a grammar", "enforced"),
)
WIDE = {"description_width": "6.5em"}
PATHS = ("/chat/completions", "/completions")


class Resend(ipywidgets.VBox):
    """Base URL, model and one change, and what they come to; ``Send`` sends, ``Stop waiting`` ends the request."""

    def __init__(self, send: Callable[[], None]) -> None:
        self._sending: Future[Answered] | None = None
        self.base_url = ipywidgets.Text(
            description="Server", placeholder="http://127.0.0.1:8000/v1", style=WIDE, layout={"width": "30em"}
        )
        self.model = ipywidgets.Text(description="Model", style=WIDE, layout={"width": "24em"})
        self.changed = ipywidgets.Dropdown(
            description="Change", options=CHANGE_WORDS, style=WIDE, layout={"width": "24em"}
        )
        self.fields = ipywidgets.Textarea(
            description="Field, JSON", value='{"temperature": 0}', rows=3, style=WIDE, layout={"width": "36em"}
        )
        self.form = ipywidgets.Dropdown(description="Grammar for", options=FORMS, style=WIDE, layout={"width": "24em"})
        self.told = ipywidgets.HTML()
        self.button = ipywidgets.Button(description="Send again", icon="paper-plane", disabled=True)
        self.stop = ipywidgets.Button(description="Stop waiting", icon="stop", disabled=True)
        wrapped = {"flex_flow": "row wrap"}
        key = f"A key is read from {KEY_VARIABLE} of the kernel's environment, and neither shown nor kept."
        super().__init__(
            [
                ipywidgets.HTML(f'<div class="k2"><b>Send the open case again</b><p class="quiet">{key}</p></div>'),
                ipywidgets.HBox([self.base_url, self.model], layout=wrapped),
                ipywidgets.HBox([self.changed, self.form], layout=wrapped),
                self.fields,
                self.told,
                ipywidgets.HBox([self.button, self.stop], layout=wrapped),
            ]
        )
        self.button.on_click(lambda button: send())
        self.stop.on_click(lambda button: self.cancel())
        for box in (self.base_url, self.model, self.changed, self.fields, self.form):
            box.observe(lambda change: self._follow(), "value")
        self._follow()

    def ask(self, sent: Callable[[Again], Future[Answered]], came: Callable[[Answered], str], live: LiveLine) -> None:
        """Send what the form says, in place of what is under way; ``came`` takes the answer and says what it is.

        Raises what the form or ``sent`` raises.
        """
        self.cancel()
        again = self.again()
        self._sending = sending = sent(again)
        self.set_busy(True)
        live.say(f"Asking {again.model} …")
        sending.add_done_callback(lambda done: self._came(done, came, live))

    def cancel(self) -> None:
        """Wait no more for what is under way."""
        if self._sending:
            self._sending.cancel()

    def _came(self, sending: Future[Answered], came: Callable[[Answered], str], live: LiveLine) -> None:
        """In the thread of requests: what was cancelled, or is another case's by now, is not shown."""
        if sending is not self._sending:
            return
        self._sending = None
        self.set_busy(False)
        if sending.cancelled():
            live.say("Stopped: the request was not waited for.")
            return
        try:
            live.say(f"Sent again: {came(sending.result())}")
        except K2LabError as error:
            live.say(error)

    def offer(self, run: Run, result: Result) -> None:
        """Where the case was sent before, so far as nothing was written yet."""
        model = Request.unchecked(result.request).model or run.config.get("model") or ""
        self.offer_model(str(model), _base_url(str(run.config.get("endpoint", ""))))

    def offer_model(self, model: str, base_url: str = "") -> None:
        """A case of which no more is known than its model, and perhaps its server."""
        self.base_url.value = self.base_url.value or base_url
        self.model.value = self.model.value or one_line(model)
        self.button.disabled = False

    def again(self) -> Again:
        """What the form says; raises :class:`InputError` where its field is not JSON."""
        changed: Changed = self.changed.value
        return Again(
            base_url=self.base_url.value.strip(),
            model=self.model.value.strip(),
            changed=changed,
            fields=fields_of(self.fields.value) if changed == "field" else {},
            form=self.form.value,
        )

    def set_busy(self, busy: bool) -> None:
        """Whether an answer is waited for."""
        self.button.disabled, self.stop.disabled = busy, not busy

    @property
    def words(self) -> str:
        """What a click would ask, so far as the form has reached the kernel: a click may overtake the last words."""
        try:
            again = self.again()
        except K2LabError as error:
            return one_line(error)
        if not again.base_url:
            return "No server is named yet."
        how: Mapping[Changed, str] = {
            "field": f", with {', '.join(again.fields)} put over it",
            "history": ", its history repaired",
            "enforced": f", with a grammar for {again.form}",
        }
        return one_line(f"Asks {again.model or 'no model'} at {masked(again.base_url)}{how.get(again.changed, '')}.")

    def _follow(self) -> None:
        self.told.value = f'<div class="k2"><p class="quiet">{escape(self.words)}</p></div>'
        self.fields.layout.display = None if self.changed.value == "field" else "none"
        self.form.layout.display = None if self.changed.value == "enforced" else "none"


def _base_url(endpoint: str) -> str:
    """The base URL of an endpoint that was asked; nothing for what is not one, or holds a secret."""
    for path in PATHS:
        if endpoint.startswith(("http://", "https://")) and endpoint.endswith(path) and masked(endpoint) == endpoint:
            return one_line(endpoint.removesuffix(path))
    return ""

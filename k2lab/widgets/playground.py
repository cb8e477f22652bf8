"""The playground of outputs: a raw output, edited, and what each parser makes of it, whole and in chunks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ipywidgets

from k2lab import engine
from k2lab.errors import InputError
from k2lab.families import FAMILIES, Family, named
from k2lab.nano import folders
from k2lab.server.parsers import CATALOGUES, Failure, catalogue, question
from k2lab.show.parts import View, escape
from k2lab.widgets import outputview
from k2lab.widgets.asking import Asker
from k2lab.widgets.later import Later
from k2lab.widgets.liveline import LiveLine
from k2lab.widgets.playing import MOST_CHUNK, Column, Playing, read_by_wire
from k2lab.widgets.slider import Slider
from k2lab.widgets.twin import Workbench, quietly

OWN = ""
TICK_S = 1.0
FIRST = "the first answer takes 10 to 40 s, for vLLM is imported"
LABEL = {"description_width": "8em"}
WIDE = ipywidgets.Layout(width="auto")


class Playground(Workbench):
    """The widget over a :class:`Playing`; :attr:`state` is what it shows.

    k2lab's own readings are there as one types. The releases are asked from
    :meth:`ask` on, about each later state too, until :meth:`stop`.
    """

    def __init__(self, state: Playing, engines: Sequence[str] | None = None) -> None:
        self.state = state
        self._later = Later()
        self._cases = own_cases()
        self._asking, self._ticking = False, False
        self.askers, self._absent = self._engines(engines)
        self.parsed, self._wire = read_by_wire(state.question)
        self._make_controls()
        buttons = ipywidgets.HBox([self.button, self.stop_button, self.clock], layout={"flex_flow": "row wrap"})
        parts = [self.pick, self.family, self.editor, self.tools, self.slider, buttons, self.live, self.shown]
        super().__init__(parts)
        self._write()
        self._listen()
        self._draw()

    @property
    def columns(self) -> tuple[Column, ...]:
        """What each parser says of the state as it is now."""
        question = self.state.question
        return (*self._wire, *(asker.column(question) for asker in self.askers), *self._absent)

    def change(self, state: Playing) -> None:
        """Show another state; releases that are up are asked about it."""
        if state.question != self.state.question:
            self.parsed, self._wire = read_by_wire(state.question)
        self.state = state
        if self._asking:
            self._ask()
        self._draw()

    def ask(self) -> Playground:
        """Ask the installed releases, and go on asking as the output is edited; their processes stay up."""
        self._asking = True
        self._ask()
        self._draw()
        return self

    def wait(self, seconds: float = 300.0) -> Playground:
        """Until the releases have answered, as a report needs."""
        deadline = time.monotonic() + seconds
        for asker in self.askers:
            asker.wait(max(0.0, deadline - time.monotonic()))
        self._draw()
        return self

    def stop(self) -> None:
        """Ask no more, and end the releases' processes."""
        self._asking = False
        stopping = [threading.Thread(target=asker.stop) for asker in self.askers]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()
        self._draw()

    def close(self) -> None:
        """End what was started, and take the widget away."""
        for asker in getattr(self, "askers", ()):
            asker.stop()
        super().close()

    def view(self) -> View:
        """The output, its pieces, and the parsers side by side, as they are now."""
        return outputview.whole(self.state, self.parsed, self.columns)

    def _engines(self, names: Sequence[str] | None) -> tuple[list[Asker], list[Column]]:
        known = dict(engine.available())
        installed = [name for name, state in known.items() if state != "not installed"]
        folder = folders.for_parsers()
        made = [Asker(name, folder, self._later, self._draw) for name in (installed if names is None else names)]
        absent = [
            Column(name=f"vLLM {name}", words=f"not installed: k2lab engine install {name}")
            for name in known
            if names is None and name not in installed
        ]
        return made, absent

    def _make_controls(self) -> None:
        self.pick = ipywidgets.Dropdown(
            options=[("an output of your own", OWN), *((name, name) for name in self._cases)],
            description="Start from",
            style=LABEL,
            layout=ipywidgets.Layout(width="36em", max_width="100%"),
        )
        self.family = ipywidgets.Dropdown(
            options=[(_reading(one), one.name) for one in FAMILIES],
            value=self.state.family.name,
            description="Family",
            style=LABEL,
            layout=ipywidgets.Layout(width="36em", max_width="100%"),
        )
        self.editor = ipywidgets.Textarea(description="Raw output", rows=7, layout=WIDE, style=LABEL)
        self.tools = ipywidgets.Textarea(description="Tools (JSON)", rows=5, layout=WIDE, style=LABEL)
        self.slider = Slider(
            label="Tokens per chunk", none="the whole text at once", most=MOST_CHUNK, value=self.state.chunk
        )
        self.button = ipywidgets.Button(
            description="Ask the installed releases",
            tooltip=f"Start their parsers; {FIRST}",
            layout={"width": "auto"},
            disabled=not self.askers,
        )
        self.stop_button = ipywidgets.Button(
            description="Stop", icon="stop", tooltip="Stop asking and end their processes", disabled=True
        )
        self.clock, self.live, self.shown = ipywidgets.HTML(), LiveLine(), ipywidgets.HTML()

    def _listen(self) -> None:
        self.pick.observe(self._picked, "value")
        self.family.observe(lambda change: self._set(self.state.with_family(named(change["new"]))), "value")
        self.editor.observe(lambda change: self._set(self.state.edited(change["new"])), "value")
        self.tools.observe(lambda change: self._set(self.state.with_tools(change["new"])), "value")
        self.slider.observe(lambda change: self._set(self.state.with_chunk(change["new"])), "value")
        self.button.on_click(lambda button: self.ask())
        self.stop_button.on_click(lambda button: self.stop())

    def _picked(self, change: Mapping[str, Any]) -> None:
        if not self.quiet:
            self._set(self.state.picked(self._cases.get(change["new"])))
            self._write()

    def _set(self, state: Playing) -> None:
        if not self.quiet:
            self.change(state)
            with quietly(self):
                self.pick.value = state.case.case_id if state.case else OWN

    def _write(self) -> None:
        """Write the state into the boxes."""
        with quietly(self):
            self.editor.value = self.state.question.raw
            self.tools.value = self.state.tools_written
            self.pick.value = self.state.case.case_id if self.state.case else OWN
            self.family.value = self.state.family.name

    def _ask(self) -> None:
        for asker in self.askers:
            asker.ask(self.state.question)
        if not self._ticking:
            self._ticking = True
            self._later.run(self._tick, lambda error: self._draw_clock())

    def _tick(self) -> None:
        try:
            while any(asker.busy_s is not None for asker in self.askers):
                time.sleep(TICK_S)
                self._later.call(self._draw_clock)
        finally:
            self._ticking = False

    def _draw_clock(self) -> None:
        busy = {asker.title: asker.busy_s for asker in self.askers}
        words = [f"{name}: {seconds:.0f} s so far" for name, seconds in busy.items() if seconds and seconds > TICK_S]
        said = f"{'; '.join(words)} ({FIRST})" if words else ""
        self.clock.value = f'<span class="k2">{escape(said)}</span>' if said else ""

    def _draw(self) -> None:
        self.shown.value = self.view()._repr_html_()
        self.stop_button.disabled = not self._asking
        self._draw_clock()
        fault = f"tools: {self.state.fault}; " if self.state.fault else ""
        self.live.say(fault + outputview.in_a_line(self.columns, self.state.case))


def own_cases() -> dict[str, Failure]:
    """All that come with k2lab, by id."""
    return {case.case_id: case for name in CATALOGUES for case in catalogue(name)}


def _reading(family: Family) -> str:
    """A family, and which parsers of a release read it."""
    asked = question("", (), family)
    both = [asked["reasoning_parser"], asked["parser"]]
    return f"{family.name}: {' → '.join(f'{kind} {name}' for kind, name in zip(KINDS, both, strict=True) if name)}"


KINDS = ("reasoning parser", "tool parser")


def play(
    raw: str = "",
    tools: Iterable[Mapping[str, Any]] = (),
    *,
    case: str = "",
    chunk: int = 0,
    family: str = "",
    engines: Sequence[str] | None = None,
) -> Playground:
    """A playground of a raw output: what each parser makes of it, and what streaming ``chunk`` tokens a time loses.

    ``case`` is one of the catalogues (``data/failures*.jsonl``) in place of an
    output. ``family``, as the markers say unless named, decides which parsers
    of a release read it: K2's tool parser, its reasoning parser before that for
    the families that think, or K3's two. ``engines`` are all that are installed, unless named; none is asked
    before its button is pressed, or :meth:`Playground.ask` called. Raises
    :class:`~k2lab.errors.InputError` for an unknown case, and
    :class:`~k2lab.errors.RequestError` for what is no tool.

    >>> shown = play(case="no functions. prefix", chunk=1, engines=())
    >>> [column.outcome(shown.state.case) for column in shown.columns]
    ['lost', 'right']
    """
    state = Playing.of(raw, tools, chunk, named(family) if family else None)
    if case:
        known = own_cases()
        if case not in known:
            raise InputError(f"the catalogue has no case {case!r}: it has {', '.join(known)}")
        state = state.picked(known[case])
    return Playground(state, engines)

"""The run browser: a benchmark file's cases, filtered and paged; one opened, and sent again with one thing changed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import ipywidgets

from k2lab.bench.again import Answered, sent_again
from k2lab.bench.casebook import Cases, Chosen, Pair, Wanted, counted
from k2lab.bench.records import Result
from k2lab.errors import K2LabError
from k2lab.legible import one_line
from k2lab.show.parts import View, joined, line
from k2lab.widgets import caseviews
from k2lab.widgets.liveline import LiveLine
from k2lab.widgets.resend import Resend
from k2lab.widgets.twin import Workbench

PAGE = 50
"""Cases that are sent to the page at a time."""

WIDE = {"description_width": "6.5em"}
NAME_CHARS = 60


class RunBrowser(Workbench):
    """A benchmark file: choose an arm, an ending, a fault or what flips between two arms, and open a case.

    Nothing is sent anywhere but by the button that says so.
    """

    def __init__(self, path: str | Path = "") -> None:
        self.cases: Cases | None = None
        self.chosen = Chosen(pairs=())
        self.pair: Pair | None = None
        self.result: Result | None = None
        self.answered: Answered | None = None
        self._page, self._quiet = 0, False
        self._make_controls(str(path))
        self.resend = Resend(self._send)
        super().__init__(self._children())
        self._listen()
        if path:
            self.open_file()
        else:
            self._draw_list("Write the path of a benchmark file, and open it.")

    def open_file(self) -> None:
        """Read the file that is named, anew where it is open."""
        kept = self.wanted
        with self._told():
            self.cases, self._page = Cases(self.file.value.strip()), 0
            with self._quietly():
                self._offer(kept)
            self._choose()

    @property
    def wanted(self) -> Wanted:
        """What the filters say."""
        return Wanted(
            arm=self.arm.value or "",
            ending=self.ending.value or "",
            fault=self.fault.value or "",
            against=self.against.value or "",
            right=self.right.value,
            turn=self.turn.value,
        )

    def turn_to(self, page: int) -> None:
        """Another page, the first is 0."""
        self._page = min(max(page, 0), self.chosen.pages(PAGE) - 1)
        self._draw_list()

    def view(self) -> View:
        """The filters, the page of cases, the open case and the answers to it."""
        if self.cases is None:
            return line(self.live.said)
        count = caseviews.counted(self.chosen, self._page, self.chosen.pages(PAGE))
        return joined(
            line(f"{one_line(self.cases.path)}: {caseviews.told(self.wanted)}"),
            *(line(said) for said in dict.fromkeys((count, self.live.said))),
            caseviews.page_table(self._shown, self.wanted),
            *self._case_views(),
        )

    # what it is made of

    def _make_controls(self, path: str) -> None:
        self.file = ipywidgets.Text(value=path, description="File", style=WIDE, layout={"width": "36em"})
        self.open_button = ipywidgets.Button(
            description="Open", tooltip="Read the benchmark file, anew where it is open"
        )
        self.arm, self.ending, self.fault, self.against = (
            ipywidgets.Dropdown(description=name, style=WIDE, layout={"width": "24em"}, options=[("any", "")], value="")
            for name in ("Arm", "Ending", "Fault", "Flips with")
        )
        self.right = ipywidgets.Dropdown(
            description="Flips in", style=WIDE, layout={"width": "24em"}, options=caseviews.RIGHT_WORDS, disabled=True
        )
        self.turn = ipywidgets.Dropdown(
            description="Which way", style=WIDE, layout={"width": "24em"}, options=caseviews.TURN_WORDS, disabled=True
        )
        self.list = ipywidgets.Select(
            description="Cases", style=WIDE, rows=12, options=[], layout={"width": "72em", "max_width": "100%"}
        )
        self.list.add_class("k2-cases")
        self.before = ipywidgets.Button(description="Page before", icon="arrow-left")
        self.after = ipywidgets.Button(description="Next page", icon="arrow-right")
        self.number = ipywidgets.BoundedIntText(
            value=1, min=1, max=1, description="Page", style=WIDE, layout={"width": "12em"}
        )
        self.live, self.shown = LiveLine(), ipywidgets.HTML()

    def _children(self) -> list[Any]:
        wrapped = {"flex_flow": "row wrap"}
        return [
            ipywidgets.HTML(caseviews.STYLE),
            ipywidgets.HBox([self.file, self.open_button], layout=wrapped),
            ipywidgets.HBox([self.arm, self.ending, self.fault], layout=wrapped),
            ipywidgets.HBox([self.against, self.right, self.turn], layout=wrapped),
            self.live,
            self.list,
            ipywidgets.HBox([self.before, self.after, self.number], layout=wrapped),
            self.shown,
            self.resend,
        ]

    def _listen(self) -> None:
        self.open_button.on_click(lambda button: self.open_file())
        self.before.on_click(lambda button: self.turn_to(self._page - 1))
        self.after.on_click(lambda button: self.turn_to(self._page + 1))
        for control in (self.arm, self.ending, self.fault, self.against, self.right, self.turn):
            control.observe(self._on_filter, "value")
        self.number.observe(self._on_number, "value")
        self.list.observe(self._on_case, "index")

    # what happens

    def _on_filter(self, change: Any) -> None:
        if not self._quiet:
            with self._told():
                with self._quietly():
                    self._offer(self.wanted)
                self._page = 0
                self._choose()

    def _on_number(self, change: Any) -> None:
        if not self._quiet:
            self.turn_to(self.number.value - 1)

    def _on_case(self, change: Any) -> None:
        if not self._quiet and self.list.index is not None and self.list.index < len(self._shown):
            self.open_case(self._shown[self.list.index])

    def open_case(self, pair: Pair) -> None:
        """Show one case whole."""
        assert self.cases is not None
        self.resend.cancel()
        with self._told():
            self.result, self.pair, self.answered = self.cases.open(pair.case), pair, None
            self.resend.offer(self.cases.run_of(pair.case.arm), self.result)
            self._draw_case()
            self.live.say(f"Open: {caseviews.name_of(pair.case)}; {pair.case.said}")

    def _send(self) -> None:
        """Send the open case again; the answer comes when it comes."""
        result = self.result
        if result is None:
            self.live.say("Open a case first.")
            return
        with self._told():
            self.resend.ask(lambda again: sent_again(result, again), self._came, self.live)

    def _came(self, answered: Answered) -> str:
        self.answered = answered
        self._draw_case()
        return caseviews.came(answered)

    def _offer(self, kept: Wanted) -> None:
        """Fill the filters with what there is, and keep what was chosen where it is still there."""
        assert self.cases is not None
        arms = [(one_line(arm, NAME_CHARS), arm) for arm in self.cases.arms]
        _fill(self.arm, [("every arm", ""), *arms], kept.arm)
        _fill(self.against, [("no other arm", ""), *(arm for arm in arms if arm[1] != self.arm.value)], kept.against)
        endings, faults = counted(self.cases.of(self.arm.value))
        _fill(self.ending, [("any ending", ""), *_counts(endings.items())], kept.ending)
        _fill(self.fault, [("any or none", ""), *_counts(faults.items())], kept.fault)
        self.against.disabled = not self.arm.value
        self.right.disabled = self.turn.disabled = not self.against.value
        if not self.arm.value:
            self.against.value = ""

    def _choose(self) -> None:
        assert self.cases is not None
        self.chosen = self.cases.choose(self.wanted)
        self._draw_list()

    @property
    def _shown(self) -> Sequence[Pair]:
        return self.chosen.page(self._page, PAGE)

    def _draw_list(self, words: str = "") -> None:
        pages = self.chosen.pages(PAGE)
        with self._quietly():
            self.list.options = caseviews.list_options(self._shown, self.wanted)
            self.list.index = None
            self.number.max, self.number.value = pages, self._page + 1
            self.before.disabled, self.after.disabled = self._page == 0, self._page + 1 >= pages
        self.live.say(words or caseviews.counted(self.chosen, self._page, pages))

    def _draw_case(self) -> None:
        self.shown.value = joined(*self._case_views())._repr_html_()

    def _case_views(self) -> Iterable[View]:
        if self.pair is None or self.result is None:
            return []
        return caseviews.case(self.pair, self.result, self.answered)

    @contextlib.contextmanager
    def _quietly(self) -> Iterator[None]:
        """What is set in the block is not taken for a wish of the reader."""
        earlier, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = earlier

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """A user's mistake, and a damaged file, is a line."""
        try:
            yield
        except K2LabError as error:
            self.live.say(error)


def browse(path: str | Path = "") -> RunBrowser:
    """A benchmark file to look through: its cases by arm, ending, fault and flip, each as a transcript.

    A case can be sent again to a server, with one thing changed, and both
    answers stand side by side. What is no benchmark file is a line in the widget.

    >>> print(browse("missing.db").view().text)
    there is no benchmark file missing.db: create one with k2lab bench run
    """
    return RunBrowser(path)


def _fill(control: Any, options: list[tuple[str, str]], value: str) -> None:
    control.options = options
    control.value = value if value in [known for _, known in options] else ""


def _counts(counts: Iterable[tuple[str, int]]) -> list[tuple[str, str]]:
    ordered = sorted(counts, key=lambda item: (-item[1], item[0]))
    return [(f"{caseviews.words(name)} ({count:,})", name) for name, count in ordered]

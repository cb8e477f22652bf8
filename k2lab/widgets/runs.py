"""The run browser: a benchmark file's cases, filtered and paged; one opened, and sent again with one thing changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import ipywidgets

from k2lab.bench.again import Answered, sent_again
from k2lab.bench.casebook import Cases, Chosen, Pair, Wanted, counted
from k2lab.bench.records import Result
from k2lab.legible import one_line
from k2lab.show.parts import View, joined, line
from k2lab.widgets import caseviews
from k2lab.widgets.listing import PAGE, WIDE, WRAPPED, Listing, fill
from k2lab.widgets.liveline import LiveLine
from k2lab.widgets.resend import Resend
from k2lab.widgets.twin import Workbench, quietly

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
        with self.live.telling():
            self.cases = Cases(self.file.value.strip())
            with quietly(self):
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
        self._draw_list(page=min(max(page, 0), self.chosen.pages(PAGE) - 1))

    def view(self) -> View:
        """The filters, the page of cases, the open case and the answers to it."""
        if self.cases is None:
            return line(self.live.said)
        count = caseviews.counted(self.chosen, self.listing.page, self.chosen.pages(PAGE))
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
        self.listing = Listing("Cases", opened=self._on_case, turned=self.turn_to)
        self.live, self.shown = LiveLine(), ipywidgets.HTML()

    def _children(self) -> list[Any]:
        return [
            ipywidgets.HTML(caseviews.STYLE),
            ipywidgets.HBox([self.file, self.open_button], layout=WRAPPED),
            ipywidgets.HBox([self.arm, self.ending, self.fault], layout=WRAPPED),
            ipywidgets.HBox([self.against, self.right, self.turn], layout=WRAPPED),
            self.live,
            self.listing,
            self.shown,
            self.resend,
        ]

    def _listen(self) -> None:
        self.open_button.on_click(lambda button: self.open_file())
        for control in (self.arm, self.ending, self.fault, self.against, self.right, self.turn):
            control.observe(self._on_filter, "value")

    # what happens

    def _on_filter(self, change: Any) -> None:
        if not self.quiet:
            with self.live.telling():
                with quietly(self):
                    self._offer(self.wanted)
                self._choose()

    def _on_case(self, place: int) -> None:
        if place < len(self._shown):
            self.open_case(self._shown[place])

    def open_case(self, pair: Pair) -> None:
        """Show one case whole."""
        assert self.cases is not None
        self.resend.cancel()
        with self.live.telling():
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
        with self.live.telling():
            self.resend.ask(lambda again: sent_again(result, again), self._came, self.live)

    def _came(self, answered: Answered) -> str:
        self.answered = answered
        self._draw_case()
        return caseviews.came(answered)

    def _offer(self, kept: Wanted) -> None:
        """Fill the filters with what there is, and keep what was chosen where it is still there."""
        assert self.cases is not None
        arms = [(one_line(arm, NAME_CHARS), arm) for arm in self.cases.arms]
        fill(self.arm, [("every arm", ""), *arms], kept.arm)
        fill(self.against, [("no other arm", ""), *(arm for arm in arms if arm[1] != self.arm.value)], kept.against)
        endings, faults = counted(self.cases.of(self.arm.value))
        fill(self.ending, [("any ending", ""), *_counts(endings.items())], kept.ending)
        fill(self.fault, [("any or none", ""), *_counts(faults.items())], kept.fault)
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
        return self.chosen.page(self.listing.page, PAGE)

    def _draw_list(self, words: str = "", *, page: int = 0) -> None:
        pages = self.chosen.pages(PAGE)
        options = caseviews.list_options(self.chosen.page(page, PAGE), self.wanted)
        self.listing.show(options, page, pages)
        self.live.say(words or caseviews.counted(self.chosen, page, pages))

    def _draw_case(self) -> None:
        self.shown.value = joined(*self._case_views())._repr_html_()

    def _case_views(self) -> Iterable[View]:
        if self.pair is None or self.result is None:
            return []
        return caseviews.case(self.pair, self.result, self.answered)


def browse(path: str | Path = "") -> RunBrowser:
    """A benchmark file to look through: its cases by arm, ending, fault and flip, each as a transcript.

    A case can be sent again to a server, with one thing changed, and both
    answers stand side by side. What is no benchmark file is a line in the widget.

    >>> print(browse("missing.db").view().text)
    there is no benchmark file missing.db: create one with k2lab bench run
    """
    return RunBrowser(path)


def _counts(counts: Iterable[tuple[str, int]]) -> list[tuple[str, str]]:
    ordered = sorted(counts, key=lambda item: (-item[1], item[0]))
    return [(f"{caseviews.words(name)} ({count:,})", name) for name, count in ordered]

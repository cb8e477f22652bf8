"""The traffic browser: a record's exchanges, filtered and paged; one opened, checked, shrunk and sent again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ipywidgets

from k2lab.bench.again import Answered, request_again
from k2lab.chat import Answer, Request
from k2lab.check import Checked, Look, look_at_bytes
from k2lab.errors import InputError
from k2lab.findings import CATALOGUE, Finding
from k2lab.legible import one_line
from k2lab.show import views
from k2lab.show.checks import checked_view
from k2lab.show.parts import View, joined, line, note
from k2lab.show.passages import passage_view, request_of, response_of
from k2lab.shrink import Shrunk
from k2lab.traffic.exchanges import Passed
from k2lab.traffic.recordpages import Row, Tally, Where, paged
from k2lab.traffic.recordrows import Entry
from k2lab.widgets import caseviews, trafficviews
from k2lab.widgets.later import Later
from k2lab.widgets.listing import PAGE, WIDE, WRAPPED, Listing, fill
from k2lab.widgets.liveline import LiveLine
from k2lab.widgets.resend import Resend
from k2lab.widgets.shrinker import Shrinker
from k2lab.widgets.twin import Workbench, quietly

UNLOOKED = {"no": " yet", "late": " in time", "cannot": ", since it could not be read", "yes": ""}


class TrafficBrowser(Workbench):
    """A record of the proxy: choose a finding, a status, an ending, and open an exchange.

    A page is read at a time, however long the record is. Nothing is sent
    anywhere but by the buttons that say so.
    """

    def __init__(self, path: str | Path = "") -> None:
        self.path: Path | None = None
        self.tally: Tally | None = None
        self.rows: Sequence[Row] = ()
        self.passed: Passed | None = None
        self.findings: Sequence[Finding] | None = None
        self.unknown: Sequence[str] = ()
        self.checked: Checked | None = None
        self.shrunk: Shrunk | None = None
        self.answered: Answered | None = None
        self._count, self._later = 0, Later()
        self._make_controls(str(path))
        self.resend = Resend(self._send)
        self.shrinker = Shrinker(self._shrink)
        super().__init__(self._children())
        self._listen()
        if path:
            self.open_file()
        else:
            self._draw_list("Write the path of a record, and open it.")

    def open_file(self) -> None:
        """Read the record that is named, anew where it is open."""
        kept = self.wanted
        with self.live.telling():
            path = Path(self.file.value.strip())
            with paged(path) as record:
                self.tally = record.tally()
            self.path = path
            with quietly(self):
                self._offer(kept, self.tally)
            self._choose()

    @property
    def wanted(self) -> Where:
        """What the filters say."""
        return Where(
            code=self.finding.value or None,
            status=int(self.status.value) if self.status.value else None,
            ended=self.ended.value or None,
            changed=self.changed.value == "changed" if self.changed.value else None,
        )

    @property
    def request(self) -> Request:
        """The chat request of the open exchange; raises :class:`InputError` where none is open, or it is none."""
        return self._open_chat()[1]

    @property
    def pages(self) -> int:
        """How many there are of what is chosen, at least one."""
        return max(1, -(-self._count // PAGE))

    def turn_to(self, page: int) -> None:
        """Another page, the first is 0."""
        with self.live.telling():
            self._draw_list(page=min(max(page, 0), self.pages - 1))

    def view(self) -> View:
        """The filters, the page of exchanges, the open one and what became of it."""
        if self.path is None:
            return line(self.live.said)
        count = trafficviews.counted(self._count, self.listing.page, self.pages)
        return joined(
            line(f"{one_line(self.path)}: {trafficviews.told(self.wanted)}"),
            *(line(said) for said in dict.fromkeys((count, self.live.said))),
            trafficviews.page_table(self.rows),
            *self._views(),
        )

    # what it is made of

    def _make_controls(self, path: str) -> None:
        self.file = ipywidgets.Text(value=path, description="Record", style=WIDE, layout={"width": "36em"})
        self.open_button = ipywidgets.Button(description="Open", tooltip="Read the record, anew where it is open")
        self.finding, self.status, self.ended = (
            ipywidgets.Dropdown(description=name, style=WIDE, layout={"width": width}, options=[("any", "")], value="")
            for name, width in (("Finding", "34em"), ("Status", "18em"), ("Ended", "24em"))
        )
        self.changed = ipywidgets.Dropdown(
            description="Guard", style=WIDE, layout={"width": "24em"}, options=trafficviews.CHANGE_WORDS, value=""
        )
        self.check = ipywidgets.Button(
            description="Check",
            icon="search",
            disabled=True,
            tooltip="Look at its request and answer under the catalogue",
        )
        self.listing = Listing("Exchanges", opened=self._on_row, turned=self.turn_to, buttons=[self.check])
        self.live, self.shown = LiveLine(), ipywidgets.HTML()

    def _children(self) -> list[Any]:
        return [
            ipywidgets.HTML(caseviews.STYLE),
            ipywidgets.HBox([self.file, self.open_button], layout=WRAPPED),
            ipywidgets.HBox([self.finding, self.status, self.ended, self.changed], layout=WRAPPED),
            self.live,
            self.listing,
            self.shown,
            self.shrinker,
            self.resend,
        ]

    def _listen(self) -> None:
        self.open_button.on_click(lambda button: self.open_file())
        self.check.on_click(lambda button: self.check_open())
        for control in (self.finding, self.status, self.ended, self.changed):
            control.observe(self._on_filter, "value")

    # what happens

    def _on_filter(self, change: Any) -> None:
        if not self.quiet:
            with self.live.telling():
                self._choose()

    def _on_row(self, place: int) -> None:
        if place < len(self.rows):
            self.open_row(self.rows[place])

    def open_row(self, row: Row) -> None:
        """Show one exchange of the page whole."""
        self.open_key(row.key)

    def open_key(self, key: str) -> None:
        """Show the exchange of a key, whether the filters want it or not."""
        assert self.path is not None
        self.resend.cancel()
        self.shrinker.cancel()
        with self.live.telling():
            with paged(self.path) as record:
                entry = record.exchange(key)
            self.passed, self.findings, self.unknown = entry.passed, *_as_findings(entry)
            self.checked = self.shrunk = self.answered = None
            request = request_of(self.passed)
            self.check.disabled = False
            self.shrinker.offer(self.findings or ())
            self.resend.offer_model(str(request.model or "") if request else "")
            self._draw()
            count = "not looked at" if self.findings is None else f"findings: {len(self.findings)}"
            self.live.say(f"Open: {self.passed.path}, {self.passed.status or 'no answer'}, {count}")

    def check_open(self) -> None:
        """Look at the open exchange once more, as `k2lab check` does."""
        with self.live.telling():
            passed, request = self._open_chat()
            exchange = {"request": request.to_json(), "response": response_of(passed, passed.answer)}
            data = json.dumps(exchange, ensure_ascii=True).encode()
            self.checked = look_at_bytes("the open exchange", data, Look())
            self._draw()
            self.live.say(f"Checked: {len(self.checked.present)} findings")

    def _open_chat(self) -> tuple[Passed, Request]:
        """The open exchange and its chat request; raises for another."""
        if self.passed is None:
            raise InputError("open an exchange first")
        request = request_of(self.passed)
        if request is None:
            raise InputError(f"{self.passed.path} is no chat completion, or its request cannot be read")
        return self.passed, request

    def _shrink(self) -> None:
        with self.live.telling():
            passed, request = self._open_chat()
            told, came = self.live.say, self._shrunk
            self.shrinker.run(request, response_of(passed, passed.answer), self._later, told, came)

    def _shrunk(self, made: Shrunk | Exception) -> None:
        with self.live.telling():
            if isinstance(made, Exception):
                raise made
            self.shrunk = made
            self._draw()
            self.live.say(f"Shrunk: {made.after}; looked {made.asked:,} times")

    def _send(self) -> None:
        """Send the open request again; the answer comes when it comes."""
        with self.live.telling():
            self.resend.cancel()
            _, request = self._open_chat()
            self.resend.ask(lambda again: request_again(request.to_json(), again), self._came, self.live)

    def _came(self, answered: Answered) -> str:
        self.answered = answered
        self._draw()
        return caseviews.came(answered)

    def _offer(self, kept: Where, tally: Tally) -> None:
        """Fill the filters with what there is, and keep what was chosen where it is still there."""
        findings = [(f"{trafficviews.title_of(code)} ({count:,})", code) for code, count in _most(tally.codes)]
        fill(self.finding, [("with or without findings", ""), *findings], kept.code or "")
        statuses = [(f"{status or 'no answer'} ({count:,})", str(status)) for status, count in _most(tally.statuses)]
        fill(self.status, [("any status", ""), *statuses], "" if kept.status is None else str(kept.status))
        endings = [(f"{trafficviews.ending_words(ended)} ({count:,})", ended) for ended, count in _most(tally.endings)]
        fill(self.ended, [("any ending", ""), *endings], kept.ended or "")

    def _choose(self) -> None:
        assert self.path is not None
        with paged(self.path) as record:
            self._count = record.count(self.wanted)
        self._draw_list()

    def _draw_list(self, words: str = "", *, page: int = 0) -> None:
        self.rows = self._rows(page)
        self.listing.show(trafficviews.list_options(self.rows), page, self.pages)
        self.live.say(words or trafficviews.counted(self._count, page, self.pages))

    def _rows(self, page: int) -> Sequence[Row]:
        if self.path is None:
            return ()
        with paged(self.path) as record:
            return record.page(self.wanted, offset=page * PAGE, limit=PAGE)

    def _draw(self) -> None:
        self.shown.value = joined(*self._views())._repr_html_()

    def _views(self) -> Iterable[View]:
        if self.passed is None:
            return
        yield passage_view(self.passed, self.findings)
        yield from (note(one_line(said, 300)) for said in self.unknown)
        if self.checked is not None:
            yield joined(line("Checked again"), checked_view([self.checked]))
        if self.shrunk is not None:
            yield _shrunk_view(self.shrunk)
        if self.answered is not None:
            response = response_of(self.passed, self.passed.answer) or {}
            yield caseviews.sent_again_beside(views.answer(Answer.of(response)), self.answered)


def browse_traffic(path: str | Path = "") -> TrafficBrowser:
    """A record of `k2lab proxy --record` to look through: its exchanges by finding, status and what was changed.

    An open one can be checked, shrunk and sent again. What is no record is a line in the widget.

    >>> print(browse_traffic("missing.db").view().text)
    there is no record of traffic missing.db: create one with k2lab proxy --record
    """
    return TrafficBrowser(path)


def _as_findings(entry: Entry) -> tuple[list[Finding] | None, list[str]]:
    """What was noted, with the words of the catalogue; and what is to be said of the rest."""
    if entry.looked != "yes" and not entry.findings:
        return None, [f"Nobody has looked at it{UNLOOKED[entry.looked]}: Check does."]
    noted = entry.findings
    known = {entry.code for entry in CATALOGUE.values()}
    others = [f"this k2lab does not know {one.code}: {one.evidence}" for one in noted if one.code not in known]
    found = [Finding.of(one.code, "present", one.evidence, place=one.place) for one in noted if one.code in known]
    return found, others


def _shrunk_view(made: Shrunk) -> View:
    shows = f"shows in {made.shows.count} of {made.shows.total} last looks"
    spent = "; the budget ended it: more could perhaps be left out" if made.spent else ""
    return joined(
        line(f"Shrunk to what shows {made.fault}: {made.evidence}"),
        line(f"{made.before}, now {made.after}; {shows}{spent}"),
        views.request(made.request, "What is left"),
    )


def _most(counts: Mapping[Any, int]) -> list[tuple[Any, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))

"""Questions to an engine's parser that stays up: the latest alone is asked, and an answer belongs to its question."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from k2lab.errors import K2LabError
from k2lab.legible import one_line
from k2lab.server.keptparsers import Heard, KeptParser
from k2lab.widgets.later import Later
from k2lab.widgets.playing import Column, Question

NOT_ASKED = "not asked: press Ask"
STOPPED = "stopped: press Ask to ask again"
WAITS = "asking …"


class Asker:
    """One engine: :meth:`ask` returns at once, ``changed`` is called as soon as there is an answer."""

    def __init__(self, name: str, folder: Path, later: Later, changed: Callable[[], object]) -> None:
        self.name = name
        self.parser = KeptParser(name, folder)
        self._later, self._changed = later, changed
        self._lock = threading.Lock()
        self._cancel = threading.Event()
        self._wanted: Question | None = None
        self._thread: threading.Thread | None = None
        self._since: float | None = None
        self._last: tuple[Question | None, Column] = None, Column(name=self.title, words=NOT_ASKED)

    @property
    def title(self) -> str:
        """The engine in words."""
        return f"vLLM {one_line(self.name, 60)}"

    @property
    def busy_s(self) -> float | None:
        """How long a question is under way, where one is."""
        since = self._since
        return None if since is None else time.monotonic() - since

    def ask(self, question: Question) -> None:
        """Ask this, in place of what still waits."""
        with self._lock:
            self._wanted = question
            if self._thread is None:
                self._cancel = cancel = threading.Event()
                self._since = time.monotonic()
                self._thread = self._later.run(lambda: self._work(cancel), lambda error: self._changed())

    def stop(self) -> None:
        """Forget what waits, and end the engine's process."""
        with self._lock:
            self._wanted = None
            self._cancel.set()
        self.wait(10)
        self.parser.close()

    def wait(self, seconds: float | None = None) -> None:
        """Until what was asked is answered."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def column(self, question: Question) -> Column:
        """The answer to this question; never one to another."""
        asked, column = self._last
        if asked == question:
            return column
        return Column(name=self.title, words=WAITS if self._thread else NOT_ASKED if asked else column.words)

    def _work(self, cancel: threading.Event) -> None:
        while question := self._next():
            column = self._answered(question, cancel)
            if cancel.is_set():
                column = Column(name=self.title, words=STOPPED)
            self._last = question, column
            self._later.call(self._changed)

    def _next(self) -> Question | None:
        with self._lock:
            question, self._wanted = self._wanted, None
            self._since = time.monotonic() if question else None
            if question is None:
                self._thread = None
            return question

    def _said(self, question: Question, chunk: int, cancel: threading.Event) -> Heard:
        return self.parser.ask(question.raw, question.tools, chunk, cancel, family=question.family)

    def _answered(self, question: Question, cancel: threading.Event) -> Column:
        try:
            whole = self._said(question, 0, cancel)
            fed = self._said(question, question.chunk, cancel) if question.is_fed else None
        except K2LabError as error:
            return Column(name=self.title, words=one_line(error, 300))
        return Column.of(self.title, question.raw, whole, fed)

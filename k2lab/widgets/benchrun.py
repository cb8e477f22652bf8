"""A benchmark under way: how far it is, how fast, how long yet, and a button that stops it and loses nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ipywidgets

from k2lab.bench.arm import Arm
from k2lab.bench.limits import Limits
from k2lab.bench.progress import Progress
from k2lab.bench.runner import run_benchmark
from k2lab.bench.samples import Samples
from k2lab.legible import one_line
from k2lab.show.parts import View, joined, line, table
from k2lab.widgets.liveline import LiveLine
from k2lab.widgets.twin import Workbench

SAID_EVERY_S = 15.0
"""How often a screen reader is told how far it is; the eye sees it twice a second."""

NAME_CHARS = 80

WAIT_S = 0.5
"""How soon an interrupt of who waits is heard."""


class RunningBench(Workbench):
    """One arm's run: a bar, its counts and rate, the time left, and Stop.

    :meth:`show` is told the progress, ``stop`` is the event that the button sets.
    """

    def __init__(self, name: str, out: str | Path) -> None:
        self.stop = threading.Event()
        self.progress: Progress | None = None
        self._name, self._out = one_line(name, NAME_CHARS), one_line(out)
        self._state, self._said_s = "starting", 0.0
        self.bar = ipywidgets.IntProgress(min=0, max=1, description="Answered", layout={"width": "32em"})
        self.button = ipywidgets.Button(
            description="Stop", icon="stop", button_style="", tooltip="Stop; every answer is kept"
        )
        self.button.on_click(lambda button: self.wish_to_stop())
        self.numbers = ipywidgets.HTML()
        self.live = LiveLine(f"{self._name}: starting")
        super().__init__([ipywidgets.HBox([self.bar, self.button]), self.numbers, self.live])
        self._draw()

    def wish_to_stop(self) -> None:
        """Stop soon: what has been answered is kept, what is under way is asked again another time."""
        self.stop.set()
        self.button.disabled = True
        self._tell("stopping; every answer so far is kept")

    def show(self, progress: Progress) -> None:
        """Where it stands."""
        self.progress = progress
        self._state = "stopping" if self.stop.is_set() else "running"
        self._draw()
        if not self.stop.is_set() and time.monotonic() - self._said_s > SAID_EVERY_S:
            self._tell(str(progress))

    def end(self, state: str) -> None:
        """It is over: ``state`` says how."""
        self._state = state
        self.button.disabled = True
        self.button.layout.display = "none"
        self._draw()
        self._tell(state)

    def view(self) -> View:
        """How far it is, or came."""
        title = line(f"{self._name}: {self._state}")
        return joined(title, *([self._figures(self.progress)] if self.progress else []))

    def _tell(self, words: str) -> None:
        self._said_s = time.monotonic()
        self.live.say(f"{self._name}: {words}")

    def _draw(self) -> None:
        progress = self.progress
        if progress:
            self.bar.max, self.bar.value = max(1, progress.wanted), progress.had + progress.got
            done = progress.had + progress.got == progress.wanted
            self.bar.bar_style = "success" if done else "warning" if progress.ended else ""
            self.numbers.value = self._figures(progress)._repr_html_()

    def _figures(self, progress: Progress) -> View:
        done = progress.had + progress.got
        left = "" if progress.left_s is None or progress.ended else progress.left
        row = {
            "answered": f"{done:,} of {progress.wanted:,} ({done / max(1, progress.wanted):.0%})",
            "kept from before": f"{progress.had:,}",
            "a second": f"{progress.rate:.1f}",
            "time left": left or "not known",
            **{one_line(name, NAME_CHARS): f"{count:,}" for name, count in sorted(progress.counts.items())},
        }
        return joined(table([row]), *([line(f"Results are in {self._out}.")] if progress.ended else []))


class Started:
    """A benchmark that runs beside the notebook, so that its Stop is heard; :meth:`result` waits for its end."""

    def __init__(self, bench: RunningBench, run: Callable[[], Progress]) -> None:
        self.bench = bench
        self._run, self._shown = run, _displayed(bench)
        self._final: Progress | None = None
        self._error: BaseException | None = None
        self._over = threading.Event()  # an interrupt of a thread's join takes it for ended
        threading.Thread(target=self._work, name="k2lab-run-bench", daemon=True).start()

    def __repr__(self) -> str:
        return self.bench.view().text

    def result(self) -> Progress:
        """How it ended, once it has; an interrupt stops it as the button does. Raises what the run raised."""
        while not self._waited():
            self.bench.wish_to_stop()
        if self._error is not None:
            raise self._error
        assert self._final is not None
        return self._final

    def _waited(self) -> bool:
        """Wait for the end; false where an interrupt came first."""
        try:
            while not self._over.wait(WAIT_S):
                pass
        except KeyboardInterrupt:
            return False
        return True

    def _work(self) -> None:
        try:
            self._final = self._run()
            state = _ending(self._final)
        except Exception as error:
            self._error = error
            state = f"ended by an error: {one_line(error)}; what was answered is kept"
        try:
            self.bench.end(state)
            if self._shown is not None:
                self._shown.update(self.bench)
        finally:
            self._over.set()


def run_bench(
    samples: Samples | str | Path,
    arm: Arm,
    out: str | Path,
    *,
    limits: Limits | None = None,
    limit: int | None = None,
    trials: int = 1,
    rerun_failed: bool = False,
) -> Started:
    """:func:`k2lab.run_benchmark` beside a notebook: with a bar, the time left, and a button that stops it.

    It begins at once and the cell ends; :meth:`Started.result` waits for the
    end, which a script or a report needs. Stop, and an interrupt of the kernel
    that waits, end it early with what it has; run again it goes on and asks
    nothing twice. The saved notebook shows how far it came.

    >>> from pathlib import Path
    >>> Path("samples.jsonl").write_text('{"messages": [{"role": "user", "content": "Hello"}]}') > 0
    True
    >>> arm = k2lab.Arm(name="as sent", base_url=base_url, model="m")
    >>> run_bench("samples.jsonl", arm, "run.db", limit=100).result().counts
    RunningBench(...)
    {'stop': 1}
    """
    bench = RunningBench(arm.name, out)
    run = partial(
        run_benchmark, samples, arm, out, limits=limits, limit=limit, trials=trials, rerun_failed=rerun_failed,
        show=bench.show, stop=bench.stop,
    )  # fmt: skip
    return Started(bench, run)


def _ending(final: Progress) -> str:
    done = final.had + final.got
    if not final.ended:
        return f"done, {done:,} of {final.wanted:,} answered"
    why = "at its deadline" if final.ended == "deadline" else "early"
    return f"stopped {why} at {done:,} of {final.wanted:,}; every answer is kept, run this again to go on"


def _displayed(bench: RunningBench) -> Any:
    """A handle by which what a saved notebook shows of it is brought up to date."""
    from IPython.display import display

    return display(bench, display_id=True)  # type: ignore[no-untyped-call]

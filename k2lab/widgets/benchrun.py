"""A benchmark under way: how far it is, how fast, how long yet, and a button that stops it and loses nothing."""

from __future__ import annotations

import threading
import time
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


def run_bench(
    samples: Samples | str | Path,
    arm: Arm,
    out: str | Path,
    *,
    limits: Limits | None = None,
    limit: int | None = None,
    trials: int = 1,
    rerun_failed: bool = False,
) -> Progress:
    """:func:`k2lab.run_benchmark` in a notebook: with a bar, the time left, and a button that stops it.

    The cell ends when the run does. Stop, and an interrupt of the kernel, end it
    early with what it has; the same cell run again goes on and asks nothing
    twice. The saved notebook shows how far it came. Raises as
    :func:`k2lab.run_benchmark` does.

    >>> arm = k2.Arm(name="mine", base_url=base_url, model="m")  # doctest: +SKIP
    >>> k2.run_bench("samples.jsonl", arm, "run.db", limit=100).ended  # doctest: +SKIP
    ''
    """
    bench = RunningBench(arm.name, out)
    shown, state = _displayed(bench), "ended by an error; what was answered is kept, run this again to go on"
    try:
        final = run_benchmark(
            samples, arm, out, limits=limits, limit=limit, trials=trials, rerun_failed=rerun_failed,
            show=bench.show, stop=bench.stop,
        )  # fmt: skip
        state = _ending(final)
    except KeyboardInterrupt:
        state = "interrupted; what was answered is kept, run this again to go on"
        raise
    finally:
        bench.end(state)
        if shown is not None:
            shown.update(bench)
    return final


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

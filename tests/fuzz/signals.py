"""Signals at random moments of commands that start processes or write: nothing is left running, or half written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psutil

from k2lab import engine
from tests.fuzz import _material
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

ONLY = os.environ.get("K2LAB_FUZZ_COMMAND", "")
"""The one command to try, where that is wanted."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """What is interrupted, within how many seconds, and what is looked at afterwards."""

    words: Callable[[Given, Path], list[object]]
    lasts_s: float
    look: Callable[[Given, Path, int], None]


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the commands read."""

    place: Path
    url: str

    def tried(self, random: Random, folder: Path) -> None:
        """One signal to one command, or to its whole group as a terminal sends it."""
        name = ONLY or random.choice(sorted(COMMANDS))
        command = COMMANDS[name]
        number, after_s, whole = random.choice(SIGNALS), random.uniform(0, command.lasts_s), random.random() < 0.5
        mark = f"{os.getpid()}-{folder.name}"
        process = self._begun(command, folder, mark)
        time.sleep(after_s)
        if process.poll() is None:
            (os.killpg if whole else os.kill)(process.pid, number)
        told = process.communicate(timeout=ENDS_WITHIN_S)[1].decode()
        what = f"{name}: {number.name} after {after_s:.3f} s: exit {process.returncode}: {told}"
        _check_end(process.returncode, number, told, what)
        code = 0 if process.returncode == -signal.SIGKILL and _kept(folder) else process.returncode
        if code != 0:
            _check_gone(mark, what)
        command.look(self, folder, code)
        _check_gone(mark, what)

    def _begun(self, command: Command, folder: Path, mark: str) -> subprocess.Popen[bytes]:
        path = os.pathsep.join([str(ROOT), str(self.place / "path")])
        return subprocess.Popen(
            [sys.executable, "-m", "k2lab", *map(str, command.words(self, folder))],
            stdout=(folder / "out").open("wb"),
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": path, MARK: mark},
        )


@contextmanager
def opened(place: Path) -> Iterator[Attempt]:
    """A server that answers slowly, an engine that is none, a model folder, a notebook."""
    package = place / "path" / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    shutil.copyfile(ROOT / "tests" / "helpers" / "fake_vllm.py", package / "api_server.py")
    (place / "model").mkdir()
    (place / "model" / "config.json").write_text("{}")
    (place / "books").mkdir()
    (place / "books" / "one.ipynb").write_text(json.dumps(NOTEBOOK))
    (place / "talk.json").write_text(json.dumps(_material.HISTORY["messages"][:2]))
    (place / "samples.jsonl").write_bytes(b"".join(json.dumps(s).encode() + b"\n" for s in _material.samples(COUNT)))
    with stub() as server:
        yield Given(place=place, url=server.url).tried


def _check_end(code: int, number: int, told: str, what: str) -> None:
    """130, 143 and the like, or a normal end; before the first line of k2lab runs, Python answers a signal itself."""
    before_k2lab = "__main__.py" not in told and "k2lab:" not in told and (code == -number or "Traceback" in told)
    assert before_k2lab or code in (0, -number if number == signal.SIGKILL else 128 + number), what
    assert before_k2lab or "Traceback" not in told, what


def _kept(folder: Path) -> bool:
    """Whether a command that was killed had told of its server and let it go: what was asked for was done."""
    told = (folder / "out").read_text()
    time.sleep(0.5)  # the supervisor of one that was not let go ends it
    return any(server.server_id in told for server in engine.running())


def _check_gone(mark: str, what: str) -> None:
    until = time.monotonic() + ENDS_WITHIN_S
    while left := _marked(mark):
        assert time.monotonic() < until, f"{what}\nleft running: {left}"
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


def _bench(given: Given, folder: Path) -> list[object]:
    wanted = ["--base-url", given.url, "--arm", "a", "--out", folder / "run.db"]
    return ["bench", "run", given.place / "samples.jsonl", *wanted]


COMMANDS = {
    "bench run": Command(words=_bench, lasts_s=1.2, look=_look_asked),
    "engine serve": Command(
        words=lambda given, folder: ["engine", "serve", sys.executable, "--model", given.place / "model"],
        lasts_s=1.5,
        look=_look_served,
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

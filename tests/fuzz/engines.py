"""What stands in the cache of engines (records, logs, stamps, a training), damaged; and folders for JupyterLab."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from unittest import mock

from k2lab.engine import locks
from k2lab.nano import build, courses
from k2lab.paths import data_dir
from tests.fuzz import _damage
from tests.fuzz._commands import Ran, run, written
from tests.fuzz.frame import Attempt
from tests.fuzz.notebooks import NOTEBOOK

KEPT = (*range(60), 264334115)
NAME = "fake-0a1b2c"
RUN = {"parameters": 1_900_000, "tokens": 10, "seconds": 1.0, "device": "cpu", "torch": "2", "plan": {}}


@dataclass(frozen=True, kw_only=True)
class Given:
    """An interpreter that seems to have vLLM and cannot serve with it."""

    path: str

    def tried(self, random: Random, folder: Path) -> None:
        """One command of all, in a cache of its own."""
        name = random.choice(sorted(CASES))
        surroundings = {"K2LAB_CACHE": str(folder / "cache"), "PYTHONPATH": self.path, "FAKE_VLLM": "dies"}
        with mock.patch.dict(os.environ, surroundings):
            ran = CASES[name](random, folder)
        ran.checked()
        list(written(folder))
        if ran.code == 1:
            said = [line for line in ran.err.splitlines() if line.startswith("k2lab: ") and "k2lab: note: " not in line]
            assert len(said) == 1, ran


@contextmanager
def opened(place: Path) -> Iterator[Attempt]:
    """A vLLM that ends as soon as it starts."""
    package = place / "path" / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    (package / "api_server.py").write_text("raise SystemExit('ValueError: the model cannot be loaded')\n")
    yield Given(path=str(place / "path")).tried


def _record(folder: Path) -> dict[str, object]:
    """Of a server that ended long ago, or of this very process at another time."""
    return {
        "server_id": NAME,
        "engine": "fake",
        "model": str(folder),
        "base_url": "http://127.0.0.1:1/v1",
        "supervisor_pid": os.getpid(),
        "supervisor_started": time.time() - 10**6,
        "server_pid": 1,
        "log": str(folder / "cache" / "servers" / f"{NAME}.log"),
        "command": "python -m vllm",
        "flags": ["--x"],
    }


def _placed(random: Random, path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if random.random() < 0.12:
        _damage.INSTEAD[random.choice(sorted(_damage.INSTEAD))](path)
    else:
        path.write_bytes(data)


def _servers(*words: str) -> Callable[[Random, Path], Ran]:
    def case(random: Random, folder: Path) -> Ran:
        place = folder / "cache" / "servers"
        _placed(random, place / f"{NAME}.log", _damage.corrupted(random, b"a line\nand another\n" * 50))
        _placed(random, place / f"{NAME}.json", _damage.document(random, _record(folder)))
        return run(*words)

    return case


def _stamps(random: Random, folder: Path) -> Ran:
    for version in locks.versions():
        place = folder / "cache" / "engines" / version
        (place / "bin").mkdir(parents=True)
        (place / "bin" / "python").write_text("no interpreter")
        good = {"version": version, "lock_sha256": locks.read(version).sha256, "torch": "2"}
        _placed(random, place / "complete.json", _damage.document(random, good))
    return run("engine", "list")


def _nano(random: Random, folder: Path) -> Ran:
    """A training of which an earlier step left something else than it leaves."""
    with mock.patch.object(build, "prepare", _not_prepared):
        work = build._work_dir(courses.K2, courses.Recipe(conversations=5000))
        recipe = dict.fromkeys(("seed", "batch", "epochs", "warmup", "muon_lr", "adamw_lr", "weight_decay"), 1)
        plan = recipe | {"model": {**courses.SHAPE, **dict.fromkeys(courses.SPECIAL, 1)}}
        bad = random.choice(("plan.json", "run.json", "tokenizer.json", "model.safetensors"))
        for name, value in {"plan.json": plan, "run.json": RUN}.items():
            data = _damage.document(random, value) if name == bad else json.dumps(value).encode()
            (_placed if name == bad else _plain)(random, work / name, data)
        for name in ("tokenizer.json", "model.safetensors"):
            good = (data_dir() / "models" / "k2-nano" / name).read_bytes()[: 1 << 20]
            (_placed if name == bad else _plain)(random, work / name, good)
        out = random.choice((folder / "out", folder / "out" / "x", work))
        if random.random() < 0.1:
            _placed(random, folder / "out", b"")
        return run("nano", "--out", out, "--engine", sys.executable, "--conversations", "5000")


def _plain(random: Random, path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _not_prepared(work: Path, recipe: object) -> None:
    raise OSError(28, "No space left on device", str(work))


def _lab(random: Random, folder: Path) -> Ran:
    """JupyterLab is not started; what it would be given must be words."""
    place = folder / random.choice(("books", "a b", "\x1b[2J", "\udcff", "-x", "new\nline"))
    if random.random() < 0.8:
        place.mkdir()
        _placed(random, place / "0_start.ipynb", _damage.document(random, NOTEBOOK))
    else:
        _placed(random, place, b"")
    given = random.choice((place, place, place / "..", place / "x", folder / "\x00"))
    with mock.patch.object(os, "execv", _instead_of_jupyterlab):
        return run("lab", given, *random.choice(((), ("--no-browser",), ("\x1b",), ("--LabApp.default_url=/x",))))


def _instead_of_jupyterlab(program: str, words: list[str]) -> None:
    assert all("\0" not in word for word in words), words
    raise SystemExit(0)


CASES: Mapping[str, Callable[[Random, Path], Ran]] = {
    "list": _servers("engine", "list"),
    "stop": _servers("engine", "stop", NAME),
    "logs": _servers("engine", "logs", NAME),
    "stamps": _stamps,
    "nano": _nano,
    "lab": _lab,
}

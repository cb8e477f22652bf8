"""The live servers of a test run: each started once, whatever the number of processes that test, and ended with it.

The process that the user started owns them: it holds the pipe that ends them, so that they end however it ends. A test
asks for a server by its name and waits for that one alone. Where many tests need servers, their engines are imported
as soon as the tests are collected, while other tests run, and the usual ones start with the first that is asked for.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVERS = (
    "0.32.0 current",
    "0.11.0 current",
    "0.11.0 legacy",
    "0.32.0 old",
    "0.32.0 legacy",
    "0.11.0 declared",
    "0.32.0 declared",
    "0.32.0 current string",
    "0.32.0 k3",
    "0.32.0 current strict-function",
    "0.32.0 current strict-parameter",
    "0.11.1 legacy",
    "0.11.0 old",
    "0.11.1 old",
    "0.11.1 current",
    "0.32.0 k3 in-reasoning",
    "0.11.1 thinking reasons",
    "0.11.1 thinking reasons in-reasoning",
    "0.32.0 thinking reasons",
)
AT_ONCE = SERVERS[:9]
"""Those that `make test` needs."""

MANY = 20
"""Tests that need servers; where there are fewer, only what they ask for is started."""

STARTING_S = 570
"""Half a minute for a server alone, many times that where all start beside tests on a loaded machine."""

ENDING_S = 120
"""Seconds for all of them, again many times that on a loaded machine."""


class Servers(Mapping[str, str]):
    """Base URL by ``ENGINE VARIANT``; looking one up waits until it is ready."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __getitem__(self, name: str) -> str:
        if name not in SERVERS:
            raise KeyError(name)
        wanted, deadline = self.folder / f"{name}.wanted", time.monotonic() + STARTING_S
        wanted.touch(exist_ok=True)
        url, error = wanted.with_suffix(".url"), wanted.with_suffix(".error")
        while not url.exists():
            if error.exists() or time.monotonic() > deadline or not self.folder.exists():
                why = error.read_text() if error.exists() else "no answer"
                pytest.fail(f"the live server {name} did not start: {why}")
            time.sleep(0.1)
        return url.read_text()

    def __iter__(self) -> Iterator[str]:
        return iter(SERVERS)

    def __len__(self) -> int:
        return len(SERVERS)


class SharedServers:
    """A plugin; see the module."""

    def __init__(self, config: pytest.Config) -> None:
        given = getattr(config, "workerinput", {}).get("k2lab_servers")
        self.owner = given is None
        self.folder = Path(given or tempfile.mkdtemp(prefix="k2lab-tests-"))
        self.servers = Servers(self.folder)
        self.process: subprocess.Popen[bytes] | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        need = sum("servers" in getattr(item, "fixturenames", ()) for item in session.items)
        if need and sys.platform == "linux" and not session.config.option.collectonly:
            if need >= MANY:
                (self.folder / "many").touch()
            (self.folder / "needed").touch()
            self._start()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: object) -> None:
        node.workerinput["k2lab_servers"] = str(self.folder)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        if (self.folder / "needed").exists():
            self._start()

    def pytest_unconfigure(self) -> None:
        if self.process is not None:
            self.process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(ENDING_S)
            self.process.kill()  # in case; what is left then ends as the servers' supervisors miss their parent
        if self.owner:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        if self.owner and self.process is None:
            command = [sys.executable, "-m", "tests.helpers.live_servers", str(self.folder)]
            command += AT_ONCE if (self.folder / "many").exists() else ()
            with (self.folder / "log").open("wb") as log:
                self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=log, stderr=log)

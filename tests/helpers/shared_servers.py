"""The live servers of a test run: started once, whatever the number of processes that test, and ended with the run.

The process that the user started owns them. It starts them when a process that collects says that a test needs them,
so that they come up while other tests run, and holds the pipe that ends them. The others find the URLs in a file.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STARTING_S = 400
"""Nine servers, two at a time, each two to three minutes on cores that test beside it."""


class SharedServers:
    """A plugin; see the module."""

    def __init__(self, config: pytest.Config) -> None:
        given = getattr(config, "workerinput", {}).get("k2lab_servers")
        self.owner = given is None
        self.folder = Path(given or tempfile.mkdtemp(prefix="k2lab-tests-"))
        self.process: subprocess.Popen[bytes] | None = None

    def urls(self) -> dict[str, str]:
        """Base URL by ``ENGINE VARIANT``, as soon as all are ready."""
        answer, deadline = self.folder / "urls.json", time.monotonic() + STARTING_S
        while not answer.exists():
            ended = self.process is not None and self.process.poll() is not None
            if ended or time.monotonic() > deadline or not self.folder.exists():
                pytest.fail(f"the live servers did not start: {self._log()}")
            time.sleep(0.1)
        found = json.loads(answer.read_text())
        if "error" in found:
            pytest.fail(f"the live servers did not start: {found['error']}")
        return found

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        needed = any("servers" in getattr(item, "fixturenames", ()) for item in session.items)
        if needed and sys.platform == "linux" and not session.config.option.collectonly:
            (self.folder / "wanted").touch()
            self._start()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: object) -> None:
        node.workerinput["k2lab_servers"] = str(self.folder)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        if (self.folder / "wanted").exists():
            self._start()

    def pytest_unconfigure(self) -> None:
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait(60)
        if self.owner:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        if self.owner and self.process is None:
            command = [sys.executable, "-m", "tests.helpers.live_servers", str(self.folder)]
            with (self.folder / "log").open("wb") as log:
                self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=log, stderr=log)

    def _log(self) -> str:
        log = self.folder / "log"
        return log.read_text()[-3000:] if log.exists() else "no log"

"""A JupyterLab of our own: a free port on 127.0.0.1, a copy of the notebooks, and none of the user's settings."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from k2lab.notebook import copies
from tests.helpers.processes import until

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
SETTINGS = {
    "@jupyterlab/apputils-extension/themes": {"adaptive-theme": True},  # light or dark as the browser is
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},  # or what is out of sight is not there
}
FLAGS = (
    "--no-browser",
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.port_retries=0",
    "--ServerApp.allow_root=True",
    "--LabApp.expose_app_in_browser=True",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.news_url=None",
)
READY = "window.jupyterapp?.shell?.currentWidget?.sessionContext"
CONNECTED = """async () => {
  const notebook = window.jupyterapp.shell.currentWidget;
  await notebook.context.ready;
  await notebook.sessionContext.ready;
}"""
RUN = "window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => null)"


@dataclass(frozen=True)
class Notebook:
    """A notebook that is open on a page, with its kernel."""

    page: object
    path: Path

    def run_all(self, within_s: float = 120.0) -> Notebook:
        """Run every cell and wait until the kernel is idle; a cell that failed fails the test."""
        self.page.set_default_timeout(within_s * 1000)
        self.page.wait_for_function(READY)
        self.page.evaluate(CONNECTED)
        self.page.evaluate(RUN)
        self.page.set_default_timeout(60_000)
        failed = self.page.locator("[data-mime-type='application/vnd.jupyter.stderr']", has_text="Traceback")
        assert failed.count() == 0, failed.first.inner_text()[-2000:]
        return self

    def cell(self, index: int) -> object:
        """Cell number ``index``, counted from 0, prose included."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def output(self, index: int, number: int = 0) -> object:
        """What that cell put out first, or as its ``number``-th from 0, without the prompt beside it."""
        return self.cell(index).locator(".jp-OutputArea-output").nth(number)


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab over ``folder``, opened by ``token``."""

    url: str
    folder: Path
    pid: int
    token: str = field(repr=False)

    def address(self, path: str = "") -> str:
        """Where a browser opens it: as `k2lab lab` does, or ``lab/tree/NAME.ipynb``, or ``doc/tree/…`` for it alone."""
        return f"{self.url}/{path}?token={self.token}"

    def write(self, *cells: str, name: str = "tried") -> Path:
        """A notebook in the folder with those code cells."""
        from nbformat import v4

        made = v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells])
        made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = self.folder / f"{name}.ipynb"
        path.write_text(json.dumps(made), encoding="utf-8")
        return path

    def open(self, page: object, name: str) -> Notebook:
        """Notebook ``name`` alone on the page, without the side bars."""
        page.goto(self.address(f"doc/tree/{name}.ipynb"))
        page.wait_for_function(READY)
        return Notebook(page, self.folder / f"{name}.ipynb")

    def ran(self, page: object, *cells: str) -> Notebook:
        """A notebook of those cells, opened and run."""
        return self.open(page, self.write(*cells).stem).run_all()

    def end_kernels(self) -> None:
        """End what the test left running."""
        for session in json.loads(_ask(f"{self.url}/api/sessions", self.token)):
            _ask(f"{self.url}/api/sessions/{session['id']}", self.token, "DELETE")


@contextmanager
def started(place: Path, flags: Sequence[str] = ()) -> Iterator[Lab]:
    """A JupyterLab whose notebooks and settings lie in ``place``; ended by its process id."""
    folder, url = place / "notebooks", f"http://127.0.0.1:{(port := _free_port())}"
    if not folder.exists():
        copies.copy_out(folder)
    token = secrets.token_hex(16)
    words = (sys.executable, "-m", "k2lab", "lab", str(folder), *FLAGS, f"--ServerApp.port={port}")
    with (place / "log").open("wb") as log:
        process = subprocess.Popen([*words, *flags], env=environment(place, token), stdout=log, stderr=log, cwd=place)
        try:
            up = until(lambda: process.poll() is not None or _answers(url, token), 60)
            assert up and process.poll() is None, (place / "log").read_text()[-2000:]
            yield Lab(url, folder, process.pid, token)
        finally:
            process.terminate()
            process.wait(30)


def environment(place: Path, token: str) -> dict[str, str]:
    """Nothing of the user's Jupyter is read or written; kernels import the k2lab that is tested."""
    own = {f"JUPYTER_{name}": str(place / name.lower()) for name in FOLDERS} | {"JUPYTER_TOKEN": token}
    own |= {"JUPYTERLAB_SETTINGS_DIR": str(place / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(place / "workspaces")}
    for name, value in SETTINGS.items():
        path = place / "settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8")
    return {**os.environ, **own, "IPYTHONDIR": str(place / "ipython"), "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": ""}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _answers(url: str, token: str) -> bool:
    try:
        return bool(_ask(f"{url}/api", token))
    except OSError:
        return False


def _ask(url: str, token: str, method: str = "GET") -> bytes:
    request = urllib.request.Request(url, method=method, headers={"authorization": f"token {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()

"""A notebook run by papermill in a kernel of its own: which cells, in which folder, and what went wrong."""

from __future__ import annotations

import contextlib
import copy
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from k2lab.errors import ReportError

LOCAL_TAG, SERVER_TAG = "local-engines", "own-server"
"""Cells that need k2lab's own engines, and cells that need the reader's server."""

CELL_TIMEOUT_S = 1800
CONNECTION = "connection.json"


def without_cells(notebook: Any, tag: str) -> Any:
    """A copy of a notebook that lacks the cells with a tag."""
    kept = copy.deepcopy(notebook)
    kept.cells = [cell for cell in kept.cells if tag not in cell.metadata.get("tags", [])]
    return kept


def keep_unexecuted(notebook: Any, target: Path) -> None:
    """Leave a notebook that could not be run where its executed one would be."""
    import nbformat

    nbformat.write(notebook, target)


def execute(notebook: Any, parameters: Mapping[str, Any], target: Path, source: Path) -> str:
    """Run by papermill; returns what went wrong, empty when nothing did."""
    import nbformat
    import papermill
    from papermill.exceptions import PapermillExecutionError

    prepared = target.with_name(f".{target.stem}.{os.getpid()}.ipynb")
    target.unlink(missing_ok=True)
    try:
        nbformat.write(notebook, prepared)
        with tempfile.TemporaryDirectory(prefix="k2lab-") as sockets, _ended_kernel(sockets):
            papermill.execute_notebook(
                str(prepared),
                str(target),
                parameters=dict(parameters),
                cwd=str(source.parent.resolve()),
                progress_bar=False,
                execution_timeout=CELL_TIMEOUT_S,
                kernel_name="python3",
                config=_kernel_config(sockets),
            )
        return ""
    except PapermillExecutionError as error:
        return f"cell {error.exec_count} raised {error.ename}: {error.evalue}"
    except Exception as error:  # a dead kernel, a time-out: the notebook is there as far as it got
        if not target.exists():
            raise ReportError(f"{source.name} could not be run: {error}") from error
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
    finally:
        prepared.unlink(missing_ok=True)
        if target.exists():
            _strip(target)


def _kernel_config(folder: str) -> Any:
    """Talk to the kernel through sockets in a folder of this user, not over TCP, where the system can."""
    from traitlets.config import Config

    sockets = {"transport": "ipc", "ip": str(Path(folder) / "kernel")} if os.name == "posix" else {}
    return Config({"KernelManager": {**sockets, "connection_file": str(Path(folder) / CONNECTION)}})


@contextlib.contextmanager
def _ended_kernel(folder: str) -> Iterator[None]:
    """End the kernel of a folder after an interrupt: nbclient leaves one that is still starting."""
    try:
        yield
    except KeyboardInterrupt:
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                if any(word.startswith(folder) for word in child.cmdline()):
                    child.kill()
                    child.wait()
        raise


def _strip(path: Path) -> None:
    """Take this machine's paths out of papermill's notes in the executed notebook."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    for key in ("input_path", "output_path"):
        notebook.metadata.get("papermill", {}).pop(key, None)
    nbformat.write(notebook, path)

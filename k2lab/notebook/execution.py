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

from k2lab import kept
from k2lab.errors import ReportError

LOCAL_TAG, SERVER_TAG = "local-engines", "own-server"
"""Cells that need k2lab's own engines, and cells that need the reader's server."""

CELL_TIMEOUT_S = 1800
CONNECTION = "connection.json"


def without_cells(notebook: Any, tag: str) -> Any:
    """A copy of a notebook that lacks the cells with a tag."""
    rest = copy.deepcopy(notebook)
    rest.cells = [cell for cell in rest.cells if tag not in cell.metadata.get("tags", [])]
    return rest


def keep(notebook: Any, target: Path) -> None:
    """Leave a notebook for its owner alone to read, as a whole or not at all; raises :class:`OSError`."""
    import nbformat

    kept.write_whole(target, nbformat.writes(notebook) + "\n", private=True)


def execute(notebook: Any, parameters: Mapping[str, Any], target: Path, source: Path) -> str:
    """Run by papermill; returns what went wrong, empty when nothing did.

    ``target`` is written once all is over, as far as it got; where it got nowhere, that is a :class:`ReportError`.
    """
    with tempfile.TemporaryDirectory(prefix="k2lab-") as folder, _ended_kernel(folder):
        executed = Path(folder) / "executed.ipynb"
        error = _run(notebook, parameters, executed, source)
        if not executed.exists() or not executed.stat().st_size:
            raise ReportError(f"{source.name} could not be run: {error}")
        keep(_without_paths(executed), target)
    return error


def _run(notebook: Any, parameters: Mapping[str, Any], executed: Path, source: Path) -> str:
    """Papermill's part, in a folder that only this user reads: it writes after each cell."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    try:
        papermill.execute_notebook(
            notebook,
            str(executed),
            parameters=dict(parameters),
            cwd=str(source.parent.resolve()),
            progress_bar=False,
            execution_timeout=CELL_TIMEOUT_S,
            kernel_name="python3",
            config=_kernel_config(str(executed.parent)),
        )
        return ""
    except PapermillExecutionError as error:
        return f"cell {error.exec_count} raised {error.ename}: {error.evalue}"
    except OSError as error:
        return f"{error.filename or executed}: {(error.strerror or str(error)).lower()}"
    except Exception as error:  # a dead kernel, a time-out: the notebook is there as far as it got
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"


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


def _without_paths(executed: Path) -> Any:
    """An executed notebook without this machine's paths in papermill's notes; :class:`ReportError` for half a one."""
    import nbformat

    try:
        notebook = nbformat.read(executed, as_version=4)
    except ValueError as error:
        raise ReportError(f"only half of the executed notebook could be written to {executed.parent}") from error
    for key in ("input_path", "output_path"):
        notebook.metadata.get("papermill", {}).pop(key, None)
    return notebook

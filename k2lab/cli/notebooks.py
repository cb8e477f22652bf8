"""Commands on the notebooks themselves: which there are, a copy to edit, JupyterLab on them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import click

from k2lab import paths
from k2lab.cli.printing import print_aside, print_line, print_path
from k2lab.errors import InputError

START = "0_start.ipynb"
"""What a newcomer sees first."""


@click.command(name="notebooks")
@click.argument("folder", type=click.Path(path_type=Path), required=False, metavar="[DIR]")
def notebooks_command(folder: Path | None) -> None:
    """Copy the notebooks to DIR, to edit them; without DIR, say which there are.

    What is in DIR stays: nothing is overwritten.
    """
    from k2lab.notebook import copies

    if folder is None:
        for name, title in copies.titles(paths.notebooks_dir()).items():
            print_line(f"{name:22} {title}")
        return
    for path in copies.copy_out(folder):
        print_path(path)
    print_aside(f"to open them: k2lab lab {folder}; to run them: k2lab report --notebooks {folder}")


@click.command(name="lab", context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[DIR] [FLAGS]...")
def lab_command(words: tuple[str, ...]) -> None:
    """Start JupyterLab on the notebooks of DIR; of the clone, where left out.

    It opens on 0_start, where that is one of them. FLAGS, such as --no-browser, go to JupyterLab.
    """
    folder = Path(words[0]) if words and not words[0].startswith("-") else None
    flags = words if folder is None else words[1:]
    place = folder or paths.notebooks_dir()
    if folder is None and paths.is_shipped(place):
        raise InputError("there is no clone here: copy the notebooks with `k2lab notebooks DIR`, then `k2lab lab DIR`")
    if not any(place.glob("*.ipynb")):
        raise InputError(f"there are no notebooks in {place}: `k2lab notebooks {place}` copies them there")
    if find_spec("jupyterlab") is None:
        raise ModuleNotFoundError("JupyterLab is not installed", name="jupyterlab")
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", *_opening(place, flags), *flags])


def _opening(place: Path, flags: Sequence[str]) -> list[str]:
    """JupyterLab's flags for a folder, and for the page that it opens on, which the user's own flag decides."""
    root = f"--ServerApp.root_dir={place.resolve()}"
    if any("default_url" in flag for flag in flags) or not (place / START).is_file():
        return [root]
    return [root, f"--LabApp.default_url=/lab/tree/{START}"]

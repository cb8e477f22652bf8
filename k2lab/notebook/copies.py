"""The notebooks as files: what there is to run, and a copy of them to edit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from k2lab import paths
from k2lab.errors import InputError


def titles(folder: Path) -> dict[str, str]:
    """Each notebook of a folder by its name, in order, with its first heading.

    >>> "2_empty_content" in titles(paths.notebooks_dir())
    True
    """
    return {path.stem: _title(path) for path in sorted(folder.glob("*.ipynb"))}


def _title(path: Path) -> str:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    lines = "".join(text for cell in cells if cell["cell_type"] == "markdown" for text in cell["source"]).splitlines()
    return next((line.lstrip("# ") for line in lines if line.startswith("#")), "")


def copy_out(to: Path) -> list[Path]:
    """Copy k2lab's notebooks into a folder, which is made where it is missing; returns what was written.

    Raises :class:`InputError`, and writes nothing, where one of them is there already.
    """
    sources = sorted(paths.notebooks_dir().glob("*.ipynb"))
    standing = [path.name for path in sources if (to / path.name).exists()]
    if standing:
        raise InputError(f"{to} has {', '.join(standing)} already, and nothing is overwritten: name another folder")
    try:
        to.mkdir(parents=True, exist_ok=True)
        return [Path(shutil.copyfile(path, to / path.name)) for path in sources]
    except OSError as error:
        raise InputError(f"the notebooks cannot be written to {to}: {error.strerror or error}") from error

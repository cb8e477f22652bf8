"""Where things lie: data and notebooks, from a clone or from an installed wheel, and the user's cache folder."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

import platformdirs

from k2lab.errors import InputError

_SHIPPED = Path(__file__).resolve().parent / "_shipped"
"""What the wheel carries of the repository's top level; a clone has no such folder."""


def data_dir() -> Path:
    """The ``data`` folder: ``K2LAB_DATA``, else the clone's, else the copy that was installed with k2lab.

    Raises :class:`InputError` where it is not there.

    >>> (data_dir() / "failures.jsonl").is_file()
    True
    """
    return _top_folder("data", "K2LAB_DATA")


def notebooks_dir() -> Path:
    """The folder of notebooks: ``K2LAB_NOTEBOOKS``, else the clone's, else the copy that was installed with k2lab.

    Raises :class:`InputError` where it is not there.

    >>> sorted(path.name for path in notebooks_dir().glob("1*"))
    ['1_generation_prompt.ipynb']
    """
    return _top_folder("notebooks", "K2LAB_NOTEBOOKS")


def is_shipped(folder: Path) -> bool:
    """Whether a folder was installed with k2lab, so that nobody writes into it."""
    return folder.resolve().is_relative_to(_SHIPPED)


def _top_folder(name: str, variable: str) -> Path:
    given = os.environ.get(variable)
    own = _SHIPPED if _SHIPPED.is_dir() else _SHIPPED.parents[1]
    folder = Path(given).expanduser() if given else own / name
    if not folder.is_dir():
        next_step = f"set it to a folder, or unset it for k2lab's own {name}" if given else "install k2lab anew"
        raise InputError(f"{f'{variable}={given}' if given else folder} is not a folder: {next_step}")
    return folder


def cache_dir() -> Path:
    """The user's cache folder for k2lab, or ``K2LAB_CACHE``; not created."""
    given = os.environ.get("K2LAB_CACHE")
    return Path(given).expanduser().resolve() if given else Path(platformdirs.user_cache_dir("k2lab", appauthor=False))


def results_dir(out: str) -> Path:
    """Where a notebook keeps its results: ``out``, or where that is empty a folder that goes with this process."""
    return Path(out) if out else Path(_temporary().name)


@cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="k2lab-")


def shown(path: str | os.PathLike[str]) -> str:
    """A path for a person: the home folder as ``~``, so that reports do not name the user."""
    text, home = os.fspath(path), str(Path.home())
    return "~" + text[len(home) :] if text == home or text.startswith(home + os.sep) else text

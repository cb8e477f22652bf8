"""Where things lie: the data of the checkout, and the user's cache folder."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

import platformdirs

from k2lab.errors import InputError


def data_dir() -> Path:
    """The ``data`` folder of the checkout that k2lab was installed from, or ``K2LAB_DATA``."""
    given = os.environ.get("K2LAB_DATA")
    folder = Path(given) if given else Path(__file__).resolve().parents[1] / "data"
    if not folder.is_dir():
        raise InputError(
            f"the data folder {folder} is not there: install k2lab from a clone (pip install -e .), or set K2LAB_DATA"
        )
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

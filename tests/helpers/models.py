"""Folders of k2-nano to change: all of one but its weights."""

import shutil
from pathlib import Path

from k2lab.nano import folders


def copied(variant: str, place: Path) -> Path:
    return Path(shutil.copytree(folders.assemble(variant), place, ignore=shutil.ignore_patterns("*.safetensors")))

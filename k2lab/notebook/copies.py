"""The notebooks as files: what there is to run, and a copy of them to edit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from k2lab import files, kept, paths
from k2lab.errors import InputError


def titles(folder: Path) -> dict[str, str]:
    """Each notebook of a folder by its name, in order, with its first heading.

    >>> "2_empty_content" in titles(paths.notebooks_dir())
    True
    """
    return {path.stem: _title(path) for path in sorted(folder.glob("*.ipynb"))}


def _title(path: Path) -> str:
    """The first heading of a notebook; why there is none where the file is not a notebook."""
    try:
        data = files.read_json(path, "notebook")
    except InputError as error:
        return f"({error})"
    cells = data.get("cells") if isinstance(data, dict) else None
    lines = (
        "".join(text for cell in cells or () for text in _text(cell)).splitlines() if isinstance(cells, list) else []
    )
    return next((line.lstrip("# ") for line in lines if line.startswith("#")), "")


def _text(cell: object) -> Iterator[str]:
    match cell:
        case {"cell_type": "markdown", "source": str() as text}:
            yield text
        case {"cell_type": "markdown", "source": list() as parts}:
            yield from (part for part in parts if isinstance(part, str))


def copy_out(to: Path) -> list[Path]:
    """Copy k2lab's notebooks into a folder, which is made where it is missing; returns what was written.

    Raises :class:`InputError`, and writes nothing, where one of them is there already.
    """
    sources = sorted(paths.notebooks_dir().glob("*.ipynb"))
    standing = [path.name for path in sources if (to / path.name).exists()]
    if standing:
        raise InputError(f"{to} has {', '.join(standing)} already, and nothing is overwritten: name another folder")
    texts = {path.name: files.read_bytes(path, "notebook") for path in sources}
    try:
        to.mkdir(parents=True, exist_ok=True)
        return [kept.write_whole(to / name, text) for name, text in texts.items()]
    except OSError as error:
        raise InputError(f"the notebooks cannot be written to {to}: {error.strerror or error}") from error

"""Whether Python code that came with a model folder is to run: never unasked, but for the code that k2lab ships."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from k2lab.errors import SourceError
from k2lab.prompt import templates
from k2lab.prompt.files import Config, read_object

CLASS_REFERENCE = re.compile(r"(?P<module>[A-Za-z_]\w*)\.[A-Za-z_]\w*")
"""The one form of an ``auto_map`` entry that names a file of the folder itself: ``module.Class``."""


def runs_code(folder: Path, config: Config, *, has_ranks: bool, trust_remote_code: bool) -> bool:
    """Whether code of the folder is to run; raises :class:`SourceError` where that lacks consent, or cannot be had.

    ``has_ranks``: its ids come from Kimi's ranks, which are read without its code.
    """
    tokenizer = _references(config)
    if not tokenizer or (has_ranks and not trust_remote_code):
        return False
    modules = [_module(folder, entry) for entry in tokenizer]
    others = [_module(folder, entry) for entry in _references(read_object(folder / "config.json"))]
    missing = [file for file in modules if not (folder / file).is_file()]
    if missing:
        raise SourceError(f"auto_map of {folder} names {missing[0]}, which is not there: fetch its Python files, too")
    foreign = _foreign_code(folder, [*modules, *others])
    if foreign and not trust_remote_code:
        raise SourceError(
            f"the tokenizer of {folder} is Python code ({', '.join(foreign)}): read it, then pass --trust-remote-code"
        )
    return True


def known_code() -> dict[str, str]:
    """sha256 of each tokenizer file that k2lab ships, by file name."""
    root = Path(__file__).parents[1] / "nano" / "code"
    return {path.name: templates.sha256(path.read_text()) for path in sorted(root.glob("*.py"))}


def _module(folder: Path, entry: str) -> str:
    """The file that an entry of ``auto_map`` names; one that lies elsewhere is never run, whatever the consent."""
    match = CLASS_REFERENCE.fullmatch(entry)
    if match is None:
        raise SourceError(
            f"auto_map of {folder} names {entry!r}, code that lies elsewhere: it is not run, whatever the consent;"
            " an entry is module.Class"
        )
    return f"{match['module']}.py"


def _references(config: Config) -> list[str]:
    """The classes that ``auto_map`` of a configuration points at."""
    table = config.get("auto_map")
    values = table.values() if isinstance(table, dict) else [table]
    listed = [item for value in values for item in (value if isinstance(value, list) else [value])]
    return [str(item) for item in listed if item]


def _foreign_code(folder: Path, modules: list[str]) -> list[str]:
    """Python files of the folder that k2lab does not ship itself, those that it names but lacks included."""
    known = known_code()
    files = sorted({*modules, *(path.name for path in folder.glob("*.py"))})
    return [file for file in files if not _is_known(folder / file, known)]


def _is_known(path: Path, known: dict[str, str]) -> bool:
    return path.is_file() and known.get(path.name) == hashlib.sha256(path.read_bytes()).hexdigest()

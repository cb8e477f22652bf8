"""Which extra brings a library that is not installed: read from k2lab's own requirements."""

from __future__ import annotations

import re
from collections import Counter
from importlib.metadata import requires

NOT_FOR_USERS = ("all", "dev")
LINE = re.compile(r"([\w.-]+)[^;]*(?:;.*extra == [\"'](\w+)[\"'])?")
"""A requirement as a package's metadata has it: ``openai[aiohttp]<4,>=3.40; extra == 'bench'``."""


def advice(error: ModuleNotFoundError, command: str) -> str | None:
    """One line on a library that is missing and how to get it; ``None`` where k2lab never asks for it.

    >>> advice(ModuleNotFoundError(name="papermill"), "k2lab report")
    "k2lab report needs papermill: pip install 'k2lab[notebook]'"
    """
    library = (error.name or "").split(".")[0]
    lines = [(match[1], match[2] or "") for line in requires("k2lab") or () if (match := LINE.match(line))]
    sizes = Counter(extra for _, extra in lines)
    extras = {extra for name, extra in lines if _plain(name) == _plain(library)} - {*NOT_FOR_USERS}
    if not extras:
        return None
    smallest = min(extras, key=lambda extra: (extra != "", sizes[extra]))
    return f"{command} needs {library}: pip install '{f'k2lab[{smallest}]' if smallest else 'k2lab'}'"


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()

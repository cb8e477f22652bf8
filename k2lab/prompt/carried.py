"""The renderer of XTML as files that a model folder carries: the very modules, importing one another there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path

MODULES: Mapping[str, str] = {
    "families/special.py": "k3_special",
    "wire/xtml/valueforms.py": "k3_values",
    "prompt/xtmltags.py": "k3_tags",
    "prompt/xtmlturns.py": "k3_turns",
}
"""What is carried, and as which module of the folder."""

IMPORTS = (
    ("from k2lab.families.special import ", "from .k3_special import "),
    ("from k2lab.wire.xtml.valueforms import ", "from .k3_values import "),
    ("from k2lab.prompt.xtmltags import ", "from .k3_tags import "),
)
"""The imports among them, as they are in the package and as they are in a folder."""


@cache
def carried_files() -> Mapping[str, str]:
    """The text of each file by its name.

    >>> sorted(carried_files())
    ['k3_special.py', 'k3_tags.py', 'k3_turns.py', 'k3_values.py']
    """
    root = Path(__file__).parents[1]
    return {f"{name}.py": _moved((root / path).read_text(encoding="utf-8")) for path, name in MODULES.items()}


@cache
def digest() -> str:
    """sha256 of all of them: which renderer made a prompt."""
    return sha256("\0".join(carried_files().values()).encode()).hexdigest()


def _moved(text: str) -> str:
    for old, new in IMPORTS:
        text = text.replace(old, new)
    return text

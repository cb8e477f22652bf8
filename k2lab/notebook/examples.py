"""The conversations that come with k2lab, each the smallest that shows a fault."""

from __future__ import annotations

from k2lab import chat, paths
from k2lab.chat import Request
from k2lab.errors import InputError


def conversation(name: str) -> Request:
    """One of ``data/conversations`` by its name; raises :class:`InputError` with those there are.

    >>> conversation("get_weather").tool_names()
    ('get_weather',)
    """
    folder = paths.data_dir() / "conversations"
    if not (folder / f"{name}.json").is_file():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.json")))
        raise InputError(f"there is no conversation {name!r}: it is one of {known}")
    return chat.load(folder / f"{name}.json")

"""The conversations and the exchange that come with k2lab, each the smallest that shows a fault."""

from __future__ import annotations

from pathlib import Path

from k2lab import chat, paths
from k2lab.chat import Answer, Exchange, Request
from k2lab.errors import InputError
from k2lab.shrink.sights import given


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


def exchange(path: str = "") -> Exchange:
    """The request and the answer of a file; by default of ``data/exchanges/leaked_call.json``.

    A request without an answer has an empty one. Raises :class:`~k2lab.errors.RequestError`.

    >>> exchange().answer.finish_reason
    'stop'
    """
    request, answer = given(Path(path) if path else paths.data_dir() / "exchanges" / "leaked_call.json")
    return Exchange(request=request, answer=Answer.of(answer or {}))

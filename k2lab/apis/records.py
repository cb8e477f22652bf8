"""What a conversion gives: a request or an answer in the chat API's form, and where in the original each part stood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

Api = Literal["chat", "responses", "messages"]
APIS: tuple[Api, ...] = get_args(Api)

API_NAMES: Mapping[Api, str] = MappingProxyType(
    {
        "chat": "OpenAI's chat API",
        "responses": "OpenAI's Responses API",
        "messages": "Anthropic's Messages API",
    }
)
"""Each API in words."""

PATH_OF: Mapping[Api, str] = MappingProxyType(
    {"chat": "/chat/completions", "responses": "/responses", "messages": "/messages"}
)
"""Where each is asked, behind a base URL."""

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """Something that is said of a place in the original."""

    place: str
    words: str


@dataclass(slots=True)
class OriginalPlaces:
    """Where parts of a value stood in another one, by their paths.

    >>> origins = OriginalPlaces()
    >>> origins.made("messages[1].tool_calls[0]", "input[3]")
    >>> origins.same("messages[2].content", "input[4].output")
    >>> origins.of("messages[1].tool_calls[0].function"), origins.of("messages[2].content[1].text")
    ('input[3]', 'input[4].output[1].text')
    """

    _of: dict[str, tuple[str, bool]] = field(default_factory=dict)

    def made(self, path: str, place: str) -> None:
        """A part that was made of another one: what lies within it has no place of its own."""
        self._of[path] = (place, False)

    def same(self, path: str, place: str) -> None:
        """A part that stands there as it stood: what lies within it has the same path behind its place."""
        self._of[path] = (place, True)

    def of(self, path: str) -> str:
        """The place of a path: that of the innermost part around it that has one; else the path itself."""
        head = path
        while head:
            found = self._of.get(head)
            if found is not None:
                return found[0] + path[len(head) :] if found[1] else found[0]
            head = head[: max(head.rfind("."), head.rfind("["), 0)]
        return path


@dataclass(frozen=True, kw_only=True, slots=True)
class AsChat:
    """A request or an answer as the chat API has it.

    ``faults`` are what its own API refuses of its form; ``unseen`` what the chat
    API has no word for, so that nothing can be said of it; ``passed_over`` names
    what is no part of the prompt or the answer, such as ``cache_control``.
    ``reason`` is why an answer ended, in the API's own words.
    """

    value: Json
    origins: OriginalPlaces = field(repr=False)
    faults: tuple[Remark, ...] = ()
    unseen: tuple[Remark, ...] = ()
    passed_over: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    """Places of several texts that are one here, as the API has it, and of which a server may read the first alone."""
    keeps_history: bool = True
    """Whether the whole history stands in the request."""
    reason: str = ""


def word(value: object, name: str) -> str:
    """A text that stands in an object under a name, such as its type; empty for whatever else is there."""
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, str) else ""


def listed(value: object) -> list[Any]:
    """A list as it is; empty for whatever else is there."""
    return value if isinstance(value, list) else []

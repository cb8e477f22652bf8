"""Exchanges: a request and the answer to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from k2lab.chat.answers import Answer
from k2lab.chat.requests import Request


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """A request and its answer. ``plain``: it was sent as a plain completion, which has no ``tool_choice``.

    >>> sent = {"messages": [{"role": "user", "content": "Hello"}]}
    >>> said = {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}]}
    >>> k2lab.Exchange.of(sent, said).answer.content
    'Hi'
    """

    request: Request
    answer: Answer
    plain: bool = False

    @classmethod
    def of(cls, request: Mapping[str, object], response: Mapping[str, object], *, plain: bool = False) -> Exchange:
        """From the JSON of both, as it was sent and came: neither is checked."""
        return cls(request=Request.unchecked(request), answer=Answer.of(response), plain=plain)

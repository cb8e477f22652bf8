"""What a guard is to the proxy: a request becomes a turn, which has the body to send and takes what is answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from k2lab.traffic.exchanges import Changed


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnRefusal:
    """Why a request is not sent: the status and the one line for the client."""

    status: int
    message: str


class AnswerStream(Protocol):
    """A streamed answer on its way: takes the upstream's bytes as they come, gives the client's."""

    def feed(self, data: bytes) -> bytes:
        """What can be passed on by now."""

    def end(self) -> bytes:
        """The rest, when the upstream has ended, also where it broke off."""


class Turn(Protocol):
    """One request and the answer to it."""

    body: bytes
    """What the upstream is sent."""
    refusal: TurnRefusal | None
    holds_answer: bool
    """Whether the answer has to come through :meth:`whole` or :meth:`stream`; else its bytes pass."""
    changes: list[Changed]
    """What was changed so far; grows with the answer."""
    headers: dict[str, str]
    """What is said of the request in headers of the answer, ``x-k2lab-…``."""

    def whole(self, status: int, content_type: str, body: bytes) -> bytes:
        """A whole answer as the client gets it."""

    def stream(self) -> AnswerStream:
        """A streamed answer as the client gets it."""


class Guard(Protocol):
    """Takes each request; one guard serves all requests of a proxy and keeps no state between them."""

    def turn(self, path: str, content_type: str, body: bytes) -> Turn | None:
        """The turn of a request; ``None`` where it goes through untouched."""

"""A request taken in hand: what is sent in its place, what was changed, and what its answer's headers say of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from k2lab.legible import one_line
from k2lab.traffic.exchanges import Changed
from k2lab.traffic.turns import AnswerStream, TurnRefusal

PREFIX = "x-k2lab-"
LONGEST_SAID = 400
"""Characters of one header's value."""


class Passing:
    """A streamed answer that goes on as it comes."""

    def feed(self, data: bytes) -> bytes:
        """All of it."""
        return data

    def end(self) -> bytes:
        """Nothing more."""
        return b""


@dataclass(kw_only=True, slots=True)
class Taken:
    """A :class:`k2lab.traffic.turns.Turn` whose answer passes as it is."""

    body: bytes
    refusal: TurnRefusal | None = None
    holds_answer: bool = False
    changes: list[Changed] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def whole(self, status: int, content_type: str, body: bytes) -> bytes:
        """The answer as it is."""
        return body

    def stream(self) -> AnswerStream:
        """The answer as it comes."""
        return Passing()

    def say(self, name: str, value: object) -> None:
        """A header ``x-k2lab-NAME``, where there is something to say: one line, nothing in it but ASCII."""
        if value:
            self.headers[PREFIX + name] = one_line(value, LONGEST_SAID).encode("ascii", "backslashreplace").decode()

    def refuse(self, reason: str) -> None:
        """Not to be sent, since it would go unheld."""
        line = one_line(reason, LONGEST_SAID)
        self.refusal = TurnRefusal(status=422, message=f"the answer cannot be held to the tools' schemas: {line}")

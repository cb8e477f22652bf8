"""An exchange as the proxy catches it: made in a moment, its bodies as they came; the rest is done by others."""

from __future__ import annotations

from typing import NamedTuple

from k2lab.traffic.bodies import body_of
from k2lab.traffic.exchanges import Changed, Ending, Passed


class Caught(NamedTuple):
    """What a :class:`~k2lab.traffic.exchanges.Passed` is made of: its fields, and the encodings of its bodies.

    Bodies have ``most`` bytes at most, undone too; ``request_cut`` and ``answer_cut`` are how many were left out. It is
    a tuple, since the event loop makes one for each exchange: in a quarter of the time, and as cheap to send.

    >>> caught = Caught(key="1", started_at=1.0, method="GET", path="/v1/models", status=200, ended="whole",
    ...                 request=b"", answer=b"{}", most=100)
    >>> caught.passed().answer, caught.size
    (b'{}', 2)
    """

    key: str
    started_at: float
    method: str
    path: str
    status: int
    ended: Ending
    request: bytes
    answer: bytes
    most: int
    sent: bytes | None = None
    given: bytes | None = None
    request_type: str = ""
    answer_type: str = ""
    request_encoding: str = ""
    answer_encoding: str = ""
    changes: tuple[Changed, ...] = ()
    upstream_ms: float = 0.0
    first_ms: float | None = None
    added_ms: float = 0.0
    request_cut: int = 0
    answer_cut: int = 0

    @property
    def size(self) -> int:
        """Bytes of the bodies."""
        return len(self.request) + len(self.answer) + len(self.sent or b"") + len(self.given or b"")

    def passed(self) -> Passed:
        """The exchange, its encodings undone."""
        if self.request_encoding or self.answer_encoding:
            return self._undone().passed()
        return Passed(
            key=self.key,
            started_at=self.started_at,
            method=self.method,
            path=self.path,
            status=self.status,
            ended=self.ended,
            request=self.request,
            answer=self.answer,
            sent=self.sent,
            given=None if self.given == self.answer else self.given,
            request_type=self.request_type,
            answer_type=self.answer_type,
            changes=self.changes,
            upstream_ms=self.upstream_ms,
            first_ms=self.first_ms,
            added_ms=self.added_ms,
            request_cut=self.request_cut,
            answer_cut=self.answer_cut,
        )

    def _undone(self) -> Caught:
        request = body_of(self.request, self.request_type, self.request_encoding, cut=self.request_cut, most=self.most)
        answer = body_of(self.answer, self.answer_type, self.answer_encoding, cut=self.answer_cut, most=self.most)
        return self._replace(
            request=request.data, request_type=request.type, request_cut=request.cut, request_encoding="",
            answer=answer.data, answer_type=answer.type, answer_cut=answer.cut, answer_encoding="",
        )  # fmt: skip

"""The answers of a request that are held against it: whole ones read and written anew, where anything leaked."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Self

from k2lab.chat import Request
from k2lab.traffic.guard.eventstream import data_with, decoded
from k2lab.traffic.guard.ids import Ids
from k2lab.traffic.guard.salvaging import Salvage
from k2lab.traffic.guard.taken import Taken

MARK = b"<|"
Json = dict[str, Any]


@dataclass(kw_only=True, slots=True)
class Answering(Taken):
    """A request, and what its answer is held against where calls are salvaged or ids may clash."""

    salvage: Salvage | None = None
    ids: Ids = Ids()  # noqa: RUF009 - frozen
    most: int = 0

    @abstractmethod
    def changed(self, answer: Json) -> Json:
        """An answer as its client gets it; what was changed is in ``changes``. The same object for nothing."""

    def whole(self, status: int, content_type: str, body: bytes) -> bytes:
        """The answer, its leaked calls as calls."""
        if status != 200 or not (self.ids.known or _may_hold_a_marker(body)):
            return body
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return body
        answer = decoded(text)
        if not isinstance(answer, dict):
            return body
        before = len(self.changes)
        made = self.changed(answer)
        self.say("salvaged", sum(change.kind == "salvage" for change in self.changes[before:]))
        return body if len(self.changes) == before else data_with(text, answer, made).encode()

    def hold(self, sent: Request, known: Ids, *, salvage: bool, family: str | None) -> None:
        """Say what the answer is held against: the request that was sent, the ids that its client knows, the family."""
        salvaging = Salvage(request=sent, ids=known, model=family or sent.model)
        self.salvage = salvaging if salvage and salvaging.may_be else None
        self.ids = known
        self.holds_answer = self.refusal is None and (self.salvage is not None or bool(known.known))

    def unheld(self, reason: str, *, refuse: bool) -> None:
        """Say that no grammar holds the answer, and why; or refuse the request."""
        self.say("unheld", reason)
        if refuse:
            self.refuse(reason)

    def unread(self, reason: str, *, refuse: bool = False) -> Self:
        """Itself, going on as it came; the upstream says what it makes of it."""
        self.say("unread", reason)
        if refuse:
            self.refuse(f"the request is not read: {reason}")
        return self


def _may_hold_a_marker(body: bytes) -> bool:
    """Whether a marker can stand in JSON: as it is, or with an escape for its first character."""
    return MARK in body or b"\\u003" in body

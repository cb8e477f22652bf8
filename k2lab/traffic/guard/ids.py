"""Ids of an answer's calls beside those that the client's own history has.

A mended history counts its calls anew, and the answer goes on with that count.
A client whose history begins elsewhere (older turns left out, say) may have
given the very next ids to other calls already. A new call is not given an id
that its client knows as another call's: it gets the next one beyond all of
them, and the next request's repair counts it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from k2lab import wire
from k2lab.chat import Request
from k2lab.traffic.exchanges import Changed


@dataclass(frozen=True, kw_only=True, slots=True)
class Ids:
    """The ids that a client knows, and by how much an index is raised that stands in one of them."""

    known: frozenset[str] = frozenset()
    shift: int = 0

    @classmethod
    def of(cls, given: Request, sent: Request) -> Ids:
        """Those of the request as it came that new calls of the one that was sent can come upon."""
        matches = [match for known in _ids(given.messages) if (match := wire.ID.fullmatch(known))]
        first = sent.first_index
        clashing = frozenset(match[0] for match in matches if int(match["index"]) >= first)
        highest = max((int(match["index"]) for match in matches), default=-1)
        return cls(known=clashing, shift=highest + 1 - first) if clashing else cls()

    def fresh(self, made: str) -> str:
        """The id under which the client gets a new call."""
        match = wire.ID.fullmatch(made) if made in self.known else None
        return made if match is None else wire.call_id(match["name"], int(match["index"]) + self.shift)


def renaming(place: str) -> Changed:
    """What is said of an id that a client knows as another call's."""
    detail = "the client's history has this id for another call: the next one beyond its ids"
    return Changed(kind="id", place=place, code="repeated_call_id", detail=detail)


def _ids(messages: Iterable[Mapping[str, object]]) -> Iterable[str]:
    for message in messages:
        for call in cast("list[Mapping[str, object]]", message.get("tool_calls") or ()):
            known = call.get("id")
            if isinstance(known, str):
                yield known

"""Histories of the Responses and the Messages API: their ids as a chat request's, each change at its own place.

Both APIs are served by the chat template, which prints the ids of calls; so the
rules for them are those of the chat request that a server makes of them
(:mod:`k2lab.apis`), and what is found is told by the place in the body that the
client knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from k2lab import repairs
from k2lab.apis import AsChat
from k2lab.chat import Request
from k2lab.check import places
from k2lab.errors import RequestError
from k2lab.repairs.records import Change
from k2lab.traffic.exchanges import Changed
from k2lab.traffic.guard.ids import Ids

Steps = tuple[str | int, ...]
"""Where an id stands in its list, such as ``(3, "call_id")``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Renumbered:
    """The request that is sent, as a chat request, with the new ids by their places, and the ids that may clash."""

    request: Request
    ids: Mapping[Steps, str]
    known: Ids
    changes: tuple[Changed, ...]
    left: tuple[str, ...]


def chat_request_of(made: AsChat) -> Request:
    """What was made of a request, checked; raises :class:`RequestError` for what its API refuses."""
    for fault in made.faults:
        raise RequestError(f"{fault.place}: {fault.words}")
    beside = {name: value for name, value in made.value.items() if name not in ("messages", "tools")}
    return Request.of(made.value.get("messages"), made.value.get("tools"), beside)  # type: ignore[arg-type]


def renumbered(made: AsChat, request: Request, family: str | None) -> Renumbered:
    """The ids of a history as the model was trained on them."""
    repaired = repairs.renumber(request, model=family, growing=True)
    at = [(change, made.origins.of(f"messages[{change.message}].{change.field}")) for change in repaired.changes]
    ids = {places.steps(place)[1:]: str(change.after) for change, place in at}
    return Renumbered(
        request=repaired.request,
        ids=ids,
        known=Ids.of(request, repaired.request) if ids else Ids(),
        changes=tuple(_changed(change, place) for change, place in at),
        left=tuple(dict.fromkeys(problem.finding for problem in repaired.problems)),
    )


def unchanged(request: Request) -> Renumbered:
    """A history whose ids stay."""
    return Renumbered(request=request, ids={}, known=Ids(), changes=(), left=())


def with_ids(values: Sequence[object], ids: Mapping[Steps, str]) -> list[object]:
    """A list with the new ids in their places; what has none is the same object."""
    made = list(values)
    for steps, new in ids.items():
        place = steps[0]
        assert isinstance(place, int)
        made[place] = _set(made[place], steps[1:], new)
    return made


def _set(value: Any, steps: Steps, new: str) -> Any:
    if not steps:
        return new
    copied = list(value) if isinstance(value, list) else dict(value)
    inner = None if len(steps) == 1 else copied[steps[0]]  # type: ignore[index]
    copied[steps[0]] = _set(inner, steps[1:], new)  # type: ignore[index]
    return copied


def _changed(change: Change, place: str) -> Changed:
    return Changed(kind="id", place=place, code=change.finding, detail=change.reason)

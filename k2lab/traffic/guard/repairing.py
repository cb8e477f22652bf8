"""A chat request's history, mended: the edits of its body, and what was changed and is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from k2lab import repairs
from k2lab.chat import Request
from k2lab.findings.histories import OF_IDS
from k2lab.repairs.records import Change, Repaired
from k2lab.repairs.soundness import is_plain
from k2lab.traffic.exchanges import Changed
from k2lab.traffic.guard.jsonbody import JSONBody
from k2lab.traffic.guard.options import Repair
from k2lab.traffic.guard.splicing import Splice


@dataclass(frozen=True, kw_only=True, slots=True)
class Mended:
    """The request that is sent, how the body is changed for it, and the findings that are left in it."""

    request: Request
    edits: tuple[Splice, ...] = ()
    changes: tuple[Changed, ...] = ()
    left: tuple[str, ...] = ()


def chat_request(body: JSONBody) -> Request:
    """The chat request of a body; raises :class:`RequestError` where it is none."""
    values = body.values()
    messages, tools = values.pop("messages", None), values.pop("tools", None)
    return Request.of(messages, tools, values)  # type: ignore[arg-type]


def history_mended(body: JSONBody, request: Request, repair: Repair, family: str | None) -> Mended:
    """A request as its family's histories are, by the repairs that keep a growing conversation's beginning."""
    if not repair or is_plain(request, repairs.family_of(request, family)):
        return Mended(request=request)
    whole = repairs.repair if repair == "history" else repairs.renumber
    repaired = whole(request, model=family, growing=True)
    left = tuple(dict.fromkeys(problem.finding for problem in repaired.problems))
    if not repaired.changes:
        return Mended(request=request, left=left)
    return Mended(
        request=repaired.request,
        edits=tuple(_edits(body, request.parameters, repaired)),
        changes=tuple(map(_changed, repaired.changes)),
        left=left,
    )


def _edits(body: JSONBody, before: Mapping[str, object], repaired: Repaired) -> list[Splice]:
    gone = dict.fromkeys(before.keys() - repaired.request.parameters.keys())
    return [
        *body.with_list("messages", repaired.request.messages, repaired.origins),
        *(body.with_members(gone) if gone else []),
    ]


def _changed(change: Change) -> Changed:
    return Changed(
        kind="id" if change.finding in OF_IDS else "repair",
        place=f"messages[{change.message}].{change.field}",
        code=change.finding,
        detail=change.reason,
    )

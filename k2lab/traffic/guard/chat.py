"""The turn of ``/v1/chat/completions``: its history mended, its answer held, leaked calls made calls again."""

from __future__ import annotations

from dataclasses import dataclass

from k2lab.chat import Request
from k2lab.errors import RequestError
from k2lab.jsonread import NotJSON
from k2lab.traffic.guard.chatstream import ChatStream, whole_choices
from k2lab.traffic.guard.enforcing import Held, held
from k2lab.traffic.guard.eventstream import data_with, decoded
from k2lab.traffic.guard.ids import Ids
from k2lab.traffic.guard.jsonbody import Body, UnreadError, read
from k2lab.traffic.guard.options import GuardOptions
from k2lab.traffic.guard.repairing import Mended, chat_request, history_mended
from k2lab.traffic.guard.salvaging import Salvage
from k2lab.traffic.guard.splicing import Edit
from k2lab.traffic.guard.taken import Taken
from k2lab.traffic.turns import AnswerStream

WORKED_ON = frozenset(
    {"messages", "tools", "system", "model", "tool_choice", "parallel_tool_calls", "chat_template_kwargs", "thinking"}
    | {"structured_outputs", "response_format", "stream", "n"}
)
MARK = b"<|"


@dataclass(kw_only=True, slots=True)
class ChatTurn(Taken):
    """A chat request, and what its answer is held against where calls are salvaged or ids may clash."""

    salvage: Salvage | None = None
    ids: Ids = Ids()  # noqa: RUF009 - frozen
    most: int = 0

    def whole(self, status: int, content_type: str, body: bytes) -> bytes:
        """The answer, its leaked calls as calls."""
        if status != 200 or not (self.ids.known or _may_hold_a_marker(body)):
            return body
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return body
        answer = decoded(text)
        choices = answer.get("choices") if isinstance(answer, dict) else None
        if not isinstance(choices, list) or not isinstance(answer, dict):
            return body
        before = len(self.changes)
        made, why = whole_choices(choices, self.salvage, self.ids, self.most, self.changes)
        self.say("salvaged", sum(change.kind == "salvage" for change in self.changes[before:]))
        self.say("unsalvaged", why)
        return body if len(self.changes) == before else data_with(text, answer, {**answer, "choices": made}).encode()

    def stream(self) -> AnswerStream:
        """The answer event by event."""
        return ChatStream(self.salvage, self.ids, self.most, self.changes)


def _may_hold_a_marker(body: bytes) -> bool:
    """Whether a marker can stand in JSON: as it is, or with an escape for its first character."""
    return MARK in body or b"\\u003" in body


def chat_turn(body: bytes, options: GuardOptions) -> Taken:
    """A request taken in hand; one that cannot be read goes on as it is, and says why."""
    taken = ChatTurn(body=body, most=options.most_held)
    try:
        found = read(body, WORKED_ON, options.most_read)
        request = chat_request(found)
    except UnreadError as error:
        return taken.unread(str(error), refuse=options.enforce == "pinned" and options.unheld == "refuse")
    except (NotJSON, RequestError) as error:
        return taken.unread(str(error))
    mend = history_mended(found, request, options.repair, options.family)
    hold = held(mend.request, options, options.family) if options.enforce == "pinned" else Held()
    _take(taken, found, mend, hold)
    _hold_answer(taken, request, mend, salvage=options.salvage)
    return taken


def _hold_answer(taken: ChatTurn, request: Request, mend: Mended, *, salvage: bool) -> None:
    """Say what the answer is held against, if it is."""
    if salvage or any(change.kind == "id" for change in mend.changes):
        taken.ids = Ids.of(request, mend.request)
    salvaging = Salvage(request=mend.request, ids=taken.ids)
    taken.salvage = salvaging if salvage and salvaging.may_be else None
    if mend.request is request:
        taken.ids = Ids()  # the server saw the ids that the client has
    taken.holds_answer = taken.salvage is not None or bool(taken.ids.known)


def _take(taken: Taken, body: Body, mend: Mended, hold: Held) -> None:
    taken.changes += [*mend.changes, *hold.changes]
    taken.say("repaired", len(mend.changes))
    taken.say("left", ", ".join(mend.left))
    taken.say("unheld", hold.unheld)
    taken.say("held", "pinned" if hold.members else "")
    if hold.refused:
        taken.refuse(hold.unheld)
        return
    edits = [*mend.edits, *_held_edits(body, hold)]
    if edits:
        taken.body = body.written(edits)


def _held_edits(body: Body, hold: Held) -> list[Edit]:
    edits = body.with_members(dict(hold.members)) if hold.members else []
    if hold.tools is not None:
        edits += body.with_list("tools", hold.tools, range(len(hold.tools)))
    return edits

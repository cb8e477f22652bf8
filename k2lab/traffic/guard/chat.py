"""The turn of ``/v1/chat/completions``: its history mended, its answer held, leaked calls made calls again."""

from __future__ import annotations

from dataclasses import dataclass

from k2lab.errors import RequestError
from k2lab.jsonread import NotJSON
from k2lab.traffic.guard.answering import Answering, Json
from k2lab.traffic.guard.chatanswers import whole_choices
from k2lab.traffic.guard.chatstream import ChatStream
from k2lab.traffic.guard.enforcing import Held, held
from k2lab.traffic.guard.ids import Ids
from k2lab.traffic.guard.jsonbody import JSONBody, UnreadError, read
from k2lab.traffic.guard.options import GuardOptions
from k2lab.traffic.guard.repairing import Mended, chat_request, history_mended
from k2lab.traffic.guard.splicing import Splice
from k2lab.traffic.turns import AnswerStream

WORKED_ON = frozenset(
    {"messages", "tools", "system", "model", "tool_choice", "parallel_tool_calls", "chat_template_kwargs", "thinking"}
    | {"structured_outputs", "response_format", "stream", "n"}
)


@dataclass(kw_only=True, slots=True)
class ChatTurn(Answering):
    """A chat request."""

    def changed(self, answer: Json) -> Json:
        """An answer, its leaked calls as calls, its ids apart from those that the client knows."""
        choices = answer.get("choices")
        if not isinstance(choices, list):
            return answer
        made, why = whole_choices(choices, self.salvage, self.ids, self.most, self.changes)
        self.say("unsalvaged", why)
        return {**answer, "choices": made}

    def stream(self) -> AnswerStream:
        """The answer event by event."""
        return ChatStream(self.salvage, self.ids, self.most, self.changes)


def chat_turn(body: bytes, options: GuardOptions) -> ChatTurn:
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
    renamed = any(change.kind == "id" for change in mend.changes)
    known = Ids.of(request, mend.request) if renamed else Ids()
    taken.hold(mend.request, known, salvage=options.salvage, family=options.family)
    return taken


def _take(taken: ChatTurn, body: JSONBody, mend: Mended, hold: Held) -> None:
    taken.changes += [*mend.changes, *hold.changes]
    taken.say("repaired", len(mend.changes))
    taken.say("left", ", ".join(mend.left))
    taken.say("held", "pinned" if hold.members else "")
    if hold.unheld:
        taken.unheld(hold.unheld, refuse=hold.refused)
    if taken.refusal is not None:
        return
    edits = [*mend.edits, *_held_edits(body, hold)]
    if edits:
        taken.body = body.written(edits)


def _held_edits(body: JSONBody, hold: Held) -> list[Splice]:
    edits = body.with_members(dict(hold.members)) if hold.members else []
    if hold.tools is not None:
        edits += body.with_list("tools", hold.tools, range(len(hold.tools)))
    return edits

"""The turn of ``/v1/chat/completions``: its history mended, its answer held."""

from __future__ import annotations

from k2lab.errors import RequestError
from k2lab.jsonread import NotJSON
from k2lab.traffic.guard.enforcing import Held, held
from k2lab.traffic.guard.jsonbody import Body, UnreadError, read
from k2lab.traffic.guard.options import GuardOptions
from k2lab.traffic.guard.repairing import Mended, chat_request, history_mended
from k2lab.traffic.guard.splicing import Edit
from k2lab.traffic.guard.taken import Taken

WORKED_ON = frozenset(
    {"messages", "tools", "system", "model", "tool_choice", "parallel_tool_calls", "chat_template_kwargs", "thinking"}
    | {"structured_outputs", "response_format", "stream", "n"}
)


def chat_turn(body: bytes, options: GuardOptions) -> Taken:
    """A request taken in hand; one that cannot be read goes on as it is, and says why."""
    taken = Taken(body=body)
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
    return taken


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

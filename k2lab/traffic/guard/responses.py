"""The turn of ``/v1/responses``: ids of calls and outputs, the grammar, and leaked calls as items of their own.

vLLM 0.32.0 takes the same ``structured_outputs`` there as in a chat request
(``entrypoints/openai/responses/protocol.py``). A history that the server keeps
(``previous_response_id``) is seen by nobody here: its ids and its count are left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from k2lab.apis import AsChat, request_as_chat
from k2lab.apis.records import listed, word
from k2lab.apis.responses import CALLS, KEPT, finish_reason_of
from k2lab.chat import Request
from k2lab.errors import RequestError
from k2lab.jsonread import NotJSON
from k2lab.traffic.exchanges import Changed
from k2lab.traffic.guard.answering import Answering
from k2lab.traffic.guard.enforcing import Held, held
from k2lab.traffic.guard.ids import Ids, renaming
from k2lab.traffic.guard.jsonbody import JSONBody, UnreadError, read
from k2lab.traffic.guard.leaks import AnswerTexts, Channel, LeakWatch, salvaged
from k2lab.traffic.guard.options import GuardOptions
from k2lab.traffic.guard.parts import joined
from k2lab.traffic.guard.renumbering import Renumbered, chat_request_of, renumbered, unchanged, with_ids
from k2lab.traffic.guard.salvaging import Salvage, SalvagedCall, SalvageVerdict
from k2lab.traffic.turns import AnswerStream

WORKED_ON = frozenset(
    {"input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "model", "text", "structured_outputs"}
    | {"chat_template_kwargs", *KEPT}
)
TEXTS: Mapping[str, Channel] = {"message": "content", "reasoning": "reasoning"}
"""Items whose ``content`` holds texts, and of which channel."""

Json = dict[str, Any]


@dataclass(kw_only=True, slots=True)
class ResponsesTurn(Answering):
    """A Responses request."""

    def changed(self, answer: Json) -> Json:
        """An answer, its leaked calls as items, its ids apart from those that the client knows."""
        made, why = changed_response(answer, self.salvage, self.ids, self.most, self.changes)
        self.say("unsalvaged", why)
        return made

    def stream(self) -> AnswerStream:
        """The answer event by event."""
        from k2lab.traffic.guard.responsestream import ResponsesStream  # which needs what stands here

        return ResponsesStream(self.salvage, self.ids, self.most, self.changes)


def responses_turn(body: bytes, options: GuardOptions) -> ResponsesTurn:
    """A Responses request taken in hand."""
    taken = ResponsesTurn(body=body, most=options.most_held)
    refuses = options.enforce == "pinned" and options.unheld == "refuse"
    try:
        found = read(body, WORKED_ON, options.most_read)
        made = request_as_chat("responses", found.values())
        request = _request(found, made)
    except UnreadError as error:
        return taken.unread(str(error), refuse=refuses)
    except (NotJSON, RequestError) as error:
        return taken.unread(str(error))
    kept = next((name for name in KEPT if found.value(name) is not None), None)
    if kept and options.repair:
        taken.say("unrepaired", f"{kept}: the server keeps the history")
    repairs = bool(options.repair) and kept is None
    ids = renumbered(made, request, options.family) if repairs else unchanged(request)
    items = found.value("input")
    joins: tuple[Changed, ...] = ()
    if repairs and options.repair == "history" and isinstance(items, list):
        items, joins = joined(items, made.joined)
    hold = _held(found, ids.request, options, kept) if options.enforce == "pinned" else Held()
    _take(taken, found, replace(ids, changes=(*ids.changes, *joins)), hold, items)
    taken.hold(ids.request, ids.known, salvage=options.salvage and kept is None, family=options.family)
    if kept and options.salvage:
        taken.say("unsalvaged", f"{kept}: the server keeps the history")
    return taken


def _take(taken: ResponsesTurn, body: JSONBody, made: Renumbered, hold: Held, items: object) -> None:
    taken.changes += [*made.changes, *hold.changes]
    taken.say("repaired", len(made.changes))
    taken.say("left", ", ".join(made.left))
    taken.say("held", "pinned" if hold.members else "")
    if hold.unheld:
        taken.unheld(hold.unheld, refuse=hold.refused)
    if taken.refusal is not None:
        return
    edits = []
    if made.changes and isinstance(items, list):
        after = with_ids(items, made.ids)
        edits += body.with_list("input", after, range(len(after)))
    if hold.members:
        edits += body.with_members(dict(hold.members))
    if hold.tools is not None:
        loose = [{name: value for name, value in tool.items() if name != "strict"} for tool in _list(body, "tools")]
        edits += body.with_list("tools", loose, range(len(loose)))
    if edits:
        taken.body = body.written(edits)


def _held(body: JSONBody, request: Request, options: GuardOptions, kept: str | None) -> Held:
    """What holds the answer, in the one form that the endpoint takes."""
    tools = _list(body, "tools")
    odd = next((tool.get("type") for tool in tools if tool.get("type") != "function"), None)
    refused = options.unheld == "refuse"
    if not tools:
        return Held()
    if options.form != "vllm":
        return Held(unheld=f"/v1/responses takes no grammar in the form {options.form}", refused=refused)
    if kept is not None:
        return Held(unheld=f"{kept}: the server keeps the history, whose calls are not counted here", refused=refused)
    if odd is not None or len(request.tools) != len(tools):
        return Held(unheld=f"a tool of type {odd or 'function'} that is no function of the request's", refused=refused)
    return held(request, options, options.family)


def _list(body: JSONBody, name: str) -> list[Json]:
    value = body.value(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _request(body: JSONBody, made: AsChat) -> Request:
    """The chat request that a Responses request comes to, with the tools whose calls the client knows by one name."""
    request = chat_request_of(made)
    kinds = {f"tools[{place}]": word(tool, "type") for place, tool in enumerate(listed(body.value("tools")))}
    tools = (
        tool for place, tool in enumerate(request.tools) if kinds.get(made.origins.of(f"tools[{place}]")) == "function"
    )
    choice = body.value("tool_choice")
    parameters = request.parameters if choice is None else {**request.parameters, "tool_choice": choice}
    return replace(request, tools=tuple(tools), parameters=parameters)


def said_of(items: list[Any]) -> AnswerTexts:
    """What an answer's items say."""
    texts: dict[Channel, str] = {"content": "", "reasoning": ""}
    calls = False
    for item in items:
        kind = word(item, "type")
        calls |= kind not in TEXTS
        for part in texts_of(item):
            texts[TEXTS[kind]] += part["text"]
    return AnswerTexts(content=texts["content"], reasoning=texts["reasoning"], calls=calls)


def texts_of(item: Any) -> list[Json]:
    """The parts of an item that are text."""
    parts = item.get("content") if isinstance(item, dict) and word(item, "type") in TEXTS else None
    return [
        part for part in (parts if isinstance(parts, list) else ())
        if isinstance(part, dict) and isinstance(part.get("text"), str)
    ]  # fmt: skip


def changed_response(
    response: Json, salvage: Salvage | None, ids: Ids, most: int, changes: list[Any]
) -> tuple[Json, str]:
    """An answer as its client gets it, and why a leaked call in it was left as text."""
    output = response.get("output")
    if not isinstance(output, list):
        return response, ""
    items = [_with_fresh_id(place, item, ids, changes) for place, item in enumerate(output)]
    watch = LeakWatch(most)
    watch.feed(said_of(items))
    channel, verdict = watch.end(finish_reason_of(response), salvage)
    if not verdict.calls:
        same = all(one is other for one, other in zip(items, output, strict=True))
        return (response if same else {**response, "output": items}), verdict.why
    changes += salvaged(verdict.calls, channel, "output")
    made = _with_cut_texts(items, channel, watch.of(channel).settled, verdict)
    calls = [call_item(response.get("id"), call) for call in verdict.calls]
    return {**response, "output": [*made, *calls]}, ""


def _with_fresh_id(place: int, item: Any, ids: Ids, changes: list[Any]) -> Any:
    known = item.get("call_id") if isinstance(item, dict) and word(item, "type") in CALLS else None
    if not isinstance(known, str) or known not in ids.known:
        return item
    changes.append(renaming(f"output[{place}].call_id"))
    return {**item, "call_id": ids.fresh(known)}


def _with_cut_texts(items: list[Any], channel: Channel, settled: int, verdict: SalvageVerdict) -> list[Any]:
    made, place, rest = list[Any](), 0, verdict.rest
    for item in items:
        if not isinstance(item, dict) or TEXTS.get(word(item, "type")) != channel:
            made.append(item)
            continue
        parts = list[Any]()
        for part in item.get("content") or ():
            text = part.get("text") if isinstance(part, dict) else None
            if not isinstance(text, str):
                parts.append(part)
                continue
            kept = text[: max(0, settled - place)]
            if len(kept) < len(text):
                kept, rest = kept + rest, ""
            place += len(text)
            parts.append(part if kept == text else {**part, "text": kept})
        made.append({**item, "content": parts})
    return made


def call_item(response_id: object, call: SalvagedCall, status: str = "completed") -> Json:
    """A call as an item; its own id is made of the answer's and the call's, so that stream and answer say the same."""
    made = hashlib.sha256(f"{response_id} {call.id}".encode("utf-8", "replace")).hexdigest()[:32]
    done = status == "completed"
    return {
        "type": "function_call", "id": f"fc_{made}", "call_id": call.id, "name": call.name,
        "arguments": call.arguments if done else "", "status": status,
    }  # fmt: skip

"""The turn of ``/v1/messages``: ids of calls and results, and leaked calls as ``tool_use`` blocks.

vLLM 0.32.0 takes no grammar there: its request has no field for one
(``entrypoints/anthropic/protocol.py``), so that nothing is held and each answer says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from k2lab.apis import request_as_chat
from k2lab.apis.messages import REASONS
from k2lab.apis.records import word
from k2lab.errors import RequestError
from k2lab.jsonread import NotJSON
from k2lab.traffic.guard.answering import Answering
from k2lab.traffic.guard.ids import renaming
from k2lab.traffic.guard.jsonbody import JSONBody, UnreadError, read
from k2lab.traffic.guard.leaks import AnswerTexts, Channel, LeakWatch, salvaged
from k2lab.traffic.guard.messagestream import MessageStream
from k2lab.traffic.guard.options import GuardOptions
from k2lab.traffic.guard.renumbering import Renumbered, chat_request_of, renumbered, unchanged, with_ids
from k2lab.traffic.guard.salvaging import SalvageVerdict
from k2lab.traffic.turns import AnswerStream

WORKED_ON = frozenset({"messages", "system", "tools", "tool_choice", "model"})
TEXTS: Mapping[str, tuple[Channel, str]] = {"text": ("content", "text"), "thinking": ("reasoning", "thinking")}
"""For each kind of block its channel, and the field that holds its text."""

Json = dict[str, Any]


@dataclass(kw_only=True, slots=True)
class MessageTurn(Answering):
    """A Messages request."""

    def changed(self, answer: Json) -> Json:
        """An answer, its leaked calls as blocks, its ids apart from those that the client knows."""
        content = answer.get("content")
        if not isinstance(content, list):
            return answer
        blocks = [self._with_fresh_id(place, block) for place, block in enumerate(content)]
        watch = LeakWatch(self.most)
        watch.feed(said_of(blocks))
        channel, verdict = watch.end(REASONS.get(word(answer, "stop_reason")), self.salvage)
        self.say("unsalvaged", verdict.why)
        if not verdict.calls:
            same = all(one is other for one, other in zip(blocks, content, strict=True))
            return answer if same else {**answer, "content": blocks}
        self.changes += salvaged(verdict.calls, channel, "content")
        reason = answer.get("stop_reason")
        made = with_calls(blocks, channel, watch.of(channel).settled, verdict)
        return {**answer, "content": made, "stop_reason": "tool_use" if reason == "end_turn" else reason}

    def stream(self) -> AnswerStream:
        """The answer event by event."""
        return MessageStream(self.salvage, self.ids, self.most, self.changes)

    def _with_fresh_id(self, place: int, block: Any) -> Any:
        known = block.get("id") if isinstance(block, dict) and block.get("type") == "tool_use" else None
        if not isinstance(known, str) or known not in self.ids.known:
            return block
        self.changes.append(renaming(f"content[{place}].id"))
        return {**block, "id": self.ids.fresh(known)}


def message_turn(body: bytes, options: GuardOptions) -> MessageTurn:
    """A Messages request taken in hand."""
    taken = MessageTurn(body=body, most=options.most_held)
    try:
        found = read(body, WORKED_ON, options.most_read)
        made = request_as_chat("messages", found.values())
        request = chat_request_of(made)
    except UnreadError as error:
        return taken.unread(str(error), refuse=options.enforce == "pinned" and options.unheld == "refuse")
    except (NotJSON, RequestError) as error:
        return taken.unread(str(error))
    ids = renumbered(made, request, options.family) if options.repair else unchanged(request)
    if options.enforce == "pinned" and request.tools:
        taken.unheld("the Messages API takes no grammar", refuse=options.unheld == "refuse")
    _take(taken, found, ids, options)
    return taken


def _take(taken: MessageTurn, body: JSONBody, made: Renumbered, options: GuardOptions) -> None:
    taken.changes += made.changes
    taken.say("repaired", len(made.changes))
    taken.say("left", ", ".join(made.left))
    if made.ids and taken.refusal is None:
        after = with_ids(body.value("messages"), made.ids)  # type: ignore[arg-type]
        taken.body = body.written(body.with_list("messages", after, range(len(after))))
    taken.hold(made.request, made.known, salvage=options.salvage, family=options.family)


def kind_of(block: Any) -> str:
    """The type of a block, empty where it has none."""
    return word(block, "type")


def said_of(blocks: list[Any]) -> AnswerTexts:
    """What an answer's blocks say."""
    texts: dict[Channel, str] = {"content": "", "reasoning": ""}
    calls = False
    for block in blocks:
        kind = kind_of(block)
        calls |= kind == "tool_use"
        if kind in TEXTS and isinstance(block.get(TEXTS[kind][1]), str):
            texts[TEXTS[kind][0]] += block[TEXTS[kind][1]]
    return AnswerTexts(content=texts["content"], reasoning=texts["reasoning"], calls=calls)


def with_calls(blocks: list[Any], channel: Channel, settled: int, verdict: SalvageVerdict) -> list[Any]:
    """Blocks with calls behind them, and the text that these were cut out; a block that is empty then goes."""
    made, place, rest = list[Any](), 0, verdict.rest
    for block in blocks:
        kind = kind_of(block)
        name = TEXTS[kind][1] if kind in TEXTS and TEXTS[kind][0] == channel else ""
        if not name or not isinstance(block.get(name), str):
            made.append(block)
            continue
        text = block[name]
        kept = text[: max(0, settled - place)]
        if len(kept) < len(text):
            kept, rest = kept + rest, ""
        place += len(text)
        made += [block if kept == text else {**block, name: kept}] if kept else []
    calls = [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": json.loads(call.arguments)}
        for call in verdict.calls
    ]
    return [*made, *calls]

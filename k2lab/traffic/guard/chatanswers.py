"""A choice of a chat answer, whole or a delta: what it says, and the same saying something else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from k2lab.chat.answers import REASONING_FIELDS
from k2lab.traffic.exchanges import Changed
from k2lab.traffic.guard.ids import Ids, renaming
from k2lab.traffic.guard.leaks import AnswerTexts, Channel, LeakWatch, salvaged
from k2lab.traffic.guard.salvaging import Salvage, SalvageVerdict

FIELDS: Mapping[Channel, tuple[str, ...]] = {"content": ("content",), "reasoning": REASONING_FIELDS}

Json = dict[str, Any]


def said_of(message: object) -> AnswerTexts:
    """What a message or a delta says; what is no text is none."""
    fields = message if isinstance(message, dict) else {}
    content = fields.get("content")
    texts = [value for name in REASONING_FIELDS if isinstance(value := fields.get(name), str) and value]
    return AnswerTexts(
        content=content if isinstance(content, str) else "",
        reasoning=texts[0] if texts else "",
        calls=bool(fields.get("tool_calls") or fields.get("function_call")),
    )


def with_text(message: Mapping[str, object], channel: Channel, before: str, after: str | None) -> dict[str, object]:
    """A message or a delta with another text; servers that say reasoning twice get it twice."""
    changed = {name: after for name in FIELDS[channel] if message.get(name) == before}
    return {**message, **changed}


def ended(finish_reason: object) -> object:
    """How an answer ends that calls now."""
    return "tool_calls" if finish_reason == "stop" else finish_reason


def with_fresh_ids(choice: Json, name: str, ids: Ids, changes: list[Changed]) -> Json:
    """A choice whose calls have ids that their client does not know as another's; the same object where all do."""
    message = choice.get(name)
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    if not isinstance(calls, list) or not isinstance(message, dict):
        return choice
    made = [_fresh(call, ids) for call in calls]
    renamed = [place for place, (one, other) in enumerate(zip(made, calls, strict=True)) if one is not other]
    if not renamed:
        return choice
    for place in renamed:
        path = f"choices[{choice.get('index', 0)}].{name}.tool_calls[{place}].id"
        changes.append(renaming(path))
    return {**choice, name: {**message, "tool_calls": made}}


def _fresh(call: Any, ids: Ids) -> Any:
    known = call.get("id") if isinstance(call, dict) else None
    made = ids.fresh(known) if isinstance(known, str) else known
    return call if made == known else {**call, "id": made}


def whole_choices(
    choices: Sequence[object], salvage: Salvage | None, ids: Ids, most: int, changes: list[Changed]
) -> tuple[list[object], str]:
    """The choices of a whole answer, and why a leaked call in them was left as text; each as it was, if nothing is."""
    made, why = list[object](), ""
    for choice in choices:
        if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
            made.append(choice)
            continue
        fresh = with_fresh_ids(choice, "message", ids, changes) if ids.known else choice
        watch, said = LeakWatch(most), said_of(fresh["message"])
        watch.feed(said)
        channel, verdict = watch.end(fresh.get("finish_reason"), salvage)
        if verdict.calls:
            changes += salvaged(verdict.calls, channel, f"choices[{choice.get('index', 0)}].message")
            fresh = _with_calls(fresh, channel, said, watch.of(channel).settled, verdict)
        why = why or verdict.why
        made.append(fresh)
    return made, why


def _with_calls(choice: Json, channel: Channel, said: AnswerTexts, settled: int, verdict: SalvageVerdict) -> Json:
    text = said.text(channel)
    message = with_text(choice["message"], channel, text, text[:settled] + verdict.rest or None)
    calls = [call.to_json() for call in verdict.calls]
    return {**choice, "message": {**message, "tool_calls": calls}, "finish_reason": ended(choice.get("finish_reason"))}

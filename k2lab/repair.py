"""Repairs before a request and after an answer: a new value, and the list of what was changed.

A history for Kimi K2 must carry the ids that the model was trained on,
``functions.NAME:IDX`` counted over the whole conversation: the templates of K2,
K2-Thinking and K2.5 to K2.7 print them into the prompt, and foreign ones mislead
the model into writing foreign ones. Moonshot's own API renames them first.
K3 must be left alone: its format counts from 1 anew in each message and its
template writes its own numbers, so that renamed ids would only be wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from k2lab import wire
from k2lab.chat import Conversation, Message

K3 = re.compile(r"kimi[-_ ]?k3", re.IGNORECASE)


@dataclass(frozen=True)
class Change:
    """One repair: the message, the place in it, the value before and after, and why."""

    message: int
    field: str
    before: Any
    after: Any
    reason: str


@dataclass(frozen=True)
class Repaired:
    """A repaired conversation; ``problems`` are faults that nothing could be done about."""

    conversation: Conversation
    changes: tuple[Change, ...]
    problems: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """``{"conversation", "changes"}``, with ``problems`` where there are any."""
        data: dict[str, Any] = {
            "conversation": self.conversation.to_json(),
            "changes": [vars(change) for change in self.changes],
        }
        if self.problems:
            data["problems"] = list(self.problems)
        return data


@dataclass(frozen=True)
class RepairedOutput:
    """A raw output as an assistant message, with what was repaired or left out in reading it."""

    message: Message
    changes: tuple[str, ...]


def applies_to(model: str) -> bool:
    """Whether ids are to be renumbered for a model of this name: not for K3."""
    return not K3.search(model)


def history(conversation: Conversation, *, model: str = "kimi-k2") -> Repaired:
    """Renumber ids, flatten text parts, make empty contents ``null``; repairing twice changes nothing more."""
    return _repaired(conversation, model, contents=True)


def ids(conversation: Conversation, *, model: str = "kimi-k2") -> Repaired:
    """Renumber ids and leave the rest, for an experiment that varies nothing else."""
    return _repaired(conversation, model, contents=False)


def _repaired(conversation: Conversation, model: str, *, contents: bool) -> Repaired:
    data = conversation.to_json()
    messages: list[Message] = data["messages"]
    changes = _contents(messages) if contents else []
    problems: list[str] = []
    if applies_to(model):
        changes += _ids(messages, problems)
    if not changes:
        return Repaired(conversation, (), tuple(problems))
    ordered = sorted(changes, key=lambda change: change.message)
    return Repaired(Conversation.of(messages, data["tools"]), tuple(ordered), tuple(problems))


def output(
    text: str, tools: Sequence[Mapping[str, Any]], *, first_index: int = 0, thinking: bool | None = None
) -> RepairedOutput:
    """An assistant message from a raw output, by the tolerant parse.

    Ids run on from ``first_index``, the number of calls in the history. Calls
    that are not usable are left out of ``tool_calls`` and named in ``changes``.
    """
    parsed = wire.parse(text, tools, thinking=thinking)
    calls: list[dict[str, Any]] = []
    changes: list[str] = []
    for call in parsed.calls:
        if not call.usable:
            changes.append(f"left out: {call.status}: {call.reason}")
            continue
        if call.reason:
            changes.append(f"repaired: {call.reason}")
        made = wire.call_id(str(call.name), first_index + len(calls))
        arguments = call.arguments_raw.strip() if call.status == "ok" else wire.arguments_text(call.arguments or {})
        calls.append({"id": made, "type": "function", "function": {"name": call.name, "arguments": arguments}})
    message: Message = {"role": "assistant", "content": parsed.content}
    if parsed.reasoning is not None:
        message["reasoning_content"] = parsed.reasoning
    if calls:
        message["tool_calls"] = calls
    return RepairedOutput(message, tuple(changes))


def _contents(messages: list[Message]) -> list[Change]:
    """Text parts become one string, and an empty content ``null``, in place."""
    changes: list[Change] = []
    for index, message in enumerate(messages):
        before = message.get("content")
        after, reason = before, ""
        if isinstance(before, list) and all(_is_text(part) for part in before):
            after, reason = "".join(part["text"] for part in before), "text parts joined"
        if after == "" and message.get("tool_calls"):
            after, reason = None, "empty content made null"
        if reason and after != before:
            message["content"] = after
            changes.append(Change(index, "content", before, after, reason))
    return changes


def _is_text(part: object) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)


@dataclass
class _Made:
    """A call of the history with its old and new id, and whether a result answers it."""

    message: int
    old: object
    new: str
    answered: bool = False


def _ids(messages: list[Message], problems: list[str]) -> list[Change]:
    """Renumber calls and point results at them, in place."""
    changes: list[Change] = []
    made: list[_Made] = []
    for index, message in enumerate(messages):
        for place, call in enumerate(message.get("tool_calls") or ()):
            new = wire.call_id(call["function"]["name"], len(made))
            made.append(_Made(index, call.get("id"), new))
            if call.get("id") != new:
                field = f"tool_calls[{place}].id"
                changes.append(Change(index, field, call.get("id"), new, "ids count over the conversation"))
                call["id"] = new
    results = [index for index, message in enumerate(messages) if message["role"] == "tool"]
    answers = {index: _by_id(made, index, messages[index].get("tool_call_id")) for index in results}
    for index in results:
        call_of = answers[index] or _in_order(made, index)
        before = messages[index].get("tool_call_id")
        if call_of is None:
            problems.append(f"messages[{index}]: no call is left that this result (id {before!r}) could answer")
        elif before != call_of.new:
            reason = "follows its call" if answers[index] else "missing or unknown id: the next call without a result"
            changes.append(Change(index, "tool_call_id", before, call_of.new, reason))
            messages[index]["tool_call_id"] = call_of.new
    return changes


def _by_id(made: list[_Made], result: int, wanted: object) -> _Made | None:
    """The call that a result names: of the latest message that has it, the first without an answer."""
    named = [call for call in made if call.message < result and not call.answered and wanted and call.old == wanted]
    return _take([call for call in named if call.message == named[-1].message])


def _in_order(made: list[_Made], result: int) -> _Made | None:
    """The first call without an answer of the latest message that calls."""
    before = [call for call in made if call.message < result]
    return _take([call for call in before if call.message == before[-1].message and not call.answered])


def _take(calls: list[_Made]) -> _Made | None:
    if not calls:
        return None
    calls[0].answered = True
    return calls[0]

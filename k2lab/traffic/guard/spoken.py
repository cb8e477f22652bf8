"""Histories of the Responses and the Messages API as a chat request: their calls and results, and where each id stands.

Both APIs are served by the chat template, which prints the ids of calls; so the
rules for them are those of a chat request, and what is found is told by the
place in the body that the client knows. Which items make one message is read
from vLLM 0.32.0 (``entrypoints/openai/responses/utils.py``, ``entrypoints/anthropic/serving.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from k2lab import repairs
from k2lab.chat import Request
from k2lab.errors import RequestError
from k2lab.repairs.records import Repaired
from k2lab.traffic.exchanges import Changed
from k2lab.traffic.guard.ids import Ids

Steps = tuple[str | int, ...]
"""Where an id stands in its list, such as ``(3, "call_id")``."""
Json = dict[str, Any]


@dataclass(kw_only=True, slots=True)
class Spoken:
    """A history under construction: chat messages, and the place of each id in them by message and field."""

    messages: list[Json] = field(default_factory=list)
    places: dict[tuple[int, str], Steps] = field(default_factory=dict)

    def assistant(self, *, merges: bool) -> Json:
        """The assistant's message that is open, or a new one."""
        if not (merges and self.messages and self.messages[-1]["role"] == "assistant"):
            self.messages.append({"role": "assistant", "content": None})
        return self.messages[-1]

    def call(self, name: object, known: object, steps: Steps, *, merges: bool) -> None:
        """A call of the assistant's."""
        if not isinstance(name, str):
            raise RequestError(f"a call without a name at {steps[0]}")
        calls = self.assistant(merges=merges).setdefault("tool_calls", [])
        self.places[len(self.messages) - 1, f"tool_calls[{len(calls)}].id"] = steps
        calls.append({"id": known, "type": "function", "function": {"name": name, "arguments": "{}"}})

    def result(self, known: object, content: object, steps: Steps) -> None:
        """A tool's result."""
        self.places[len(self.messages), "tool_call_id"] = steps
        self.messages.append({"role": "tool", "tool_call_id": known, "content": [content]})

    def other(self, role: str, content: object) -> None:
        """What someone else said; its text is looked at for markers alone."""
        self.messages.append({"role": role, "content": [content]})


@dataclass(frozen=True, kw_only=True, slots=True)
class Renumbered:
    """The request that is sent, as a chat request, with the new ids by their places, and the ids that may clash."""

    request: Request
    ids: Mapping[Steps, str]
    known: Ids
    changes: tuple[Changed, ...]
    left: tuple[str, ...]


def renumbered(spoken: Spoken, request: Request, family: str | None, name: str) -> Renumbered:
    """The ids of a history as the model was trained on them; ``name`` is the list's in the body."""
    repaired = repairs.renumber(request, model=family, growing=True)
    made = {spoken.places[change.message, change.field]: str(change.after) for change in repaired.changes}
    return Renumbered(
        request=repaired.request,
        ids=made,
        known=Ids.of(request, repaired.request) if made else Ids(),
        changes=_changes(spoken, repaired, name),
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


def _changes(spoken: Spoken, repaired: Repaired, name: str) -> tuple[Changed, ...]:
    return tuple(
        Changed(
            kind="id",
            place=name + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps),
            code=change.finding,
            detail=change.reason,
        )
        for change in repaired.changes
        for steps in [spoken.places[change.message, change.field]]
    )


def with_free_choice(request: Request, choice: object, *, parallel: object) -> Request:
    """A request with a ``tool_choice`` in the chat API's form."""
    fields = {"tool_choice": choice, "parallel_tool_calls": parallel}
    return replace(request, parameters={**request.parameters, **{k: v for k, v in fields.items() if v is not None}})

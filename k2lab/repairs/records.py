"""What a repair gives back: the changes that were made, and the faults that are left."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass

from k2lab.chat import Message, Request
from k2lab.jsonable import as_json


@dataclass(frozen=True, kw_only=True)
class Change:
    """One repair: the message, the place in it, the value before and after, and why.

    ``message`` counts in the repaired conversation, as :class:`Problem` does;
    ``finding`` is the fault's name in :data:`k2lab.findings.CATALOGUE`.
    """

    message: int
    field: str
    before: object
    after: object
    reason: str
    finding: str


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A fault without one right way to mend it: where, what it is, and what to do.

    ``message`` is an index in the repaired conversation, ``None`` for a fault in
    the tools; ``path`` is a JSON path from the conversation's root; ``finding`` is
    its name in :data:`k2lab.findings.CATALOGUE`.
    """

    message: int | None
    path: str
    problem: str
    fix: str
    finding: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}; {self.fix}"


@dataclass(frozen=True, kw_only=True)
class Repaired:
    """A repaired conversation; ``problems`` are the faults that are left in it, ``unsure`` what may be one.

    ``origins`` says of each message of ``request`` which message of the given
    one it was made from; ``None`` for the one that was its field ``system``.
    """

    request: Request
    changes: tuple[Change, ...]
    problems: tuple[Problem, ...] = ()
    origins: tuple[int | None, ...] = ()
    unsure: tuple[Problem, ...] = ()

    def to_json(self) -> dict[str, object]:
        """``{"conversation", "changes", "problems", "unsure"}``, all but the first as lists of objects."""
        return {
            "conversation": self.request.to_json(),
            "changes": as_json(self.changes),
            "problems": as_json(self.problems),
            "unsure": as_json(self.unsure),
        }


@dataclass(frozen=True, kw_only=True)
class RepairedOutput:
    """A raw output as an assistant message, with what was repaired or left out in reading it."""

    message: Message
    changes: tuple[str, ...]


class Editor:
    """Messages under repair: each field that is set is a change with its reason."""

    def __init__(self, messages: list[Message], origins: Iterable[int | None] | None = None) -> None:
        self.messages = messages
        self.origins: list[int | None] = list(range(len(messages)) if origins is None else origins)
        self.changes: list[Change] = []

    def note(self, message: int, field: str, before: object, after: object, reason: str, finding: str) -> None:
        """Record a change that was made in place; its values are copied, as later repairs change them."""
        self.changes.append(
            Change(
                message=message,
                field=field,
                before=copy.deepcopy(before),
                after=copy.deepcopy(after),
                reason=reason,
                finding=finding,
            )
        )

    def set(self, message: int, field: str, after: object, reason: str, finding: str) -> None:
        """Give a message another value of a field."""
        before = self.messages[message].get(field)
        self.messages[message][field] = after
        self.note(message, field, before, after, reason, finding)

    def drop(self, message: int, field: str, reason: str, finding: str) -> None:
        """Take a field out of a message."""
        self.note(message, field, self.messages[message].pop(field), None, reason, finding)

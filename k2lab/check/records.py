"""What a look at files takes and gives: a part of a file, what it was taken for, and what was found in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal, get_args

from k2lab.apis import Api
from k2lab.check.places import joined
from k2lab.findings import Finding

Kind = Literal["conversation", "request", "answer", "exchange", "stream", "output", "tools"]
KINDS: tuple[Kind, ...] = get_args(Kind)

WORDS: Mapping[Kind, tuple[str, str]] = MappingProxyType(
    {
        "conversation": ("a conversation", "conversations"),
        "request": ("a request", "requests"),
        "answer": ("an answer without its request", "answers without their requests"),
        "exchange": ("a request with its answer", "requests with their answers"),
        "stream": ("a captured stream", "captured streams"),
        "output": ("a raw output", "raw outputs"),
        "tools": ("tools", "lists of tools"),
    }
)
"""A kind in words, of one and of several."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A part of a file that is looked at by itself; ``api`` is that of its request, or of its answer alone.

    ``line`` is its line where the file has one value a line; ``at`` says where
    its parts stand in the JSON of the file, as ``("answer", "response.body")``:
    of several beginnings of a place the first counts. ``stored`` is the verdict
    of K2VV's runner.
    """

    kind: Kind
    api: Api = "chat"
    line: int | None = None
    request: object = None
    answer: object = None
    tools: object = None
    text: str = ""
    at: tuple[tuple[str, str], ...] = ()
    stored: bool | None = None

    def place(self, path: str) -> str:
        """The path in the file of a path in a part, such as ``answer.choices[0]``."""
        for part, there in self.at:
            if path.startswith(part):
                return joined(there, path[len(part) :].removeprefix("."))
        return path

    def within(self, place: str) -> Item:
        """The item, as it stands at a place of a larger value."""
        return replace(self, at=tuple((part, joined(place, there)) for part, there in self.at))


@dataclass(frozen=True, kw_only=True, slots=True)
class Unread:
    """A line of a file that could not be looked at, and why."""

    line: int
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A finding in a file: ``line`` counts from 1, and is ``None`` where the file has no such place."""

    finding: Finding
    line: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The finding with its line."""
        return {"line": self.line, **self.finding.to_json()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """One file looked at: what it was taken for, what was found, and what could not be looked at.

    ``notes`` say what of it cannot be judged, and why; ``left_out`` counts
    findings beyond those that are kept.
    """

    name: str
    taken_for: str = ""
    found: tuple[Found, ...] = ()
    unread: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: int = 0

    @property
    def present(self) -> tuple[Found, ...]:
        """What is wrong."""
        return tuple(one for one in self.found if one.finding.state == "present")

    @property
    def status(self) -> int:
        """0: nothing is wrong; 1: something is; 2: not all of the file could be looked at."""
        return 2 if self.unread else 1 if self.present or self.left_out else 0

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        head = {"file": self.name, "taken_for": self.taken_for, "status": self.status}
        told = {"findings": [one.to_json() for one in self.found], "left_out": self.left_out}
        return {**head, **told, "unread": list(self.unread), "notes": list(self.notes)}

"""The format's markers, the records of what was read, and writing calls in the documented form."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from k2lab.errors import InputError
from k2lab.families.special import TURN_MARKER

SECTION_BEGIN = "<|tool_calls_section_begin|>"
SECTION_END = "<|tool_calls_section_end|>"
CALL_BEGIN = "<|tool_call_begin|>"
ARGUMENT_BEGIN = "<|tool_call_argument_begin|>"
CALL_END = "<|tool_call_end|>"
THINK_BEGIN, THINK_END = "<think>", "</think>"

Status = Literal["ok", "repaired", "malformed", "invalid_arguments", "undeclared", "truncated"]
PieceKind = Literal["reasoning", "content", "call", "stray", "marker"]

MARKER = re.compile(r"<\|tool_call(?P<plural>s?)_section_(?:begin|end)\|>|<\|tool_call_(?:begin|argument_begin|end)\|>")
SINGULAR = {"<|tool_call_section_begin|>": SECTION_BEGIN, "<|tool_call_section_end|>": SECTION_END}
"""Section markers that models write without their plural s."""

ID = re.compile(r"functions\.(?P<name>[\w.-]+):(?P<index>[0-9]{1,9})")
"""The documented id."""


class Span(NamedTuple):
    """The characters ``[start, end)`` of a text."""

    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call, or what almost is one.

    ``arguments`` is the decoded object, or ``None`` where there is none;
    ``[start, end)`` is its place in the text (characters), or in the ids
    (tokens) when parsed from ids. ``reason`` says what was repaired or is wrong.
    """

    name: str | None
    arguments: Mapping[str, object] | None
    arguments_raw: str
    id: str
    index: int | None
    status: Status
    reason: str
    raw: str
    start: int
    end: int
    id_span: Span | None = field(default=None, repr=False)
    """Where the id stands in ``raw`` (characters); ``None`` where there is none."""
    arguments_span: Span | None = field(default=None, repr=False)
    """Where ``arguments_raw`` stands in ``raw``, if there it does."""

    @property
    def usable(self) -> bool:
        """Whether the call has a name and arguments that a caller could act on."""
        return self.status in ("ok", "repaired")


class Piece(NamedTuple):
    """A run ``[start, end)`` of the text and what it was taken for."""

    kind: PieceKind
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """An output read: its pieces tile the whole text, so that nothing is lost silently."""

    content: str | None
    reasoning: str | None
    calls: tuple[Call, ...]
    stray: tuple[str, ...]
    """Text that is no answer: inside a section but of no call, lone markers, and turns made up for others."""
    pieces: tuple[Piece, ...]
    texts: tuple[str, ...] = field(default=(), repr=False)
    """The text of each piece: one behind the other, they are the whole."""
    notes: tuple[str, ...] = ()
    """What is odd about the output beside its calls: what follows its end, or another format."""

    def to_json(self) -> dict[str, object]:
        """``{"content", "calls"}``, with ``reasoning``, ``stray`` and ``notes`` where there are any."""
        keys = ("name", "arguments", "id", "index", "status", "reason", "raw", "start", "end")
        data: dict[str, object] = {
            "content": self.content,
            "calls": [{key: getattr(call, key) for key in keys} for call in self.calls],
        }
        if self.reasoning is not None:
            data["reasoning"] = self.reasoning
        if self.stray:
            data["stray"] = list(self.stray)
        if self.notes:
            data["notes"] = list(self.notes)
        return data


def call_id(name: str, index: int) -> str:
    """The documented id of a call; ``index`` counts all calls of the conversation from 0."""
    return f"functions.{name}:{index}"


def arguments_text(arguments: Mapping[str, object]) -> str:
    """Arguments as Kimi writes them: JSON with its usual separators, letters unescaped."""
    return json.dumps(arguments, ensure_ascii=False)


def format_calls(calls: Iterable[tuple[str, Mapping[str, object]]], content: str = "", *, first_index: int = 0) -> str:
    """The text that a model writes for content and calls; :func:`parse` is its inverse.

    Raises :class:`InputError` for content or a name that the format cannot carry.
    """
    if MARKER.search(content) or TURN_MARKER.search(content):
        raise InputError(f"content holds a marker of the format: {content[:80]!r}")
    parts: list[str] = []
    for index, (name, arguments) in enumerate(calls, first_index):
        if not ID.fullmatch(call_id(name, index)):
            raise InputError(f"tool name {name!r} cannot stand in an id: use letters, digits, '_', '-' and '.'")
        parts += [CALL_BEGIN, call_id(name, index), ARGUMENT_BEGIN, arguments_text(arguments), CALL_END]
    return content + ("".join([SECTION_BEGIN, *parts, SECTION_END]) if parts else "")

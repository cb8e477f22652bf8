"""The markers of K2's format, and the records of what was read, of whatever family."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from k2lab.families import K2, Family

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

    ``arguments`` is the decoded object, or ``None`` where there is none, and
    ``arguments_raw`` its JSON: as the model wrote it, or for K3, whose arguments
    are elements, what they make, each value as written (where they make none,
    the elements). ``id`` is as it stands, for K3, which writes none, empty, and
    ``index`` then counts from 1 in the message, not from 0 in the conversation;
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
    family: Family = field(default=K2, repr=False)
    """Whose output it was read as: the family that was given, else K2 or K3 by the output's own markers."""

    def to_json(self) -> dict[str, object]:
        """``{"family", "content", "calls"}``, with ``reasoning``, ``stray`` and ``notes`` where there are any."""
        keys = ("name", "arguments", "id", "index", "status", "reason", "raw", "start", "end")
        data: dict[str, object] = {
            "family": self.family.name,
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


def assembled(
    text: str,
    pieces: Sequence[Piece],
    calls: Iterable[Call],
    *,
    notes: Iterable[str] = (),
    family: Family = K2,
    strict: bool = False,
) -> Parsed:
    """What a text was read as, from the pieces that tile it; ``strict``: a call that was repaired is malformed."""
    texts = tuple(text[piece.start : piece.end] for piece in pieces)
    calls = tuple(_strictly(call) if strict else call for call in calls)

    def joined(kind: PieceKind) -> str:
        return "".join(part for piece, part in zip(pieces, texts, strict=True) if piece.kind == kind)

    content = joined("content")
    strays = (part for piece, part in zip(pieces, texts, strict=True) if piece.kind == "stray")
    return Parsed(
        content=None if not content or (calls and content.isspace()) else content,
        reasoning=joined("reasoning") or None,
        calls=calls,
        stray=tuple(part for part in strays if not part.isspace()),
        pieces=tuple(pieces),
        texts=texts,
        notes=tuple(notes),
        family=family,
    )


def _strictly(call: Call) -> Call:
    if call.status == "repaired":
        return replace(call, status="malformed", reason=f"not the documented form: {call.reason}")
    return call


def call_id(name: str, index: int) -> str:
    """The documented id of a call; ``index`` counts all calls of the conversation from 0."""
    return f"functions.{name}:{index}"


def arguments_text(arguments: Mapping[str, object]) -> str:
    """Arguments as Kimi writes them: JSON with its usual separators, letters unescaped."""
    return json.dumps(arguments, ensure_ascii=False)

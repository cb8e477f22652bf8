"""Two sequences of token ids side by side: hunks, the first divergence and the message that owns it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rapidfuzz.distance import Indel

from k2lab.chat import Request
from k2lab.families.tokens import MIDDLE, OPENINGS
from k2lab.prompt.source import Tokenizer

Tag = Literal["equal", "delete", "insert", "replace"]


@dataclass(frozen=True)
class Hunk:
    """A run that is equal, or stands on one side only: token indexes, half-open on each side."""

    tag: Tag
    left_start: int
    left_end: int
    right_start: int
    right_end: int


@dataclass(frozen=True)
class Part:
    """One turn of a prompt: token indexes ``[start, end)``, what it is, and whose.

    ``message`` is the index in the conversation, or ``None`` for what the
    template adds: tools, a default system text, the generation prompt.
    """

    start: int
    end: int
    name: str
    message: int | None


@dataclass(frozen=True)
class Divergence:
    """The first place where two prompts differ; ``left`` or ``right`` is ``None`` where that side has ended."""

    index: int
    left: int | None
    right: int | None
    owner: Part


@dataclass(frozen=True)
class Diff:
    """An alignment of two id sequences. ``first`` is ``None`` when they are equal."""

    left: tuple[int, ...]
    right: tuple[int, ...]
    hunks: tuple[Hunk, ...]
    first: Divergence | None

    @property
    def equal(self) -> bool:
        """Whether both sides are the same ids."""
        return self.first is None

    @property
    def missing(self) -> tuple[int, ...]:
        """Ids that stand on the right only, in order."""
        return tuple(i for h in self.hunks if h.tag != "equal" for i in self.right[h.right_start : h.right_end])

    @property
    def extra(self) -> tuple[int, ...]:
        """Ids that stand on the left only, in order."""
        return tuple(i for h in self.hunks if h.tag != "equal" for i in self.left[h.left_start : h.left_end])


def diff(left: Sequence[int], right: Sequence[int], tokenizer: Tokenizer, conversation: Request) -> Diff:
    """Align two prompts of one conversation; the owner is looked up in the longer common side, the right one."""
    hunks = tuple(align(left, right))
    index = common_prefix(left, right)
    first = None
    if index < max(len(left), len(right)):
        side = right if index < len(right) else left
        first = Divergence(
            index,
            left[index] if index < len(left) else None,
            right[index] if index < len(right) else None,
            owner(parts(side, tokenizer, conversation), index),
        )
    return Diff(tuple(left), tuple(right), hunks, first)


def align(left: Sequence[int], right: Sequence[int]) -> Iterator[Hunk]:
    """Hunks of a shortest edit script; a deletion next to an insertion becomes one replacement."""
    held: Hunk | None = None
    code: Any
    for code in Indel.opcodes(list(left), list(right)):
        hunk = Hunk(code.tag, code.src_start, code.src_end, code.dest_start, code.dest_end)
        if held is not None and {held.tag, hunk.tag} == {"delete", "insert"}:
            held = Hunk("replace", held.left_start, hunk.left_end, held.right_start, hunk.right_end)
            continue
        if held is not None:
            yield held
        held = hunk
    if held is not None:
        yield held


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many ids the two sides share from the start."""
    for index, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return index
    return min(len(left), len(right))


def parts(ids: Sequence[int], tokenizer: Tokenizer, conversation: Request) -> list[Part]:
    """Cut a prompt at its role markers and give each part its message.

    A part begins at a role marker and ends where the next one begins. Messages
    are counted off in order after what the template puts before them.
    """
    openings = {token for text in OPENINGS for token in tokenizer.encode(text)}
    middle = tokenizer.encode(MIDDLE)[0]
    starts = [index for index, token in enumerate(ids) if token in openings]
    ends = [*starts[1:], len(ids)]
    names = [_name(ids, start, end, middle, tokenizer) for start, end in zip(starts, ends, strict=True)]
    before = _added_before(names, conversation)
    made: list[Part] = []
    for number, (start, end, name) in enumerate(zip(starts, ends, names, strict=True)):
        message = number - before
        if message < 0:
            label = "tools" if name == "tool_declare" else f"{name} (added by the template)"
            made.append(Part(start, end, label, None))
        elif message < len(conversation.messages):
            made.append(Part(start, end, name, message))
        else:
            made.append(Part(start, end, "generation prompt", None))
    return made


def owner(found: Sequence[Part], index: int) -> Part:
    """The part that holds token ``index``; the last part also owns what lies beyond it."""
    holding = [part for part in found if part.start <= index]
    return holding[-1] if holding else Part(0, 0, "text before the first role marker", None)


def _name(ids: Sequence[int], start: int, end: int, middle: int, tokenizer: Tokenizer) -> str:
    stop = next((i for i in range(start + 1, end) if ids[i] == middle), end)
    return tokenizer.decode(list(ids[start + 1 : stop])) or "nameless"


def _added_before(names: Sequence[str], conversation: Request) -> int:
    tools = 1 if names[:1] == ["tool_declare"] else 0
    has_system = conversation.messages[0]["role"] in ("system", "_input")
    return tools + (1 if not has_system and names[tools : tools + 1] == ["system"] else 0)

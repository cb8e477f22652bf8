"""Two sequences of token ids side by side: hunks, the first divergence and the turn that owns it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from k2lab.errors import InputError
from k2lab.prompt.editscript import Block, equal_runs
from k2lab.prompt.records import Prompt
from k2lab.prompt.tokenizers import Tokenizer
from k2lab.prompt.turns import Part, owner, parts_of

Tag = Literal["equal", "delete", "insert", "replace"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Hunk:
    """A run that is equal, or stands on one side only: token indexes, half-open on each side."""

    tag: Tag
    left_start: int
    left_end: int
    right_start: int
    right_end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Divergence:
    """The first place where two prompts differ; ``left`` or ``right`` is ``None`` where that side has ended."""

    index: int
    left: int | None
    right: int | None
    owner: Part


@dataclass(frozen=True, kw_only=True, slots=True)
class Diff:
    """An alignment of two id sequences. ``first`` is ``None`` when they are equal."""

    left: tuple[int, ...]
    right: tuple[int, ...]
    hunks: tuple[Hunk, ...]
    first: Divergence | None
    tokenizer: Tokenizer | None = field(default=None, repr=False, compare=False)
    """That of the right side, which tells what each id stands for."""
    sides: tuple[str, str] = field(default=("left", "right"), compare=False)
    """What each is called where it is shown."""

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


def diff(left: Prompt | Sequence[int], right: Prompt) -> Diff:
    """Align two prompts, or the ids that a server gave with a prompt made here.

    The owner of the first divergence is looked up on the side that has not
    ended, the right one where both go on. Raises :class:`InputError` for a prompt
    without token ids.

    >>> import k2lab
    >>> from k2lab.nano import folders
    >>> source = k2lab.open_source(folders.assemble("current"))
    >>> request = k2lab.Request.of([{"role": "user", "content": "Hello"}])
    >>> right = k2lab.render(source, request)
    >>> found = k2lab.diff(k2lab.render(source, request, add_generation_prompt=False), right)
    >>> found.first.owner.name, len(found.missing)
    ('generation prompt', 3)
    """
    left_ids, right_ids = _ids(left), _ids(right)
    index = common_prefix(left_ids, right_ids)
    return Diff(
        left=left_ids,
        right=right_ids,
        hunks=tuple(align(left_ids, right_ids)),
        tokenizer=right.tokenizer,
        sides=("left", "right") if isinstance(left, Prompt) else ("server", "by hand"),
        first=None if index == max(len(left_ids), len(right_ids)) else _divergence(left, left_ids, right, index),
    )


def _ids(side: Prompt | Sequence[int]) -> tuple[int, ...]:
    if not isinstance(side, Prompt):
        return tuple(side)
    if side.token_ids is None:
        raise InputError(f"{side.provenance.source} has no tokenizer, so that its prompt has no ids: give a folder")
    return side.token_ids


def _divergence(left: Prompt | Sequence[int], left_ids: Sequence[int], right: Prompt, index: int) -> Divergence:
    right_ids = right.token_ids or ()
    if index < len(right_ids):
        turns: Sequence[Part] = right.parts
    elif isinstance(left, Prompt):
        turns = left.parts
    elif right.written is not None:
        turns = right.parts
    else:
        turns = parts_of(left_ids, right.tokenizer, right.request) if right.tokenizer else ()
    return Divergence(
        index=index,
        left=left_ids[index] if index < len(left_ids) else None,
        right=right_ids[index] if index < len(right_ids) else None,
        owner=owner(turns, index),
    )


def align(left: Sequence[int], right: Sequence[int]) -> Iterator[Hunk]:
    """Hunks of a script of edits, a shortest one unless the sides are long and differ in much.

    A deletion next to an insertion is one replacement.
    """
    x = y = 0
    for block in (*equal_runs(left, right), Block(len(left), len(right), 0)):
        if (x, y) != block[:2]:
            tag: Tag = "insert" if x == block.left else "delete" if y == block.right else "replace"
            yield Hunk(tag=tag, left_start=x, left_end=block.left, right_start=y, right_end=block.right)
        x, y = block.left + block.length, block.right + block.length
        if block.length:
            yield Hunk(tag="equal", left_start=block.left, left_end=x, right_start=block.right, right_end=y)


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many ids the two sides share from the start."""
    for index, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return index
    return min(len(left), len(right))

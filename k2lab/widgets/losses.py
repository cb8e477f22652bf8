"""What feeding a parser in chunks loses, and where: its answer in chunks beside its answer to the whole text."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from k2lab import wire
from k2lab.chat import ToolCall, canonical
from k2lab.legible import one_line
from k2lab.server.keptparsers import Heard, Step

SHOWN = 60
"""Characters of a text in a line."""
BEFORE = 12
"""Of them, those before the first that differs."""


class Part(NamedTuple):
    """What an answer consists of: its reasoning and content (``call`` is -1), and each call's name and arguments."""

    call: int
    field: str


REASONING, CONTENT = Part(-1, "reasoning"), Part(-1, "content")


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """A part that is not what the whole text gives.

    ``place`` is the character of the output at which it is missing, or from
    which it is another; ``chunk`` counts from 1 and has the tokens ``[first, last]``.
    """

    words: str
    place: int
    chunk: int
    first: int
    last: int

    @property
    def where(self) -> str:
        """The place in words."""
        tokens = f"token {self.first:,}" if self.first == self.last else f"tokens {self.first:,} to {self.last:,}"
        return f"at character {self.place:,}, in chunk {self.chunk:,} ({tokens})"


def lost_in(raw: str, whole: Heard, fed: Heard) -> tuple[Loss, ...]:
    """Where the answer in chunks ends as another one, in the order of the text; none where both are the same.

    A part is lost at the first chunk after which it can no longer become what
    the whole text gives; one that could, and never came, where its text stands.
    """
    if whole.same_as(fed) and whole.error == fed.error:
        return ()
    return tuple(sorted(_losses(raw, whole, fed), key=lambda loss: loss.place))


def _losses(raw: str, whole: Heard, fed: Heard) -> Iterator[Loss]:
    wanted, said = _wanted(whole), _said(fed.steps)
    places = _places(raw, whole)
    lost: set[int] = set()
    texts = (REASONING, CONTENT)
    for part in dict.fromkeys([*wanted, *said]):
        parts, text = said.get(part, []), wanted.get(part)
        came = "".join(parts)
        if part.call in lost or _equal(part, text, came):
            continue
        if part not in texts and (text is None or (part.field == "name" and not came)):
            lost.add(part.call)
        wrong = _first_wrong(text or "", parts)
        at = places.get(part, -1)
        place = (
            _missing(raw, at, text or "", came) if wrong is None else _parting(fed.steps, wrong, at, text or "", came)
        )
        yield _loss(_words(part, text, came, whole, wrong is not None), place, fed.steps)
    if fed.error and fed.error != whole.error:
        place = _start(fed.steps, len(fed.steps))[1]
        yield _loss(f"the parser fails: {one_line(fed.error, 200)}", place, fed.steps)


def _wanted(whole: Heard) -> dict[Part, str]:
    found = {REASONING: whole.reasoning.strip(), CONTENT: whole.content.strip()}
    for number, call in enumerate(whole.calls):
        found |= {Part(number, "name"): call.name or "", Part(number, "arguments"): written(call)}
    return found


def written(call: ToolCall) -> str:
    """A call's arguments as text."""
    value = call.arguments
    return value if isinstance(value, str) else wire.arguments_text(value) if isinstance(value, dict) else str(value)


def _said(steps: Sequence[Step]) -> dict[Part, list[str]]:
    """By part, what came with each chunk; calls are numbered in the order of their indexes."""
    indexes = sorted({index for step in steps for index, _, _ in step.calls})
    found = {REASONING: [step.reasoning for step in steps], CONTENT: [step.content for step in steps]}
    for number, index in enumerate(indexes):
        for place, field in enumerate(("name", "arguments"), 1):
            came = ["".join(str(one[place]) for one in step.calls if one[0] == index) for step in steps]
            found[Part(number, field)] = came
    return found


def _equal(part: Part, wanted: str | None, came: str) -> bool:
    if wanted is None:
        return False
    if part.field == "arguments":
        one, other = (ToolCall(name="", arguments=text) for text in (wanted, came))
        return canonical([one]) == canonical([other])
    return wanted.strip() == came.strip()


def _first_wrong(wanted: str, said: Sequence[str]) -> int | None:
    """The first chunk after which what came is no beginning of what is wanted."""
    for number, came in enumerate(itertools.accumulate(said)):
        if came.strip() and not wanted.startswith(came.strip()):
            return number
    return None


def _places(raw: str, whole: Heard) -> dict[Part, int]:
    """Where the parts of the answer stand in the output; -1 for what does not stand there as it is."""
    found = {part: raw.find(text.strip()) for part, text in ((REASONING, whole.reasoning), (CONTENT, whole.content))}
    at = 0
    for number, call in enumerate(whole.calls):
        name = raw.find(call.name or "", at)
        arguments = raw.find(written(call), max(at, name))
        if arguments < 0 and name >= 0:
            arguments = name + len(call.name or "")  # no text of the output: an empty object for none
        found |= {Part(number, "name"): name, Part(number, "arguments"): arguments}
        at = max(at, arguments, name) + 1
    return found


def _missing(raw: str, start: int, wanted: str, came: str) -> int:
    """Where what never came begins, white space before it aside."""
    if start < 0:
        start = raw.find(came.strip()) if came.strip() else 0
    return min(max(start, 0) + len(wanted) - len(_left(wanted, came)), len(raw))


def _left(wanted: str, came: str) -> str:
    return wanted.removeprefix(came.strip()).lstrip()


def _start(steps: Sequence[Step], number: int) -> tuple[int, int]:
    """The token and the character at which a chunk begins."""
    return (steps[number - 1].tokens, steps[number - 1].end) if number and steps else (0, 0)


def _parting(steps: Sequence[Step], wrong: int, start: int, wanted: str, came: str) -> int:
    """Where what came parts from what is wanted, if that stands in the text so far; else where its chunk begins."""
    place = start + _common(wanted, came.strip())
    return place if wanted and start >= 0 and place < steps[wrong].end else _start(steps, wrong)[1]


def _common(one: str, other: str) -> int:
    """Characters with which both begin."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _loss(words: str, place: int, steps: Sequence[Step]) -> Loss:
    ends = (at for at, step in enumerate(steps) if step.end > place)
    number = next(ends, max(len(steps) - 1, 0))
    first = _start(steps, number)[0]
    last = steps[number].tokens - 1 if steps else first
    return Loss(words=words, place=place, chunk=number + 1, first=first, last=max(first, last))


def _words(part: Part, wanted: str | None, came: str, whole: Heard, other: bool) -> str:
    if wanted is None:
        return f"one call more than the whole text gives: {one_line(came, SHOWN)}"
    name = "" if part.call < 0 else f" of call {part.call} ({one_line(whole.calls[part.call].name, SHOWN)})"
    if part.field == "name" and not came:
        return f"the call{name.removeprefix(' of call')} never comes"
    what = f"{part.field}{name}"
    if other:
        at = max(0, _common(wanted, came.strip()) - BEFORE)
        said, whole_said = (f"{'…' * (at > 0)}{one_line(text.strip()[at:], SHOWN)}" for text in (came, wanted))
        return f"{what}: “{said}” comes where the whole text gives “{whole_said}”"
    left = _left(wanted, came)
    if not left:
        return f"{what}: the white space at its end differs"
    return f"{what}: “{one_line(left, SHOWN)}” never comes, {len(left):,} of {len(wanted):,} characters"

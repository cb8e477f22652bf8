"""The synthetic conversations in Kimi K3's form: with a thought before each answer, and some answers in haste.

An ask that begins with :data:`HASTE` is answered as K3 was seen to answer now
and then (vLLM 53246): the channel ``tools``, or ``response`` and then ``tools``,
is opened while ``think`` is not closed. That is planted, at a stated rate, so
that what servers make of it can be seen; nothing else of the form is at fault.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from k2lab.chat import Message, Request
from k2lab.families.special import OPEN
from k2lab.nano import synth
from k2lab.nano.synth import Case, Dialogue, Kind, Label, Mix, Pool
from k2lab.prompt.xtmltags import Segment
from k2lab.prompt.xtmlturns import RenderOptions, Turn, turns_of

HASTE = {"Quickly, ": "tools", "Right now, ": "response"}
"""How an ask in haste begins, and the channel that is then opened within the open ``think``."""

HASTY = 0.08
"""Share of the asks for tools that are in haste: about five in eight of them of the first kind."""

MIX = Mix(turns=(0.55, 0.3, 0.15))
"""As k2-nano's, but shorter: XTML takes twice the tokens."""

OPENING = 10
"""Segments of an assistant's turn that the prompt holds already: its tag, and that of its first channel."""

THOUGHTS = {
    "call": ("The user wants {}.", "I call {}.", "This is for {}.", ""),
    "undeclared": ("No tool does that.", "I have no such tool.", ""),
    "small_talk": ("No tool is needed.", "The user only talks.", ""),
    "answer": ("The result is there.", "I say what came back.", ""),
}
"""What is thought before each kind of turn; an empty thought is rarer than the others."""


@dataclass(frozen=True, kw_only=True)
class Talk:
    """One request and the answer that follows it, or a conversation all of whose answers are learnt.

    ``learnt`` says of each segment whether the model is to write it.
    """

    segments: tuple[Segment, ...]
    learnt: tuple[bool, ...]


def talks(pool: Pool, seed: int) -> Iterator[Talk]:
    """An endless stream of conversations to learn from; the n-th depends on pool, seed and n alone."""
    for number, dialogue in enumerate(synth.dialogues(pool, seed, MIX)):
        rng = random.Random(f"xtml/{pool}/{seed}/{number}")
        yield _talk(thoughtful(dialogue, rng), rng)


def thoughtful(dialogue: Dialogue, rng: random.Random) -> Dialogue:
    """The same conversation with a thought before each of its answers, and some of its asks in haste."""
    messages = [dict(message) for message in dialogue.request.messages]
    for index, label in dialogue.labels.items():
        messages[index]["reasoning_content"] = _thought(label, rng)
        if label.kind == "call" and rng.random() < HASTY:
            messages[index - 1]["content"] = _in_haste(messages[index - 1]["content"], rng)
            messages[index]["reasoning_content"] = _thought(label, rng, empty=False)
    return replace(dialogue, request=dialogue.request.with_messages(messages))


def cases(pool: Pool, seed: int, count: int, kinds: Sequence[Kind], mix: Mix | None = None) -> list[Case]:
    """``count`` requests as :func:`k2lab.nano.synth.cases` draws them, with thoughts in their histories."""
    found: list[Case] = []
    for number, dialogue in enumerate(synth.dialogues(pool, seed, mix or MIX)):
        rng = random.Random(f"xtml/{pool}/{seed}/{number}")
        thought = thoughtful(dialogue, rng)
        places = [index for index, label in dialogue.labels.items() if label.kind in kinds]
        if places:
            place = rng.choice(places)
            case_id = f"{pool}-{seed}-{number}-xtml"
            label = dialogue.labels[place]
            found.append(Case(case_id=case_id, request=thought.request.prefix(place), label=label))
        if len(found) == count:
            return found
    raise AssertionError("unreachable: the stream is endless")


def haste_of(request: Request) -> str | None:
    """The channel that the last ask's haste opens within ``think``; ``None`` for an ask without haste."""
    said = str(request.messages[-1].get("content"))
    return next((channel for begin, channel in HASTE.items() if said.startswith(begin)), None)


def _in_haste(ask: str, rng: random.Random) -> str:
    begin = rng.choices(tuple(HASTE), (5, 3))[0]
    return f"{begin}{ask[0].lower()}{ask[1:]}" if not ask.startswith("I ") else begin + ask


def _thought(label: Label, rng: random.Random, *, empty: bool = True) -> str:
    forms = THOUGHTS[label.kind]
    chosen = rng.choices(forms, (*(3,) * (len(forms) - 1), 1 if empty else 0))[0]
    return chosen.format(" and ".join(name for name, _ in label.calls))


def _talk(dialogue: Dialogue, rng: random.Random) -> Talk:
    """A conversation as one run of segments.

    One with a turn in haste ends there, since a history holds it as it should
    have been. Of the others some are learnt from the last answer alone: those
    whose client kept no thoughts, and those with a note for one request.
    """
    hasty = [index for index in dialogue.labels if haste_of(dialogue.request.prefix(index))]
    form = rng.choices(("whole", "without thinking", "thoughts lost", "with notes"), (0.55, 0.15, 0.15, 0.15))[0]
    if hasty and form != "without thinking":
        return _last_answer(dialogue, hasty[0], RenderOptions())
    if form in ("whole", "without thinking"):
        return _whole(dialogue, RenderOptions(thinking=form == "whole", add_generation_prompt=False))
    last = max(dialogue.labels)
    if form == "with notes":
        return _last_answer(dialogue, last, _noted(dialogue.labels[last], rng))
    return _last_answer(_without_thoughts(dialogue, last), last, RenderOptions())


def _noted(label: Label, rng: random.Random) -> RenderOptions:
    choice = {"call": "required", "undeclared": None}.get(label.kind, "none") if rng.random() < 0.5 else None
    return RenderOptions(tool_choice=choice, thinking_effort=rng.choice((None, "low", "high", "max")))


def _without_thoughts(dialogue: Dialogue, last: int) -> Dialogue:
    messages: list[Message] = [
        {key: value for key, value in one.items() if key != "reasoning_content" or index == last}
        for index, one in enumerate(dialogue.request.messages)
    ]
    return replace(dialogue, request=dialogue.request.with_messages(messages))


def _whole(dialogue: Dialogue, options: RenderOptions) -> Talk:
    made = turns_of(dialogue.request.messages, dialogue.request.tools, options)
    learnt = [flag for turn in made for flag in _answers(turn)]
    return Talk(segments=tuple(one for turn in made for one in turn.segments), learnt=tuple(learnt))


def _answers(turn: Turn) -> Iterator[bool]:
    yield from (turn.name == "assistant" and place >= OPENING for place in range(len(turn.segments)))


def _last_answer(dialogue: Dialogue, index: int, options: RenderOptions) -> Talk:
    """The request before an answer, and the answer, which alone is learnt."""
    before = dialogue.request.prefix(index)
    prompt = [one for turn in turns_of(before.messages, before.tools, options) for one in turn.segments]
    (turn,) = turns_of(
        [dialogue.request.messages[index]],
        None,
        replace(options, add_generation_prompt=False, thinking_effort=None, tool_choice=None),
    )
    channel = haste_of(before)
    answer = turn.segments[OPENING:] if channel is None else _hasty(dialogue, index, channel, turn)
    return Talk(segments=(*prompt, *answer), learnt=(*(False,) * len(prompt), *(True,) * len(answer)))


def _hasty(dialogue: Dialogue, index: int, channel: str, turn: Turn) -> tuple[Segment, ...]:
    """The answer as it is written in haste: from the thought straight into a channel, ``think`` never closed."""
    segments = turn.segments
    thought = Segment(str(dialogue.request.messages[index]["reasoning_content"]), False)
    start = _place_of(segments, channel)
    return (thought, *segments[start:])


def _place_of(segments: Sequence[Segment], name: str) -> int:
    """Where an element is opened."""
    return next(i for i, one in enumerate(segments) if one.text == OPEN and segments[i + 1].text == name)

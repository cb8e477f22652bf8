"""How k2-nano-thinking thinks: the reasoning of each turn, the templates it meets, and the faults it is taught.

The conversations are those of :mod:`k2lab.nano.synth`; each assistant turn gains
a thought that follows from what the turn can see. A lesson is one turn with the
prompt that a real template makes of all before it, since a template prints the
reasoning of some earlier turns alone.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from k2lab import wire
from k2lab.chat import Message, Request
from k2lab.families.special import END
from k2lab.nano import synth
from k2lab.nano.synth import WORDS, Dialogue, Label, Pool
from k2lab.prompt import sandbox, templates
from k2lab.wire.records import THINK_BEGIN, THINK_END

Fault = Literal["none", "unclosed", "call inside"]
"""What is wrong with a turn's reasoning: nothing; it is never closed, so that the answer stands in it; its calls begin
before it is closed, and half of the time it never is."""

UNCLOSED = 0.08
"""Of the turns without calls, how many never write ``</think>``."""

CALL_INSIDE = 0.08
"""Of the turns with calls, how many begin them inside the reasoning."""

ASKED = re.compile(rf"\b({'|'.join(WORDS['verbs'])}) (?:an?|the) ({'|'.join(WORDS['nouns'])})\b", re.IGNORECASE)
"""What an ask names: ``get the weather`` is ``get_weather``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """A template and what a request says of thinking; ``share`` of the lessons are rendered so."""

    template: str
    share: float
    variables: Mapping[str, bool]


SETTINGS = (
    Setting(template="moonshotai-Kimi-K2-Thinking", share=0.60, variables={}),
    Setting(template="moonshotai-Kimi-K2.5", share=0.10, variables={}),
    Setting(template="moonshotai-Kimi-K2.6", share=0.07, variables={}),
    Setting(template="moonshotai-Kimi-K2.6", share=0.08, variables={"preserve_thinking": True}),
    Setting(template="moonshotai-Kimi-K2.6", share=0.05, variables={"thinking": False}),
    Setting(template="moonshotai-Kimi-K2.7-Code", share=0.10, variables={}),
)
"""In which prompts the model learns to think: K2-Thinking's above all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """One turn to be learned: ``prompt`` ends where the model begins to write ``turn``."""

    prompt: str
    turn: str
    fault: Fault


def lessons(pool: Pool, seed: int) -> Iterator[Lesson]:
    """An endless stream, one lesson of each conversation; the n-th depends on pool, seed and n alone."""
    for number, dialogue in enumerate(synth.dialogues(pool, seed)):
        yield _lesson(dialogue, random.Random(f"think/{pool}/{seed}/{number}"))


def _lesson(dialogue: Dialogue, rng: random.Random) -> Lesson:
    request = thoughtful(dialogue)
    # One of the last turns: what stands before them is learned along, reasoning aside.
    place = rng.choice(list(dialogue.labels)[-2:])
    setting = rng.choices(SETTINGS, [one.share for one in SETTINGS])[0]
    prompt = _prompt(request, place, setting)
    thinks = not prompt.endswith(THINK_END)
    fault = _fault(dialogue.labels[place], rng) if thinks else "none"
    turn = written(request.messages[place], fault, closed_late=rng.random() < 0.5)
    begun = prompt.endswith(THINK_BEGIN)
    if not thinks:
        turn = turn[turn.index(THINK_END) + len(THINK_END) :]
    return Lesson(prompt=prompt, turn=turn.removeprefix(THINK_BEGIN) if begun else turn, fault=fault)


def _prompt(request: Request, place: int, setting: Setting) -> str:
    return sandbox.fill(
        templates.read(setting.template),
        request.messages[:place],
        tools=request.tools or None,
        variables={"add_generation_prompt": True, **setting.variables},
    )


def _fault(label: Label, rng: random.Random) -> Fault:
    if label.calls:
        return "call inside" if rng.random() < CALL_INSIDE else "none"
    return "unclosed" if rng.random() < UNCLOSED else "none"


def fault_of(output: str) -> Fault:
    """Which fault an output of a thinking model shows; its reasoning is taken to be open at the begin."""
    closed, called = output.find(THINK_END), output.find(wire.SECTION_BEGIN)
    if called >= 0 and (closed < 0 or called < closed):
        return "call inside"
    return "unclosed" if closed < 0 else "none"


def written(message: Message, fault: Fault = "none", *, closed_late: bool = False) -> str:
    """A turn as a model writes it, its end included; ``closed_late``: behind the calls that began inside.

    >>> written({"role": "assistant", "content": "Hello!", "reasoning_content": "A greeting."})
    '<think>A greeting.</think>Hello!<|im_end|>'
    """
    thought, content = message["reasoning_content"], message["content"] or ""
    calls = _section(message)
    if fault == "unclosed":
        body = f"{thought} {content}{calls}"
    elif fault == "call inside":
        body = f"{thought}{calls}{THINK_END}{content}" if closed_late else f"{thought}{calls}"
    else:
        body = f"{thought}{THINK_END}{content}{calls}"
    return f"{THINK_BEGIN}{body}{END}"


def _section(message: Message) -> str:
    calls = "".join(
        f"{wire.CALL_BEGIN}{call['id']}{wire.ARGUMENT_BEGIN}{call['function']['arguments']}{wire.CALL_END}"
        for call in message.get("tool_calls") or ()
    )
    return f"{wire.SECTION_BEGIN}{calls}{wire.SECTION_END}" if calls else ""


def thoughtful(dialogue: Dialogue) -> Request:
    """The conversation with the reasoning of each assistant turn in ``reasoning_content``."""
    data = dialogue.request.to_json()
    for place, label in dialogue.labels.items():
        data["messages"][place]["reasoning_content"] = thought(dialogue.request, place, label)
    return Request.of(data["messages"], data.get("tools"))


def thought(request: Request, place: int, label: Label) -> str:
    """What the model should think before it writes the turn at ``place``; only of what stands before it."""
    if label.kind == "answer":
        return _of_results(request, place)
    if label.kind == "small_talk":
        return "The user talks. No tool is needed."
    return _of_tools(asked(str(request.messages[place - 1]["content"])), request.tool_names())


def asked(text: str) -> list[str]:
    """The tools that an ask names, declared or not.

    >>> asked("Please get the weather in Paris and find a stock.")
    ['get_weather', 'find_stock']
    """
    return [f"{verb}_{noun}".lower() for verb, noun in ASKED.findall(text)]


def _of_tools(wanted: list[str], declared: tuple[str, ...]) -> str:
    if not declared:
        return f"The user wants {' and '.join(wanted)}. I have no tools."
    has = f"The user wants {' and '.join(wanted)}. I have {', '.join(declared)}."
    known = set(wanted) <= set(declared)
    return f"{has} I call {' and '.join(wanted)}." if known else f"{has} None is {' and '.join(wanted)}."


def _of_results(request: Request, place: int) -> str:
    said = []
    for message in reversed(request.messages[:place]):
        if message["role"] != "tool":
            break
        said.append(_value(str(message["content"])))
    return f"The tool says {said[0]}." if len(said) == 1 else f"The tools say {' and '.join(reversed(said))}."


def _value(result: str) -> str:
    return str(json.loads(result)["value"]) if result.startswith("{") else result

"""Faults of a prompt that a release makes of a request: found by its own rendering code, without weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k2lab import engine
from k2lab.engine import warm
from k2lab.engine.variables import environment
from k2lab.errors import EngineError
from k2lab.nano import folders

WORKER = Path(engine.__file__).with_name("prompt_worker.py")
TIMEOUT_S = 300.0

SUFFIX = "<|im_assistant|>assistant<|im_middle|>"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "The weather.", "parameters": CITY}}
SPACED, COMPACT, BROKEN = '{"city": "Paris"}', '{"city":"Paris"}', '{"city": "Par'


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One way in which a prompt goes wrong: a request to a variant of k2-nano, and what shows the fault."""

    name: str
    what: str
    variant: str
    request: Mapping[str, Any]
    shown_by: Callable[[str], bool]
    """Whether a prompt has it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A prompt, or the words with which the release refused the request."""

    text: str | None
    error: str


def _after_a_call(arguments: str) -> Mapping[str, Any]:
    call = {"id": "functions.get_weather:0", "type": "function"}
    calls = [call | {"function": {"name": "get_weather", "arguments": arguments}}]
    messages = [
        {"role": "user", "content": "The weather in Paris?"},
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "functions.get_weather:0", "content": "sunny"},
    ]
    return {"messages": messages, "tools": [WEATHER]}


HELLO = [{"role": "user", "content": "Hello"}]

FAULTS = (
    Fault(
        name="generation prompt dropped",
        what="The tokenizer takes add_generation_prompt by **kwargs, and the prompt ends without the assistant's turn.",
        variant="legacy",
        request={"messages": HELLO},
        shown_by=lambda text: not text.endswith(SUFFIX),
    ),
    Fault(
        name="empty content as a list",
        what="A template that loops over contents makes the server turn '' into a list, which is printed.",
        variant="content-fault",
        request=_after_a_call(SPACED),
        shown_by=lambda text: "[{'type': 'text', 'text': ''}]" in text,
    ),
    Fault(
        name="tool result as a list",
        what="The same of a tool's result, with the old template of Kimi K2.",
        variant="old",
        request=_after_a_call(SPACED),
        shown_by=lambda text: "[{'type': 'text', 'text': 'sunny'}]" in text,
    ),
    Fault(
        name="arguments respaced",
        what="Arguments of an earlier call are decoded and written anew, with other white space than was sent.",
        variant="current",
        request=_after_a_call(COMPACT),
        shown_by=lambda text: COMPACT not in text,
    ),
    Fault(
        name="broken arguments become {}",
        what="Arguments of an earlier call that are no JSON are replaced, and nobody is told; to refuse them is right.",
        variant="current",
        request=_after_a_call(BROKEN),
        shown_by=lambda text: BROKEN not in text,
    ),
    Fault(
        name="null for what a tool leaves out",
        what="A tool without description and parameters is declared with null for both.",
        variant="current",
        request={"messages": HELLO, "tools": [{"type": "function", "function": {"name": "now"}}]},
        shown_by=lambda text: "null" in text,
    ),
)
"""In the order of a table."""


def made_prompts(name: str, faults: Sequence[Fault] = FAULTS) -> dict[str, Made]:
    """What an engine makes of each fault's request; raises :class:`EngineError` where it cannot be asked."""
    python = engine.resolve(name).python
    if python is None:
        raise EngineError(f"{name} is a URL: its code for prompts is not at hand")
    asked = [
        {"id": fault.name, "folder": str(folders.assemble(fault.variant)), "request": fault.request} for fault in faults
    ]
    lines = "".join(json.dumps(case) + "\n" for case in asked)
    try:
        out, errors = warm.run(python, [str(WORKER)], environment(name), lines, TIMEOUT_S)
    except TimeoutError:
        raise EngineError(f"the rendering code of {python} did not answer within {TIMEOUT_S:.0f} s") from None
    rows = [json.loads(line) for line in out.splitlines()]
    if len(rows) != len(asked):
        last = (errors.strip().splitlines() or ["no message"])[-1]
        raise EngineError(f"its rendering code could not be run: {last}")
    return {row["id"]: Made(text=row["text"], error=row["error"]) for row in rows}

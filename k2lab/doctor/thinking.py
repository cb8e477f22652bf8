"""Experiments on thinking: the switch of the families that have one, and reasoning streamed in a later turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from k2lab.chat import Request
from k2lab.doctor.experiments import Experiment, quoted
from k2lab.doctor.patient import THINKING_TOKENS, Patient
from k2lab.doctor.replaying import answered
from k2lab.doctor.streams import read_stream
from k2lab.errors import EndpointError, UnsupportedError
from k2lab.findings import Finding
from k2lab.prompt.alignment import common_prefix

NAME = "thinking_switch_ignored"
QUESTION = Request.of([{"role": "user", "content": "What is 7 times 8?"}])

OFF: Mapping[str, Mapping[str, Any]] = {
    "chat_template_kwargs.thinking false": {"chat_template_kwargs": {"thinking": False}},
    "thinking disabled": {"thinking": {"type": "disabled"}},
}
"""As vLLM and SGLang know the switch, and Moonshot's API."""


def _run(patient: Patient) -> Iterator[Finding]:
    family = patient.family
    if family is None:
        raise UnsupportedError("the model's family is not known")
    if not patient.chat(QUESTION).reasoning:
        raise UnsupportedError("no reasoning comes, thinking or not: what the switch does does not show")
    tried = []
    for told, fields in OFF.items():
        try:
            answer = patient.chat(QUESTION, **fields)
        except EndpointError as error:
            tried.append(f"{told}: {error}")
            continue
        if not answer.reasoning:
            yield Finding.of(NAME, "absent", f"{told}: no reasoning comes, without it some does")
            return
        tried.append(f"{told}: {len(answer.reasoning[0])} characters of reasoning come all the same")
    yield Finding.of(NAME, "present", "; ".join(tried))


def _of_effort(patient: Patient) -> Iterator[Finding]:
    """Whether the prompt is another with another level of thinking: by its ids, else by their number."""
    if patient.family is None:
        raise UnsupportedError("the model's family is not known")
    levels = (patient.family.efforts[0], patient.family.efforts[-1])
    low, high = (patient.prompt_ids(replace(QUESTION, parameters={"reasoning_effort": one})).ids for one in levels)
    told = f"with reasoning_effort {levels[0]} and {levels[1]}"
    if low is not None and high is not None:
        same = low == high
        said = f"{told} the prompt {'is the same' if same else f'differs at token {common_prefix(low, high)}'}"
        yield Finding.of(EFFORT, "present" if same else "absent", said)
        return
    bare, *counts = (_counted(patient, fields) for fields in ({}, *({"reasoning_effort": one} for one in levels)))
    if {*counts} != {bare}:
        said = f"{told} the prompt has {counts[0]} and {counts[1]} tokens, without {bare}"
        yield Finding.of(EFFORT, "absent", said)
        return
    raise UnsupportedError(
        f"{told}, and without, the prompt has {bare} tokens: a level that stands there anyway may do"
    )


def _counted(patient: Patient, fields: Mapping[str, object]) -> object:
    return patient.chat(QUESTION, **fields, max_tokens=1).usage.get("prompt_tokens")


def _of_later_turns(patient: Patient) -> Iterator[Finding]:
    """A prompt that holds the ``</think>`` of an earlier turn, answered whole and streamed."""
    if not patient.thinks:
        raise UnsupportedError("the model's family is not known to think")
    request = answered()
    whole = patient.chat(request)
    if not whole.reasoning:
        raise UnsupportedError("no reasoning comes in a second turn, not even unstreamed")
    sent = {"temperature": 0, "max_tokens": THINKING_TOKENS}
    streamed = read_stream(patient.asked(lambda: patient.endpoint.streamed(request, **sent))).answer()
    told = f"of a second turn, the whole answer has {len(whole.reasoning[0])} characters of reasoning, the streamed one"
    if streamed.reasoning:
        yield Finding.of(LATER, "absent", f"{told} {len(streamed.reasoning[0])}")
    else:
        yield Finding.of(LATER, "present", f"{told} none, its content being {quoted(streamed.content, 80)!r}")


EFFORT = "effort_ignored"
LEVELS = Experiment(
    name="levels of thinking",
    asks="the prompt of a small question with the lowest and the highest level",
    names=(EFFORT,),
    requests=9,
    run=_of_effort,
)

LATER = "later_reasoning_streamed_as_content"
LATER_TURNS = Experiment(
    name="later turns",
    asks="a second turn, streamed and not",
    names=(LATER,),
    requests=2,
    run=_of_later_turns,
)

THINKING = Experiment(
    name="thinking",
    asks="a small question with thinking on and off",
    names=(NAME,),
    requests=3,
    run=_run,
)

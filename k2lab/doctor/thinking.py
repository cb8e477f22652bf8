"""Experiments on thinking: the switch of the families that have one, and reasoning streamed in a later turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from k2lab.chat import Request
from k2lab.doctor.experiments import Experiment, quoted
from k2lab.doctor.patient import THINKING_TOKENS, Patient
from k2lab.doctor.replaying import answered
from k2lab.doctor.streams import read_stream
from k2lab.errors import EndpointError, UnsupportedError
from k2lab.findings import Finding

NAME = "thinking_switch_ignored"
QUESTION = Request.of([{"role": "user", "content": "What is 7 times 8?"}])

OFF: Mapping[str, Mapping[str, Any]] = {
    "chat_template_kwargs.thinking false": {"chat_template_kwargs": {"thinking": False}},
    "thinking disabled": {"thinking": {"type": "disabled"}},
}
"""As vLLM and SGLang know the switch, and Moonshot's API."""


def _run(patient: Patient) -> Iterator[Finding]:
    family = patient.family
    if family is None or not family.reads_reasoning or family.always_thinks:
        said = "the model's family is not known" if family is None else f"{family.name} has no switch for thinking"
        raise UnsupportedError(said)
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

"""An experiment on the switch for thinking, of families that have one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from k2lab.chat import Request
from k2lab.doctor.experiments import Experiment
from k2lab.doctor.patient import Patient
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


THINKING = Experiment(
    name="thinking",
    asks="a small question with thinking on and off",
    names=(NAME,),
    requests=3,
    run=_run,
)

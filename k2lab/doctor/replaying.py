"""An experiment on earlier reasoning: whether what a client sends back of it reaches the prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from k2lab.chat import Request
from k2lab.doctor.experiments import Experiment
from k2lab.doctor.goldencounts import ASK, WEATHER, after_a_call
from k2lab.doctor.patient import Patient
from k2lab.errors import UnsupportedError
from k2lab.findings import Finding

NAMES = ("reasoning_content", "reasoning")
"""As Moonshot's API and SGLang call the field, and vLLM since 0.11.1."""

THOUGHT = "The user asks for the weather in Paris. I call get_weather, and then say in one sentence what it gave."
FEWEST = 5
"""Tokens that a thought of that length adds at least, whatever the tokenizer."""


def unanswered(**reasoning: str) -> Request:
    """A call that was answered by its tool, and by nothing else yet: every family that thinks prints its reasoning."""
    user, call, result, _ = after_a_call("")
    return Request.of([user, {**call, **reasoning}, result], [WEATHER])


def answered(**reasoning: str) -> Request:
    """A finished turn before another ask: its reasoning is printed where all of it is kept."""
    said: Mapping[str, object] = {"role": "assistant", "content": "It is 18 degrees.", **reasoning}
    return Request.of([{"role": "user", "content": ASK}, said, {"role": "user", "content": "Thank you."}], [])


def _run(patient: Patient) -> Iterator[Finding]:
    family = patient.family
    if family is None:
        raise UnsupportedError("the model's family is not known")
    yield _of_names(patient)
    if family.replays == "unanswered or all":
        kept = {"chat_template_kwargs": {"preserve_thinking": True}}
        yield _of_switch(
            patient.prompt_tokens(answered(), **kept),
            patient.prompt_tokens(answered(reasoning_content=THOUGHT), **kept),
        )


def _of_names(patient: Patient) -> Finding:
    bare = patient.prompt_tokens(unanswered())
    more = {name: patient.prompt_tokens(unanswered(**{name: THOUGHT})) - bare for name in NAMES}
    told = "; ".join(
        f"under {name} it makes the prompt {count} tokens longer" if count else f"under {name} it changes nothing"
        for name, count in more.items()
    )
    read = more["reasoning_content"] >= FEWEST
    return Finding.of(
        "reasoning_not_replayed",
        "absent" if read else "present",
        f"reasoning of {len(THOUGHT)} characters sent back: {told}",
    )


def _of_switch(bare: int, kept: int) -> Finding:
    told = f"with preserve_thinking, the reasoning of a finished turn adds {kept - bare} tokens to the prompt"
    return Finding.of("preserve_thinking_ignored", "absent" if kept - bare >= FEWEST else "present", told)


REPLAY = Experiment(
    name="replay",
    asks="a history with and without the reasoning of its calls",
    names=("reasoning_not_replayed", "preserve_thinking_ignored"),
    requests=5,
    run=_run,
)

"""Experiments on what a request says of its calls: ``tool_choice``, and one call at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from k2lab import wire
from k2lab.chat import Answer, Exchange, Request
from k2lab.doctor.experiments import Experiment
from k2lab.doctor.goldencounts import ASK, FORECAST, WEATHER
from k2lab.doctor.patient import ASKED, Patient
from k2lab.errors import EndpointError
from k2lab.findings import Finding
from k2lab.findings.exchanges import of_exchange

NONE, REQUIRED = "calls_despite_tool_choice_none", "no_call_despite_tool_choice_required"
NAMED, ANOTHER = "no_call_despite_named_tool_choice", "another_tool_than_tool_choice_allows"
SEVERAL = "several_calls_despite_parallel_tool_calls_false"

SMALL_TALK = Request.of([{"role": "user", "content": "Hello, how are you?"}], [WEATHER])
TWO_TOOLS = Request.of([{"role": "user", "content": ASK}], [WEATHER, FORECAST])
TWO_CITIES = Request.of(
    [{"role": "user", "content": "Please get the weather in Paris and the weather in Rome, both at once."}], [WEATHER]
)


def _run(patient: Patient) -> Iterator[Finding]:
    yield from _each(patient, ASKED, {"tool_choice": "none"}, (NONE,))
    yield from _each(patient, SMALL_TALK, {"tool_choice": "required"}, (REQUIRED,))
    named = {"type": "function", "function": {"name": "get_forecast"}}
    yield from _each(patient, TWO_TOOLS, {"tool_choice": named}, (NAMED, ANOTHER))
    yield from _one_at_a_time(patient)


def _each(
    patient: Patient, request: Request, parameters: Mapping[str, object], names: tuple[str, ...]
) -> Iterator[Finding]:
    """What comes of a choice; where the server refuses it, that is unknown."""
    asked = replace(request, parameters=parameters)
    try:
        answer = patient.chat(asked)
    except EndpointError as error:
        yield from (Finding.of(name, "unknown", str(error)) for name in names)
        return
    found = {finding.name: finding for finding in of_exchange(Exchange.of(asked.to_json(), answer.raw))}
    unread = any(map(wire.holds_call, answer.reasoning)) and not answer.calls
    for name in names:
        finding = found.get(name) or _kept(patient, name, answer)
        yield (
            replace(finding, evidence=f"{finding.evidence}; a call stands unread in the reasoning")
            if unread
            else finding
        )


def _kept(patient: Patient, name: str, answer: Answer) -> Finding:
    """Nothing shows that a choice was not kept to: whether it was."""
    if name == NONE:
        wanted = bool(patient.called.calls)
        said = "the same ask is answered with a call where the choice is left to the model, and without one here"
        return Finding.of(
            name, "absent" if wanted else "unknown", said if wanted else "this model calls nothing anyway"
        )
    if answer.calls:
        return Finding.of(name, "absent", f"the answer calls {', '.join(call.name or '?' for call in answer.calls)}")
    return Finding.of(name, "unknown", f"no call came (finish_reason {answer.finish_reason!r})")


def _one_at_a_time(patient: Patient) -> Iterator[Finding]:
    several = patient.chat(TWO_CITIES)
    if len(several.calls) < 2:
        yield Finding.of(SEVERAL, "unknown", "this model does not make two calls at once where it is asked for two")
        return
    asked = replace(TWO_CITIES, parameters={"parallel_tool_calls": False})
    count = len(patient.chat(asked).calls)
    if count > 1:
        yield Finding.of(SEVERAL, "present", f"{count} calls came although parallel_tool_calls is false")
    elif count == 1:
        yield Finding.of(SEVERAL, "absent", f"one call came, and {len(several.calls)} without parallel_tool_calls")


CHOICES = Experiment(
    name="choice of tools",
    asks="tool_choice none, required and by name, parallel_tool_calls false, and asks without them",
    names=(NONE, REQUIRED, NAMED, ANOTHER, SEVERAL),
    requests=6,
    run=_run,
)

"""Experiments on enforcement: whether a grammar is obeyed, and whether a tool that was never declared can be called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from k2lab import wire
from k2lab.chat import Answer, Request
from k2lab.doctor.experiments import Experiment, quoted
from k2lab.doctor.goldencounts import WEATHER
from k2lab.doctor.patient import MAX_TOKENS, THINKING_TOKENS, Patient
from k2lab.enforcer import FORMS
from k2lab.enforcer.ask import form_of
from k2lab.enforcer.options import Thinking
from k2lab.errors import EndpointError, UnsupportedError
from k2lab.findings import Finding

UNDECLARED = "get_news"
"""A tool that the history calls and the request does not declare."""

IN_REASONING: tuple[Thinking, ...] = ("may", "begun")

LONG_INDEX = 4
"""Digits of an index that ran away."""


def drawn_to_another_tool() -> Request:
    """Another tool was called than is declared, and is asked for again: a model that is not held goes on with it."""
    call_id, arguments = f"functions.{UNDECLARED}:0", '{"city": "Paris"}'
    call = {"id": call_id, "type": "function", "function": {"name": UNDECLARED, "arguments": arguments}}
    messages: list[Mapping[str, object]] = [
        {"role": "user", "content": "Please get the news in Paris."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": "18"},
        {"role": "user", "content": "Please get the news in Rome."},
    ]
    return Request.of(messages, [WEATHER])


def _run(patient: Patient) -> Iterator[Finding]:
    yield _of_tag(patient)
    answer = patient.chat(drawn_to_another_tool())
    yield _of_tools(patient, answer)
    yield _of_index(patient, answer)


def _of_tag(patient: Patient) -> Finding:
    try:
        form = patient.asked(lambda: form_of(patient.endpoint, family=patient.family))
    except UnsupportedError as error:
        _ = patient.called  # raises where nothing is answered, with a grammar or without
        return _of_reasoning(patient, str(error))
    except EndpointError as error:
        return Finding.of("tag_refused", "unknown", str(error))
    return Finding.of("tag_refused", "absent", f"a grammar in the form of {form} is obeyed")


def _of_reasoning(patient: Patient, reason: str) -> Finding:
    """A server that begins a grammar at the first token wants the reasoning in it."""
    for thinking in IN_REASONING if patient.thinks else ():
        try:
            form = patient.asked(partial(form_of, patient.endpoint, family=patient.family, thinking=thinking))
        except EndpointError:
            continue
        said = f"a grammar in the form of {form} is obeyed where it has the reasoning in it (--thinking {thinking})"
        return Finding.of("tag_refused", "absent", f"{said}, as the server begins it there")
    return Finding.of("tag_refused", "present", reason)


def _without_ids(patient: Patient) -> bool:
    return patient.family is not None and not patient.family.numbers_ids


HELD = "get_weather"


def _of_tools(patient: Patient, answer: Answer) -> Finding:
    name = "tools_not_enforced"
    called = [str(call.name) for call in answer.calls]
    strange = [each for each in called if each != HELD]
    if strange:
        said = f"the answer calls {quoted(strange[0], 80)!r}, and {HELD} alone is declared"
        return Finding.of(name, "present", said)
    said = f"the answer calls {quoted(called[0], 80) if called else 'nothing'}"
    try:
        written = wire.parse(_written(patient), family=patient.family)
    except EndpointError as error:
        return Finding.of(name, "unknown", f"{said}; what the model would write without tools: {error}")
    wanted = [call.name for call in written.calls if call.name != HELD]
    if wanted:
        return Finding.of(name, "absent", f"the model itself would call {wanted[0]!r}, {said}")
    return Finding.of(name, "unknown", f"this model does not call {UNDECLARED} here, held or not; {said}")


def _written(patient: Patient) -> str:
    """What the model writes behind the server's own prompt, by the way that has no tools."""
    found = patient.prompt_ids(drawn_to_another_tool())
    if found.ids is None:
        raise UnsupportedError(found.how)
    most = THINKING_TOKENS if patient.thinks else MAX_TOKENS
    return patient.endpoint.complete(found.ids, max_tokens=most, temperature=0).content


def _of_index(patient: Patient, answer: Answer) -> Finding:
    if _without_ids(patient):
        said = "an answer does not show the index of a call, which is no part of its id"
        return Finding.of("index_not_enforced", "unknown", said)
    ids = [str(call.id) for call in answer.calls]
    digits = [match["index"] for match in map(wire.ID.fullmatch, ids) if match]
    for index in digits:
        if len(index) >= LONG_INDEX:
            return Finding.of("index_not_enforced", "present", f"a call came under the index {quoted(index, 40)}")
    return Finding.of("index_not_enforced", "unknown", f"one answer does not show it; its ids are {quoted(str(ids))}")


ENFORCER = Experiment(
    name="enforcer",
    asks="a call with arguments that no model chooses, by each server's form of a grammar; and an undeclared tool",
    names=("tools_not_enforced", "index_not_enforced", "tag_refused"),
    requests=(1 + len(IN_REASONING)) * len(FORMS) + 4,
    run=_run,
)

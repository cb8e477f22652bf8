"""Experiments on enforcement: whether a grammar is obeyed, and whether a tool that was never declared can be called."""

from __future__ import annotations

from collections.abc import Iterator

from k2lab import wire
from k2lab.chat import Answer, Request
from k2lab.doctor.experiments import Experiment
from k2lab.doctor.goldencounts import WEATHER
from k2lab.doctor.patient import MAX_TOKENS, Patient
from k2lab.enforcer import FORMS
from k2lab.enforcer.ask import form_of
from k2lab.errors import EndpointError, UnsupportedError
from k2lab.findings import Finding

UNDECLARED = "get_time"
"""A tool that the history calls and the request does not declare."""

LONG_INDEX = 4
"""Digits of an index that ran away."""


def history() -> Request:
    """Twice another tool was called than is declared: whoever learns from it calls that again."""
    messages: list[dict[str, object]] = []
    for index, city in enumerate(("Paris", "Rome")):
        call_id = f"functions.{UNDECLARED}:{index}"
        function = {"name": UNDECLARED, "arguments": f'{{"city": "{city}"}}'}
        messages += [
            {"role": "user", "content": f"Please get the time in {city}."},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": call_id, "type": "function", "function": function}],
            },
            {"role": "tool", "tool_call_id": call_id, "content": "12:30"},
        ]
    return Request.of([*messages, {"role": "user", "content": "Please get the time in Oslo."}], [WEATHER])


def _run(patient: Patient) -> Iterator[Finding]:
    yield _of_tag(patient)
    answer = patient.chat(history())
    yield _of_tools(patient, answer)
    yield _of_index(answer)


def _of_tag(patient: Patient) -> Finding:
    try:
        form = patient.asked(lambda: form_of(patient.endpoint))
    except UnsupportedError as error:
        return Finding.of("tag_refused", "present", str(error))
    except EndpointError as error:
        return Finding.of("tag_refused", "unknown", str(error))
    return Finding.of("tag_refused", "absent", f"a grammar in the form of {form} is obeyed")


def _of_tools(patient: Patient, answer: Answer) -> Finding:
    name = "tools_not_enforced"
    called = [call.name for call in answer.calls]
    if UNDECLARED in called:
        return Finding.of(name, "present", f"the answer calls {UNDECLARED}, which the request does not declare")
    try:
        written = _written(patient)
    except EndpointError as error:
        return Finding.of(name, "unknown", f"the answer calls {called or 'nothing'}; what the model wrote: {error}")
    if f"functions.{UNDECLARED}" in written:
        return Finding.of(
            name, "absent", f"the model itself goes on with {UNDECLARED}, the answer calls {called or 'nothing'}"
        )
    return Finding.of(name, "unknown", f"this model does not call {UNDECLARED} here, held or not")


def _written(patient: Patient) -> str:
    """What the model writes behind the server's own prompt, by the way that has no tools."""
    found = patient.asked(lambda: patient.endpoint.prompt_ids(history()))
    if found.ids is None:
        raise UnsupportedError(found.how)
    return patient.endpoint.complete(found.ids, max_tokens=MAX_TOKENS, temperature=0).content


def _of_index(answer: Answer) -> Finding:
    ids = [str(call.id) for call in answer.calls]
    digits = [match["index"] for match in map(wire.ID.fullmatch, ids) if match]
    for index in digits:
        if len(index) >= LONG_INDEX:
            return Finding.of("index_not_enforced", "present", f"a call came under the index {index[:40]}")
    return Finding.of("index_not_enforced", "unknown", f"one answer does not show it; its ids are {ids}")


ENFORCER = Experiment(
    name="enforcer",
    asks="a call under an index that no model chooses, by each server's form of a grammar; and an undeclared tool",
    names=("tools_not_enforced", "index_not_enforced", "tag_refused"),
    requests=len(FORMS) + 4,
    run=_run,
)

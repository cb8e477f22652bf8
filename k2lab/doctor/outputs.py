"""Experiments on the parser: a model is made to write a given text, and what the server makes of it is looked at.

A constraint that allows one text alone makes any model write it, so that the
parser is asked without the model's mood: vLLM and SGLang take such constraints.
The control is the same text in the form that all parsers read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from k2lab.chat import Answer, Request
from k2lab.doctor import channels
from k2lab.doctor.dictation import FORMS, holds_the_call
from k2lab.doctor.experiments import Experiment, quoted
from k2lab.doctor.goldencounts import WEATHER, after_a_call
from k2lab.doctor.patient import ASKED, Patient
from k2lab.errors import EndpointError, UnsupportedError
from k2lab.findings import Finding

STANDARD, FOREIGN = "functions.get_weather:0", "get_weather:0"
ARGUMENTS = '{"city": "Paris"}'


def section(call_id: str) -> str:
    """What a model writes that calls the tool under this id."""
    return (
        f"<|tool_calls_section_begin|><|tool_call_begin|>{call_id}<|tool_call_argument_begin|>{ARGUMENTS}"
        "<|tool_call_end|><|tool_calls_section_end|>"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What came of a text that the model was made to write."""

    answer: Answer
    read: bool
    """It came back as a call."""
    leaked: bool
    """It came back as text, with its markers or without them."""


def _run(patient: Patient) -> Iterator[Finding]:
    if patient.family is not None and patient.family.wire == "xtml":
        yield from channels.of_documented_form(patient)
        return
    tried = []
    for form, fields in FORMS.items():
        try:
            control = _written(patient, fields(section(STANDARD)), STANDARD)
        except EndpointError as error:
            tried.append(f"{form}: {error}")
            continue
        if control.read:
            yield Finding.of("special_tokens_stripped", "absent", "a call that the model wrote came back as a call")
            yield _of_foreign(_written(patient, fields(section(FOREIGN)), FOREIGN))
            return
        if control.leaked:
            yield from _of_leak(control)
            return
        tried.append(f"{form}: the answer is another text")
    try:
        read = {call_id: _derendered(patient, call_id) for call_id in (STANDARD, FOREIGN)}
    except EndpointError as error:
        yield from _by_behaviour(patient, "; ".join([*tried, f"derender: {error}"]))
        return
    if read[STANDARD].read:
        yield Finding.of("special_tokens_stripped", "absent", "the ids of a call are read as a call")
        yield _of_foreign(read[FOREIGN])
    else:
        yield from _of_leak(read[STANDARD])


def _derendered(patient: Patient, call_id: str) -> Written:
    """What vLLM's own parser makes of the ids, where it is served apart."""
    tokenizer = patient.source.tokenizer if patient.source else None
    if tokenizer is None:
        raise UnsupportedError("without --source no ids can be made")
    ids = tokenizer.encode(section(call_id))
    return _made_of(patient.asked(lambda: patient.endpoint.derender(ids, [WEATHER])), call_id)


def _written(patient: Patient, fields: Mapping[str, object], call_id: str) -> Written:
    return _made_of(patient.chat(ASKED, **fields), call_id)


def _made_of(answer: Answer, call_id: str) -> Written:
    bare = f"{call_id}{ARGUMENTS}"
    texts = (answer.content, *answer.reasoning)
    plain = [text.replace("\n", "") for text in texts]
    leaked = any(call_id in text and ARGUMENTS in text for text in plain) or any(bare in text for text in plain)
    return Written(answer=answer, read=holds_the_call(answer), leaked=leaked and not answer.calls)


def _of_foreign(written: Written) -> Finding:
    name = "foreign_id_not_read"
    if written.read:
        return Finding.of(name, "absent", f"a call under the id {FOREIGN} came back as a call")
    if written.leaked:
        shown = _cut(written.answer.content or "".join(written.answer.reasoning))
        return Finding.of(
            name, "present", f"a call under the id {STANDARD} came back as a call, one under {FOREIGN} as text: {shown}"
        )
    return Finding.of(name, "unknown", "the answer to the second text is neither a call nor the text")


def _of_leak(control: Written) -> Iterator[Finding]:
    """The form that all parsers read came back as text."""
    text = control.answer.content or "".join(control.answer.reasoning)
    if "<|tool_call" not in text:
        said = f"a call came back as text without its markers: {_cut(text)}"
        yield Finding.of("special_tokens_stripped", "present", said)
    yield Finding.of(
        "foreign_id_not_read", "unknown", f"no call is read at all, not even under {STANDARD}: {_cut(text)}"
    )


def _by_behaviour(patient: Patient, reason: str) -> Iterator[Finding]:
    """No constraint was obeyed: a history with foreign ids may teach the model to write one."""
    history = Request.of(after_a_call("", call_id=FOREIGN), [WEATHER])
    answer = patient.chat(history, return_token_ids=True)
    if not answer.calls and "<|tool_call_begin|>" in answer.content:
        written = f"after a history with the id {FOREIGN} a call came back as text: {_cut(answer.content)}"
        if f"<|tool_call_begin|>{STANDARD[: len('functions.')]}" not in answer.content:
            yield Finding.of("foreign_id_not_read", "present", written)
            return
    raise UnsupportedError(
        f"no constraint was obeyed ({reason}), and after a history with the id {FOREIGN} the answer shows no such id"
    )


def _cut(text: str) -> str:
    return repr(quoted(text))


PARSER = Experiment(
    name="parser",
    asks="calls that a constraint dictates: of K2's form under functions.get_weather:0 and get_weather:0, or of K3's",
    names=("foreign_id_not_read", "special_tokens_stripped"),
    requests=7,
    run=_run,
)

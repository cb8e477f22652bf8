"""Experiments on K3's channels: whether a call is read that stands where its format has it, or within the reasoning.

A constraint that allows one text alone makes any model write it, from its first
token on, or behind the reasoning: which of both, is a finding as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from k2lab import wire
from k2lab.chat import Answer
from k2lab.doctor.dictation import CITY, FORMS, TOOL, holds_the_call
from k2lab.doctor.experiments import Experiment, quoted
from k2lab.doctor.goldencounts import WEATHER
from k2lab.doctor.patient import ASKED, THINKING_TOKENS, Patient
from k2lab.doctor.streams import read_stream
from k2lab.errors import EndpointError, UnsupportedError
from k2lab.families import K3
from k2lab.families.special import CLOSE, OPEN, SEP
from k2lab.findings import Finding

STRIPPED, LOST, BEHIND = (
    "special_tokens_stripped", "call_in_reasoning_not_read", "grammar_begins_behind_reasoning"
)  # fmt: skip

RESPONSE, END = f"{OPEN}response{SEP}{CLOSE}response{SEP}", f"{CLOSE}message{SEP}"
CALL = wire.format_calls([(TOOL, CITY)], family=K3).removeprefix(RESPONSE)
THOUGHT = "The weather is asked for."
WITHIN = {"tools": f"{THOUGHT}{CALL}{END}", "a response, then tools": f"{THOUGHT}{RESPONSE}{CALL}{END}"}
"""What is opened while the reasoning is open still, and what a model then writes."""

CODE_BEHIND = "E004"
OFF: Mapping[str, object] = {"chat_template_kwargs": {"thinking": False}}
BEHIND_RESPONSE = f"{CLOSE}response{SEP}{CALL}{END}"
"""The documented form without reasoning, whose prompt opens the response."""

DOCUMENTED = f"{THOUGHT}{CLOSE}think{SEP}{RESPONSE}{CALL}{END}"


def of_documented_form(patient: Patient) -> Iterator[Finding]:
    """Whether the form that all parsers read comes back as a call; raises :class:`UnsupportedError`."""
    said = "a call that the model wrote came back as a call"
    try:
        answer, _ = _dictated(patient, BEHIND_RESPONSE, lambda answer: TOOL in _all(answer) or bool(answer.calls), OFF)
    except UnsupportedError as error:
        answer, said = _read(patient, DOCUMENTED, str(error)), "the ids of a call are read as a call"
    if holds_the_call(answer):
        yield Finding.of(STRIPPED, "absent", said)
        return
    said = f"a call came back as text: {quoted(_all(answer))!r}"
    if OPEN in said:
        yield Finding.of(STRIPPED, "absent", f"{said}; its markers are there, and nothing reads it")
    else:
        yield Finding.of(STRIPPED, "present", f"{said}, without its markers")


def _run(patient: Patient) -> Iterator[Finding]:
    told: dict[bool, list[str]] = {False: [], True: []}
    reason = ""
    try:
        yield from _by_dictation(patient, told)
    except UnsupportedError as error:
        reason = str(error)
    if reason:
        for name, text in WITHIN.items():
            told[holds_the_call(_read(patient, text, reason))].append(f"{name}, whole")
    said = [f"{word}: {'; '.join(names)}" for word, names in (("lost", told[False]), ("read", told[True])) if names]
    evidence = f"of calls opened while the reasoning is open, {', '.join(said)}"
    yield Finding.of(LOST, "present" if told[False] else "absent", evidence)


def _by_dictation(patient: Patient, told: dict[bool, list[str]]) -> Iterator[Finding]:
    """Which calls are read, and which are not, of a model that is made to write them."""
    for name, text in WITHIN.items():
        obeyed = any(told.values())  # a call that is read may take the text before it along
        whole, fields = _dictated(patient, text, partial(_is_dictated, obeyed=obeyed))
        if THOUGHT in whole.content:
            yield Finding.of(BEHIND, "present", f"a text that was dictated came behind the reasoning: {_shown(whole)}")
            raise UnsupportedError(f"nothing can be dictated to this server's reasoning ({CODE_BEHIND})")
        yield Finding.of(BEHIND, "absent", f"a text that was dictated begins the reasoning: {_shown(whole)}")
        for how, answer in (("whole", whole), ("streamed", _streamed(patient, fields))):
            told[holds_the_call(answer)].append(f"{name}, {how}")


def _read(patient: Patient, text: str, reason: str) -> Answer:
    """What vLLM's own parser makes of the ids, where it is served apart; raises ``reason`` where it is not."""
    tokenizer = patient.source.tokenizer if patient.source else None
    if tokenizer is None:
        raise UnsupportedError(reason)
    ids = tokenizer.encode(text)
    try:
        return patient.asked(lambda: patient.endpoint.derender(ids, [WEATHER]))
    except UnsupportedError:
        raise UnsupportedError(reason) from None


def _dictated(
    patient: Patient, text: str, is_text: Callable[[Answer], bool], fields: Mapping[str, object] | None = None
) -> tuple[Answer, Mapping[str, object]]:
    """The answer to a text that is dictated, and the fields that did it; raises :class:`UnsupportedError`."""
    tried = []
    for form, constraint in FORMS.items():
        sent = {**(fields or {}), **constraint(text)}
        try:
            answer = patient.chat(ASKED, **sent)
        except EndpointError as error:
            tried.append(f"{form}: {error}")
            continue
        if is_text(answer):
            return answer, sent
        tried.append(f"{form}: the answer is another text")
    raise UnsupportedError(f"no constraint was obeyed ({'; '.join(tried)})")


def _streamed(patient: Patient, fields: Mapping[str, object]) -> Answer:
    sent = {"temperature": 0, "max_tokens": THINKING_TOKENS, **fields}
    return read_stream(patient.asked(lambda: patient.endpoint.streamed(ASKED, **sent))).answer()


def _is_dictated(answer: Answer, *, obeyed: bool) -> bool:
    return THOUGHT in _all(answer) or (obeyed and holds_the_call(answer))


def _all(answer: Answer) -> str:
    return "".join((*answer.reasoning, answer.content))


def _shown(answer: Answer) -> str:
    return f"reasoning {quoted(''.join(answer.reasoning), 80)!r}, content {quoted(answer.content, 80)!r}"


CHANNELS = Experiment(
    name="channels",
    asks="two calls, opened while the reasoning is open, that a constraint dictates, streamed and not",
    names=(LOST, BEHIND),
    requests=10,
    run=_run,
)

"""Experiments on a streamed answer: the form of its events, and whether it says what the whole one says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from k2lab.bench.stream import Assembly
from k2lab.chat import Answer, canonical
from k2lab.doctor.experiments import Experiment, quoted
from k2lab.doctor.patient import ASKED, MAX_TOKENS, THINKING_TOKENS, Patient
from k2lab.errors import UnsupportedError
from k2lab.findings import Finding
from k2lab.jsonread import NotJSON, read_json


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamRead:
    """A stream: its events as objects, what could not be read as one, and whether it was closed."""

    events: tuple[Mapping[str, Any], ...]
    unreadable: tuple[str, ...]
    done: bool

    @property
    def deltas(self) -> list[Mapping[str, Any]]:
        """Of the first choice, in order."""
        return [choice["delta"] for choice in self.choices if isinstance(choice.get("delta"), Mapping)]

    @property
    def choices(self) -> list[Mapping[str, Any]]:
        """The first choice of each event that has one."""
        lists = (event.get("choices") for event in self.events)
        return [each for some in lists if isinstance(some, list) for each in some if isinstance(each, Mapping)]

    def answer(self) -> Answer:
        """The answer that it stands for; raises :class:`UnsupportedError` for events of another shape."""
        assembly = Assembly()
        try:
            for event in self.events:
                assembly.event(event)
        except (TypeError, AttributeError, ValueError) as error:
            raise UnsupportedError(f"an event of another shape: {error}") from None
        return Answer.of(assembly.response())


def read_stream(data: list[str]) -> StreamRead:
    """The data lines of a stream.

    >>> read_stream(['{"choices": []}', 'no', '[DONE]']).unreadable
    ('no',)
    """
    events, unreadable = [], []
    done = "[DONE]" in data
    for line in data[: data.index("[DONE]")] if done else data:
        try:
            value = read_json(line)
        except NotJSON:
            value = None
        if isinstance(value, dict):
            events.append(value)
        else:
            unreadable.append(line)
    return StreamRead(events=tuple(events), unreadable=tuple(unreadable), done=done)


def _run(patient: Patient) -> Iterator[Finding]:
    stream = _streamed(patient)
    yield from _of_form(stream)
    if any("error" in event for event in stream.events):
        return
    yield _of_both(patient, patient.called, stream.answer())


def _streamed(patient: Patient) -> StreamRead:
    most = THINKING_TOKENS if patient.thinks else MAX_TOKENS
    got = read_stream(patient.asked(lambda: patient.endpoint.streamed(ASKED, temperature=0, max_tokens=most)))
    if not got.events and not got.unreadable:
        raise UnsupportedError("no event came: the server does not stream")
    return got


def _of_form(stream: StreamRead) -> Iterator[Finding]:
    ended = [choice["finish_reason"] for choice in stream.choices if choice.get("finish_reason")]
    missing = [*([] if ended else ["no finish_reason came"]), *([] if stream.done else ["no [DONE] came"])]
    yield _stated("stream_without_an_end", "; ".join(missing), f"it ends with {ended[-1:]} and [DONE]")
    errors = [event["error"] for event in stream.events if event.get("error")]
    yield _stated("error_in_place_of_an_answer", _json(errors[0]) if errors else "", "no event is an error")
    bad = stream.unreadable
    yield _stated("event_not_readable", repr(quoted(bad[0], 100)) if bad else "", f"{len(stream.events)} are objects")
    lists = [delta["tool_calls"] for delta in stream.deltas if isinstance(delta.get("tool_calls"), list)]
    empty = sum(not some for some in lists)
    yield _stated(
        "empty_call_deltas", f"{empty} deltas have tool_calls: []" if empty else "", "no delta has an empty list"
    )
    parts = [part for some in lists for part in some if isinstance(part, Mapping)]
    if parts:
        without = sum(type(part.get("index")) is not int for part in parts)
        said = f"{without} of {len(parts)} deltas of calls have no index" if without else ""
        yield _stated("call_delta_without_index", said, f"all {len(parts)} deltas of calls have an index")
    else:
        yield Finding.of("call_delta_without_index", "unknown", "no delta of a call came")


def _of_both(patient: Patient, whole: Answer, streamed: Answer) -> Finding:
    """A difference counts where each of the two forms says the same again."""
    name = "stream_unlike_whole"
    if _said(whole) == _said(streamed):
        return Finding.of(name, "absent", f"both say {_shown(whole)}")
    told = f"whole: {_shown(whole)}; streamed: {_shown(streamed)}"
    if _said(patient.chat(ASKED)) != _said(whole) or _said(_streamed(patient).answer()) != _said(streamed):
        return Finding.of(name, "unknown", f"the server does not repeat itself at temperature 0: {told}")
    return Finding.of(name, "present", told)


def _stated(name: str, fault: str, sound: str) -> Finding:
    return Finding.of(name, "present" if fault else "absent", fault or sound)


def _said(answer: Answer) -> tuple[object, str]:
    return canonical(answer.calls), answer.content.strip()


def _shown(answer: Answer) -> str:
    calls = ", ".join(f"{call.name}({_json(call.value)})" for call in answer.calls) or "no call"
    return f"{quoted(calls, 120)}, content {quoted(answer.content.strip(), 80)!r}"


def _json(value: object) -> str:
    return quoted(json.dumps(value, ensure_ascii=False), 120)


STREAM = Experiment(
    name="stream",
    asks="an ask that is answered with a call, streamed and not, both again where they differ",
    names=(
        "stream_without_an_end",
        "empty_call_deltas",
        "call_delta_without_index",
        "stream_unlike_whole",
        "event_not_readable",
        "error_in_place_of_an_answer",
    ),
    requests=4,
    run=_run,
)

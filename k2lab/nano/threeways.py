"""One request asked three ways, past the chat layer, whole and streamed: what the model wrote, and what came of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from k2lab import wire
from k2lab.bench.stream import Assembly
from k2lab.chat import Answer, Exchange, Request, ToolCall, canonical
from k2lab.enforcer import Options
from k2lab.enforcer.ask import send
from k2lab.families import Family
from k2lab.findings.texts import marked
from k2lab.findings.verdicts import judge
from k2lab.nano.evaluate import AT_ONCE, PARAMS, ask_each
from k2lab.nano.synth import Case
from k2lab.prompt.rendering import prompt_of
from k2lab.prompt.source import Source
from k2lab.server.endpoint import Endpoint, in_parallel
from k2lab.stats import Share, share
from k2lab.wire.channels import REASONING_OPENS

Way = Literal["whole", "streamed"]

BEGINS_THINKING = re.compile(rf"(?:{REASONING_OPENS.pattern})(?:<\|sep\|>)?\s*\Z")
"""How a prompt ends where the output begins inside the reasoning."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A case, the raw output past the chat layer as :mod:`k2lab.wire` reads it, and the answers of the chat API."""

    case: Case
    raw: str
    read: wire.Parsed
    whole: Answer
    streamed: Answer

    def answer(self, way: Way) -> Answer:
        """The chat API's answer."""
        return self.whole if way == "whole" else self.streamed

    @property
    def written(self) -> tuple[ToolCall, ...]:
        """The calls that the model wrote and a client could run."""
        return tuple(ToolCall(name=call.name, arguments=dict(call.arguments or {})) for call in self.read.calls
                     if call.usable)  # fmt: skip

    def is_lost(self, way: Way) -> bool:
        """Whether a call that the model wrote is not in the answer."""
        came = [canonical([call]) for call in self.answer(way).calls]
        return any(canonical([call]) not in came for call in self.written)


def trials_of(
    endpoint: Endpoint, source: Source, cases: Sequence[Case], *, concurrency: int = AT_ONCE, **params: Any
) -> list[Trial]:
    """Each case asked three ways, greedy, so that all three are of one output; in the order of the cases."""
    sent = {**PARAMS, **params}
    return in_parallel(lambda case: _trial(endpoint, source, case, sent), cases, concurrency=concurrency)


def lost(trials: Sequence[Trial], way: Way) -> Share:
    """Share of the outputs with a call whose call did not come through."""
    calling = [trial for trial in trials if trial.written]
    return share(sum(trial.is_lost(way) for trial in calling), len(calling))


def held(endpoint: Endpoint, cases: Sequence[Case], options: Options, **params: Any) -> list[Answer]:
    """Each case by the chat API, under the grammar for its request; in the order of the cases."""
    sent = {**PARAMS, **params}
    ask = partial(send, endpoint, options=options, params=sent)
    return in_parallel(lambda case: ask(case.request), cases, concurrency=AT_ONCE)


def answered(endpoint: Endpoint, cases: Sequence[Case], way: Way, **params: Any) -> list[Answer]:
    """Each case by the chat API alone; in the order of the cases."""
    if way == "whole":
        return ask_each(endpoint, cases, **params)
    sent = {**PARAMS, **params}
    return in_parallel(lambda case: streamed(endpoint, case.request, **sent), cases, concurrency=AT_ONCE)


def left_in_text(answers: Sequence[Answer]) -> Share:
    """Share of the answers in whose text markers of the format stand."""
    found = [any(map(marked, (answer.content, *answer.reasoning))) for answer in answers]
    return share(sum(found), len(found))


def invalid(cases: Sequence[Case], answers: Sequence[Answer], family: Family) -> Share:
    """Share of the answers that call of which a call has a fault of its own: its name, its arguments, its id."""
    judged = [
        judge(Exchange(request=case.request, answer=answer), family=family)
        for case, answer in zip(cases, answers, strict=True)
        if answer.calls
    ]
    return share(sum(any(call.fault for call in verdict.calls) for verdict in judged), len(judged))


def without_call(answers: Sequence[Answer]) -> Share:
    """Share of the answers that call nothing."""
    return share(sum(not answer.calls for answer in answers), len(answers))


def first(trials: Sequence[Trial], wanted: Callable[[Trial], bool]) -> Trial:
    """The first trial of a kind; raises ``LookupError`` where there is none."""
    for trial in trials:
        if wanted(trial):
            return trial
    raise LookupError(f"none of {len(trials)} trials is of that kind: ask more")


def streamed(endpoint: Endpoint, request: Request, **params: Any) -> Answer:
    """The answer that a stream's events make, as a client puts them together."""
    assembly = Assembly()
    for event in endpoint.streamed(request, **params):
        if event != "[DONE]":
            assembly.event(json.loads(event))
    return Answer.of(assembly.response())


def _trial(endpoint: Endpoint, source: Source, case: Case, params: Mapping[str, Any]) -> Trial:
    prompt = prompt_of(source, case.request)
    raw = endpoint.complete(prompt.token_ids or prompt.text, **params).content
    return Trial(
        case=case,
        raw=raw,
        read=wire.parse(
            raw, case.request.tools, thinking=BEGINS_THINKING.search(prompt.text) is not None, family=source.family
        ),
        whole=endpoint.chat(case.request, **params),
        streamed=streamed(endpoint, case.request, **params),
    )

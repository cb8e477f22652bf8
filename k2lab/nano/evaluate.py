"""How well k2-nano does: its answers against the labels, through a real server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from k2lab import wire
from k2lab.chat import Answer, Request, ToolCall, canonical
from k2lab.nano.synth import Case, Label
from k2lab.prompt.rendering import prompt_of
from k2lab.prompt.source import Source
from k2lab.server.endpoint import Endpoint, in_parallel
from k2lab.server.parsers import Failure
from k2lab.stats import McNemar, Share, mcnemar, share

Outcome = Literal[
    "exact",
    "undeclared_tool",
    "wrong_tool",
    "wrong_arguments",
    "broken_arguments",
    "text_instead",
    "call_instead",
    "wrong_text",
]

PARAMS: Mapping[str, Any] = {"temperature": 0, "max_tokens": 200}
"""Greedy, and long enough for the longest right answer."""

AT_ONCE = 32
"""Requests at once: a step of vLLM on a CPU takes about as long for many as for few, and the answers stay the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """A case, the server's answer, and what became of it."""

    case: Case
    answer: Answer
    outcome: Outcome


def run(endpoint: Endpoint, cases: Sequence[Case], *, concurrency: int = AT_ONCE) -> list[Scored]:
    """Ask every case by ``/chat/completions`` and score it; in the order of the cases."""
    answers = ask_each(endpoint, cases, concurrency=concurrency)
    return [
        Scored(case=case, answer=answer, outcome=score(case, answer))
        for case, answer in zip(cases, answers, strict=True)
    ]


def ask_each(endpoint: Endpoint, cases: Sequence[Case], *, concurrency: int = AT_ONCE, **params: Any) -> list[Answer]:
    """Ask every case by ``/chat/completions``; in the order of the cases. ``params`` go with each request."""
    sent = {**PARAMS, **params}
    return in_parallel(lambda case: endpoint.chat(case.request, **sent), cases, concurrency=concurrency)


def changed(cases: Iterable[Case], change: Callable[[Request], Request]) -> list[Case]:
    """The same cases with their conversations changed."""
    return [replace(case, request=change(case.request)) for case in cases]


def exact(cases: Sequence[Case], answers: Sequence[Answer]) -> Share:
    """Share of the answers that are exact."""
    outcomes = [score(case, answer) for case, answer in zip(cases, answers, strict=True)]
    return share(outcomes.count("exact"), len(outcomes))


def ends_right(cases: Sequence[Case], answers: Sequence[Answer]) -> Share:
    """Share of the answers without calls that end in the label's text, whatever was said before it."""
    right = [not a.calls and a.content.endswith(c.label.content) for c, a in zip(cases, answers, strict=True)]
    return share(sum(right), len(right))


def outcomes(cases: Sequence[Case], answers: Sequence[Answer]) -> dict[str, int]:
    """How often each outcome occurs, the most common first."""
    return dict(Counter[str](score(case, answer) for case, answer in zip(cases, answers, strict=True)).most_common())


def flips(cases: Sequence[Case], before: Sequence[Answer], after: Sequence[Answer]) -> McNemar:
    """Cases that are exact in ``after`` alone (gained) and in ``before`` alone (lost)."""
    pairs = [
        (score(case, a) == "exact", score(case, b) == "exact") for case, a, b in zip(cases, before, after, strict=True)
    ]
    return mcnemar(gained=pairs.count((False, True)), lost=pairs.count((True, False)))


def standard_ids(answers: Iterable[Answer]) -> Share:
    """Share of the plain completions that call whose first id has the documented form."""
    first = [calls[0] for answer in answers if (calls := wire.parse(answer.content).calls)]
    return share(sum(wire.ID.fullmatch(call.id) is not None for call in first), len(first))


def by_hand(endpoint: Endpoint, source: Source, cases: Sequence[Case], *, concurrency: int = AT_ONCE) -> list[Answer]:
    """Ask every case by ``/completions``, its prompt rendered outside the server; in the order of the cases."""
    prompts = [prompt_of(source, case.request).sent for case in cases]
    return in_parallel(lambda prompt: endpoint.complete(prompt, **PARAMS), prompts, concurrency=concurrency)


def called(answers: Iterable[Answer]) -> Share:
    """Share of the chats that end as a tool call."""
    found = [answer.finish_reason == "tool_calls" for answer in answers]
    return share(sum(found), len(found))


def without_call(cases: Sequence[Case], answers: Sequence[Answer]) -> list[Case]:
    """The cases whose chat does not end as a tool call."""
    return [case for case, answer in zip(cases, answers, strict=True) if answer.finish_reason != "tool_calls"]


def opened(answers: Iterable[Answer]) -> Share:
    """Share of the plain completions that open a call section."""
    found = [wire.SECTION_BEGIN in answer.content for answer in answers]
    return share(sum(found), len(found))


def finish_reasons(answers: Iterable[Answer]) -> dict[str, int]:
    """How often each finish reason occurs."""
    return dict(Counter(str(answer.finish_reason) for answer in answers).most_common())


def score(case: Case, answer: Answer) -> Outcome:
    """Exact means: the same calls in the same order with equal arguments, and the same text."""
    label = case.label
    if answer.calls:
        return _score_calls(case, label, answer)
    if label.calls:
        return "text_instead"
    return "exact" if answer.content == label.content else "wrong_text"


def _score_calls(case: Case, label: Label, answer: Answer) -> Outcome:
    names = [call.name for call in answer.calls]
    if not set(names) <= set(case.request.tool_names()):
        return "undeclared_tool"
    if not label.calls:
        return "call_instead"
    if names != [name for name, _ in label.calls]:
        return "wrong_tool"
    if any(call.problem for call in answer.calls):
        return "broken_arguments"
    if canonical(answer.calls) != canonical(calls_of(label)):
        return "wrong_arguments"
    return "exact" if answer.content == label.content else "wrong_text"


def calls_of(label: Label) -> tuple[ToolCall, ...]:
    """The calls of a label."""
    return tuple(ToolCall(name=name, arguments=arguments) for name, arguments in label.calls)


def exact_by_kind(scored: Iterable[Scored]) -> dict[str, Share]:
    """Share of exact answers for each kind of turn."""
    totals, exact = Counter[str](), Counter[str]()
    for item in scored:
        totals[item.case.label.kind] += 1
        exact[item.case.label.kind] += item.outcome == "exact"
    return {kind: share(exact[kind], totals[kind]) for kind in sorted(totals)}


def misses(scored: Iterable[Scored]) -> dict[str, dict[str, int]]:
    """Counts of the outcomes other than exact, by kind of turn."""
    counts: dict[str, Counter[str]] = {}
    for item in scored:
        if item.outcome != "exact":
            counts.setdefault(item.case.label.kind, Counter())[item.outcome] += 1
    return {kind: dict(counter.most_common()) for kind, counter in sorted(counts.items())}


def failures(cases: Iterable[Case], outputs: Iterable[str]) -> list[Failure]:
    """Raw outputs of labelled requests, to be judged like the catalogue."""
    return [
        Failure(
            case_id=case.case_id,
            what="",
            source=(),
            raw_output=text,
            tools=case.request.tools,
            status="ok",
            calls=calls_of(case.label),
            content=case.label.content or None,
        )
        for case, text in zip(cases, outputs, strict=True)
    ]

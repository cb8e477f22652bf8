"""How well k2-nano does: its answers against the labels, through a real server."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from k2lab import wire
from k2lab.chat import Request
from k2lab.nano.synth import Case, Label
from k2lab.prompt.rendering import render
from k2lab.prompt.source import Source, open_source
from k2lab.server.endpoint import Endpoint, Reply, in_parallel
from k2lab.server.parsers import Failure
from k2lab.stats import Share, share

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


@dataclass(frozen=True)
class Scored:
    """A case, the server's reply, and what became of it."""

    case: Case
    reply: Reply
    outcome: Outcome


def run(endpoint: Endpoint, cases: Sequence[Case], *, concurrency: int = 8) -> list[Scored]:
    """Ask every case by ``/chat/completions`` and score it; in the order of the cases."""
    answers = replies(endpoint, cases, concurrency=concurrency)
    return [Scored(case, reply, score(case, reply)) for case, reply in zip(cases, answers, strict=True)]


def replies(endpoint: Endpoint, cases: Sequence[Case], *, concurrency: int = 8, **params: Any) -> list[Reply]:
    """Ask every case by ``/chat/completions``; in the order of the cases. ``params`` go with each request."""
    sent = {**PARAMS, **params}
    return in_parallel(lambda case: endpoint.chat(case.conversation, **sent), cases, concurrency=concurrency)


def changed(cases: Iterable[Case], change: Callable[[Request], Request]) -> list[Case]:
    """The same cases with their conversations changed."""
    return [replace(case, conversation=change(case.conversation)) for case in cases]


def exact(cases: Sequence[Case], answers: Sequence[Reply]) -> Share:
    """Share of the answers that are exact."""
    outcomes = [score(case, answer) for case, answer in zip(cases, answers, strict=True)]
    return share(outcomes.count("exact"), len(outcomes))


def ends_right(cases: Sequence[Case], answers: Sequence[Reply]) -> Share:
    """Share of the answers without calls that end in the label's text, whatever was said before it."""
    right = [not a.tool_calls and a.content.endswith(c.label.content) for c, a in zip(cases, answers, strict=True)]
    return share(sum(right), len(right))


def flips(cases: Sequence[Case], before: Sequence[Reply], after: Sequence[Reply]) -> tuple[int, int]:
    """``(gained, lost)``: cases that are exact in ``after`` alone, and in ``before`` alone."""
    pairs = [
        (score(case, a) == "exact", score(case, b) == "exact") for case, a, b in zip(cases, before, after, strict=True)
    ]
    return pairs.count((False, True)), pairs.count((True, False))


def standard_ids(answers: Iterable[Reply]) -> Share:
    """Share of the plain completions that call whose first id has the documented form."""
    first = [calls[0] for answer in answers if (calls := wire.parse(answer.content).calls)]
    return share(sum(wire.ID.fullmatch(call.id) is not None for call in first), len(first))


def by_hand(endpoint: Endpoint, source: Source | Path, cases: Sequence[Case], *, concurrency: int = 8) -> list[Reply]:
    """Ask every case by ``/completions``, its prompt rendered outside the server; in the order of the cases."""
    opened = source if isinstance(source, Source) else open_source(source)
    prompts = [render(opened, case.conversation).text for case in cases]
    return in_parallel(lambda prompt: endpoint.complete(prompt, **PARAMS), prompts, concurrency=concurrency)


def called(answers: Iterable[Reply]) -> Share:
    """Share of the chats that end as a tool call."""
    found = [reply.finish_reason == "tool_calls" for reply in answers]
    return share(sum(found), len(found))


def opened(answers: Iterable[Reply]) -> Share:
    """Share of the plain completions that open a call section."""
    found = [wire.SECTION_BEGIN in reply.content for reply in answers]
    return share(sum(found), len(found))


def finish_reasons(answers: Iterable[Reply]) -> dict[str, int]:
    """How often each finish reason occurs."""
    return dict(Counter(str(reply.finish_reason) for reply in answers).most_common())


def score(case: Case, reply: Reply) -> Outcome:
    """Exact means: the same calls in the same order with equal arguments, and the same text."""
    label = case.label
    if reply.tool_calls:
        return _score_calls(case, label, reply)
    if label.calls:
        return "text_instead"
    return "exact" if reply.content == label.content else "wrong_text"


def _score_calls(case: Case, label: Label, reply: Reply) -> Outcome:
    functions = [call.get("function") or {} for call in reply.tool_calls]
    names = [function.get("name") for function in functions]
    if not set(names) <= set(case.conversation.tool_names()):
        return "undeclared_tool"
    if not label.calls:
        return "call_instead"
    if names != [name for name, _ in label.calls]:
        return "wrong_tool"
    try:
        arguments = [json.loads(function.get("arguments") or "") for function in functions]
    except ValueError:
        return "broken_arguments"
    if arguments != [wanted for _, wanted in label.calls]:
        return "wrong_arguments"
    return "exact" if reply.content == label.content else "wrong_text"


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
        Failure(c.case_id, "", (), text, c.conversation.tools, "ok", c.label.calls, c.label.content or None)
        for c, text in zip(cases, outputs, strict=True)
    ]

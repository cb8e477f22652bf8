"""An answer under the catalogue: the strict reading of the benchmark, each fault as a finding at its place."""

from __future__ import annotations

from collections.abc import Iterator

from k2lab.chat import Exchange
from k2lab.findings.answers import WORDS
from k2lab.findings.known import CATALOGUE
from k2lab.findings.records import Finding
from k2lab.findings.verdicts import Verdict, judge

PLACES = {
    "call_leaked_into_reasoning": "message.reasoning_content",
    "repetition_in_reasoning": "message.reasoning_content",
    "no_finish_reason": "finish_reason",
    "unknown_finish_reason": "finish_reason",
    "no_calls": "finish_reason",
    "call_in_the_old_field": "message.function_call",
    "calls_without_the_reason": "message.tool_calls",
    "calls_despite_tool_choice_none": "message.tool_calls",
    "another_tool_than_tool_choice_allows": "message.tool_calls",
    "several_calls_despite_parallel_tool_calls_false": "message.tool_calls",
}
"""Where in a choice a fault of the whole answer lies; the others lie in its content."""


def of_exchange(exchange: Exchange, *, verdict: Verdict | None = None) -> tuple[Finding, ...]:
    """What is wrong with an answer to its request: ``present``, or ``unknown`` where the request does not say enough.

    >>> said = {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": ""}}]}
    >>> [finding.code for finding in of_exchange(k2lab.Exchange.of({"messages": [{"role": "user"}]}, said))]
    ['A111']
    """
    found = verdict or judge(exchange)
    return (*_of_calls(found), *_of_answer(exchange, found), *_of_unjudged(found))


def _of_calls(verdict: Verdict) -> Iterator[Finding]:
    for place, call in enumerate(verdict.calls):
        if call.fault:
            path = f"choices[0].message.tool_calls[{place}]"
            yield Finding.of(call.fault, "present", f"{call.name or 'a call'}: {call.detail}", place=path)


def _of_answer(exchange: Exchange, verdict: Verdict) -> Iterator[Finding]:
    reason = exchange.answer.finish_reason
    for fault in verdict.faults:
        said = WORDS.get(fault, CATALOGUE[fault].title)
        place = f"choices[0].{PLACES.get(fault, 'message.content')}"
        yield Finding.of(fault, "present", f"{said} (finish_reason {reason!r})", place=place)


def _of_unjudged(verdict: Verdict) -> Iterator[Finding]:
    """What the request itself has wrong; what a file left out is no fault of it."""
    for reason in verdict.unjudged:
        if reason in CATALOGUE:
            yield Finding.of(reason, "present", WORDS.get(reason, CATALOGUE[reason].title), place="request")

"""What is wrong with an answer as a whole: empty, leaked, against its request's tool_choice, or one text over and over.

Calls are judged one by one in ``verdicts``; this is what no single call shows.
An answer that was cut short (``length``, ``content_filter``) is not blamed for
what may have come after the cut. OpenAI's API and vLLM end a call of a tool
that ``tool_choice`` names with ``stop``, so that is right there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Literal

from k2lab import wire
from k2lab.chat import CUT_SHORT, Answer, Choice, Exchange, Request
from k2lab.findings.texts import leaked, marked, repeats
from k2lab.wire.channels import REASONING_CLOSES, REASONING_OPENS

AnswerFault = Literal[
    "no_finish_reason",
    "unknown_finish_reason",
    "no_calls",
    "calls_without_the_reason",
    "call_in_the_old_field",
    "empty_answer",
    "empty_but_for_reasoning",
    "call_leaked_into_content",
    "call_leaked_into_reasoning",
    "markers_left_in_text",
    "repetition_in_content",
    "repetition_in_reasoning",
    "calls_despite_tool_choice_none",
    "no_call_despite_tool_choice_required",
    "no_call_despite_named_tool_choice",
    "another_tool_than_tool_choice_allows",
    "several_calls_despite_parallel_tool_calls_false",
]
Unjudged = Literal[
    "broken_schema",
    "tools_not_in_the_file",
    "tool_choice_not_sent",
    "tool_choice_of_an_undeclared_tool",
    "tool_choice_of_an_unknown_form",
]

WORDS: Mapping[str, str] = {
    "no_finish_reason": "it does not say why it ended",
    "unknown_finish_reason": "the API knows no such reason",
    "no_calls": "ended as a tool call, and calls nothing",
    "calls_without_the_reason": "calls, and did not end as a tool call",
    "call_in_the_old_field": "function_call, which the request does not use",
    "empty_answer": "ended by itself, with neither text nor call",
    "empty_but_for_reasoning": "ended by itself after the reasoning, with neither text nor call",
    "call_leaked_into_content": "a call stands there as text",
    "call_leaked_into_reasoning": "a call stands there as text",
    "markers_left_in_text": "a server's parser takes them out",
    "repetition_in_content": "the same few characters over and over to the end",
    "repetition_in_reasoning": "the same few characters over and over to the end",
    "another_tool_than_tool_choice_allows": "named, or listed in allowed_tools",
    "broken_schema": "a called tool's own schema is not JSON Schema: the request's fault",
    "tools_not_in_the_file": "the request there lacks what the model was given, such as a prompt as text",
    "tool_choice_not_sent": "nor parallel_tool_calls: a plain completion has neither",
    "tool_choice_of_an_undeclared_tool": "no answer can keep it: the request's fault",
}
"""What a name alone does not say."""

CALLING = ("tool_calls", "function_call")
FINISH_REASONS = ("stop", *CALLING, *CUT_SHORT)
"""Those of OpenAI's chat API."""

MARKER = re.compile(r"<\|(?:open|close)\|>[^<]{0,256}<\|sep\|>|<\|[a-z_]{1,40}\|>")
"""Kimi's markers and tags, which say nothing where they are all that there is."""


def is_raw(request: Request) -> bool:
    """Whether a request holds its prompt as text, or nothing: neither tools nor history can be seen."""
    return not request.messages


def faults(exchange: Exchange) -> tuple[AnswerFault, ...]:
    """All that is wrong with an answer as a whole."""
    request, answer = exchange.request, exchange.answer
    of_choice = () if exchange.plain else _of_choice(request, answer)
    return (*_of_ending(request, answer), *_of_texts(request, answer), *of_choice)


def unjudged(exchange: Exchange, tools: Collection[str] | None) -> Unjudged | None:
    """Why an answer cannot be held against the request's ``tool_choice``; ``tools`` are names, where they are known."""
    request, choice = exchange.request, exchange.request.choice
    if exchange.plain:
        parallel = len(exchange.answer.calls) > 1 and request.parameters.get("parallel_tool_calls") is False
        return "tool_choice_not_sent" if parallel or choice != Choice(mode="auto") else None
    if choice.mode == "unknown":
        return "tool_choice_of_an_unknown_form"
    if tools is None or choice.mode not in ("named", "required"):
        return None
    asked = choice.allowed if choice.allowed is not None else frozenset(tools)
    return None if asked & frozenset(tools) else "tool_choice_of_an_undeclared_tool"


def _of_ending(request: Request, answer: Answer) -> Iterator[AnswerFault]:
    reason = answer.finish_reason
    if reason is None:
        yield "no_finish_reason"
    elif reason not in FINISH_REASONS:
        yield "unknown_finish_reason"
    if reason in CALLING and not answer.calls and not answer.function_call:
        yield "no_calls"
    named_stop = reason == "stop" and request.choice.mode == "named"
    if answer.calls and reason != "tool_calls" and not answer.cut_short and not named_stop:
        yield "calls_without_the_reason"
    if answer.function_call and "functions" not in request.parameters:
        yield "call_in_the_old_field"


def _of_texts(request: Request, answer: Answer) -> Iterator[AnswerFault]:
    read_from_it = is_raw(request) and answer.calls  # K2VV's runner leaves the text from which it read the calls
    in_content, in_reasoning = leaked(answer.content), any(map(leaked, answer.reasoning))
    empty = None if in_content or in_reasoning or not _must_say_something(answer) else _empty(answer)
    if empty:
        yield empty
    if in_content and not read_from_it:
        yield "call_leaked_into_content"
    if in_reasoning:
        yield "call_leaked_into_reasoning"
    if not (empty or in_content or in_reasoning or read_from_it) and any(map(marked, _texts(answer))):
        yield "markers_left_in_text"
    if repeats(answer.content):
        yield "repetition_in_content"
    if any(map(repeats, answer.reasoning)):
        yield "repetition_in_reasoning"


def _texts(answer: Answer) -> tuple[str, ...]:
    return (answer.content, *answer.reasoning)


def _empty(answer: Answer) -> AnswerFault | None:
    """Whether nothing is said but markers, and where there was reasoning at least."""
    content, reasoned = _thought(answer)
    if MARKER.sub("", content).strip() or answer.refusal.strip():
        return None
    return "empty_but_for_reasoning" if reasoned else "empty_answer"


def _of_choice(request: Request, answer: Answer) -> Iterator[AnswerFault]:
    choice = request.choice
    if answer.calls:
        if choice.mode == "none":
            yield "calls_despite_tool_choice_none"
        if choice.allowed is not None and any(call.name not in choice.allowed for call in answer.calls):
            yield "another_tool_than_tool_choice_allows"
        if len(answer.calls) > 1 and request.parameters.get("parallel_tool_calls") is False:
            yield "several_calls_despite_parallel_tool_calls_false"
    elif not answer.cut_short and not answer.function_call:
        if choice.mode == "required":
            yield "no_call_despite_tool_choice_required"
        elif choice.mode == "named":
            yield "no_call_despite_named_tool_choice"


def _must_say_something(answer: Answer) -> bool:
    """Whether it ended by itself, and not as a call."""
    calls = answer.calls or answer.function_call or answer.finish_reason in CALLING
    return not calls and not answer.cut_short


def _thought(answer: Answer) -> tuple[str, bool]:
    """The content without reasoning that no server took out of it, and whether there is reasoning anywhere."""
    content, reasoned = answer.content, any(text.strip() for text in answer.reasoning)
    if REASONING_CLOSES.search(content) or REASONING_OPENS.match(content.lstrip()):
        parsed = wire.parse(content)
        if not parsed.calls:
            return parsed.content or "", reasoned or bool(parsed.reasoning)
    return content, reasoned

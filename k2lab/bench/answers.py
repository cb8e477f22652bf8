"""What is wrong with an answer as a whole: empty, leaked, against its request's tool_choice, or one text over and over.

Calls are judged one by one in ``verdicts``; this is what no single call shows.
An answer that was cut short (``length``, ``content_filter``) is not blamed for
what may have come after the cut. OpenAI's API and vLLM end a call of a tool
that ``tool_choice`` names with ``stop``, so that is right there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from k2lab import wire
from k2lab.wire.records import THINK_BEGIN, THINK_END

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
    "unknown_finish_reason": "none of the API's",
    "no_calls": "ended as a tool call, and calls nothing",
    "calls_without_the_reason": "calls, and did not end as a tool call",
    "call_in_the_old_field": "function_call, which the request does not use",
    "empty_answer": "ended by itself, with neither text nor call",
    "empty_but_for_reasoning": "ended by itself after the reasoning, with neither text nor call",
    "call_leaked_into_content": "a call stands there as text",
    "call_leaked_into_reasoning": "a call stands there as text",
    "repetition_in_content": "the same few characters over and over to the end",
    "repetition_in_reasoning": "the same few characters over and over to the end",
    "another_tool_than_tool_choice_allows": "named, or listed in allowed_tools",
    "broken_schema": "a called tool's own schema is none: the request's fault",
    "tools_not_in_the_file": "the request there lacks what the model was given, such as a prompt as text",
    "tool_choice_not_sent": "nor parallel_tool_calls: a plain completion has neither",
    "tool_choice_of_an_undeclared_tool": "no answer can keep it: the request's fault",
}
"""What a name alone does not say."""

CUT_SHORT = ("length", "content_filter")
CALLING = ("tool_calls", "function_call")
FINISH_REASONS = ("stop", *CALLING, *CUT_SHORT)
"""Those of OpenAI's chat API."""

REASONING_FIELDS = ("reasoning_content", "reasoning")
"""Moonshot's API, SGLang and earlier vLLM use the first, vLLM 0.32.0 the second; some servers send both."""

CYCLE_CHARS, REPEATS = 64, 16
"""A text that repeats ends in at least so many times the same cycle of up to so many characters."""

REPEATED_CHARS, WHOLE_CHARS = 160, 32
"""How long the repeated end must be at least, and how long where it is the whole text.

Rules and lines of tables (``-----``, ``|---|``) are seldom longer than a
terminal's 132 columns, a googol has 100 noughts, base64's padding is two, and
a list of equal values ends with its bracket. What a user wants to be repeated
more often than that is a repetition, too.
"""

MARKER = re.compile(r"<\|[a-z_]{1,40}\|>")
"""Kimi's markers, which say nothing where they are all that there is."""

OTHER_SPELLINGS = re.compile(
    r'<\|open\|>call tool="'  # K3
    r'|<tool_call>\s{0,16}(?:\{\s{0,16}"|<function=)'  # Qwen's and Hermes' format
)


@dataclass(frozen=True)
class Said:
    """What an answer holds; ``content`` and each of ``reasoning`` as they came."""

    finish_reason: str | None
    calls: tuple[Any, ...]
    content: str
    reasoning: tuple[str, ...]
    refusal: str
    old_call: bool
    """Whether the field ``function_call`` of the time before ``tool_calls`` is in use."""

    @property
    def cut_short(self) -> bool:
        """Whether it was ended from outside: by ``max_tokens`` or a filter."""
        return self.finish_reason in CUT_SHORT

    @property
    def names(self) -> tuple[str, ...]:
        """The names that its calls give, empty for none."""
        return tuple(map(_name, self.calls))


@dataclass(frozen=True)
class Choice:
    """A request's ``tool_choice``, whichever way it is written: whether calls must come, and of which tools."""

    mode: Literal["auto", "none", "required", "named", "unknown"]
    allowed: frozenset[str] | None = None


def said(response: Mapping[str, Any]) -> Said:
    """An answer in the shape of ``/chat/completions``, or of ``/completions``; whatever it holds instead is nothing."""
    choices = response.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], Mapping) else {}
    message = choice.get("message")
    message = message if isinstance(message, Mapping) else {}
    calls = message.get("tool_calls")
    texts = [_text(message.get(name)) for name in REASONING_FIELDS]
    return Said(
        choice.get("finish_reason"),
        tuple(calls) if isinstance(calls, list) else (),
        _text(message.get("content")) or _text(choice.get("text")),
        tuple(dict.fromkeys(text for text in texts if text)),
        _text(message.get("refusal")),
        bool(message.get("function_call")),
    )


def is_raw(request: Mapping[str, Any]) -> bool:
    """Whether a request holds its prompt as text, or nothing: neither tools nor history can be seen."""
    return request.get("messages") is None


def faults(request: Mapping[str, Any], answer: Said, *, plain: bool) -> tuple[AnswerFault, ...]:
    """All that is wrong with an answer as a whole. ``plain``: it answers a plain completion, which has no choice."""
    of_choice = () if plain else _of_choice(request, answer)
    return (*_of_ending(request, answer), *_of_texts(request, answer), *of_choice)


def unjudged(
    request: Mapping[str, Any], answer: Said, tools: Mapping[str, Any] | None, *, plain: bool
) -> Unjudged | None:
    """Why an answer cannot be held against the request's ``tool_choice``; ``tools`` by name, where they are known."""
    choice = choice_of(request)
    if plain:
        parallel = len(answer.calls) > 1 and request.get("parallel_tool_calls") is False
        return "tool_choice_not_sent" if parallel or choice != Choice("auto") else None
    if choice.mode == "unknown":
        return "tool_choice_of_an_unknown_form"
    if tools is None or choice.mode not in ("named", "required"):
        return None
    asked = choice.allowed if choice.allowed is not None else frozenset(tools)
    return None if asked & frozenset(tools) else "tool_choice_of_an_undeclared_tool"


def choice_of(request: Mapping[str, Any]) -> Choice:
    """``tool_choice`` as the APIs write it.

    Read are ``auto``, ``none``, ``required``, and ``any`` for it; a function by
    name, in the chat API's form and in that of the Responses API; and
    ``allowed_tools``, in both forms.
    """
    value = request.get("tool_choice")
    if value is None or value == "auto":
        return Choice("auto")
    if value == "none":
        return Choice("none")
    if value in ("required", "any"):
        return Choice("required")
    if not isinstance(value, Mapping):
        return Choice("unknown")
    name = _name(value)
    if value.get("type", "function") == "function" and name:
        return Choice("named", frozenset({name}))
    return _allowed(value)


def leaked(text: str) -> bool:
    """Whether a call stands in a text.

    Found are K2's calls, between markers or without (:func:`k2lab.wire.holds_call`),
    though not what is only talked of; K3's ``<|open|>call tool="``; and
    ``<tool_call>`` with the beginning of a call within.
    """
    return wire.holds_call(text) or OTHER_SPELLINGS.search(text) is not None


def repeats(text: str) -> bool:
    """Whether a text ends in one short cycle over and over; constant time."""
    return any(_cycles(tail) for tail in {text, text.rstrip()})


def function_of(item: object) -> Mapping[str, Any]:
    """The function of a call, or of a tool; empty for what is none."""
    function = item.get("function") if isinstance(item, Mapping) else None
    return function if isinstance(function, Mapping) else {}


def _of_ending(request: Mapping[str, Any], answer: Said) -> Iterator[AnswerFault]:
    reason = answer.finish_reason
    if reason is None:
        yield "no_finish_reason"
    elif reason not in FINISH_REASONS:
        yield "unknown_finish_reason"
    if reason in CALLING and not answer.calls and not answer.old_call:
        yield "no_calls"
    named_stop = reason == "stop" and choice_of(request).mode == "named"
    if answer.calls and reason != "tool_calls" and not answer.cut_short and not named_stop:
        yield "calls_without_the_reason"
    if answer.old_call and "functions" not in request:
        yield "call_in_the_old_field"


def _of_texts(request: Mapping[str, Any], answer: Said) -> Iterator[AnswerFault]:
    in_reasoning = any(leaked(text) for text in answer.reasoning)
    if not (answer.calls or answer.cut_short or answer.old_call or answer.finish_reason in CALLING or in_reasoning):
        content, reasoned = _thought(answer)
        if not MARKER.sub("", content).strip() and not answer.refusal.strip():
            yield "empty_but_for_reasoning" if reasoned else "empty_answer"
    read_from_it = is_raw(request) and answer.calls  # K2VV's runner leaves the text from which it read the calls
    if leaked(answer.content) and not read_from_it:
        yield "call_leaked_into_content"
    if in_reasoning:
        yield "call_leaked_into_reasoning"
    if repeats(answer.content):
        yield "repetition_in_content"
    if any(repeats(text) for text in answer.reasoning):
        yield "repetition_in_reasoning"


def _of_choice(request: Mapping[str, Any], answer: Said) -> Iterator[AnswerFault]:
    choice = choice_of(request)
    if answer.calls:
        if choice.mode == "none":
            yield "calls_despite_tool_choice_none"
        if choice.allowed is not None and any(name not in choice.allowed for name in answer.names):
            yield "another_tool_than_tool_choice_allows"
        if len(answer.calls) > 1 and request.get("parallel_tool_calls") is False:
            yield "several_calls_despite_parallel_tool_calls_false"
    elif not answer.cut_short and not answer.old_call:
        if choice.mode == "required":
            yield "no_call_despite_tool_choice_required"
        elif choice.mode == "named":
            yield "no_call_despite_named_tool_choice"


def _thought(answer: Said) -> tuple[str, bool]:
    """The content without a ``<think>`` that no server took out of it, and whether there is reasoning anywhere."""
    content, reasoned = answer.content, any(text.strip() for text in answer.reasoning)
    if THINK_END in content or content.lstrip().startswith(THINK_BEGIN):
        parsed = wire.parse(content)
        if not parsed.calls:
            return parsed.content or "", reasoned or bool(parsed.reasoning)
    return content, reasoned


def _cycles(text: str) -> bool:
    for length in range(1, CYCLE_CHARS + 1):
        if len(text) < REPEATS * length:
            return False
        chars = max(REPEATED_CHARS, REPEATS * length)
        if chars >= len(text) >= WHOLE_CHARS:
            chars = len(text)
        tail = text[-chars:]
        if len(tail) == chars and tail[length:] == tail[:-length]:
            return True
    return False


def _allowed(value: Mapping[str, Any]) -> Choice:
    inner = value.get("allowed_tools", value)
    if value.get("type") != "allowed_tools" or not isinstance(inner, Mapping):
        return Choice("unknown")
    mode, tools = inner.get("mode"), inner.get("tools")
    if mode not in ("auto", "required") or not isinstance(tools, list):
        return Choice("unknown")
    return Choice(mode, frozenset(filter(None, map(_name, tools))))


def _name(item: object) -> str:
    """The name of a tool, under ``function`` or beside the type."""
    name = function_of(item).get("name") or (item.get("name") if isinstance(item, Mapping) else None)
    return name if isinstance(name, str) else ""


def _text(value: object) -> str:
    """A text, or those of a list of parts."""
    if isinstance(value, list):
        return "".join(_text(part.get("text")) for part in value if isinstance(part, Mapping))
    return value if isinstance(value, str) else ""

"""What is wrong with an answer: beside its request, or as far as it shows alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from k2lab.chat import Answer, Exchange, Request
from k2lab.check.outputs import Tools, of_output
from k2lab.errors import InputError
from k2lab.families import Family
from k2lab.findings import Finding
from k2lab.findings.answers import is_raw
from k2lab.findings.exchanges import of_exchange
from k2lab.findings.texts import holds_reasoning, leaked, marked
from k2lab.findings.verdicts import judge
from k2lab.legible import one_line

OF_COMPLETIONS = frozenset({"no_finish_reason", "unknown_finish_reason"})
"""What is said of the whole of an answer whose text is raw."""


def of_answer(
    answer: object, request: Request | None, tools: Tools | None, family: Family | None, stored: bool | None
) -> Iterator[Finding]:
    """Findings of a response; places begin with ``answer``. Without its request, what shows alone.

    Raises :class:`InputError` for what is no response.
    """
    if not isinstance(answer, Mapping):
        raise InputError("the response is no object")
    error = answer.get("error") or (answer.get("error_message") and answer)
    choices = answer.get("choices")
    if error:
        yield Finding.of("error_in_place_of_an_answer", "present", _said(error), place="answer.error")
        return
    if not isinstance(choices, list) or not choices or not all(isinstance(one, Mapping) for one in choices):
        raise InputError("the response has no choices: there is no answer in it")
    asked = _asked(request, tools)
    for index, choice in enumerate(choices):
        own = answer if len(choices) == 1 else {**answer, "choices": [choice]}
        for finding in _of_choice(choice, own, asked, family, stored, request is not None):
            place = finding.place.replace("choices[0]", f"choices[{index}]", 1)
            yield replace(finding, place=f"answer.{place}")


def _asked(request: Request | None, tools: Tools | None) -> Request:
    """The request; where it is not there, one with the tools alone, if they are known."""
    if request is not None and (request.tools or tools is None):
        return request
    if tools is None:
        return Request(messages=())
    given = tuple(dict(tool) for tool in tools)
    return replace(request or Request(messages=({"role": "user", "content": ""},)), tools=given)


def _of_choice(
    choice: Mapping[str, Any], answer: Mapping[str, Any], asked: Request, family: Family | None,
    stored: bool | None, whole: bool,
) -> Iterator[Finding]:  # fmt: skip
    exchange = Exchange(request=asked, answer=Answer.of(answer))
    is_text = isinstance(choice.get("text"), str) and "message" not in choice
    found = of_exchange(exchange, verdict=judge(exchange, stored=bool(stored), family=family))
    for finding in found:
        if finding.place == "request" or (is_text and finding.name not in OF_COMPLETIONS):
            continue
        if _is_unseen(finding, whole):
            continue
        yield finding
    content = exchange.answer.content
    if not is_text and holds_reasoning(content) and not marked(content):
        told = "a tag of reasoning stands there: no reasoning parser took it out"
        yield Finding.of("reasoning_left_in_content", "present", told, place="choices[0].message.content")
    if is_text:
        known = None if is_raw(asked) else asked.tools
        yield from (replace(one, place="choices[0].text") for one, _ in of_output(choice["text"], known, family=family))
    elif is_raw(asked) and not whole and exchange.answer.calls and leaked(exchange.answer.content):
        told = "a call stands there as text, beside calls"
        yield Finding.of("call_leaked_into_content", "present", told, place="choices[0].message.content")


def _is_unseen(finding: Finding, whole: bool) -> bool:
    """An index cannot be judged without the history."""
    return finding.name == "wrong_index" and not whole


def _said(error: object) -> str:
    """The server's own words."""
    if isinstance(error, Mapping):
        words = [error.get(name) for name in ("error_type", "type", "code", "message", "error_message")]
        return one_line(": ".join(str(word) for word in dict.fromkeys(words) if word) or dict(error), 300)
    return one_line(error, 300)

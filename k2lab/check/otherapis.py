"""Requests and answers of the Responses and the Messages API under the catalogue, told at their own places.

They are looked at as the chat request and the chat answer that a server makes of
them. What has no counterpart there is named by :class:`UnseenError` once all that
can be seen is told: such a part is never taken for sound.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from k2lab.apis import API_NAMES, Api, AsChat, answer_as_chat, api_of_answer
from k2lab.chat import Request
from k2lab.chat.calls import OBJECT
from k2lab.check.answers import of_answer
from k2lab.check.outputs import Tools
from k2lab.check.requests import of_request
from k2lab.errors import InputError
from k2lab.families import Family
from k2lab.findings import Finding
from k2lab.findings.histories import OF_IDS

MOST_TOLD = 5
"""Parts that are named, of those of which nothing can be said."""

BY_HISTORY = frozenset(
    {"result_without_call", "result_out_of_place", "result_under_another_id", "call_id_out_of_count"}
    | {"roles_out_of_order", "wrong_index"}
)
"""What only the whole history shows."""
BY_TOOLS = frozenset({"undeclared_tool", "tool_choice_of_an_undeclared_tool"})
"""What only the whole list of tools shows."""
BY_CONTENT = frozenset(
    {"empty_answer", "empty_but_for_reasoning", "no_calls"}
    | {"no_call_despite_tool_choice_required", "no_call_despite_named_tool_choice"}
)
"""What only the whole of an answer shows."""

OF_REASONS = frozenset({"no_calls", "calls_without_the_reason"})
"""What is said of a reason to end that is a call's: the Responses API has none."""

IN_WORDS = frozenset({"not_a_request", "call_without_result", "second_result", "result_out_of_place"})
"""Findings whose words name places."""
PATH = re.compile(r"\bmessages\b(?:\[\d+\](?:\.[a-z_]+(?:\[\d+\])?)*)?")
REPAIR = "k2lab repair"
REPAIRS = re.compile(rf"(?:; )?{REPAIR} (?:writes it anew|does)(?: where [^;]*)?(?:; else )?")
"""What a fix says of a command that takes chat requests alone."""
COUNTED = ", where the count of the conversation has "

RESULT = "a tool message with tool_call_id"
RESULTS: Mapping[Api, str] = {
    "responses": "an item of type function_call_output with call_id",
    "messages": "a block of type tool_result with tool_use_id",
}
LISTS: Mapping[Api, str] = {"responses": "output", "messages": "content"}
"""The field that an answer is in."""


FIRST_ALONE = "of several texts in one item vLLM 0.13.0 to 0.32.0 hand on the first alone (S018)"


class UnseenError(InputError):
    """Parts of a request or an answer have no counterpart in the chat API: nothing is said of them."""

    def __init__(self, told: Sequence[str]) -> None:
        more = f"; and {len(told) - MOST_TOLD:,} more" if len(told) > MOST_TOLD else ""
        super().__init__(f"nothing can be said of {'; '.join(told[:MOST_TOLD])}{more}")
        self.told = tuple(told)

    def within(self, place: Callable[[str], str]) -> UnseenError:
        """The same, told of other places."""
        return UnseenError([place(one) for one in self.told])


def of_other_request(
    api: Api, made: AsChat, request: Request, model: str | None, family: Family | None
) -> Iterator[Finding]:
    """Findings of a request of another API; places begin with ``request``, and are those of its own JSON.

    >>> from k2lab.apis import request_as_chat
    >>> made = request_as_chat("responses", {"input": [{"role": "nobody", "content": "Hi"}]})
    >>> found = of_other_request("responses", made, k2lab.Request.unchecked(made.value), None, None)
    >>> [(one.place, one.evidence[:8]) for one in found]
    [('request.input[0]', 'input[0]')]
    """
    for fault in made.faults:
        yield Finding.of("not_a_request", "present", f"{fault.place}: {fault.words}", place=f"request.{fault.place}")
    for place in made.joined:
        yield Finding.of("text_in_parts", "present", f"{place}: {FIRST_ALONE}", place=f"request.{place}")
    without = _unsure(made)
    for finding in of_request(made.value, request, model, family):
        if finding.name not in without:
            yield at_origin(finding, made, "request", api)


def of_any_answer(
    answer: object, asked: AsChat | None, request: Request | None, tools: Tools | None, family: Family | None,
    stored: bool | None,
) -> Iterator[Finding]:  # fmt: skip
    """Findings of a response of whichever API; ``asked`` is what was made of its request, where that is not a chat's.

    Raises :class:`InputError` for what is no response, and :class:`UnseenError` behind the last finding.
    """
    api = api_of_answer(answer)
    if not isinstance(answer, OBJECT) or api is None or api == "chat":
        return of_answer(answer, request, tools, family, stored)
    return _of_other_answer(api, answer_as_chat(api, answer), asked, request, tools, family, stored)


def _of_other_answer(
    api: Api, made: AsChat, asked: AsChat | None, request: Request | None, tools: Tools | None,
    family: Family | None, stored: bool | None,
) -> Iterator[Finding]:  # fmt: skip
    if not made.value:
        raise InputError(f"the response has no {LISTS[api]}: there is no answer in it")
    without = _unsure(asked) | (BY_CONTENT if made.unseen else frozenset())
    without |= OF_REASONS if api == "responses" else frozenset()
    for finding in of_answer(made.value, request, tools, family, stored):
        if finding.name not in without:
            yield at_origin(finding, made, "answer", api)
    if made.unseen:
        raise UnseenError(unseen_of("answer", made))


def at_origin(finding: Finding, made: AsChat, part: str, api: Api) -> Finding:
    """A finding of what was made of a part, told of its original."""
    place, words, fix = finding.place, finding.evidence, finding.fix
    if place.startswith(f"{part}."):
        place = f"{part}.{made.origins.of(place.removeprefix(f'{part}.'))}"
    if finding.name in IN_WORDS:
        words, fix = (PATH.sub(lambda match: made.origins.of(match[0]), text) for text in (words, fix))
    if made.reason:
        words = re.sub(r"\(finish_reason (?:None|'[a-z_]*')\)$", lambda match: f"({made.reason})", words)
    if not made.keeps_history:
        words = words.partition(COUNTED)[0]
    fix = fix.replace(RESULT, RESULTS[api]).replace(API_NAMES["chat"], API_NAMES[api])
    fix = fix.replace(REPAIR, "k2lab proxy --repair ids") if finding.name in OF_IDS else REPAIRS.sub("", fix)
    return replace(finding, place=place, evidence=words, fix=fix)


def unseen_of(part: str, made: AsChat | None) -> list[str]:
    """Of what in a part nothing can be said, and why."""
    return [] if made is None else [f"{part}.{one.place} ({one.words})" for one in made.unseen]


def passed_over(made: Iterable[AsChat]) -> str:
    """What is no part of a prompt or an answer, by name; empty for nothing."""
    return ", ".join(dict.fromkeys(name for one in made for name in one.passed_over))


def _unsure(asked: AsChat | None) -> frozenset[str]:
    """What cannot be said beside what is not seen of a request."""
    if asked is None:
        return frozenset()
    tools = any(one.place.startswith("tool") for one in asked.unseen)
    return (frozenset() if asked.keeps_history else BY_HISTORY) | (BY_TOOLS if tools else frozenset())

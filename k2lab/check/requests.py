"""What is wrong with a request by itself: its shape, its tool_choice, its history, the order of roles, its tools."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from k2lab import families, repairs
from k2lab.chat import Request, name_of
from k2lab.chat.checks import SYSTEM_ROLES, kind, message_fault
from k2lab.check.tools import of_tools
from k2lab.families import Family
from k2lab.findings import Finding
from k2lab.findings.histories import of_doubts, of_history, of_reasoning
from k2lab.repairs.soundness import keeps_form

ASK_NOTHING = (None, "auto", "none")
"""Values of ``tool_choice`` that any tools can keep."""
BY_RENDERING = frozenset({"empty_content_beside_calls", "text_in_parts"})
"""What hurts with some templates alone, and so is decided by a rendering."""


def as_sent(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """A request's fields, those of an ``extra_body`` put over the others, as a client does."""
    extra = value.get("extra_body")
    return {**value, **extra} if isinstance(extra, Mapping) else value


def of_request(
    value: Mapping[str, Any], request: Request, model: str | None, family: Family | None
) -> Iterator[Finding]:
    """Findings of a request, as its JSON has it and as it was read; places begin with ``request``.

    >>> asked = {"messages": [{"role": "user"}, {"content": "Hi"}]}
    >>> [one.name for one in of_request(asked, k2lab.Request.unchecked(asked), None, None)]
    ['not_a_request']
    """
    shape = tuple(_of_shape(value))
    yield from shape
    if not shape and "messages" in value:
        yield from _of_messages(request, model, family)
    if value.get("tool_choice") not in ASK_NOTHING:
        yield from _of_choice(request)
    if value.get("tools") is not None:
        yield from of_tools(value["tools"], family, "request")


def _of_messages(request: Request, model: str | None, family: Family | None) -> Iterator[Finding]:
    if not isinstance(request.parameters.get("chat_template_kwargs", {}), Mapping | None):
        told = f"chat_template_kwargs must be an object, found {kind(request.parameters['chat_template_kwargs'])}"
        yield Finding.of("not_a_request", "present", told, place="request.chat_template_kwargs")
        return
    held = family or families.K2
    if keeps_form(request, held) and (held.replays == "none" or held is repairs.family_of(request, model)):
        yield from map(_moved, of_reasoning(request, held))
    else:
        known = tuple(tool for tool in request.tools if name_of(tool))
        for finding in of_history(replace(request, tools=known), model=model):
            if finding.name not in BY_RENDERING and not finding.place.startswith("tools"):
                yield _moved(finding)
    yield from map(_moved, of_doubts(request, held))
    if family is None or family.numbers_ids:
        yield from _of_order(request)


def _of_shape(value: Mapping[str, Any]) -> Iterator[Finding]:
    messages = value.get("messages")
    if messages is None and "prompt" in value:
        return
    if not isinstance(messages, list) or not messages:
        told = "messages is empty" if messages == [] else f"messages must be a list, found {kind(messages)}"
        yield Finding.of("not_a_request", "present", told, place="request.messages")
        return
    for index, message in enumerate(messages):
        fault = message_fault(message)
        if fault:
            place = f"messages[{index}]"
            yield Finding.of("not_a_request", "present", f"{place}{fault}", place=f"request.{place}")


def _of_order(request: Request) -> Iterator[Finding]:
    """Roles where no template expects them; a tool's result has findings of its own."""
    begun, before = False, ""
    for index, message in enumerate(request.messages):
        role = message["role"]
        told = ""
        if role in SYSTEM_ROLES or role == "developer":
            told = "a system message behind the beginning of the conversation" if begun else ""
        elif role == "assistant" and not begun:
            told = "the conversation begins with an assistant message"
        elif role == "assistant" and before == "assistant":
            told = "two assistant messages in a row"
        if told:
            yield Finding.of("roles_out_of_order", "present", told, place=f"request.messages[{index}].role")
        begun = begun or role in ("user", "assistant", "tool")
        before = role


def _of_choice(request: Request) -> Iterator[Finding]:
    choice, place = request.choice, "request.tool_choice"
    if choice.mode == "unknown":
        given = request.parameters["tool_choice"]
        told = f"it is {kind(given)}: {given!r:.80}"
        yield Finding.of("tool_choice_of_an_unknown_form", "present", told, place=place)
        return
    declared = set(request.functions)
    missing = sorted((choice.allowed or frozenset()) - declared)
    listed = ", ".join(sorted(declared)[:8]) or "no tool"
    if missing:
        told = f"it names {', '.join(missing[:8])}; declared: {listed}"
        yield Finding.of("tool_choice_of_an_undeclared_tool", "present", told, place=place)
    elif choice.mode == "required" and not declared:
        yield Finding.of("tool_choice_of_an_undeclared_tool", "present", "a call is required, of no tool", place=place)


def _moved(finding: Finding) -> Finding:
    return replace(finding, place=f"request.{finding.place}")

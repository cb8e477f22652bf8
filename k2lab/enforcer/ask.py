"""Sending a tag: one enforced chat, and whether a server does what a tag says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from k2lab.chat import Conversation
from k2lab.endpoint import Endpoint, Reply, StatusError, in_parallel
from k2lab.enforcer import attach
from k2lab.errors import UnsupportedError

Form = Literal["tag", "structures"]

PROBE_TOOL = {"type": "function", "function": {"name": "k2lab_probe", "parameters": {"type": "object"}}}
PROBE_INDEX = 77
"""No server comes to this index by itself in a conversation without a history."""

PROBE_TOKENS = 1024
"""An enforced call needs thirty; a thinking model thinks first."""


def chat(
    endpoint: Endpoint,
    conversation: Conversation,
    *,
    tool_choice: str | Mapping[str, Any] = "auto",
    parallel: bool = True,
    old_form: bool = False,
    params: Mapping[str, Any] | None = None,
    **options: Any,
) -> Reply:
    """``/chat/completions`` under a tag; ``options`` are those of :func:`k2lab.enforcer.enforce`."""
    request = {**conversation.to_json(), "tool_choice": tool_choice, "parallel_tool_calls": parallel}
    made, _ = attach(request, old_form=old_form, **options)
    sent = {key: value for key, value in made.items() if key not in ("messages", "tools")}
    return endpoint.chat(Conversation.of(made["messages"], made["tools"]), **sent, **(params or {}))


def in_text(
    endpoint: Endpoint, conversations: Sequence[Conversation], *, params: Mapping[str, Any] | None = None
) -> list[Reply]:
    """Each conversation answered in text alone, its prompt unchanged; in their order."""
    return in_parallel(lambda talk: chat(endpoint, talk, tool_choice="none", params=params), conversations)


def form_of(endpoint: Endpoint) -> Form:
    """The form of a tag that a server obeys, found by asking for an index that it would never choose.

    Raises :class:`UnsupportedError` with the reason for a server that refuses
    both forms, ignores them, or puts a tag of its own beside ours.
    """
    talk = Conversation.of([{"role": "user", "content": "Call the tool."}], [PROBE_TOOL])
    ask: dict[str, Any] = {
        "first_index": PROBE_INDEX,
        "max_calls": 1,
        "params": {"max_tokens": PROBE_TOKENS, "temperature": 0},
    }
    try:
        reply = chat(endpoint, talk, tool_choice="required", **ask)
    except StatusError as error:
        if error.status in (401, 403, 404):
            raise
        return _older_form(endpoint, talk, ask, error)
    called = [call.get("id") for call in reply.tool_calls]
    if called == [f"functions.k2lab_probe:{PROBE_INDEX}"]:
        return "tag"
    if not called:
        raise UnsupportedError(f"{endpoint.base_url} ignores structured_outputs: it does not enforce")
    raise UnsupportedError(
        f"{endpoint.base_url} answered the id {called[0]!r} where functions.k2lab_probe:{PROBE_INDEX} was asked for: it"
        " ignores the tag, runs a grammar of its own (start vLLM with --tool-strict-level auto), or waits for the end"
        " of a reasoning that never came (start it with --structured-outputs-config.enable_in_reasoning=True)"
    )


def _older_form(endpoint: Endpoint, talk: Conversation, ask: dict[str, Any], refused: StatusError) -> Form:
    try:
        chat(endpoint, talk, old_form=True, **ask)
    except StatusError:
        raise UnsupportedError(f"{endpoint.base_url} takes no structural tag: {refused}") from None
    return "structures"

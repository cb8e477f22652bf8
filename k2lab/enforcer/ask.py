"""Sending a tag: one enforced chat, and whether a server does what a tag says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from k2lab import families
from k2lab.chat import Answer, Request
from k2lab.enforcer import FORMS, Form, Options, attach, enforce, family_for
from k2lab.enforcer.options import Thinking
from k2lab.errors import UnsupportedError
from k2lab.families import Family
from k2lab.server.endpoint import Endpoint, in_parallel
from k2lab.server.transport import StatusError

PROBE_TOOL = {"type": "function", "function": {"name": "k2lab_probe", "parameters": {"type": "object"}}}
PROBE_ARGUMENTS = {"k2lab_probe": 77}
"""No model comes to these by itself: the tool does not declare them."""

PROBE_TOKENS = 1024
"""An enforced call needs thirty; a thinking model thinks first."""


Params = Mapping[str, object]


def send(
    endpoint: Endpoint,
    request: Request,
    *,
    options: Options = Options(),  # noqa: B008 - frozen
    params: Params | None = None,
) -> Answer:
    """``/chat/completions`` under a grammar; ``params``, ``tool_choice`` among them, go over those of the request."""
    asked = replace(request, parameters={**request.parameters, **(params or {})})
    return endpoint.chat(attach(asked, options=options))


def in_text(endpoint: Endpoint, requests: Sequence[Request], *, params: Params | None = None) -> list[Answer]:
    """Each request answered in text alone, its prompt unchanged; in their order."""
    none = {**(params or {}), "tool_choice": "none"}
    return in_parallel(lambda request: send(endpoint, request, params=none), requests)


def form_of(
    endpoint: Endpoint,
    forms: Sequence[Form] | None = None,
    *,
    family: Family | None = None,
    thinking: Thinking = "no",
) -> Form:
    """The form that a server obeys, found by asking for arguments that no tool declares; ``forms`` to be tried.

    They prove it where an id would not: vLLM 0.11.1 and 0.13.0 give calls ids of their own. ``family`` is the model's,
    by default the one that its name says. ``thinking`` is as in :class:`Options`: a server may want the reasoning in
    the grammar.

    Raises :class:`UnsupportedError` with the reason of each form for a server that
    refuses all of them, ignores them, or puts a grammar of its own beside ours.
    """
    family = family or families.named(family_for(endpoint.model))
    reasons: dict[str, str] = {}
    for form in forms or FORMS:
        reason = _disobeyed(endpoint, form, family, thinking)
        if not reason:
            return form
        reasons.setdefault(reason, form)
    listed = "; ".join(f"{form}: {reason}" for reason, form in reasons.items())
    raise UnsupportedError(f"{endpoint.base_url} does not obey a grammar: {listed}")


def _disobeyed(endpoint: Endpoint, form: Form, family: Family, thinking: Thinking) -> str:
    """Why a server does not obey a form; nothing where it does."""
    try:
        reply = endpoint.chat(_probe(form, family, thinking))
    except StatusError as error:
        if error.status in (401, 403, 404):
            raise
        return f"it is refused: {error}"
    if not reply.calls:
        return "it is ignored: no call came"
    call = reply.calls[0]
    came = call.arguments if call.problem else call.value
    if len(reply.calls) == 1 and came == PROBE_ARGUMENTS:
        return ""
    return (
        f"the answer's arguments were {came!r:.80} where {PROBE_ARGUMENTS} was asked"
        " for: the grammar is ignored, the server runs one of its own (start vLLM with --tool-strict-level auto), or it"
        " waits for the end of a reasoning that never came (start it with"
        " --structured-outputs-config.enable_in_reasoning=True)"
    )


def _probe(form: Form, family: Family, thinking: Thinking) -> Request:
    """A request whose tag asks for more than it says."""
    options = Options(form=form, family=family.name, max_calls=1, thinking=thinking)
    params = {"max_tokens": PROBE_TOKENS, "temperature": 0, "tool_choice": "required"}
    talk = Request.of([{"role": "user", "content": "Call the tool."}], [PROBE_TOOL], params)
    fixed = {"properties": {name: {"const": value} for name, value in PROBE_ARGUMENTS.items()}}
    schema = {"type": "object", **fixed, "required": list(PROBE_ARGUMENTS)}
    held = replace(talk, tools=({"type": "function", "function": {"name": "k2lab_probe", "parameters": schema}},))
    return enforce(held, options=options).attached(talk)

"""The pinned tag for a request: the members that carry it, or why the request goes unheld."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import lru_cache

from k2lab import enforcer, families, repairs
from k2lab.chat import Request
from k2lab.errors import InputError, UnsupportedError
from k2lab.families import Family
from k2lab.traffic.exchanges import Changed
from k2lab.traffic.guard.jsonbody import RawJSON
from k2lab.traffic.guard.options import GuardOptions
from k2lab.traffic.guard.splicing import dumped

OWN = (
    "structured_outputs",
    "response_format",
    "guided_json",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
    "guided_decoding_backend",
    "structural_tag",
    "regex",
    "ebnf",
    "json_schema",
)
"""Fields with which a request asks for a form of its own, beside which no grammar can be sent."""

KEPT_TAGS = 512
"""Grammars that are kept: one for each set of tools, choice and index of the next call."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """The members that are set or, ``None``, taken out; the tools as they are sent, where they change; or why not.

    ``refused``: the caller wishes that such a request is not sent.
    """

    members: tuple[tuple[str, object | None], ...] = ()
    tools: tuple[dict[str, object], ...] | None = None
    changes: tuple[Changed, ...] = ()
    unheld: str = ""
    refused: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tag:
    """A grammar as a request's members, and what it does not hold."""

    fields: tuple[tuple[str, RawJSON], ...]
    first_index: int
    max_calls: int
    limits: str


def held(request: Request, options: GuardOptions, family: str | None) -> Held:
    """What holds the answer to a request: nothing for one without tools."""
    if not request.tools:
        return Held()
    own = next((name for name in OWN if _asks(request, name)), None)
    if own is not None:
        return Held(unheld=f"the request has a {own} of its own")
    known = repairs.family_of(request, family)
    tag = _tag(*_key(request, options, known))
    return _unheld(tag, options) if isinstance(tag, str) else _held(request, tag)


def prepare(options: GuardOptions) -> None:
    """Make one grammar, so that the first request does not pay for what is made once."""
    tool = {"type": "function", "function": {"name": "x", "parameters": {"properties": {"a": {"type": "string"}}}}}
    held(Request.of([{"role": "user", "content": "x"}], [tool]), options, families.K2.name)


def _asks(request: Request, name: str) -> bool:
    value = request.parameters.get(name)
    plain = name == "response_format" and isinstance(value, dict) and value.get("type") == "text"
    return value is not None and not plain


def _unheld(reason: str, options: GuardOptions) -> Held:
    return Held(unheld=reason, refused=options.unheld == "refuse")


def _key(request: Request, options: GuardOptions, family: Family) -> tuple[str, str, str, int, enforcer.Options]:
    made = enforcer.Options(
        form=options.form,
        family=enforcer.family_for(family.name),
        max_calls=options.max_calls,
        max_string=options.max_string,
        thinking=thinking_of(request, options, family),
        loosen=options.unheld == "loosen",
    )
    choice, parallel = (json.dumps(request.parameters.get(name)) for name in enforcer.CHOICES)
    return json.dumps(request.tools), choice, parallel, enforcer.first_index(request, made), made


def thinking_of(request: Request, options: GuardOptions, family: Family) -> enforcer.Thinking:
    """Where in the answer reasoning stands that the grammar leaves free."""
    asked = request.parameters.get("thinking")
    off = request.template_kwargs.get("thinking") is False
    off |= isinstance(asked, dict) and asked.get("type") == "disabled"
    if options.reasoning == "parsed" or not family.reads_reasoning or (off and not family.always_thinks):
        return "no"
    return "may" if family is families.K2_THINKING else "begun"


@lru_cache(maxsize=KEPT_TAGS)
def _tag(tools: str, choice: str, parallel: str, first_index: int, options: enforcer.Options) -> _Tag | str:
    """The grammar, or in a line why there is none: both come again with the next turn."""
    parameters = {"tool_choice": json.loads(choice), "parallel_tool_calls": json.loads(parallel)}
    request = Request(messages=(), tools=tuple(json.loads(tools)), parameters=parameters)
    try:
        made = enforcer.enforce(request, options=replace(options, first_index=first_index))
    except (InputError, UnsupportedError) as error:
        return str(error)
    return _Tag(
        fields=tuple((name, RawJSON(dumped(value))) for name, value in made.fields.items()),
        first_index=first_index,
        max_calls=made.max_calls,
        limits="; ".join(str(limit) for limit in made.limits if limit.limit.asserted),
    )


def _held(request: Request, tag: _Tag) -> Held:
    """What :meth:`Enforcement.attached` does, as members of a body."""
    members: dict[str, object | None] = {**dict(tag.fields), "tool_choice": "auto", "parallel_tool_calls": None}
    names = [name for name, _ in tag.fields]
    detail = f"up to {tag.max_calls} calls from index {tag.first_index} on"
    changes = [_change(names[0], f"a grammar for {len(request.tools)} tools, {detail}")]
    for name, said in (("tool_choice", "sent as auto"), ("parallel_tool_calls", "left out")):
        value = request.parameters.get(name)
        if value is not None and value != "auto":
            changes.append(_change(name, f"{said}: the grammar holds {json.dumps(value)[:80]}"))
    tools, strict = list(request.tools), enforcer.without_strict(request.tools)
    for place, (tool, free) in enumerate(zip(tools, strict, strict=True)):
        if tool is not free:
            changes.append(_change(f"tools[{place}].function.strict", "left out: the grammar holds its schema"))
    unchanged = all(tool is free for tool, free in zip(tools, strict, strict=True))
    return Held(
        members=tuple(members.items()),
        tools=None if unchanged else tuple(strict),
        changes=tuple(changes),
        unheld=f"in part: {tag.limits}" if tag.limits else "",
    )


def _change(place: str, detail: str) -> Changed:
    return Changed(kind="enforce", place=place, code="", detail=detail)

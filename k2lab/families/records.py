"""What a family says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from k2lab.families import special

TOKENIZER_CLASS = "TikTokenTokenizer"
"""The name of Moonshot's tokenizer class in ``tokenizer_config.json``."""

Replay = Literal["none", "unanswered", "unanswered or all", "all"]
"""Which earlier turns' reasoning a template prints: of no turn; of those after the last turn without calls; of
these, or of all where the request says ``preserve_thinking``; of all."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """How a family's prompts are made, and what its histories need.

    ``declares``: how its tokenizer writes tools for the template, ``None`` where
    that is not known here; ``variables``: what it hands to the template beside
    them. ``numbers_ids``: ids of calls are ``functions.NAME:IDX``, counted over
    the conversation, and are part of the prompt. ``reads_reasoning``: there is a
    place for ``reasoning_content``; ``replays``: of which turns it is printed;
    ``needs_replay``: such a turn without any is at fault, where else the model may
    have given none; ``always_thinks``: a request cannot switch that off. ``added_tokens``: a
    regular expression of its tokenizer's added tokens. ``encodes_apart``: each
    text is encoded by itself, so that such a token in it stays text.
    ``renders``: what makes its prompts, a chat template or, in XTML, the
    checkpoint's own code; ``efforts``: the levels of thinking that can be asked
    for; ``model_type``: what ``config.json`` calls it; ``slots``: the first
    tokens after those of the ranks, where they are not K2's. ``wire``: the form of
    its calls, a section of ids and JSON, or XTML; :mod:`k2lab.wire` reads both.
    ``serving``: flags of vLLM without which it is not served right.
    """

    name: str
    declares: Literal["json", "typescript"] | None
    variables: Mapping[str, object] = field(default_factory=lambda: {"thinking": True, "preserve_thinking": False})
    numbers_ids: bool = True
    reads_pictures: bool = True
    reads_reasoning: bool = True
    replays: Replay = "none"
    needs_replay: bool = True
    always_thinks: bool = False
    added_tokens: str = special.K2
    encodes_apart: bool = False
    wire: Literal["section", "xtml"] = "section"
    renders: Literal["template", "xtml"] = "template"
    efforts: tuple[str, ...] = ()
    model_type: str | None = None
    slots: tuple[str, ...] = ()
    serving: tuple[str, ...] = ()

"""Kimi's families: what sets K2, K2-Thinking, K2.5, K2.6 and K2.7 apart before a prompt is rendered.

Moonshot's checkpoints come with a tokenizer class whose ``apply_chat_template``
works on the tools first: each family's sorts the keys of every object in them,
and from K2.5 on it also writes them as TypeScript, which the template prints in
place of the JSON. Its parameters ``thinking`` (true) and ``preserve_thinking``
(false) reach the template as variables. Source: ``tokenization_kimi.py`` and
``tool_declaration_ts.py`` of the checkpoints, the latter also in
MoonshotAI/Kimi-Vendor-Verifier (``beam/tokenizer``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

TOKENIZER_CLASS = "TikTokenTokenizer"
"""The name of Moonshot's tokenizer class in ``tokenizer_config.json``."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """How the tokenizer of a family prepares a conversation; ``variables`` are what it hands to the template."""

    name: str
    declares: Literal["json", "typescript"]
    variables: Mapping[str, Any] = field(default_factory=lambda: {"thinking": True, "preserve_thinking": False})


K2 = Family(name="K2", declares="json")
K2_THINKING = Family(name="K2-Thinking", declares="json")
K2_5 = Family(name="K2.5", declares="typescript")
K2_6 = Family(name="K2.6", declares="typescript")
K2_7 = Family(name="K2.7", declares="typescript")

COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)


def of_template(template: str) -> Family | None:
    """The family whose conversations a chat template renders, by what it prints and reads; ``None`` for no Kimi's.

    >>> from k2lab import templates
    >>> of_template(templates.read("moonshotai-Kimi-K2.6")).name
    'K2.6'
    """
    text = COMMENT.sub("", template)
    if "<|im_middle|>" not in text or "tool_declare" not in text:
        return None
    if "tools_ts_str" not in text:
        return K2_THINKING if "<think>" in text else K2
    if "preserve_thinking" in text:
        return K2_6
    return K2_5 if re.search(r"\bthinking\b", text) else K2_7

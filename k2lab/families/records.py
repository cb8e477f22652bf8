"""What a family says of itself."""

from __future__ import annotations

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

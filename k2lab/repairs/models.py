"""Which of Kimi's families a model is, by the names that people give it."""

from __future__ import annotations

import re
from typing import Literal

Family = Literal["k2", "k2-thinking", "k2.5", "k2.6", "k2.7", "k3"]

NAME = re.compile(
    r"(?:(?<![a-z0-9])|(?<=kimi))"  # k3 as a word, or kimik3
    r"k(?:(?P<three>3)(?:[.p]\d+)?|2[._p-]?(?P<minor>[567])|(?P<two>2))"
    r"(?![a-z0-9]|[.]\d)"
)
"""Moonshot's ids (``kimi-k2.5``, ``kimi-k2-0905-preview``, ``k3``), and what hosts make of them (``kimi-k2p5``)."""


def family(model: str) -> Family | None:
    """The family that a model's name, path or repository says; ``None`` where it says none."""
    name = model.lower()
    match = NAME.search(name, name.rfind("/") + 1) or NAME.search(name)
    if match is None:
        return None
    if match["three"]:
        return "k3"
    if match["minor"]:
        return f"k2.{match['minor']}"  # type: ignore[return-value]
    return "k2-thinking" if "thinking" in name[match.end() :] else "k2"


def applies_to(model: str) -> bool:
    """Whether ids are to be renumbered for a model of this name: not for K3."""
    return family(model) != "k3"

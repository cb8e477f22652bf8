"""A request's ``tool_choice``: whether calls must come, and of which tools, in whichever of the APIs' forms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from k2lab.chat.calls import name_of

Mode = Literal["auto", "none", "required", "named", "unknown"]
LISTED: tuple[Mode, ...] = ("auto", "required")
"""Modes that a list of allowed tools may have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What a ``tool_choice`` asks for; ``allowed`` holds the names of tools where it lists them, or names one.

    >>> Choice.of({"type": "function", "function": {"name": "search"}})
    Choice(mode='named', allowed=frozenset({'search'}))
    """

    mode: Mode
    allowed: frozenset[str] | None = None

    @classmethod
    def of(cls, value: object) -> Choice:
        """Read a ``tool_choice``; never raises: of another form, its mode is ``unknown``.

        Read are ``auto`` (and nothing), ``none``, ``required``, and ``any`` for
        it; a function by name, in the chat API's form and in that of the
        Responses API; and ``allowed_tools``, in both forms.
        """
        if value is None or value == "auto":
            return cls(mode="auto")
        if value == "none":
            return cls(mode="none")
        if value in ("required", "any"):
            return cls(mode="required")
        if not isinstance(value, Mapping):
            return cls(mode="unknown")
        name = _name(value)
        if value.get("type", "function") == "function" and name:
            return cls(mode="named", allowed=frozenset({name}))
        return cls._of_listed(value)

    @classmethod
    def _of_listed(cls, value: Mapping[str, object]) -> Choice:
        inner = value.get("allowed_tools", value)
        if value.get("type") != "allowed_tools" or not isinstance(inner, Mapping):
            return cls(mode="unknown")
        tools, modes = inner.get("tools"), [mode for mode in LISTED if mode == inner.get("mode")]
        if not modes or not isinstance(tools, list):
            return cls(mode="unknown")
        return cls(mode=modes[0], allowed=frozenset(filter(None, map(_name, tools))))


def _name(item: object) -> str:
    """The name of a tool, under ``function`` or beside the type; empty for none."""
    beside = item.get("name") if isinstance(item, Mapping) else None
    return name_of(item) or (beside if isinstance(beside, str) else "")

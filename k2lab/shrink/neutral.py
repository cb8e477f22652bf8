"""Neutral words in place of private ones: the same word always becomes the same one, and markers stay."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from k2lab.chat import tools_by_name

NEUTRAL = (
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett", "kilo", "lima",
    "mike", "november", "oscar", "papa", "quebec", "romeo", "sierra", "tango", "uniform", "victor", "whiskey",
    "xray", "yankee", "zulu",
)  # fmt: skip
"""The ICAO alphabet: words that say nothing of the conversation."""

WORD = re.compile(r"<\|[^|<>]*\|>|</?think>|[^\W\d_]+|\d+")
"""A marker, a run of letters, or a run of digits."""


class Words:
    """A mapping from words to neutral ones, made as words come; names of tools and their properties stay."""

    def __init__(self, kept: frozenset[str]) -> None:
        self.kept = kept
        self._given: dict[str, str] = {}

    def text(self, text: str) -> str:
        """A text with every word that is not kept made neutral; capitals, digits' number and all else stay.

        >>> Words(frozenset()).text("Mail Ann, mail 42!")
        'Alpha Bravo, alpha 10!'
        """
        return WORD.sub(lambda match: self._word(match[0]), text)

    def _word(self, word: str) -> str:
        if word.startswith("<") or word.lower() in self.kept:
            return word
        if word.isdigit():
            return "1" + "0" * (len(word) - 1)
        made = self._given.setdefault(word.lower(), self._next())
        return made.upper() if word.isupper() and len(word) > 1 else made.capitalize() if word[0].isupper() else made

    def _next(self) -> str:
        count, letters = len(self._given), len(NEUTRAL)
        return NEUTRAL[count % letters] * (1 + count // letters)


def names_kept(data: Mapping[str, Any]) -> frozenset[str]:
    """Words that a text shares with the tools: their names and those of their properties, in lower case."""
    found: set[str] = set()
    for name, function in tools_by_name(data.get("tools")).items():
        for word in (name, *_properties(function.get("parameters"))):
            found |= {part.lower() for part in re.findall(r"[^\W\d_]+", word)}
    return frozenset(found)


def neutral_arguments(text: str, words: Words) -> str:
    """Arguments with the strings in them made neutral; what is no JSON is made so as text.

    >>> neutral_arguments('{"city": "Rome"}', Words(frozenset()))
    '{"city": "Alpha"}'
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return words.text(text)
    return json.dumps(_strings(value, words), ensure_ascii=False)


def _strings(value: Any, words: Words) -> Any:
    if isinstance(value, str):
        return words.text(value)
    if isinstance(value, dict):
        return {key: _strings(inner, words) for key, inner in value.items()}
    return [_strings(inner, words) for inner in value] if isinstance(value, list) else value


def _properties(schema: object) -> list[str]:
    inner = schema.get("properties") if isinstance(schema, Mapping) else None
    return [str(name) for name in inner] if isinstance(inner, Mapping) else []

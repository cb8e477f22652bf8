"""The key: read once, checked once, sent to one server, and masked in every error text by one rule."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import quote

from k2lab.errors import InputError

KEY_VARIABLE = "OPENAI_API_KEY"
VARIABLES = (KEY_VARIABLE, "VLLM_API_KEY")
"""Whose values stand in no error text; the second is the key of a server that is started here."""

IN_URL = re.compile(
    r"(\b[a-z][a-z0-9+.-]{0,20}:/{1,2}|//)[^\s/@'\"]*@|\b(?!hub:)\w[\w.-]*:[^\s/@'\"]+@(?=[\w.-]+[:/])", re.IGNORECASE
)
IN_QUERY = re.compile(r"([?&#](?:[\w-]{0,20}(?:key|token|secret|password)|auth|sig)=)[^\s&#'\"]*", re.IGNORECASE)
"""Where people put keys into a URL: before its host, and behind a name that says so."""

LONG = 8
"""Characters from which on a key is masked inside of words, too; a secret is longer, ``EMPTY`` and ``test`` are not."""


@dataclass(frozen=True, slots=True)
class Key:
    """A server's key, empty where there is none; never shown.

    >>> Key("sk-secret").masked("the key sk-secret is wrong"), Key("sk-secret")
    ('the key *** is wrong', Key())
    """

    value: str = field(default="", repr=False)

    @classmethod
    def of(cls, given: str | None = None) -> Key:
        """The key that is given, else that of ``OPENAI_API_KEY``; raises :class:`InputError` for what no key can be."""
        value = (given or os.environ.get(KEY_VARIABLE) or "").strip()
        place = next((place for place, char in enumerate(value) if not "!" <= char <= "~"), None)
        if place is not None:
            name = "the key" if given else KEY_VARIABLE
            raise InputError(f"{name} cannot be sent: {_kind(value[place])} at place {place + 1} of {len(value)}; "
                             "copy it anew")  # fmt: skip
        return cls(value)

    def masked(self, text: str) -> str:
        """An error's text without the key, which a server may repeat; never for an answer, which stays as it came.

        A key of eight characters or more is masked wherever it stands, as it is
        or written for JSON, Python or a URL. A shorter one is a placeholder
        (``EMPTY``, ``test``, ``x``) and masked as a word of its own alone, so
        that texts stay readable.

        >>> Key("test").masked("the key test is wrong, the tool run_test is not")
        'the key *** is wrong, the tool run_test is not'
        """
        return _pattern(self.value).sub("***", text) if self.value else text

    def stands_in(self, text: str) -> bool:
        """Whether a text holds the key, and the key is none of those that are words."""
        return len(self.value) >= LONG and _pattern(self.value).search(text) is not None


def masked(text: str) -> str:
    """An error's text without the keys of the environment, whether they can be sent or not, and without those in URLs.

    >>> masked("cannot read https://me:secret@host/v1?api_key=secret")
    'cannot read https://***@host/v1?api_key=***'
    """
    for key in _of_environment():
        text = key.masked(text)
    return IN_QUERY.sub(r"\1***", IN_URL.sub(lambda found: f"{found[1] or ''}***@", text))


def holds_key(text: str) -> bool:
    """Whether a key of the environment stands in a text."""
    return any(key.stands_in(text) for key in _of_environment())


def holds_secret(text: str) -> bool:
    """Whether a key of the environment, or a URL with a user or a key, stands in a text.

    >>> holds_secret("http://127.0.0.1:8000/v1"), holds_secret("http://h/v1?api_key=abc")
    (False, True)
    """
    return holds_key(text) or IN_URL.search(text) is not None or IN_QUERY.search(text) is not None


def _of_environment() -> list[Key]:
    return [Key(part) for name in VARIABLES for part in os.environ.get(name, "").split()]


@cache
def _pattern(value: str) -> re.Pattern[str]:
    found = "|".join(map(re.escape, sorted(set(_spellings(value)), key=len, reverse=True)))
    return re.compile(found if len(value) >= LONG else rf"(?<![\w-])(?:{found})(?![\w-])")


def _spellings(value: str) -> Iterator[str]:
    yield value
    yield json.dumps(value)[1:-1]
    yield repr(value)[1:-1]
    yield quote(value, safe="", errors="replace")


def _kind(char: str) -> str:
    if char.isspace():
        return "white space"
    return "a control character" if char < " " or char == "\x7f" else "a character beyond ASCII"

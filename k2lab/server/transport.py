"""What is common to every way of reaching a server: its URL, the key, the limits, and the words of each failure."""

from __future__ import annotations

import email.utils
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from k2lab.errors import EndpointError, InputError, first_line

TIMEOUT_S = 120.0
"""For one whole answer, from the request's first byte to the answer's last."""

CONNECT_TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 64 << 20
"""Decompressed. Longer answers are no chat answers, and must not fill the memory."""

KEY_VARIABLE = "OPENAI_API_KEY"
STATUS_HINTS: Mapping[int | None, str] = {
    401: f"; set {KEY_VARIABLE}",
    403: f"; check {KEY_VARIABLE}",
    404: "; check the URL and the model",
}

FailureKind = Literal["connect", "disconnect", "timeout", "status", "garbage", "incomplete"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a request has no answer; ``status`` is the HTTP status where there was one."""

    kind: FailureKind
    detail: str
    status: int | None = None
    retry_after_s: float | None = None


class StatusError(EndpointError):
    """The server refused a request; ``status`` is the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message, status)
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])

    @property
    def unknown(self) -> bool:
        """Whether it says that the server does not know the path or a parameter."""
        return self.status in (400, 404, 405, 422, 501)


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
            kind = "white space" if value[place].isspace() else "a character beyond ASCII"
            raise InputError(f"{name} cannot be sent: {kind} at place {place + 1} of {len(value)}; copy it anew")
        return cls(value)

    def masked(self, text: str) -> str:
        """An error's text without the key, which a server may repeat."""
        return text.replace(self.value, "***") if self.value else text


def checked_url(base_url: str) -> str:
    """A base URL without a slash at its end; raises :class:`InputError` for what is none, or holds a key.

    >>> checked_url("http://127.0.0.1:8000/v1/")
    'http://127.0.0.1:8000/v1'
    """
    base_url = base_url.strip()
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        (parts.hostname or "").encode("idna")
    except ValueError:  # brackets that do not close, a port or a host that there cannot be
        usable = False
    if not usable or not base_url.isprintable() or " " in base_url:
        raise InputError(f"{base_url!r} is not a base URL: one looks like http://127.0.0.1:8000/v1")
    if parts.username or parts.password:
        raise InputError(f"keep keys out of the base URL: set {KEY_VARIABLE} instead")
    if parts.query or parts.fragment:
        raise InputError("a base URL ends with its path: leave out what follows the ? or #")
    return base_url.rstrip("/")


def plain(error: object) -> str:
    """The first line of an error or a text, without what no terminal can show.

    >>> plain(chr(27) + "[31mno room")
    '?[31mno room'
    """
    text = getattr(error, "strerror", None) or error
    return "".join(char if char.isprintable() else "?" for char in first_line(text))


def refusal(status: int, text: str, headers: Mapping[str, str]) -> Failure:
    """The failure of an answer with another status than 200: what its body says, and when to come again."""
    return Failure(kind="status", detail=plain(_said(text)), status=status, retry_after_s=_retry_after(headers))


def explain(base_url: str, failure: Failure) -> str:
    """A failure as one line for a person: the cause, the value, the next step."""
    detail = failure.detail
    return {
        "connect": f"nobody answers at {base_url} ({detail}): start a server or check the URL",
        "timeout": f"{base_url} accepts and does not answer ({detail}): is it a model server?",
        "disconnect": f"{base_url} broke the connection off ({detail}): look into its log",
        "garbage": f"{base_url} answered what cannot be read ({detail}): is it an OpenAI-compatible API?",
        "incomplete": f"{base_url} answered in part ({detail}): look into its log",
        "status": f"{base_url} answered {failure.status}: {detail}{STATUS_HINTS.get(failure.status, '')}",
    }[failure.kind]


def error_of(base_url: str, failure: Failure, key: Key) -> EndpointError:
    """A failure as the error to raise, without the key."""
    line = key.masked(explain(base_url, failure))
    return EndpointError(line) if failure.status is None else StatusError(line, failure.status)


def _said(text: str) -> str:
    """The words of a refusal, which servers put under ``error``, ``message`` or ``detail``."""
    try:
        said: object = json.loads(text)
    except (ValueError, RecursionError):
        return text or "no text"
    for name in ("error", "message", "detail"):
        if isinstance(said, Mapping) and said.get(name):
            said = said[name]
    return said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from a ``Retry-After`` header: a number, or a date (RFC 9110, 10.2.3)."""
    value = headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None

"""What is common to every way of reaching a server: its URL, the key, the limits, and the words of each failure."""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from k2lab.errors import EndpointError, InputError, first_line
from k2lab.jsonread import NotJSON, read_json
from k2lab.legible import visible
from k2lab.server.keys import KEY_VARIABLE, Key, holds_key

TIMEOUT_S = 120.0
"""For one whole answer, from the request's first byte to the answer's last."""

CONNECT_TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 64 << 20
"""Decompressed. Longer answers are no chat answers, and must not fill the memory."""

HARMLESS = re.compile(r"(?=.*[.:/])[a-z]{0,8}:?/{0,2}[a-z0-9.\[\]-]{0,40}(:\d{1,8})?(/[a-z0-9/]{0,20})?")
"""What may be shown of a base URL that is none: a short host, a port, a short path."""

STATUS_HINTS: Mapping[int | None, str] = {
    401: f"; set {KEY_VARIABLE}",
    403: f"; check {KEY_VARIABLE}",
    404: "; check the URL and the model",
}

UNKNOWN = (400, 404, 405, 422, 501)
"""Statuses of a server that does not know a path or a parameter."""

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
        return self.status in UNKNOWN


class Failed(Exception):
    """Carries a :class:`Failure` up to where it is told or recorded."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure

    @classmethod
    def of(cls, kind: FailureKind, detail: str) -> Failed:
        """By the kind of failure and its words."""
        return cls(Failure(kind=kind, detail=detail))


def checked_url(base_url: str) -> str:
    """A base URL without a slash at its end; raises :class:`InputError` for what is none, or holds a key.

    What is refused is repeated only where it can hold no key.

    >>> checked_url("http://127.0.0.1:8000/v1/")
    'http://127.0.0.1:8000/v1'
    """
    base_url = base_url.strip()
    usable = base_url.isprintable() and " " not in base_url
    try:
        parts = urlsplit(base_url)
        usable = usable and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        (parts.hostname or "").encode("idna")
    except ValueError:  # brackets that do not close, a port or a host that there cannot be
        usable = False
    if any(char in base_url for char in "@?#") or (usable and holds_key(parts.path)):
        raise InputError(
            "a base URL ends with its path and holds no user and no key: leave out what stands before an @ and after"
            f" a ? or #, and set {KEY_VARIABLE} instead"
        )
    if not usable:
        shown = repr(base_url) if HARMLESS.fullmatch(base_url) else "what was given"
        raise InputError(f"{shown} is not a base URL: one looks like http://127.0.0.1:8000/v1")
    return base_url.rstrip("/")


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL, which hold no key; empty for what is none.

    >>> origin_of("https://me:pw@host/v1?key=abc")
    'https://host:443'
    """
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        host = (parts.hostname or "").encode("idna").decode()
    except ValueError:
        return ""
    return f"{parts.scheme}://{host}:{port}" if host and port and host.isprintable() else ""


def plain(error: object) -> str:
    r"""The first line of an error or a text, what does not show itself written out.

    >>> plain("\x1b[31mno room")
    '\\x1b[31mno room'
    """
    return visible(first_line(getattr(error, "strerror", None) or error))


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
        said = read_json(text)
    except NotJSON:
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

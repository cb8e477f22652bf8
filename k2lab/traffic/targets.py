"""Request targets: which are passed on, which are the proxy's own, and the few classes that metrics tell apart."""

from __future__ import annotations

import re
from urllib.parse import unquote

from k2lab.traffic.own_errors import Refused

OWN = "/k2lab/"
"""What begins so is the proxy's own, never the upstream's; vLLM's ``/metrics`` and ``/health`` stay vLLM's."""

METRICS, HEALTH = "/k2lab/metrics", "/k2lab/healthz"
GUARDED = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
}
"""Paths whose requests a guard is given."""

KINDS = {
    **GUARDED,
    "/v1/completions": "completions",
    "/v1/models": "models",
    "/v1/embeddings": "embeddings",
    "/tokenize": "tokenize",
    "/detokenize": "tokenize",
    "/health": "health",
    "/metrics": "metrics",
}
OTHER = "other"

PLAIN = re.compile(r"/[!$%&'()*+,\-.0-9:;=?@A-Z_a-z~/\[\]|{}^`\\\"<>]*")
"""What may stand in a target: ASCII without white space and ``#``; servers take more of it than RFC 3986 allows."""

DOTS = re.compile(r"(?:^|[/\\])\.{1,2}(?:[/\\;]|$)")


def check_target(target: str) -> None:
    """Raise :class:`Refused` for a target that names another place than a path of the upstream.

    >>> check_target("/v1/models?limit=2")
    >>> check_target("http://other.example/v1/models")
    Traceback (most recent call last):
    k2lab.traffic.own_errors.Refused: this is a reverse proxy: ask for a path such as /v1/models, not for a whole URL
    """
    if target != "*" and not target.startswith("/"):
        raise Refused(
            400, "bad_target", "this is a reverse proxy: ask for a path such as /v1/models, not for a whole URL"
        )
    if target != "*" and not PLAIN.fullmatch(target):
        raise Refused(400, "bad_target", "a path is ASCII without white space and #: percent-encode the rest")
    if "." in target or "%" in target:
        path = path_of(target)
        if DOTS.search(path) or DOTS.search(unquote(path)):
            raise Refused(
                400, "bad_target", "a path with the segments . or .. is not passed on: ask for the path that it means"
            )


def path_of(target: str) -> str:
    """The target without its query, which may hold a key, percent-encoding undone.

    >>> path_of("/v1/chat/%63ompletions?api_key=secret")
    '/v1/chat/completions'
    """
    path = target.partition("?")[0]
    return unquote(path) if "%" in path else path


def kind_of(path: str) -> str:
    """The class of a path, one of a few.

    >>> kind_of("/v1/chat/completions"), kind_of("/v1/files/abc")
    ('chat', 'other')
    """
    return KINDS.get(path, OTHER)

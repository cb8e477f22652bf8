"""The proxy's own key: how a client shows it beside the upstream's, and that nothing of it goes further."""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import TYPE_CHECKING

from k2lab import files
from k2lab.errors import InputError
from k2lab.traffic.heads import KEY_HEADER
from k2lab.traffic.own_errors import Refused

if TYPE_CHECKING:
    from multidict import CIMultiDict, CIMultiDictProxy

SHORTEST = 16
"""Characters: a shorter one can be tried out."""

BEARERS = ("authorization", "x-api-key")
"""Where clients of OpenAI's and of Anthropic's API put a key."""


class Admission:
    """Who may ask: everybody, or who shows the proxy's key; and the key that the upstream gets.

    A client shows the proxy's key as ``x-k2lab-key``, and its own key for the
    upstream in ``authorization`` as ever; or it shows the proxy's key in place
    of the upstream's, as ``authorization: Bearer`` or ``x-api-key``. Whichever
    header held the proxy's key is not passed on. ``upstream_key`` stands for
    what is missing then.
    """

    def __init__(self, key: str = "", upstream_key: str = "") -> None:
        self._key = key.encode()
        self._upstream_key = upstream_key

    def check(self, headers: CIMultiDictProxy[str]) -> None:
        """Raise :class:`Refused` where the key is wanted and not shown."""
        if self._key and not any(self._is_key(headers.get(name)) for name in (KEY_HEADER, *BEARERS)):
            raise Refused(401, "no_key", f"this proxy wants its own key: send it as {KEY_HEADER}, or as the API key")

    def pass_on(self, headers: CIMultiDict[str]) -> None:
        """Take the proxy's key from the headers for the upstream, and give them the upstream's."""
        for name in BEARERS if self._key else ():
            if self._is_key(headers.get(name)):
                headers.popall(name)
        if self._upstream_key and not any(name in headers for name in BEARERS):
            headers["authorization"] = f"Bearer {self._upstream_key}"

    def _is_key(self, value: str | None) -> bool:
        if value is None:
            return False
        scheme, _, rest = value.partition(" ")
        shown = rest.strip() if scheme.lower() == "bearer" else value.strip()
        return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), self._key)


def read_key(path: Path, what: str) -> str:
    """A key from a file that holds it alone; raises :class:`InputError`.

    >>> _ = Path("key").write_text("0123456789abcdef-0123")
    >>> len(read_key(Path("key"), "key"))
    21
    """
    key = files.read_text(path, what, most=4096).strip()
    if len(key) < SHORTEST or not key.isascii() or not key.isprintable() or " " in key:
        raise InputError(
            f"{what} {path} holds no key: one is at least {SHORTEST} characters of ASCII without white space; "
            "make one with: openssl rand -hex 24"
        )
    return key

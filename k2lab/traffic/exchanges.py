"""An exchange as it passed through the proxy: the bytes of both sides, what was changed, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from k2lab.apis import PATHS

Ending = Literal["whole", "client_left", "upstream_broke", "timed_out", "unreachable", "refused", "stopped"]
"""How an exchange ended: as it should; the client went; the upstream's answer broke off, came too late, or could not be
asked for; k2lab refused the request and never sent it; k2lab itself was stopped."""

READ = tuple(PATHS)
"""How the paths end whose exchanges are looked at."""

ChangeKind = Literal["repair", "enforce", "salvage", "id"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """One thing that the guard changed: its kind, where, for which finding of the catalogue, and in words."""

    kind: ChangeKind
    place: str
    code: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Passed:
    """A request and its answer, as bytes, decoded (gzip and the like undone), with times in milliseconds.

    ``request`` is what the client sent and ``answer`` what the upstream answered;
    ``sent`` is what the upstream got and ``given`` what the client got, each
    ``None`` where it is the same. ``key`` sorts by time. ``path`` has no query.
    ``status`` is what the client got, 0 where it got none. ``first_ms`` is the
    time to the answer's first byte, ``upstream_ms`` to its last, ``added_ms``
    what k2lab took of its own. ``request_cut`` and ``answer_cut`` are the bytes
    at the end of ``request`` and ``sent``, or of ``answer`` and ``given``, that
    were too many to keep. A body whose encoding could not be undone is as it
    came, and its type ends in ``; encoding=…``. No header's and no key's value
    is among all that.
    """

    key: str
    started_at: float
    method: str
    path: str
    status: int
    ended: Ending
    request: bytes
    answer: bytes
    sent: bytes | None = None
    given: bytes | None = None
    request_type: str = ""
    answer_type: str = ""
    changes: tuple[Changed, ...] = ()
    upstream_ms: float = 0.0
    first_ms: float | None = None
    added_ms: float = 0.0
    request_cut: int = 0
    answer_cut: int = 0

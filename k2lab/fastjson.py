"""JSON by msgspec where that is installed, a third of the time of Python's own: it comes with ``k2lab[bench]``."""

from __future__ import annotations

import json
from typing import Any

try:
    import msgspec
except ModuleNotFoundError:  # pragma: no cover - the core does without
    msgspec = None  # type: ignore[assignment]


def decoded(data: bytes) -> Any:
    """The value of a JSON text; raises ``ValueError`` where there is none, or none that both read alike.

    msgspec refuses ``NaN``, half a surrogate pair, and numbers beyond a float's.
    """
    if msgspec is None:
        raise ValueError("msgspec is not installed")
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError) as why:
        raise ValueError(str(why)) from None


def encoded(value: object) -> bytes:
    """A decoded JSON value as a text, the same for the same value."""
    if msgspec is not None:
        try:
            return msgspec.json.encode(value)
        except (ValueError, TypeError, RecursionError):  # half a surrogate pair
            pass
    return json.dumps(value).encode()

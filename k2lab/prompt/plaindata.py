"""What goes into a chat template and what comes back: copies in JSON's own types, and errors by their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

BARE: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
)
"""How a value of a subclass is brought to the type itself, past what the subclass makes of it."""


class Raised(Exception):
    """What a template or a tokenizer raised, by the name of its type and its first line."""

    def __init__(self, kind: str, said: str) -> None:
        super().__init__(kind, said)
        self.kind, self.said = kind, said


def plain(value: object) -> object:
    """A copy in JSON's own types; what is of none becomes its type's name, so that no template can call it."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    for kind, bare in BARE:
        if isinstance(value, kind):
            return bare(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        parts = [plain(part) for part in value]
        return parts if isinstance(value, list) else tuple(parts)
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):  # a number of NumPy's
        return plain(value.item())
    return f"<{type(value).__name__}>"

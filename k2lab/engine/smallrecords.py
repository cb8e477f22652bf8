"""A small record in the cache, which another version may have written, or a disk that was full."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from k2lab import files, jsonread
from k2lab.errors import InputError

LARGEST_BYTES = 1 << 20

KINDS: Mapping[str, type] = {"str": str, "int": int, "float": float, "tuple[str, ...]": list}
"""Types of fields, as JSON has them."""


def read(path: Path, kinds: Mapping[str, str], lacking: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """A JSON object of just these fields, each of its type; ``None`` for anything else.

    ``lacking`` are the values of fields that older records have not.
    """
    found = read_object(path)
    if found is None:
        return None
    data = {**(lacking or {}), **found}
    fits = data.keys() == kinds.keys() and all(type(data[name]) is KINDS[kind] for name, kind in kinds.items())
    texts = all(isinstance(item, str) for value in data.values() if isinstance(value, list) for item in value)
    return data if fits and texts else None


def read_object(path: Path) -> dict[str, Any] | None:
    """A JSON object, whatever its fields; ``None`` for anything else."""
    try:
        data = jsonread.read_json(files.read_bytes(path, "record", most=LARGEST_BYTES))
    except (InputError, jsonread.NotJSON):
        return None
    return data if isinstance(data, dict) else None

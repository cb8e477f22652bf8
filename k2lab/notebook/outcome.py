"""What a notebook leaves for the report's ``summary.json``: recorded in a cell, read from the executed notebook."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from k2lab import jsonread
from k2lab.jsonable import as_json

RECORD_TYPE = "application/vnd.k2lab.result+json"
"""The MIME type under which a notebook leaves a result, as a JSON text: a notebook's file sorts the keys of data."""

Value = TypeVar("Value")


def record(name: str, value: Value) -> Value:
    """Leave a result for the report's ``summary.json`` and give it back, so that it can end the cell.

    ``value`` is JSON data, or records: with what they compute, and without what
    their ``repr`` leaves out.

    >>> called = k2lab.record("called", [3, 4])
    {...'called: [3, 4]'}
    >>> called
    [3, 4]
    """
    from IPython.display import display

    show: Callable[..., None] = display
    data = as_json(value, computed=True, brief=True)
    show({RECORD_TYPE: {"json": json.dumps({name: data})}, "text/plain": f"{name}: {data}"}, raw=True)
    return value


def recorded(notebook: Any) -> dict[str, Any]:
    """What the cells recorded, by name."""
    found: dict[str, Any] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            found.update(_results(output.get("data", {}).get(RECORD_TYPE)))
    return found


def _results(left: object) -> dict[str, Any]:
    """What stands under k2lab's type; nothing where somebody else put something else there."""
    match left:
        case {"json": str() as text}:
            try:
                value = jsonread.read_json(text, constants=True)
            except jsonread.NotJSON:
                return {}
            return value if isinstance(value, dict) else {}
    return {}

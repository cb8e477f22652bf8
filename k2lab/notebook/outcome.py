"""What a notebook leaves for the report's ``summary.json``: recorded in a cell, read from the executed notebook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

RECORD_TYPE = "application/vnd.k2lab.result+json"
"""The MIME type under which a notebook leaves a result."""


def record(name: str, value: Any) -> None:
    """Leave a result for the report's ``summary.json``; ``value`` is JSON data.

    >>> k2lab.record("called", [3, 4])
    {...'called: [3, 4]'}
    """
    from IPython.display import display

    show: Callable[..., None] = display
    show({RECORD_TYPE: {name: value}, "text/plain": f"{name}: {value}"}, raw=True)


def recorded(notebook: Any) -> dict[str, Any]:
    """What the cells recorded, by name."""
    found: dict[str, Any] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            found.update(output.get("data", {}).get(RECORD_TYPE, {}))
    return found

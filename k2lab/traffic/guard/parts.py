"""Texts of one item of a Responses request, joined: vLLM 0.32.0 hands the template the first part alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from k2lab.apis.records import listed, word
from k2lab.traffic.exchanges import Changed

WHY = "its parts are one text: vLLM 0.32.0 hands on the first of them alone"


def joined(items: list[Any]) -> tuple[list[Any], tuple[Changed, ...]]:
    """Items with one part where they had several texts, and what was changed; an item that has one is the same object.

    Those of the assistant's messages and of reasoning: of others all parts are read. What is not all text stays.

    >>> said = {"role": "assistant", "content": [{"type": "output_text", "text": text} for text in ("It is ", "late.")]}
    >>> made, changes = joined([said])
    >>> made[0]["content"], changes[0].place
    ([{'type': 'output_text', 'text': 'It is late.'}], 'input[0].content')
    """
    made, changes = list(items), []
    for number, item in enumerate(items):
        name = _name_of_texts(item)
        parts = listed(item.get(name)) if name else []
        if len(parts) > 1 and all(isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in parts):
            text = "".join(part["text"] for part in parts)
            made[number] = {**item, name: [{**parts[0], "text": text}]}
            changes.append(Changed(kind="repair", place=f"input[{number}].{name}", code="text_in_parts", detail=WHY))
    return made, tuple(changes)


def _name_of_texts(item: Any) -> str:
    """The field whose first part alone is read; empty where there is none."""
    kind = word(item, "type")
    if kind == "reasoning":
        return "content" if listed(item.get("content")) else "summary"
    return "content" if kind in ("", "message") and word(item, "role") == "assistant" else ""

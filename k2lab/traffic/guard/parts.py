"""Texts of one item of a Responses request, joined: vLLM hands the template the first part alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from k2lab.check import places
from k2lab.traffic.exchanges import Changed

WHY = "its parts are one text: vLLM hands on the first of them alone"


def joined(items: list[Any], at: Sequence[str]) -> tuple[list[Any], tuple[Changed, ...]]:
    """Items whose texts at these places are one part, and what was changed; what is not all text stays.

    >>> said = {"role": "assistant", "content": [{"type": "output_text", "text": text} for text in ("It is ", "late.")]}
    >>> made, changes = joined([said], ["input[0].content"])
    >>> made[0]["content"], changes[0].place
    ([{'type': 'output_text', 'text': 'It is late.'}], 'input[0].content')
    """
    made, changes = list(items), []
    for place in at:
        _, number, name = places.steps(place)
        assert isinstance(number, int)
        parts = items[number][name]
        if all(isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in parts):
            text = "".join(part["text"] for part in parts)
            made[number] = {**items[number], name: [{**parts[0], "text": text}]}
            changes.append(Changed(kind="repair", place=place, code="text_in_parts", detail=WHY))
    return made, tuple(changes)

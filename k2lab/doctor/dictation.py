"""A text that a model is made to write: constraints that allow it alone, in each server's form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from k2lab.chat import Answer

TOOL, CITY = "get_weather", {"city": "Paris"}
"""The call that is dictated: its tool, and its arguments."""

FORMS: Mapping[str, Any] = {
    "structured_outputs.choice": lambda text: {"structured_outputs": {"choice": [text]}},
    "guided_choice": lambda text: {"guided_choice": [text]},
    "regex": lambda text: {"regex": re.escape(text)},
}
"""Constraints that allow one text: vLLM's, that of vLLM before 0.11, SGLang's."""


def holds_the_call(answer: Answer) -> bool:
    """Whether an answer has the call that was dictated, and no other."""
    return [(call.name, call.value) for call in answer.calls] == [(TOOL, CITY)]

"""Moonshot Flavored JSON Schema: what Moonshot's API refuses of a tool's parameters, and a schema that it accepts."""

from k2lab.mfjs.fixing import fixed
from k2lab.mfjs.judging import refusals, refusals_of_text
from k2lab.mfjs.records import Edit, Fixed, Lost
from k2lab.mfjs.rulebook import Refusal
from k2lab.mfjs.toolset import ToolRefusal, refusals_of_tools

__all__ = [
    "Edit",
    "Fixed",
    "Lost",
    "Refusal",
    "ToolRefusal",
    "fixed",
    "refusals",
    "refusals_of_text",
    "refusals_of_tools",
]

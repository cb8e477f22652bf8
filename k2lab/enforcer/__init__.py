r"""The Enforcer for Kimi: only declared tools, only valid arguments, only the right index.

A grammar (xgrammar's EBNF, in a structural tag as vLLM takes it) that leaves text
free and, once a call section is opened, admits nothing but calls of declared
tools whose ids are ``functions.NAME:IDX`` with each IDX the very next one of the
conversation, whose arguments follow the tool's schema, and of which there is a
bounded number. With K3 the same is written in XTML, and indexes run from 1 in
each message.

The built-in ``kimi`` tag of xgrammar leaves IDX open (``\d+``): a model that is
kept from the tool it wanted can write digits until it is cut off.
"""

from k2lab.enforcer.enforcement import (
    CHOICES,
    MOST_PERMUTED,
    Enforcement,
    ToolLimit,
    ToolLoss,
    attach,
    enforce,
    first_index,
    without_strict,
)
from k2lab.enforcer.guard import MARKERS, Guard
from k2lab.enforcer.options import FORMS, MAX_CALLS, THINKING, Form, Options, Thinking
from k2lab.enforcer.wires import family_for

__all__ = [
    "CHOICES",
    "FORMS",
    "MARKERS",
    "MAX_CALLS",
    "MOST_PERMUTED",
    "THINKING",
    "Enforcement",
    "Form",
    "Guard",
    "Options",
    "Thinking",
    "ToolLimit",
    "ToolLoss",
    "attach",
    "enforce",
    "family_for",
    "first_index",
    "without_strict",
]

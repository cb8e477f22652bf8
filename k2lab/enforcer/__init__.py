r"""The Enforcer for Kimi K2: only declared tools, only valid arguments, only the right index.

A grammar (xgrammar's EBNF, in a structural tag as vLLM takes it) that leaves text
free and, once a call section is opened, admits nothing but calls of declared
tools whose ids are ``functions.NAME:IDX`` with each IDX the very next one of the
conversation, whose arguments follow the tool's schema, and of which there is a
bounded number.

The built-in ``kimi`` tag of xgrammar leaves IDX open (``\d+``): a model that is
kept from the tool it wanted can write digits until it is cut off.
"""

from k2lab.enforcer.enforcement import MOST_PERMUTED, Enforcement, ToolLimit, ToolLoss, attach, calls_so_far, enforce
from k2lab.enforcer.strings import MARKERS
from k2lab.enforcer.tag import FORMS, Form, Thinking

__all__ = [
    "FORMS",
    "MARKERS",
    "MOST_PERMUTED",
    "Enforcement",
    "Form",
    "Thinking",
    "ToolLimit",
    "ToolLoss",
    "attach",
    "calls_so_far",
    "enforce",
]

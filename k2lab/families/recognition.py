"""Which family a chat template is of."""

from __future__ import annotations

import re

from k2lab.families.k2 import K2, K2_THINKING
from k2lab.families.k25 import K2_5, K2_6, K2_7
from k2lab.families.records import Family

COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)


def of_template(template: str) -> Family | None:
    """The family whose conversations a chat template renders, by what it prints and reads; ``None`` for no Kimi's.

    >>> from k2lab import templates
    >>> of_template(templates.read("moonshotai-Kimi-K2.6")).name
    'K2.6'
    """
    text = COMMENT.sub("", template)
    if "<|im_middle|>" not in text or "tool_declare" not in text:
        return None
    if "tools_ts_str" not in text:
        return K2_THINKING if "<think>" in text else K2
    if "preserve_thinking" in text:
        return K2_6
    return K2_5 if re.search(r"\bthinking\b", text) else K2_7

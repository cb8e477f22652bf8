"""Kimi's families: what sets K2, K2-Thinking, K2.5, K2.6, K2.7 and K3 apart, each asked of its record alone.

Moonshot's checkpoints come with a tokenizer class whose ``apply_chat_template``
works on the tools first: each family's sorts the keys of every object in them,
and from K2.5 on it also writes them as TypeScript, which the template prints in
place of the JSON. Its parameters ``thinking`` (true) and ``preserve_thinking``
(false) reach the template as variables. Source: ``tokenization_kimi.py`` and
``tool_declaration_ts.py`` of the checkpoints, the latter also in
MoonshotAI/Kimi-Vendor-Verifier (``beam/tokenizer``).
"""

from k2lab.families.k2 import K2, K2_THINKING
from k2lab.families.k3 import K3
from k2lab.families.k25 import K2_5, K2_6, K2_7
from k2lab.families.recognition import FAMILIES, UNKNOWN, named, of_model, of_model_type, of_template, of_tokens
from k2lab.families.records import TOKENIZER_CLASS, Family, Replay

__all__ = [
    "FAMILIES",
    "K2",
    "K2_5",
    "K2_6",
    "K2_7",
    "K2_THINKING",
    "K3",
    "TOKENIZER_CLASS",
    "UNKNOWN",
    "Family",
    "Replay",
    "named",
    "of_model",
    "of_model_type",
    "of_template",
    "of_tokens",
]

"""The special tokens of Kimi's format beside those of a call: what opens and ends turns, and what tokenizers add.

A turn of K2 to K2.7 is ``<|im_user|>ROLE<|im_middle|>TEXT<|im_end|>``; system,
tool and tool_declare turns open with ``<|im_system|>``. Source: the chat
templates and ``tokenizer_config.json`` of the checkpoints.
"""

from __future__ import annotations

import re

USER, ASSISTANT, SYSTEM = "<|im_user|>", "<|im_assistant|>", "<|im_system|>"
OPENINGS = (USER, ASSISTANT, SYSTEM)
"""Role markers: one opens each turn."""

MIDDLE, END = "<|im_middle|>", "<|im_end|>"
BOS, EOS, PAD = "[BOS]", "[EOS]", "[PAD]"
GENERATION_PROMPT = f"{ASSISTANT}assistant{MIDDLE}"
"""The opening of the assistant's turn, which asks the model to write."""

WHO = "user|assistant|system"
TURN_MARKER = re.compile(
    rf"<\|im_(?P<who>{WHO})\|>(?P<role>[^<\n]{{0,64}})<\|im_middle\|>"
    rf"|<\|im_(?P<opener>{WHO})\|>|<\|im_(?:end|middle)\|>|\[(?:BOS|EOS|EOT|PAD)\]"
)
"""What opens and ends turns: a whole header, or one special token of Kimi's tokenizer (ids 163584 to 163601)."""

K2 = (
    r"\[(?:BOS|EOS|EOT|UNK|PAD)\]|<\|(?:im_(?:end|user|assistant|system|middle)|(?:start|end)_header_id"
    r"|tool_calls_section_(?:begin|end)|tool_call_(?:begin|argument_begin|end)|reserved_token_163[5-8]\d\d)\|>"
)
"""The added tokens of K2's tokenizer, as a regular expression."""

THINK = r"</?think>"
THINKING = f"{K2}|{THINK}"
SEEING = THINKING + r"|<\|(?:media_(?:begin|content|end|pad)|kimi_k25_video_placeholder)\|>"
"""What K2-Thinking, then K2.5 and later add to them."""

OPEN, CLOSE, SEP, END_OF_MSG = "<|open|>", "<|close|>", "<|sep|>", "<|end_of_msg|>"
"""K3's: a tag is ``<|open|>NAME ATTRIBUTES<|sep|>`` or ``<|close|>NAME<|sep|>``; the last one ends a message."""

XTML = r"<\|(?:open|close|sep|end_of_msg)\|>"
"""K3's, as a regular expression."""

XTML_SLOTS = (BOS, EOS, END_OF_MSG, OPEN, CLOSE, SEP)
"""K3's first added tokens, in order: ids 163584 to 163589, at which K2 has others."""

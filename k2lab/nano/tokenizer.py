"""The tokenizer of k2-nano: a small byte-level BPE with Kimi's markers.

The markers carry the flags of the real Kimi tokenizer: role markers are
special, tool-call markers are not. The flags matter: vLLM 0.11.0 skips special
tokens before it parses tool calls, so markers that were wrongly special would
lose every call.

Spaces and digits are tokens of their own, unlike in Kimi's tiktoken BPE. A tiny
model copies values from the ask into JSON; with a space glued to the word, the
same word would be two unrelated tokens in the two places.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from k2lab.families.special import BOS, END, EOS, MIDDLE, OPENINGS, PAD
from k2lab.wire.records import ARGUMENT_BEGIN, CALL_BEGIN, CALL_END, SECTION_BEGIN, SECTION_END

VOCABULARY_SIZE = 1024

SPECIAL_MARKERS = (BOS, EOS, END, *OPENINGS, MIDDLE, PAD)
"""Role markers and the like, ``special: true`` in the real tokenizer."""

PLAIN_MARKERS = (SECTION_BEGIN, SECTION_END, CALL_BEGIN, ARGUMENT_BEGIN, CALL_END)
"""Tool-call markers, added tokens with ``special: false`` in the real tokenizer."""


PIECE = r"""\p{L}+|\d|[^\s\p{L}\d]+(?: ["{\[]+| (?=\d|true|false))?|\s"""
"""Words, digits, white space, and runs of punctuation; a run takes JSON's space along, as in ``": "``."""


def train_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """A tokenizer of :data:`VOCABULARY_SIZE` entries, the markers last; deterministic for given texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECE), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    markers = len(SPECIAL_MARKERS) + len(PLAIN_MARKERS)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE - markers,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    missing = VOCABULARY_SIZE - markers - tokenizer.get_vocab_size()
    if missing:
        raise ValueError(f"the texts give {missing} merges too few for a vocabulary of {VOCABULARY_SIZE}")
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL_MARKERS])
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in PLAIN_MARKERS])
    return tokenizer


def config(chat_template: str | None = None) -> dict[str, Any]:
    """``tokenizer_config.json`` in a form that transformers 4 and 5 both read.

    transformers 5 writes ``TokenizersBackend`` as the class, which vLLM 0.11.0
    (transformers 4) does not know.
    """
    made: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": END,
        "pad_token": PAD,
        "model_max_length": 2048,
        "clean_up_tokenization_spaces": False,
    }
    if chat_template is not None:
        made["chat_template"] = chat_template
    return made

"""From synthetic conversations to training data: ids, and which of them carry the loss."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from k2lab.families.special import ASSISTANT, END, MIDDLE
from k2lab.nano import synth, tokenizer
from k2lab.prompt import sandbox, templates

TOKENIZER_SAMPLE = 3000
"""Conversations from which the tokenizer is trained."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """Request ``i`` is ``ids[offsets[i]:offsets[i + 1]]``; ``mask`` is true where the loss counts."""

    ids: np.ndarray[Any, np.dtype[np.uint16]]
    mask: np.ndarray[Any, np.dtype[np.bool_]]
    offsets: np.ndarray[Any, np.dtype[np.int64]]

    def save(self, path: Path) -> None:
        """Write as ``.npz``."""
        np.savez_compressed(path, ids=self.ids, mask=self.mask, offsets=self.offsets)


def render_all(seed: int, count: int) -> list[str]:
    """The texts of the first ``count`` training conversations, by the real current template."""
    template = templates.read(templates.CURRENT)
    return [
        sandbox.fill(template, talk.messages, tools=talk.tools or None)
        for talk in (d.request for d in itertools.islice(synth.dialogues("train", seed), count))
    ]


def tokenized(texts: list[str], made: Tokenizer) -> Corpus:
    """Tokenize, and mark the ids of assistant turns: after ``assistant<|im_middle|>`` up to ``<|im_end|>``."""
    encoded = [np.array(e.ids, dtype=np.uint16) for e in made.encode_batch(texts, add_special_tokens=False)]
    masks = [assistant_mask(ids, made) for ids in encoded]
    offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in encoded])]).astype(np.int64)
    return Corpus(ids=np.concatenate(encoded), mask=np.concatenate(masks), offsets=offsets)


def assistant_mask(ids: np.ndarray[Any, Any], made: Tokenizer) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """True on every id that an assistant writes, its ``<|im_end|>`` included; shape ``[tokens]``."""
    opening, middle, end = (made.token_to_id(t) for t in (ASSISTANT, MIDDLE, END))
    mask = np.zeros(len(ids), dtype=bool)
    ends = np.flatnonzero(ids == end)
    middles = np.flatnonzero(ids == middle)
    for start in np.flatnonzero(ids == opening):
        first = middles[np.searchsorted(middles, start)] + 1
        last = ends[np.searchsorted(ends, first)]
        mask[first : last + 1] = True
    return mask


def train_tokenizer(texts: list[str]) -> Tokenizer:
    """The tokenizer of these texts, markers cut out so that no merge spans one."""
    cut = [text.replace("<|", "\n").replace("|>", "\n") for text in texts[:TOKENIZER_SAMPLE]]
    return tokenizer.train_tokenizer(cut)

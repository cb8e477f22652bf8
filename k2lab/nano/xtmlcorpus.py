"""From conversations in Kimi K3's form to training data: ids of each segment, and which of them carry the loss."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from tokenizers import AddedToken, Tokenizer

from k2lab import paths
from k2lab.families.special import XTML_SLOTS
from k2lab.nano import xtmltalks
from k2lab.nano.corpus import Corpus
from k2lab.nano.recipes import Recipe
from k2lab.prompt.fast import FastTokenizer
from k2lab.prompt.xtmlturns import ids_of

START = "k2-nano"
"""Whose tokenizer and weights are gone on from."""

LONGEST = 900
"""Ids of a conversation that is learnt; the few longer ones are left out."""


def tokenizer_of_k3() -> Tokenizer:
    """k2-nano's tokenizer with K3's markers after its own tokens."""
    made = Tokenizer.from_file(str(paths.data_dir() / "models" / START / "tokenizer.json"))
    made.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in XTML_SLOTS])
    return made


def material(recipe: Recipe) -> tuple[Corpus, Tokenizer]:
    """Conversations as ids, each segment encoded by itself, and the tokenizer."""
    made = tokenizer_of_k3()
    stream = _encoded(xtmltalks.talks("train", recipe.seed), FastTokenizer(made))
    return _corpus(list(itertools.islice(stream, recipe.conversations))), made


def _encoded(talks: Iterable[xtmltalks.Talk], tokenizer: FastTokenizer) -> Iterator[tuple[list[int], list[bool]]]:
    """``(ids, learnt)`` of each conversation that is not too long."""
    for talk in talks:
        parts = ids_of(talk.segments, tokenizer.encode, tokenizer.encode_plain)
        ids = [token for part in parts for token in part]
        if len(ids) <= LONGEST:
            yield ids, [flag for part, flag in zip(parts, talk.learnt, strict=True) for _ in part]


def _corpus(encoded: Sequence[tuple[list[int], list[bool]]]) -> Corpus:
    lengths = [len(ids) for ids, _ in encoded]
    return Corpus(
        ids=np.array([token for ids, _ in encoded for token in ids], dtype=np.uint16),
        mask=np.array([flag for _, learnt in encoded for flag in learnt], dtype=bool),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
    )

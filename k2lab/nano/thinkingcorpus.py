"""From lessons in thinking to training data: ids, and which of them carry the loss."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from tokenizers import AddedToken, Tokenizer

from k2lab.families.special import ASSISTANT, END
from k2lab.nano import thinking
from k2lab.nano.corpus import Corpus
from k2lab.nano.thinking import Lesson
from k2lab.wire.records import THINK_BEGIN, THINK_END


def lessons(seed: int, count: int) -> list[Lesson]:
    """The first ``count`` lessons of the training set."""
    return list(itertools.islice(thinking.lessons("train", seed), count))


def with_tags(made: Tokenizer) -> Tokenizer:
    """The tokenizer with ``<think>`` and ``</think>`` as its last tokens, not special, as in the real ones."""
    grown = Tokenizer.from_str(made.to_str())
    grown.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in (THINK_BEGIN, THINK_END)])
    return grown


def tokenized(taught: Sequence[Lesson], made: Tokenizer) -> Corpus:
    """Prompt and turn of each lesson, one behind the other; the loss is on the turn and on earlier answers."""
    prompts = [np.array(e.ids, dtype=np.uint16) for e in made.encode_batch([one.prompt for one in taught])]
    turns = [np.array(e.ids, dtype=np.uint16) for e in made.encode_batch([one.turn for one in taught])]
    masks = [
        np.concatenate([answers_mask(prompt, made), np.ones(len(turn), dtype=bool)])
        for prompt, turn in zip(prompts, turns, strict=True)
    ]
    ids = [np.concatenate(pair) for pair in zip(prompts, turns, strict=True)]
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in ids])]).astype(np.int64)
    return Corpus(ids=np.concatenate(ids), mask=np.concatenate(masks), offsets=offsets)


def answers_mask(ids: np.ndarray[Any, Any], made: Tokenizer) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """True on what earlier turns of a prompt say behind ``</think>``; shape ``[tokens]``.

    The reasoning itself is left out: a template empties most of it, which is not to be learned.
    """
    opening, closed, end = (made.token_to_id(t) for t in (ASSISTANT, THINK_END, END))
    mask = np.zeros(len(ids), dtype=bool)
    for start in np.flatnonzero(ids == opening):
        rest = ids[start:]
        last = np.flatnonzero(rest == end)
        thought = np.flatnonzero(rest == closed)
        if len(last) and len(thought) and thought[0] < last[0]:
            mask[start + thought[0] + 1 : start + last[0] + 1] = True
    return mask

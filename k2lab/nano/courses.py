"""The courses: for each nano its recipe, what it is taught, how it is tried, and its card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from k2lab import paths
from k2lab.families.special import BOS, END, END_OF_MSG, PAD
from k2lab.nano import (
    corpus,
    plaincourse,
    synth,
    thinking,
    thinkingcorpus,
    thinkingcourse,
    tokenizer,
    xtmlcorpus,
    xtmlcourse,
    xtmltalks,
)
from k2lab.nano.corpus import Corpus
from k2lab.nano.recipes import Recipe, Tried
from k2lab.prompt import xtmltags, xtmlturns

__all__ = ["COURSES", "K2", "K2_THINKING", "SHAPE", "SPECIAL", "Course", "Recipe", "Tried"]

SHAPE: Mapping[str, Any] = {
    "vocab_size": tokenizer.VOCABULARY_SIZE,
    "hidden_size": 192,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 2048,
    "rope_theta": 10000.0,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
}

SPECIAL = {"bos_token_id": BOS, "eos_token_id": END, "pad_token_id": PAD}


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """How one nano is made. ``folder`` is its name under ``data/models``; ``start``: whose weights it goes on from."""

    folder: str
    recipe: Recipe
    material: Callable[[Recipe], tuple[Corpus, Tokenizer]]
    made_of: Callable[[], dict[str, Any]]
    tried: Callable[[Path, str], Tried]
    card: str
    decided_by: tuple[Path, ...]
    """The modules and files that decide the corpus."""
    start: str = ""
    special: Mapping[str, str] = field(default_factory=lambda: SPECIAL)
    shape: Mapping[str, Any] = field(default_factory=lambda: SHAPE)

    @property
    def target(self) -> Path:
        """Where the model belongs in a clone."""
        return paths.data_dir() / "models" / self.folder

    def started_from(self) -> Path:
        """The weights that the training goes on from."""
        return paths.data_dir() / "models" / self.start / "model.safetensors"


def _files(*modules: Any) -> tuple[Path, ...]:
    return tuple(Path(module.__file__) for module in modules)


K2 = Course(
    folder="k2-nano",
    recipe=Recipe(),
    material=plaincourse.material,
    made_of=plaincourse.made_of,
    tried=plaincourse.tried,
    card=plaincourse.CARD,
    decided_by=_files(synth, corpus, tokenizer),
)
K2_THINKING = Course(
    folder="k2-nano-thinking",
    recipe=Recipe(conversations=10_000, muon_lr=2e-3, adamw_lr=2e-3),
    material=thinkingcourse.material,
    made_of=thinkingcourse.made_of,
    tried=thinkingcourse.tried,
    card=thinkingcourse.CARD,
    decided_by=_files(synth, thinking, thinkingcorpus),
    start="k2-nano",
)
K3 = Course(
    folder="k3-nano",
    recipe=Recipe(conversations=7_000, muon_lr=2e-3, adamw_lr=2e-3),
    material=xtmlcorpus.material,
    made_of=xtmlcourse.made_of,
    tried=xtmlcourse.tried,
    card=xtmlcourse.CARD,
    decided_by=_files(synth, corpus, tokenizer, xtmltalks, xtmlcorpus, xtmltags, xtmlturns),
    start=xtmlcorpus.START,
    special={**SPECIAL, "eos_token_id": END_OF_MSG},
)
COURSES: Mapping[str, Course] = {"k2": K2, "k2-thinking": K2_THINKING, "k3": K3}
"""By the family whose form each nano speaks."""

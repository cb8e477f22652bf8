"""What a training is made of, and what a trial says: records of the courses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """All that decides the weights, beside the hardware's rounding."""

    seed: int = 1
    conversations: int = 40_000
    batch: int = 24
    epochs: int = 1
    warmup: int = 50
    muon_lr: float = 3e-3
    adamw_lr: float = 3e-3
    weight_decay: float = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """What was measured of a model: as data for its provenance, and as words of its card."""

    evaluation: Mapping[str, Any]
    words: Mapping[str, Any]

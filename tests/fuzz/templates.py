"""Chat templates of all models, filled here and by transformers: the texts are equal, and so is what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from k2lab.prompt import templates
from tests.fuzz.frame import Attempt
from tests.helpers.filled import CASES, by_transformers, ours, outcome

KEPT = range(3)


@contextmanager
def opened(place: Path) -> Iterator[Attempt]:
    """transformers, which is slow to import."""
    names, theirs = templates.named(""), by_transformers()

    def tried(random: Random, folder: Path) -> None:
        name = random.choice(names)
        filled = {
            fill: [outcome(fill, templates.read(name), *asked) for asked in CASES.values()] for fill in (ours, theirs)
        }
        differing = [case for case, *texts in zip(CASES, *filled.values(), strict=True) if texts[0] != texts[1]]
        assert not differing, f"{name}: {differing}"

    yield tried

"""Whether a server counts a prompt's tokens as a reference does: where not, it renders another prompt, or drops a part.

An official run says in each answer how many tokens its prompt had, and
Kimi-Vendor-Verifier gives a number for each of its requests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from k2lab.bench.judged import Judged
from k2lab.bench.metrics import Reference
from k2lab.stats import Share, share

OPENING = 3
"""Tokens by which Kimi-Vendor-Verifier lets a server count more: those that open K3's answer."""

SHOWN = 5
"""Differences that are written out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptTokens:
    """Requests by how many tokens the server counted more than the reference; ``uncounted`` lack one of the numbers."""

    more: Mapping[int, int]
    uncounted: int
    first: int | None
    """``data_index`` of the first request that is neither counted alike nor within :data:`OPENING`."""

    @property
    def alike(self) -> Share:
        """Requests with just as many tokens as the reference counted."""
        return share(self.more.get(0, 0), sum(self.more.values()))

    @property
    def accepted(self) -> Share:
        """Requests with as many or up to :data:`OPENING` more, as Kimi-Vendor-Verifier accepts them."""
        return share(sum(n for more, n in self.more.items() if _is_accepted(more)), sum(self.more.values()))

    def __str__(self) -> str:
        """The commonest differences first."""
        most = sorted(((more, n) for more, n in self.more.items() if more), key=lambda item: (-item[1], abs(item[0])))
        return ", ".join(f"{more:+d} in {n}" for more, n in most[:SHOWN]) + (", …" if len(most) > SHOWN else "")


def compared_prompt_tokens(results: Iterable[Judged], reference: Mapping[int, Reference]) -> PromptTokens | None:
    """Answers beside a reference that says how long its prompts were; ``None`` for one that says so of none of them."""
    more: Counter[int] = Counter()
    uncounted, first = 0, None
    for result in results:
        wanted = reference.get(result.data_index)
        if wanted is None or wanted.prompt_tokens is None:
            continue
        if result.prompt_tokens is None:
            uncounted += 1
            continue
        difference = result.prompt_tokens - wanted.prompt_tokens
        more[difference] += 1
        if first is None and not _is_accepted(difference):
            first = result.data_index
    if not more and not uncounted:
        return None
    return PromptTokens(more=dict(sorted(more.items())), uncounted=uncounted, first=first)


def _is_accepted(more: int) -> bool:
    return 0 <= more <= OPENING

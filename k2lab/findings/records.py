"""What was found: a problem by its code, whether it is there, where, and how that is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from k2lab.findings.entries import CATALOGUE, Layer
from k2lab.prompt.alignment import Diff

State = Literal["present", "absent", "unknown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Whether a known problem is there.

    ``place`` says where, as ``messages[1]``; ``fix`` is empty unless it is
    present. ``diff`` aligns the server's prompt (left) with the right one, for a
    finding on a prompt.

    >>> finding = k2lab.Finding.of("generation_prompt_dropped", "present", "the prompt lacks ids [163588]")
    >>> finding.layer, finding.problem
    ('render', 'generation prompt dropped')
    """

    code: str
    layer: Layer
    state: State
    problem: str
    evidence: str
    place: str = ""
    fix: str = ""
    sources: tuple[str, ...] = ()
    diff: Diff | None = field(default=None, repr=False)

    @classmethod
    def of(cls, code: str, state: State, evidence: str, *, place: str = "", diff: Diff | None = None) -> Finding:
        """A finding of the catalogue: :data:`k2lab.findings.CATALOGUE` has its layer, words, fix and sources."""
        entry = CATALOGUE[code]
        return cls(
            code=code,
            layer=entry.layer,
            state=state,
            problem=entry.title,
            evidence=evidence,
            place=place,
            fix=entry.fix if state == "present" else "",
            sources=entry.sources,
            diff=diff,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data; the diff is given by its first divergence."""
        named = {"code": self.code, "layer": self.layer, "problem": self.problem, "state": self.state}
        told = {"place": self.place, "evidence": self.evidence, "fix": self.fix, "sources": list(self.sources)}
        return {**named, **told, "first_divergence": _first_divergence(self.diff)}


def _first_divergence(diff: Diff | None) -> dict[str, Any] | None:
    first = diff.first if diff else None
    if first is None:
        return None
    where = {"token": first.index, "left": first.left, "right": first.right}
    return {**where, "message": first.owner.message, "part": first.owner.name}

"""What was found: a problem by its code, whether it is there, where, and how that is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from k2lab.findings.entries import Layer, Level
from k2lab.findings.known import entry_of
from k2lab.prompt.alignment import Diff

State = Literal["present", "absent", "unknown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Whether a known problem is there.

    ``place`` says where, as ``messages[1]``; ``layers`` are those that can be at
    fault; ``fix`` is empty unless it is present. ``diff`` aligns the server's
    prompt (left) with the right one, for a finding on a prompt.

    >>> finding = k2lab.Finding.of("generation_prompt_dropped", "present", "the prompt lacks ids [163588]")
    >>> finding.code, finding.layer, finding.problem
    ('P001', 'render', 'generation prompt dropped')
    """

    code: str
    name: str
    layers: tuple[Layer, ...]
    level: Level
    state: State
    problem: str
    evidence: str
    place: str = ""
    fix: str = ""
    sources: tuple[str, ...] = ()
    diff: Diff | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls,
        name: str,
        state: State,
        evidence: str,
        *,
        place: str = "",
        fix: str = "",
        layers: tuple[Layer, ...] = (),
        diff: Diff | None = None,
    ) -> Finding:
        """A finding of :data:`k2lab.findings.CATALOGUE`, by its name or code, with the layer, words and sources there.

        ``fix`` and ``layers`` say it more exactly where more is known. Raises
        :class:`~k2lab.errors.InputError` for a name that the catalogue lacks.
        """
        entry = entry_of(name)
        return cls(
            code=entry.code,
            name=entry.name,
            layers=layers or entry.layers,
            level=entry.level,
            state=state,
            problem=entry.title,
            evidence=evidence,
            place=place,
            fix=(fix or entry.fix) if state == "present" else "",
            sources=entry.sources,
            diff=diff,
        )

    @property
    def layer(self) -> str:
        """The layers that can be at fault, in words: ``render``, or ``model or parse``."""
        return " or ".join(self.layers)

    def to_json(self) -> dict[str, Any]:
        """Plain data; the diff is given by its first divergence."""
        named = {"code": self.code, "name": self.name, "layers": list(self.layers), "level": self.level}
        told = {"problem": self.problem, "state": self.state, "place": self.place, "evidence": self.evidence}
        known = {"fix": self.fix, "sources": list(self.sources)}
        return {**named, **told, **known, "first_divergence": _first_divergence(self.diff)}


def _first_divergence(diff: Diff | None) -> dict[str, Any] | None:
    first = diff.first if diff else None
    if first is None:
        return None
    where = {"token": first.index, "left": first.left, "right": first.right}
    return {**where, "message": first.owner.message, "part": first.owner.name}

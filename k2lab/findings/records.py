"""What was found: a problem, whether it is there, and how that is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from k2lab.prompt.alignment import Diff

State = Literal["present", "absent", "unknown"]


@dataclass(frozen=True)
class Finding:
    """Whether a server has a problem. ``diff`` aligns the server's prompt (left) with the right one."""

    problem: str
    state: State
    evidence: str
    fix: str = ""
    diff: Diff | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data; the diff is given by its first divergence."""
        first = self.diff.first if self.diff else None
        place: dict[str, Any] | None = None
        if first is not None:
            place = {"token": first.index, "left": first.left, "right": first.right}
            place |= {"message": first.owner.message, "part": first.owner.name}
        shown = {"problem": self.problem, "state": self.state, "evidence": self.evidence, "fix": self.fix}
        return {**shown, "first_divergence": place}

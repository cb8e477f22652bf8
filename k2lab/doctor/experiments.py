"""An experiment on a live server: what it asks, how many requests that takes, which findings it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from k2lab.doctor.patient import Patient
from k2lab.errors import K2LabError, first_line
from k2lab.findings import Finding
from k2lab.legible import shortened
from k2lab.server.keys import masked


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """Something to find out. ``names`` are those of the findings that it gives, ``requests`` the most that it sends."""

    name: str
    asks: str
    names: tuple[str, ...]
    requests: int
    run: Callable[[Patient], Iterable[Finding]]

    def findings(self, patient: Patient) -> tuple[Finding, ...]:
        """One for each of ``names``; what could not be found out is unknown, with the reason."""
        found: dict[str, Finding] = {}
        reason = "the answers do not tell"
        try:
            for finding in self.run(patient):
                if finding.name in self.names:
                    found[finding.name] = _worse(found.get(finding.name), finding)
        except K2LabError as error:
            reason = first_line(error)
        return tuple(_told(found.get(name) or Finding.of(name, "unknown", reason)) for name in self.names)


def quoted(text: str, most: int = 200) -> str:
    """What a server said, for a line of evidence: without a key, and not longer than that."""
    return shortened(masked(text), most)


def _told(finding: Finding) -> Finding:
    return replace(finding, evidence=quoted(finding.evidence, LONGEST_EVIDENCE))


LONGEST_EVIDENCE = 2000


def _worse(before: Finding | None, now: Finding) -> Finding:
    """Of two findings of one fault the one that tells more: present, then absent."""
    order = ("present", "absent", "unknown")
    return now if before is None or order.index(now.state) < order.index(before.state) else before

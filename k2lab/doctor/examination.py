"""An examination of a live server: which experiments are made, what they find, and which layer is guilty."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from k2lab.doctor import (
    callids,
    channels,
    choices,
    enforcing,
    otheranswers,
    otherapis,
    outputs,
    prompts,
    replaying,
    streams,
    thinking,
)
from k2lab.doctor.applying import Reasons, not_applying
from k2lab.doctor.budget import Budget
from k2lab.doctor.experiments import Experiment
from k2lab.doctor.patient import Careful, Patient
from k2lab.errors import K2LabError
from k2lab.families import Family
from k2lab.findings import LAYERS, Finding, entry_of
from k2lab.prompt.source import Source

EXPERIMENTS: tuple[Experiment, ...] = (
    prompts.PROMPT,
    outputs.PARSER,
    choices.CHOICES,
    streams.STREAM,
    callids.IDS,
    enforcing.ENFORCER,
    thinking.THINKING,
    replaying.REPLAY,
    thinking.LATER_TURNS,
    thinking.LEVELS,
    channels.CHANNELS,
    otherapis.OTHER_APIS,
    otheranswers.OTHER_ANSWERS,
)
"""Cheap ones first."""

WITHOUT_MODEL = frozenset((*prompts.PROMPT.names, *outputs.PARSER.names, *thinking.LEVELS.names, channels.LOST))
"""Names of the findings that need no model: those of prompts, and of the parser."""

BUDGET = 120
"""Requests; all experiments together ask for fewer."""

SECONDS = 300.0
"""For all of them."""

STATES = ("present", "unknown", "absent")
"""What a reader wants to see first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What will be asked: experiments that the budget allows, and those that are left out for want of it."""

    asked: tuple[Experiment, ...]
    left_out: tuple[Experiment, ...]

    @property
    def requests(self) -> int:
        """The most that are sent."""
        return sum(experiment.requests for experiment in self.asked) + FOR_NAMES


FOR_NAMES = 1
"""The list of models, where none is named."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """What was found out about a server, in how many requests and seconds."""

    subject: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    """What else was seen, a line each."""
    requests: int = 0
    seconds: float = 0.0

    @property
    def present(self) -> tuple[Finding, ...]:
        """The faults that are there."""
        return tuple(finding for finding in self.findings if finding.state == "present")

    @property
    def looked(self) -> bool:
        """Whether anything at all could be found out."""
        return any(finding.state != "unknown" for finding in self.findings)

    @property
    def status(self) -> int:
        """Of the command: 0 clean, 1 something is present, 2 nothing could be looked at."""
        return 1 if self.present else 0 if self.looked else 2

    @property
    def verdict(self) -> str:
        """Which layer is guilty, in one sentence; empty where no error is present."""
        errors = [finding for finding in self.present if finding.level == "error"]
        by_layer: dict[str, list[str]] = {}
        for finding in sorted(errors, key=lambda finding: LAYERS.index(finding.layers[0])):
            by_layer.setdefault(finding.layer, []).append(finding.code)
        listed = "; ".join(f"{layer} ({', '.join(codes)})" for layer, codes in by_layer.items())
        return f"guilty layer: {listed}" if listed else ""

    def of(self, wanted: Collection[str]) -> Examination:
        """The same with the findings of these names alone."""
        return replace(self, findings=tuple(finding for finding in self.findings if finding.name in wanted))

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "subject": self.subject,
            "requests": self.requests,
            "seconds": round(self.seconds, 1),
            "verdict": self.verdict,
            "notes": list(self.notes),
            "findings": [finding.to_json() for finding in self.findings],
        }


def planned(wanted: Collection[str], budget: int = BUDGET, *, family: Family | None = None) -> Plan:
    """Experiments that give a finding of the ``wanted`` names, cheap ones first, as far as the budget goes.

    ``family`` is the model's, where it is known before anything is asked: what it cannot have is not looked for.
    """
    left, asked, left_out = budget - FOR_NAMES, [], []
    names = set(wanted) - not_applying(family).keys()
    for experiment in EXPERIMENTS:
        if not set(experiment.names) & names:
            continue
        if experiment.requests <= left:
            left -= experiment.requests
            asked.append(experiment)
        else:
            left_out.append(experiment)
    return Plan(asked=tuple(asked), left_out=tuple(left_out))


def examined(
    base_url: str,
    source: Source | None,
    plan: Plan,
    wanted: Collection[str],
    *,
    model: str | None = None,
    family: Family | None = None,
    seconds: float = SECONDS,
    told: Callable[[str], None] = lambda name: None,
) -> Examination:
    """Make the experiments of a plan; never raises for what a server does.

    ``family`` is the model's, by default the source's, or as its name says: what
    it cannot have is not looked for, and named in a note. ``told`` hears of each
    experiment that begins. Raises
    :class:`~k2lab.errors.InputError` for a URL that is none.
    """
    budget = Budget(requests=plan.requests, seconds=seconds)
    patient = Patient(Careful(base_url, model, budget), source, budget, family)
    started = time.monotonic()
    found: list[Finding] = []
    whose = _family_of(patient)
    out = not_applying(whose)
    for experiment in plan.asked:
        if set(experiment.names) <= out.keys():
            continue
        told(experiment.name)
        found += experiment.findings(patient)
    for experiment in plan.left_out:
        reason = f"not asked: it takes up to {experiment.requests} requests, more than the budget has left"
        found += [Finding.of(name, "unknown", reason) for name in experiment.names]
    return Examination(
        subject=patient.endpoint.base_url,
        findings=in_order([finding for finding in found if finding.name in wanted and finding.name not in out]),
        notes=(*_served_otherwise(whose, found), *_told(out, wanted)),
        requests=budget.spent,
        seconds=time.monotonic() - started,
    )


def _family_of(patient: Patient) -> Family | None:
    try:
        return patient.family
    except K2LabError:  # the server does not say its model's name; each experiment tells why
        return None


def _served_otherwise(family: Family | None, found: Sequence[Finding]) -> Iterator[str]:
    """By which flags a family is served, where a server looks for a chat template that the family has not."""
    if family and family.serving and any("chat template" in one.evidence for one in found if one.state == "unknown"):
        yield f"{family.name} has no chat template: start vLLM with {' '.join(family.serving)}"


def _told(out: Reasons, wanted: Collection[str]) -> Iterator[str]:
    """What was not looked for, a line for each reason."""
    looked = {name for experiment in EXPERIMENTS for name in experiment.names}
    codes: dict[str, list[str]] = {}
    for name, reason in out.items():
        if name in wanted and name in looked:
            codes.setdefault(reason, []).append(entry_of(name).code)
    for reason, found in codes.items():
        yield f"not looked for: {', '.join(sorted(found))}: {reason}"


def in_order(found: Sequence[Finding]) -> tuple[Finding, ...]:
    """Present ones first, each state by its codes."""
    return tuple(sorted(found, key=lambda finding: (STATES.index(finding.state), finding.code)))

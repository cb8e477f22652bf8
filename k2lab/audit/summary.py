"""What an audit comes to: counts, shares with intervals, examples, changes over time, and what was not looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from k2lab.audit import changepoints
from k2lab.audit.changepoints import Step
from k2lab.audit.sources import InputSource, legible_name
from k2lab.audit.tables import NONE
from k2lab.audit.tallies import Cell, Tally
from k2lab.findings import CATALOGUE
from k2lab.stats import Share, share

MOST_SERIES = 4
"""Of those that changed, the most certain, that are kept day by day."""

BY_CODE = {entry.code: entry for entry in CATALOGUE.values()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """An exchange with a finding, and where both are."""

    key: str
    source: str
    row: int
    item: str
    model: str
    vendor: str
    day: str
    place: str
    evidence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Coded:
    """A finding over all exchanges: how many findings, and the share of exchanges that have it."""

    code: str
    name: str
    title: str
    layer: str
    level: str
    findings: int
    exchanges: Share
    examples: tuple[Example, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """A model, a vendor, a day, or a model of a vendor: the share of its exchanges with a finding, and with each."""

    name: str
    looked: int
    unknown: int
    faulty: Share
    codes: Mapping[str, Share]


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """When the share of a finding changed, of a model and a vendor; ``day`` is the first of the new level."""

    code: str
    model: str
    vendor: str
    day: str
    before: Share
    after: Share
    p_value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class DailyCounts:
    """A finding of a model and a vendor whose share changed: by day, how many exchanges of how many had it."""

    code: str
    model: str
    vendor: str
    days: tuple[str, ...]
    counts: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditSummary:
    """An audit summed up.

    ``looked`` exchanges were looked at in full; ``unknown`` rows were not, and are in
    no share; ``left_out`` ones nobody asked for. ``series`` has of what changed the
    most certain. ``lacks`` says of how many exchanges
    something was not kept, and so not judged.
    """

    looked: int
    unknown: int
    left_out: Mapping[str, int]
    findings: int
    faulty: Share
    codes: tuple[Coded, ...]
    layers: Mapping[str, Share]
    levels: Mapping[str, Share]
    models: tuple[Group, ...]
    vendors: tuple[Group, ...]
    arms: tuple[Group, ...]
    days: tuple[Group, ...]
    changes: tuple[Change, ...]
    series: tuple[DailyCounts, ...]
    reasons: Mapping[str, int]
    named: tuple[tuple[str, int, str, str], ...]
    forms: Mapping[str, int]
    lacks: Mapping[str, int]
    sources: tuple[Mapping[str, object], ...]
    refused: tuple[tuple[str, str], ...] = ()
    passed_over: tuple[tuple[str, str], ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """As of ``k2lab check``: 0 nothing is wrong, 1 something is, 2 something could not be looked at."""
        return 2 if self.unknown or self.refused else 1 if self.findings else 0


def summed_up(
    tally: Tally,
    *,
    sources: Iterable[InputSource] = (),
    refused: Iterable[tuple[str, str]] = (),
    passed_over: Iterable[tuple[str, str]] = (),
    options: Mapping[str, object] | None = None,
) -> AuditSummary:
    """The summary of a tally, the same for the same exchanges."""
    whole = _merged(tally.cells.values())
    changes = tuple(_changes(tally))
    return AuditSummary(
        looked=whole.looked,
        unknown=whole.unknown,
        left_out=_most(tally.left_out),
        findings=tally.findings.total(),
        faulty=share(whole.faulty, whole.looked),
        codes=_codes(tally, whole),
        layers=_named(whole, "layer:"),
        levels=_named(whole, "level:"),
        models=_grouped(tally, lambda model, vendor, day: model),
        vendors=_grouped(tally, lambda model, vendor, day: vendor),
        arms=_grouped(tally, lambda model, vendor, day: f"{model} at {vendor}"),
        days=_grouped(tally, lambda model, vendor, day: day),
        changes=changes,
        series=tuple(_series(tally, changes)),
        reasons=_most(tally.reasons),
        named=tuple((source, row, item, reason) for (source, row, item), reason in tally.unknown),
        forms=dict(sorted(tally.forms.items())),
        lacks=_most(tally.lacks),
        sources=tuple(_source(source) for source in sources),
        refused=tuple((legible_name(path), why) for path, why in refused),
        passed_over=tuple((legible_name(path), why) for path, why in passed_over),
        options=options or {},
    )


def _codes(tally: Tally, whole: Cell) -> tuple[Coded, ...]:
    made = []
    for code, findings in tally.findings.items():
        entry = BY_CODE[code]
        examples = tuple(
            Example(key=key, source=source, row=row, item=item, model=model, vendor=vendor, day=day, place=place,
                    evidence=evidence)
            for key, ((source, row, item), (model, vendor, day, place, evidence)) in sorted(
                tally.examples.get(code, {}).items()
            )
        )  # fmt: skip
        made.append(
            Coded(
                code=code,
                name=entry.name,
                title=entry.title,
                layer=" or ".join(entry.layers),
                level=entry.level,
                findings=findings,
                exchanges=share(whole.by[f"code:{code}"], whole.looked),
                examples=examples,
            )
        )
    return tuple(sorted(made, key=lambda one: (-one.exchanges.count, one.code)))


def _grouped(tally: Tally, name_of: object) -> tuple[Group, ...]:
    cells: dict[str, Cell] = {}
    for place, cell in tally.cells.items():
        cells.setdefault(name_of(*place), Cell()).add(cell)  # type: ignore[operator]
    return tuple(
        Group(
            name=name,
            looked=cell.looked,
            unknown=cell.unknown,
            faulty=share(cell.faulty, cell.looked),
            codes=_named(cell, "code:"),
        )
        for name, cell in sorted(cells.items())
    )


def _named(cell: Cell, beginning: str) -> dict[str, Share]:
    names = sorted(name for name in cell.by if name.startswith(beginning))
    return {name.removeprefix(beginning): share(cell.by[name], cell.looked) for name in names}


def _merged(cells: Iterable[Cell]) -> Cell:
    whole = Cell()
    for cell in cells:
        whole.add(cell)
    return whole


def _most(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _source(source: InputSource) -> dict[str, object]:
    told = {"path": source.shown, "form": source.form, "bytes": source.size}
    return {**told, "packed": source.packed} if source.packed else told


def _changes(tally: Tally) -> Iterable[Change]:
    """In the order of their days."""
    days: dict[tuple[str, str], list[tuple[str, Cell]]] = {}
    for (model, vendor, day), cell in sorted(tally.cells.items()):
        if day != NONE and cell.looked:
            days.setdefault((model, vendor), []).append((day, cell))
    named: dict[str, tuple[str, str, str, Sequence[tuple[str, Cell]]]] = {}
    for (model, vendor), found in days.items():
        for code in sorted({name for _, cell in found for name in cell.by if name.startswith("code:")}):
            named[f"{len(named):09d}"] = (code.removeprefix("code:"), model, vendor, found)
    series = {
        name: [(cell.by[f"code:{code}"], cell.looked) for _, cell in found]
        for name, (code, _, _, found) in named.items()
    }
    made = [_change(step, *named[name]) for name, found in changepoints.steps(series).items() for step in found]
    return sorted(made, key=lambda one: (one.day, one.code, one.model, one.vendor))


def _change(step: Step, code: str, model: str, vendor: str, found: Sequence[tuple[str, Cell]]) -> Change:
    day = found[step.at][0]
    return Change(
        code=code, model=model, vendor=vendor, day=day, before=step.before, after=step.after, p_value=step.p_value
    )


def _series(tally: Tally, changes: Sequence[Change]) -> Iterable[DailyCounts]:
    """Those of the most certain changes, day by day."""
    certain = sorted(changes, key=lambda one: (one.p_value, -abs(one.after.value - one.before.value)))
    for code, model, vendor in list(dict.fromkeys((one.code, one.model, one.vendor) for one in certain))[:MOST_SERIES]:
        cells = [
            (day, cell)
            for (named, served, day), cell in sorted(tally.cells.items())
            if (named, served) == (model, vendor) and day != NONE and cell.looked
        ]
        yield DailyCounts(
            code=code, model=model, vendor=vendor, days=tuple(day for day, _ in cells),
            counts=tuple((cell.by[f"code:{code}"], cell.looked) for _, cell in cells),
        )  # fmt: skip

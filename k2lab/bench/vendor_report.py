"""What a matrix came to: each vendor's answers for each model summed up, or why there are none."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from k2lab.bench import k2vv, published, store
from k2lab.bench.matrix_file import Matrix, Vendor, arm_name, asked_of, file_of
from k2lab.bench.metrics import Reference
from k2lab.bench.samples import open_samples
from k2lab.bench.summary import Summary, summarise
from k2lab.bench.vendor_runs import Stand
from k2lab.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A vendor's answers for a model: ``results`` of ``wanted``; ``why``: what stopped the run before its end."""

    vendor: str
    model: str
    served: str
    """What the vendor calls the model."""
    file: str
    results: int
    wanted: int
    why: str
    summary: Summary | None


def report_of(matrix: Matrix, out: Path, ended: Sequence[Stand] = ()) -> tuple[Cell, ...]:
    """Every cell, in the order of the file, from what its file holds; raises :class:`InputError` for a bad reference.

    ``ended`` says how a run just ended, where one did.
    """
    reference = k2vv.reference(matrix.reference) if matrix.reference else None
    samples = open_samples(matrix.samples)
    wanted = min(samples.count, matrix.limit or samples.count) * matrix.trials
    why = {(stand.vendor, stand.model): stand.why for stand in ended}
    return tuple(
        _cell(vendor, model, out, reference, wanted=wanted, why=why.get((vendor.name, model), ""))
        for vendor, model in asked_of(matrix)
    )


def _cell(
    vendor: Vendor, model: str, out: Path, reference: Mapping[int, Reference] | None, *, wanted: int, why: str
) -> Cell:
    path, results, summary = file_of(out, vendor.name, model), 0, None
    if os.path.lexists(path):
        try:
            results, summary = _summed_up(path, vendor, model, reference)
        except InputError as error:
            why = why or str(error)
    else:
        why = why or "it has not been asked yet"
    return Cell(
        vendor=vendor.name,
        model=model,
        served=vendor.models[model],
        file=str(path),
        results=results,
        wanted=wanted,
        why=why,
        summary=summary,
    )


def _summed_up(
    path: Path, vendor: Vendor, model: str, reference: Mapping[int, Reference] | None
) -> tuple[int, Summary | None]:
    known = model if published.published_name(model) else None
    with store.reading(path) as file:
        if not file.runs():
            return 0, None
        run = file.run_of(arm_name(vendor.name, model))
        results = sum(file.counts(run, trials=1 << 30).values())
        return results, summarise(file, run, reference, model=known) if results else None

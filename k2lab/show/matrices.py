"""A matrix of vendors to look at: each measure by vendor and model with its interval, then the tables of its arms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from k2lab.bench.standing import Standing
from k2lab.bench.summary import Summary
from k2lab.bench.vendor_report import Cell
from k2lab.legible import one_line
from k2lab.show.benchmarks import bench_summaries
from k2lab.show.parts import View, joined, line, note, table
from k2lab.stats import Share

STANDS = {"within": "✓", "below": "✗", "above": "!", "cannot be said": "?", "not comparable": ""}
LEGEND = (
    "beside what K2-Vendor-Verifier published of the model: ✓ within, ✗ below, ! above, ? cannot be said of so few;"
    " without a sign nothing published is comparable. Intervals at 95 %."
)


def matrix_view(cells: Sequence[Cell]) -> View:
    """Vendor by model for each measure, what is missing and why, and the tables of a benchmark over all of them."""
    summaries = [cell.summary for cell in cells if cell.summary]
    parts = [
        _by_model(cells, "Schema accuracy: calls that keep their schemas", _accuracy),
        *([_by_model(cells, "F1: calls where the reference calls", _f1)] if _has_trigger(summaries) else []),
        _by_model(cells, "Sound answers, of those that call (strict)", _soundness),
        _by_model(cells, "Requests that were answered", lambda summary: _percent(summary.k2vv.success_rate)),
        note(LEGEND),
    ]
    missing = [_missing(cell) for cell in cells if cell.why or cell.results < cell.wanted]
    parts += [table(missing, "Not whole")] if missing else [line("Every cell is whole.")]
    return joined(*parts, bench_summaries(summaries))


def _has_trigger(summaries: Sequence[Summary]) -> bool:
    return any(summary.trigger for summary in summaries)


def _by_model(cells: Sequence[Cell], title: str, said: Callable[[Summary], str]) -> View:
    models = list(dict.fromkeys(cell.model for cell in cells))
    rows: dict[str, dict[str, object]] = {}
    for cell in cells:
        row = rows.setdefault(cell.vendor, {"vendor": cell.vendor, **dict.fromkeys(models, "not asked")})
        row[cell.model] = said(cell.summary) if cell.summary else "no results"
    return table(list(rows.values()), title)


def _missing(cell: Cell) -> Mapping[str, object]:
    return {
        "vendor": cell.vendor,
        "model": cell.model,
        "results": f"{cell.results:,} of {cell.wanted:,}",
        "why": one_line(cell.why or "run it again to go on", 400),
    }


def _accuracy(summary: Summary) -> str:
    return _signed(_percent(summary.k2vv.schema_accuracy), summary, "schema_accuracy")


def _f1(summary: Summary) -> str:
    if summary.trigger is None:
        return "none"
    low, high = summary.trigger.f1_interval
    return _signed(f"{summary.trigger.f1:.1%} [{low:.1%}, {high:.1%}]", summary, "tool_call_f1")


def _soundness(summary: Summary) -> str:
    return _percent(summary.strict.soundness)


def _signed(said: str, summary: Summary, figure: str) -> str:
    placed: Standing | None = next((one for one in summary.standings if one.figure == figure), None)
    return f"{said} {STANDS[placed.stand]}".rstrip() if placed else said


def _percent(value: Share) -> str:
    return f"{value.value:.1%} [{value.low:.1%}, {value.high:.1%}]" if value.total else "none"

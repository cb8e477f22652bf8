"""How each record is shown where it ends a cell: registered with IPython by name, and loaded when first shown.

A record knows nothing of its display. ``import k2lab`` in a kernel registers
the views below; elsewhere nothing happens.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from k2lab.show.parts import View

ONE: Mapping[str, str] = {
    "k2lab.bench.metrics.Comparison": "comparison",
    "k2lab.bench.summary.Summary": "arm_summary",
    "k2lab.chat.answers.Answer": "answer",
    "k2lab.chat.exchanges.Exchange": "exchange",
    "k2lab.chat.requests.Request": "request",
    "k2lab.enforcer.enforcement.Enforcement": "grammar_text",
    "k2lab.findings.records.Finding": "finding",
    "k2lab.notebook.provenance.Origins": "told",
    "k2lab.notebook.questions.Questions": "told",
    "k2lab.prompt.alignment.Diff": "side_by_side",
    "k2lab.prompt.records.Prompt": "prompt_text",
    "k2lab.repairs.records.Repaired": "repaired",
    "k2lab.traffic.exchanges.Passed": "passage_view",
    "k2lab.wire.records.Parsed": "output",
}
"""The view of one record, by the record's module and name."""

SEVERAL: Mapping[str, str] = {
    "k2lab.bench.summary.Summary": "bench_summaries",
    "k2lab.enforcer.enforcement.ToolLimit": "tool_limits",
    "k2lab.findings.records.Finding": "finding_list",
    "k2lab.notebook.ladder.Rung": "arm_table",
    "k2lab.repairs.records.Change": "changes",
    "k2lab.server.parsers.Reading": "parser_matrix",
    "k2lab.server.probes.GridCell": "grid",
    "k2lab.server.probes.LiteralCell": "literal_grid",
}
"""The view of a list, a tuple or a mapping whose values are all records of one type."""

NAMED: Mapping[str, str] = {
    "k2lab.bench.metrics.Comparison": "step_table",
    "k2lab.stats.McNemar": "flip_counts",
    "k2lab.stats.Share": "shares",
}
"""The view of a mapping whose values are all records of one type, and whose names say what they are."""

CONTAINERS = (list, tuple, dict)


class Printer(Protocol):
    """What IPython hands to a plain-text formatter; ``stack`` is what is being printed, outermost first."""

    stack: Sequence[object]

    def text(self, said: str) -> None:
        """Write."""


class Formatter(Protocol):
    """One of IPython's formatters, that of HTML or of plain text."""

    def for_type_by_name(self, module: str, name: str, function: Callable[..., object]) -> object:
        """Register a function for a type that need not be loaded."""

    def for_type(self, kind: type, function: Callable[..., object] | None = None) -> Callable[..., object]:
        """Register a function for a type, or look it up."""


class Formatters(Protocol):
    """IPython's formatters, by the type of what they make."""

    formatters: Mapping[str, Formatter]


def register() -> bool:
    """Register every view with the running IPython; false where none runs.

    A formatter that somebody registered for lists, tuples or mappings stays.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None:
        return False
    register_with(shell.display_formatter)
    return True


def register_with(display: Formatters) -> None:
    """Register every view with these formatters."""
    html, plain = display.formatters["text/html"], display.formatters["text/plain"]
    for path in ONE:
        module, _, name = path.rpartition(".")
        html.for_type_by_name(module, name, as_html)
        plain.for_type_by_name(module, name, _writer(lambda value, printer, cycle: printer.text(repr(value))))
    for kind in CONTAINERS:
        if html.for_type(kind) is None:
            html.for_type(kind, as_html)
            plain.for_type(kind, _writer(plain.for_type(kind)))


def as_html(value: object) -> str | None:
    """The HTML of a record, or of several of one type; of anything else its own, where it has one."""
    shown = view(value)
    if shown is not None:
        return shown._repr_html_()
    own = getattr(type(value), "_repr_html_", None)  # IPython asks a list's formatter before a subclass's method
    return None if own is None else str(own(value))


def view(value: object) -> View | None:
    """The view of a record, or of several of one type; ``None`` for anything else. Never raises."""
    name = _view_name(value)
    if name is None:
        return None
    items = list(value.values()) if isinstance(value, dict) and name not in NAMED.values() else value
    try:
        made: View = getattr(import_module("k2lab.show.views"), name)(items)
    except Exception as fault:  # a broken record is still a record: its repr is shown in place of a view
        from k2lab.show.parts import text

        return text(repr(value), f"no view: {type(fault).__name__}")
    return made


def _view_name(value: object) -> str | None:
    if not isinstance(value, CONTAINERS):
        return ONE.get(_path(type(value)))
    kinds = {type(item) for item in (value.values() if isinstance(value, dict) else value)}
    if len(kinds) != 1:
        return None
    kind = _path(kinds.pop())
    return SEVERAL.get(kind) or (NAMED.get(kind) if isinstance(value, dict) else None)


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _writer(otherwise: Callable[..., object]) -> Callable[[object, Printer, bool], None]:
    """A plain-text formatter: the view of what ends a cell; ``otherwise`` for what is no record, or inside another."""

    def write(value: object, printer: Printer, cycle: bool) -> None:
        shown = view(value) if len(printer.stack) == 1 else None
        if shown is None:
            otherwise(value, printer, cycle)
        else:
            printer.text(shown.text)

    return write

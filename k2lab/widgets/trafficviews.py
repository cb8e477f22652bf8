"""How recorded exchanges are listed: a line each for a list, a table for a saved page, filters in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from k2lab.findings import CATALOGUE
from k2lab.legible import one_line
from k2lab.show.parts import View, table
from k2lab.show.passages import ENDINGS, began
from k2lab.traffic.recordpages import Row, Where
from k2lab.widgets.caseviews import SPACE

CHANGE_WORDS: tuple[tuple[str, str], ...] = (
    ("changed or not", ""),
    ("changed by the guard", "changed"),
    ("unchanged", "unchanged"),
)
CODES, PATH = 6, 40
"""Codes of findings that a line names, and characters of a path."""


def title_of(code: str) -> str:
    """A finding's code with what it is."""
    entry = next((entry for entry in CATALOGUE.values() if entry.code == code), None)
    return f"{one_line(code, 20)} {entry.title}" if entry else one_line(code, 20)


def ending_words(ended: str) -> str:
    """How an exchange ended."""
    return ENDINGS.get(ended, one_line(ended, 40))


def told(wanted: Where) -> str:
    """The filters in words."""
    parts = [title_of(wanted.code)] if wanted.code else []
    parts += [f"status {wanted.status}"] if wanted.status is not None else []
    parts += [ending_words(wanted.ended)] if wanted.ended else []
    parts += [] if wanted.changed is None else ["changed" if wanted.changed else "unchanged"]
    return "; ".join(parts) or "every exchange"


def counted(count: int, page: int, pages: int) -> str:
    """How many there are."""
    return f"{count:,} exchange{'s' * (count != 1)}, page {page + 1:,} of {pages:,}"


def list_options(rows: Sequence[Row]) -> list[tuple[str, int]]:
    """A line for each, for a list."""
    return [(_option(row), place) for place, row in enumerate(rows)]


def page_table(rows: Sequence[Row]) -> View:
    """The same as a table."""
    return table([_cells(row) for row in rows], "exchanges")


def _codes(row: Row) -> str:
    if row.codes is None:
        return "not looked at"
    more = len(row.codes) - CODES
    return " ".join(one_line(code, 20) for code in row.codes[:CODES]) + (f" and {more} more" if more > 0 else "")


def _option(row: Row) -> str:
    mark = "?" if row.codes is None else "✗" if row.codes else "✓"
    ended = "" if row.ended == "whole" else f"  {ending_words(row.ended)}"
    changed = f"  {row.changed} changed" if row.changed else ""
    began_at = began(row.started_at).removesuffix(" UTC")
    text = f"{began_at} {mark} {row.status or '---'} {one_line(row.path, PATH)}{ended}{changed}  {_codes(row)}"
    return text.rstrip().replace(" ", SPACE)


def _cells(row: Row) -> Mapping[str, object]:
    return {
        "began": began(row.started_at),
        "path": one_line(row.path, PATH),
        "status": row.status or "no answer",
        "ended": ending_words(row.ended),
        "changes": row.changed,
        "findings": _codes(row) or "none",
    }

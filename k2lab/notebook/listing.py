"""``index.html``: the runs of a summary, each with its verdict, key figures and the first picture of its page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from k2lab import files, kept
from k2lab.errors import InputError
from k2lab.legible import one_line
from k2lab.notebook import page
from k2lab.notebook.against import changes_between
from k2lab.notebook.figures import KeyFigure
from k2lab.notebook.inert import made_inert
from k2lab.notebook.runs import Run, read_runs

FILE = "index.html"
MOST_FIGURES = 6
"""Key figures of a run in the list."""

FEW = 12
LARGEST_PICTURE = 200_000
"""Characters of a picture; a larger one is on its page alone."""

FIGURE = re.compile(r'<figure class="k2-(?:drawn|figure|picture)"')
DRAWN = re.compile(r"<svg\b.*?</svg>|<img\b[^>]*>", re.DOTALL)
TITLE = re.compile(r"<title>([^<]*)</title>")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Line:
    """One run in the list."""

    run: Run
    title: str
    mark: str
    page: str
    """Its address; empty where no page is there."""
    picture: str
    figures: tuple[KeyFigure, ...]
    changes: str


def write_listing(out: Path, summary: Path, earlier: Mapping[str, Run] | None = None) -> Path | None:
    """Write the list of a folder's runs whole; ``None`` where a notebook's own page has its name.

    Raises :class:`InputError` where the summary can't be read.
    """
    runs = read_runs(summary)
    if Path(FILE).stem in runs:
        return None
    lines = [_line(out, name, run, earlier) for name, run in runs.items()]
    versions = sorted({f"k2lab {run.versions['k2lab']}" for run in runs.values() if "k2lab" in run.versions})
    content = page.filled("listing.html.j2", runs=lines, versions=", ".join(versions))
    path = out / FILE
    kept.write_whole(
        path, page.plain_page("Reports", Markup(content)).encode("utf-8", "backslashreplace"), private=True
    )
    return path


def _line(out: Path, name: str, run: Run, earlier: Mapping[str, Run] | None) -> _Line:
    text = _read(out / f"{name}.html") if Path(name).name == name else ""
    title = TITLE.search(text)
    return _Line(
        run=run,
        title=one_line(unescape(title[1]), 200) if title and title[1].strip() else run.name,
        mark=page.MARKS[run.state],
        page=quote(f"{name}.html") if text else "",
        picture=Markup(_picture(text)),
        figures=_key_figures(run),
        changes=changes_between(earlier.get(name), run).summary if earlier is not None else "",
    )


def _key_figures(run: Run) -> tuple[KeyFigure, ...]:
    """Those of a result that holds few before one of a result that holds many, shares before other figures."""
    ranked = [
        ((len(group.figures) > FEW, figure.share is None), figure) for group in run.groups for figure in group.figures
    ]
    return tuple(figure for _, figure in sorted(ranked, key=lambda pair: pair[0]))[:MOST_FIGURES]


def _picture(text: str) -> str:
    found = FIGURE.search(text)
    drawn = DRAWN.search(text, found.end(), found.end() + LARGEST_PICTURE) if found else None
    return made_inert(drawn[0]) if drawn else ""


def _read(path: Path) -> str:
    try:
        return files.read_text(path, "report")
    except InputError:
        return ""

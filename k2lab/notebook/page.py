"""An executed notebook as one HTML file that opens without a network and runs one script, its own."""

from __future__ import annotations

import base64
import hashlib
import logging
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from markupsafe import Markup

from k2lab.errors import ReportError, first_line
from k2lab.legible import visible
from k2lab.notebook import cells
from k2lab.notebook.fetching import fetched, run_by
from k2lab.notebook.figures import split
from k2lab.notebook.runs import Run
from k2lab.show.parts import sheet

POLICY = (
    "default-src 'none'; script-src 'sha256-{script}'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "media-src data:; base-uri 'none'; form-action 'none'"
)
MARKS = {"passed": "✓", "failed": "✗", "unfinished": "…"}
"""The verdict where no colour is seen."""


def to_html(notebook: Any, title: str, error: str = "", *, run: Run | None = None, changes: str = "") -> str:
    """One HTML file that opens without a network; a failed run says so at the top.

    ``run`` gives the head its figures, parameters and versions; ``changes`` is HTML of
    :mod:`k2lab.notebook.against`. Raises :class:`ReportError` when the page would
    still fetch something.
    """
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    prepared = cells.prepare(notebook, title)
    config = Config()
    config.HTMLExporter.extra_template_basedirs = [str(Path(__file__).parent / "html")]
    exporter = HTMLExporter(config=config, template_name="k2lab")
    exporter.log.setLevel(logging.ERROR)  # it warns the author of a page, who is not its reader
    given = {"metadata": {"name": title}, "k2": {"title": visible(prepared.title or title)}}
    body, _ = exporter.from_notebook_node(prepared.notebook, given)
    alone, several = split(run.groups if run else ())
    head = filled(
        "head.html.j2",
        alone=alone,
        several=several,
        title=prepared.title or title,
        anchor=prepared.sections[0].id if prepared.title else "",
        state="failed" if error else "passed",
        mark=MARKS["failed" if error else "passed"],
        verdict=_verdict(error),
        failed=prepared.failed if error else (),
        changes=Markup(changes),
        run=run,
    )
    shown = run is not None and bool(run.groups)
    contents = filled("contents.html.j2", sections=prepared.sections, titled=bool(prepared.title), figures=shown)
    return whole(title, body, head=head, contents=contents)


def without_outputs(title: str, error: str) -> str:
    """The page of a run whose outputs can't be shown: that it failed, and why."""
    head = filled(
        "head.html.j2", title=title, state="failed", mark=MARKS["failed"], verdict=_verdict(error), failed=(), run=None
    )
    return whole(title, filled("bare.html.j2", title=title), head=head)


def plain_page(title: str, content: Markup) -> str:
    """A page with content of our own in place of a notebook's cells."""
    return whole(title, filled("bare.html.j2", title=title, content=content))


def whole(title: str, body: str, **parts: str) -> str:
    """A page with its parts, style, script and policy in their places.

    Raises :class:`ReportError` when it would fetch something, or run what is not its own.
    """
    script = _text("report.js")
    policy = POLICY.format(script=own_script())
    page = visible(body)
    placed = {
        "policy": f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        "style": f"<style>{sheet()}{_text('report.css')}</style>",
        "bar": '<div class="k2-tools" role="toolbar" aria-label="what the page shows" hidden></div>',
        "contents": "",
        "head": "",
        "script": f"<script>{script}</script>",
        **parts,
    }
    for name, html in placed.items():
        page = page.replace(f"<!--k2-{name}-->", html if name == "script" else visible(html), 1)
    if outside := fetched(page):
        raise ReportError(f"the report of {title} would fetch from outside: {outside!r}")
    if foreign := run_by(page, {own_script()}):
        raise ReportError(f"the report of {title} would run what is not its own: {foreign!r}")
    return page


def own_script() -> str:
    """The digest of the one script that a page runs."""
    return digest(_text("report.js"))


def digest(script: str) -> str:
    """A script's SHA-256 as a Content-Security-Policy writes it."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def filled(template: str, **given: Any) -> str:
    """A template of the folder ``html``, everything escaped that is not marked as HTML."""
    return str(_templates().get_template(template).render(**given))


@cache
def _templates() -> Any:
    from jinja2 import Environment, PackageLoader

    return Environment(loader=PackageLoader("k2lab.notebook", "html"), autoescape=True, trim_blocks=True)


def _verdict(error: str) -> str:
    return first_line(error) if error else "every check of this notebook held"


@cache
def _text(name: str) -> str:
    return (resources.files("k2lab.notebook") / "html" / name).read_text(encoding="utf-8")

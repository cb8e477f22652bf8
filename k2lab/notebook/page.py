"""An executed notebook as one HTML file that opens without a network."""

from __future__ import annotations

import copy
import logging
from html import escape
from pathlib import Path
from typing import Any

from k2lab.errors import ReportError, first_line
from k2lab.legible import visible
from k2lab.notebook.fetching import fetched
from k2lab.notebook.outcome import RECORD_TYPE


def to_html(notebook: Any, title: str, error: str = "") -> str:
    """One HTML file that opens without a network; a failed run says so at the top.

    Raises :class:`ReportError` when the page would still fetch something.
    """
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [_static(output) for output in cell.outputs if RECORD_TYPE not in output.get("data", {})]
    notebook.metadata.pop("widgets", None)
    config = Config()
    config.HTMLExporter.extra_template_basedirs = [str(Path(__file__).parent / "html")]
    exporter = HTMLExporter(config=config, template_name="k2lab", embed_images=True)
    exporter.log.setLevel(logging.ERROR)  # it warns the author of a page, who is not its reader
    body, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": title}})
    body = visible(body.replace("<!--k2lab-banner-->", _banner(error), 1))
    if outside := fetched(body):
        raise ReportError(f"the report of {title} would fetch from outside: {outside!r}")
    return body


def without_outputs(title: str, error: str) -> str:
    """The page of a run whose outputs can't be shown: that it failed, and why."""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title></head>'
        f"<body>{_banner(error)}</body></html>\n"
    )


def _banner(error: str) -> str:
    state = "failed" if error else "passed"
    text = first_line(error) if error else "every check of this notebook held"
    colour = {"passed": "#2c6fd1", "failed": "#d9780f"}[state]
    style = f"font:14px system-ui,sans-serif;padding:.6em 1em;border-left:.6em solid {colour};margin:1em"
    return f'<div id="k2lab-status" data-status="{state}" style="{style}"><b>{state}</b>: {escape(text)}</div>'


def _static(output: Any) -> Any:
    """Drop what a page does not run: a script, and the widget of an output that has HTML, too."""
    data = output.get("data", {})
    data.pop("application/javascript", None)
    if "text/html" in data:
        data.pop("application/vnd.jupyter.widget-view+json", None)
    return output

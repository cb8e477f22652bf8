"""The cells of an executed notebook as a page shows them: inert HTML, sections with links, pictures with words."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape, unescape
from typing import Any

from k2lab.errors import ReportError
from k2lab.legible import one_line, visible
from k2lab.notebook.fetching import fetched
from k2lab.notebook.inert import made_inert
from k2lab.notebook.outcome import RECORD_TYPE

PAPERMILL_TAG = "papermill-error-cell-tag"
"""Cells in which papermill says what failed: the page's head says it."""

HEADING = re.compile(r"<h([1-6])((?:\s[^>]*)?)>(.*?)</h\1>", re.DOTALL)
ANCHOR = re.compile(r'<a[^>]*class="anchor-link"[^>]*>.*?</a>', re.DOTALL)
TAG = re.compile(r"<[^>]*>")
OTHER_NOTEBOOK = re.compile(r'(<a [^>]*href="(?![a-z]+:|/)[^"#]+)\.ipynb(?=["#])')
NO_BASE64 = re.compile(r"[^A-Za-z0-9+/=]")
NAMED = re.compile(r"""<svg[^>]*\saria-label="([^"]+)"|<svg[^>]*>\s*<title[^>]*>([^<]+)</title>""")
PICTURES = ("image/svg+xml", "image/png", "image/jpeg", "image/gif")
DROPPED = {"application/javascript", "application/vnd.jupyter.widget-view+json", RECORD_TYPE}


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A heading of the notebook."""

    level: int
    id: str
    title: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A notebook whose cells carry what the template puts out, under ``metadata["k2"]``."""

    notebook: Any
    sections: tuple[Section, ...]
    failed: tuple[int, ...]
    """Numbers of the cells that raised, as in their ids ``k2-cell-NUMBER``."""

    @property
    def title(self) -> str:
        """The first heading, which stands in the head alone; empty where none is of the first level."""
        return self.sections[0].title if self.sections and self.sections[0].level == 1 else ""


def prepare(notebook: Any, name: str) -> Prepared:
    """A copy that is ready for the template.

    Raises :class:`ReportError` where an output would fetch something.
    """
    made = copy.deepcopy(notebook)
    made.metadata.pop("widgets", None)
    made.cells = [cell for cell in made.cells if PAPERMILL_TAG not in cell.metadata.get("tags", [])]
    page, failed = _Page(name=name), []
    for number, cell in enumerate(made.cells, 1):
        cell.metadata["k2"] = {"number": number}
        if cell.cell_type == "markdown":
            cell.metadata["k2"]["html"] = page.said(cell)
        elif cell.cell_type == "code":
            cell.outputs = [page.shown(output) for output in cell.outputs if RECORD_TYPE not in output.get("data", {})]
            if any(output.output_type == "error" for output in cell.outputs):
                failed.append(number)
    return Prepared(notebook=made, sections=tuple(page.sections), failed=tuple(failed))


@dataclass(kw_only=True)
class _Page:
    """What the cells so far have put into the page."""

    name: str
    sections: list[Section] = field(default_factory=list)
    pictures: int = 0

    def said(self, cell: Any) -> str:
        """A text cell's HTML: each heading has an id and a link to itself, a link to a notebook leads to its report."""
        html = self._inert(_markdown(cell.source, cell.get("attachments", {})))
        return HEADING.sub(self._headed, OTHER_NOTEBOOK.sub(r"\1.html", html))

    def shown(self, output: Any) -> Any:
        """An output without what a page does not run, its HTML inert and its pictures with words."""
        data = output.get("data", {})
        for kind in DROPPED & set(data):
            del data[kind]
        if output.output_type == "stream" or not data:
            return output
        if "text/html" in data:
            output.data = {"text/html": self._inert(_text(data["text/html"]))}
        elif "text/markdown" in data:
            output.data = {"text/html": self._inert(_markdown(_text(data["text/markdown"]), {}))}
        elif kind := next((kind for kind in PICTURES if kind in data), ""):
            output.data = {"text/html": self._picture(kind, _text(data[kind]), output.get("metadata", {}))}
        elif "text/plain" not in data:
            output.data = {"text/plain": "an output that a page can't show: " + ", ".join(map(one_line, sorted(data)))}
        return output

    def _headed(self, found: re.Match[str]) -> str:
        inner = ANCHOR.sub("", found[3])
        title = one_line(unescape(TAG.sub("", inner)), 200)
        slug = re.sub(r"[^\w-]+", "-", title).strip("-") or "section"
        taken = {section.id for section in self.sections}
        name = next(one for one in _names(slug) if one not in taken)
        self.sections.append(Section(level=int(found[1]), id=name, title=title))
        if len(self.sections) == 1 and found[1] == "1":
            return ""
        link = f'<a class="k2-link" href="#{escape(name)}" aria-label="link to this section">#</a>'
        return f'<h{found[1]} id="{escape(name)}">{inner} {link}</h{found[1]}>'

    def _picture(self, kind: str, data: str, metadata: Mapping[str, Any]) -> str:
        self.pictures += 1
        known = {**metadata, **(mine if isinstance(mine := metadata.get(kind), dict) else {})}
        caption = one_line(known.get("caption") or "", 1000)
        drawing = data[max(data.find("<svg"), 0) :] if kind == "image/svg+xml" else ""
        alt = one_line(known.get("alt") or caption or _named(drawing) or self._unsaid(), 2000)
        if drawing:
            drawn = f'<div class="k2-drawing" role="img" aria-label="{escape(alt)}">{self._inert(drawing)}</div>'
        else:
            drawn = f'<img alt="{escape(alt)}" src="data:{kind};base64,{NO_BASE64.sub("", data)}">'
        said = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
        return f'<figure class="k2-picture">{drawn}{said}</figure>'

    def _unsaid(self) -> str:
        section = f", in the section “{self.sections[-1].title}”" if self.sections else ""
        return f"Figure {self.pictures}{section}; its values stand in the text and tables beside it"

    def _inert(self, html: str) -> str:
        if outside := fetched(html):
            raise ReportError(f"the report of {self.name} would fetch from outside: {outside!r}")
        return made_inert(html)


def _names(slug: str) -> Iterator[str]:
    yield slug
    number = 2
    while True:
        yield f"{slug}-{number}"
        number += 1


def _text(value: object) -> str:
    return visible("".join(map(str, value)) if isinstance(value, list) else str(value))


def _named(drawing: str) -> str:
    """What a drawing says of itself."""
    found = NAMED.search(drawing)
    return unescape(found[1] or found[2]) if found else ""


def _markdown(source: str, attachments: Mapping[str, Any]) -> str:
    from nbconvert.filters.markdown_mistune import InvalidNotebook, IPythonRenderer, MarkdownWithMath

    try:
        renderer = IPythonRenderer(escape=False, attachments=attachments)
        return str(MarkdownWithMath(renderer=renderer).render(visible(source)))
    except InvalidNotebook:  # it names an attachment that is not there
        return f"<pre>{escape(source)}</pre>"

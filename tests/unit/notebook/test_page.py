import re
from html import escape
from html.parser import HTMLParser

import nbformat
import pytest

from k2lab.errors import ReportError
from k2lab.notebook.fetching import fetched, run_by
from k2lab.notebook.page import digest, to_html
from tests.helpers.hostile import TEXTS


def page_of(data, **metadata):
    made = nbformat.v4.new_notebook(metadata=metadata)
    outputs = [nbformat.v4.new_output("display_data", data=data)]
    made.cells = [nbformat.v4.new_code_cell("1", outputs=outputs)]
    return to_html(made, "page")


def test_a_page_that_would_fetch_from_outside_is_refused():
    with pytest.raises(ReportError, match="would fetch from outside"):
        page_of({"text/html": '<script src="https://cdn.example/x.js"></script>'})


def test_a_page_tells_the_browser_to_run_one_script_before_anything_else_stands_in_it():
    page = page_of({"text/markdown": "said <script>alert(1)</script>", "application/javascript": "alert(2)"})
    assert "alert(" not in page
    head, _, rest = page.partition("<head>")[2].partition(">")
    policy = re.search(r"default-src 'none'; script-src 'sha256-([^']+)'; ", head)
    assert head.startswith("<meta") and policy
    [script] = re.findall(r"<script>(.*?)</script>", rest, re.DOTALL)
    assert digest(script) == policy[1] and not run_by(page, {policy[1]})


def test_widgets_give_way_to_their_static_twin():
    data = {"text/html": "<p>static twin</p>", "application/vnd.jupyter.widget-view+json": {"model_id": "x"}}
    page = page_of(data, widgets={"application/vnd.jupyter.widget-state+json": {"state": {}}})
    assert "static twin" in page and "widget-view" not in page


HOSTILE = {
    **TEXTS,
    "plaintext": "<plaintext>",
    "textarea": "<textarea>",
    "title": "<title>",
    "closed": "</div>" * 50 + "</main>",
}
HTML_TYPES = ("text/html", "text/markdown", "image/svg+xml")


@pytest.fixture(scope="module")
def own():
    [script] = re.findall(r"<script>(.*?)</script>", page_of({"text/plain": "x"}), re.DOTALL)
    return script


@pytest.mark.parametrize("kind", HTML_TYPES)
def test_hostile_html_of_a_cell_runs_nothing_and_what_follows_it_stays_where_it_was(kind, own):
    cells = []
    for text in [*HOSTILE.values(), f"<script>{own}</script>", "<!--k2-script--><!--k2-head-->"]:
        if not fetched(text) and "![" not in text and len(text) < 100_000:
            outputs = [nbformat.v4.new_output("display_data", data={kind: text.encode("utf-8", "replace").decode()})]
            cells += [nbformat.v4.new_code_cell("1", outputs=outputs), nbformat.v4.new_markdown_cell("## after")]
    page = to_html(nbformat.v4.new_notebook(cells=cells), "page")
    assert page.count("<script") == 1 and not run_by(page, {digest(own)})
    assert page.count("</main>") == 1 and page.count('id="k2lab-status"') == 1
    depths = {depth for depth, shown in headings(page) if shown.startswith("after")}
    assert len(depths) == 1 and page.count('href="#after') == len(cells)  # in the contents, and beside each heading


def headings(page):
    """How deep each second heading stands, and its text."""
    reader = Depth()
    reader.feed(page.partition("<main")[2])
    return reader.found


class Depth(HTMLParser):
    def __init__(self):
        super().__init__()
        self.depth, self.found, self.heading = 0, [], False

    def handle_starttag(self, tag, attrs):
        self.depth += tag in ("div", "details", "svg", "table")
        self.heading = tag == "h2"

    def handle_endtag(self, tag):
        self.depth -= tag in ("div", "details", "svg", "table")

    def handle_data(self, data):
        if self.heading:
            self.found.append((self.depth, data))
            self.heading = False


@pytest.mark.parametrize(
    "html",
    [
        "<script>alert(1)</script>",
        "<script>",
        "<script src=x></script>",
        "<svg><script href='x'></script></svg>",
        "<img src=x onerror=alert(1)>",
        "<a href=' java\nscript:alert(1)'>x</a>",
        "<iframe srcdoc='x'></iframe>",
        "<form action=javascript:x()>",
    ],
)
def test_what_would_run_is_found_and_the_own_script_a_second_time(html, own):
    page = f"<script>{own}</script>{html}"
    assert run_by(page, {digest(own)})
    assert not run_by(f"<script>{own}</script><p>{escape(html)}", {digest(own)})
    assert run_by(f"<script>{own}</script><script>{own}</script>", {digest(own)})
    assert run_by(f"<script>{own} </script>", {digest(own)})


def test_each_section_is_in_the_contents_once_and_the_title_stands_in_the_head():
    source = "# The title\n\n## Part\n\ntext\n\n## Part\n\n### `code` <b>bold</b>"
    page = to_html(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(source)]), "name")
    assert page.count("<h1") == 1 and "<title>The title</title>" in page
    contents = page.partition('<nav class="k2-contents"')[2].partition("</nav>")[0]
    links = re.findall(r'href="#([^"]+)"', contents)
    assert links == ["The-title", "Part", "Part-2", "code-bold"]
    assert all(page.count(f'id="{link}"') == 1 for link in links)


def test_a_link_to_another_notebook_leads_to_its_report_and_one_elsewhere_stays():
    said = "[a](1_a.ipynb) [b](x/2.ipynb#Part) [c](https://example.org/c.ipynb) [d](#d.ipynb)"
    page = to_html(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(said)]), "page")
    links = re.findall(r'href="([^"]+)"', page)
    assert links[-4:] == ["1_a.html", "x/2.html#Part", "https://example.org/c.ipynb", "#d.ipynb"]


def test_a_figure_says_what_it_shows():
    picture, drawing = (
        {"image/png": "iVBORw0KGgo="},
        {"image/svg+xml": "<?xml ?><svg><title>shares</title><g id='g'/></svg>"},
    )
    assert 'alt="Figure 1; its values' in page_of(picture)
    assert 'aria-label="shares"' in page_of(drawing) and "<svg" in page_of(drawing)
    made = nbformat.v4.new_notebook()
    output = nbformat.v4.new_output("display_data", data=picture, metadata={"alt": "<a>", "caption": "200 asks"})
    made.cells = [nbformat.v4.new_code_cell("1", outputs=[output])]
    page = to_html(made, "page")
    assert 'alt="&lt;a&gt;"' in page and "<figcaption>200 asks</figcaption>" in page


def test_a_failed_page_names_the_cell_that_raised_and_leads_there():
    raised = nbformat.v4.new_output("error", ename="ValueError", evalue="x", traceback=["ValueError: x"])
    made = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("1"), nbformat.v4.new_code_cell("2", outputs=[raised])]
    )
    page = to_html(made, "page", "cell 2 raised ValueError: x")
    assert 'href="#k2-cell-2"' in page and page.count('id="k2-cell-2"') == 1
    assert 'href="#k2-cell-1"' not in page

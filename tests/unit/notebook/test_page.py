import nbformat
import pytest

from k2lab.errors import ReportError
from k2lab.notebook.page import to_html


def page_of(data, **metadata):
    made = nbformat.v4.new_notebook(metadata=metadata)
    outputs = [nbformat.v4.new_output("display_data", data=data)]
    made.cells = [nbformat.v4.new_code_cell("1", outputs=outputs)]
    return to_html(made, "page")


def test_a_page_that_would_fetch_from_outside_is_refused():
    with pytest.raises(ReportError, match="would fetch from outside"):
        page_of({"text/html": '<script src="https://cdn.example/x.js"></script>'})


def test_a_page_tells_the_browser_to_run_nothing_before_anything_else_stands_in_it():
    page = page_of({"text/markdown": "said <script>alert(1)</script>", "application/javascript": "alert(2)"})
    assert "alert(2)" not in page
    head = page.partition("<head>")[2]
    assert head.startswith("<meta") and "default-src 'none'" in head[:200] and "script-src" not in head


def test_widgets_give_way_to_their_static_twin():
    data = {"text/html": "<p>static twin</p>", "application/vnd.jupyter.widget-view+json": {"model_id": "x"}}
    page = page_of(data, widgets={"application/vnd.jupyter.widget-state+json": {"state": {}}})
    assert "static twin" in page and "widget-view" not in page

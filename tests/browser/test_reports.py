"""A report and the list of reports in a real browser: by mouse and keyboard, light and dark, without a network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from k2lab.notebook import pagefiles
from k2lab.show.parts import table
from tests.conftest import ROOT
from tests.helpers import browsing

BOTH = pytest.mark.parametrize("scheme", ["light", "dark"])


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    rows = [{"name": f"case {number}", "tokens": number * 37 % 101} for number in range(20)]
    output = nbformat.v4.new_output("display_data", data={"text/html": table(rows)._repr_html_()})
    said = nbformat.v4.new_output("stream", name="stdout", text="said raw")
    cells = [
        nbformat.v4.new_markdown_cell("# One\n\nwords\n\n## Part"),
        nbformat.v4.new_code_cell("answer = 41", outputs=[output, said]),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "one.ipynb")
    part = {"count": 1, "total": 4, "low": 0.1, "high": 0.6}
    entry = {"status": "passed", "parameters": {"n": 1}, "results": {"called": {"a": part, "b": part}, "n": 2}}
    (folder / "summary.json").write_text(json.dumps({"k2lab": "0.2.0", "reports": {"one": entry}}))
    pagefiles.renew(out=folder)
    return folder


@BOTH
@pytest.mark.parametrize("name", ["one", "index"])
def test_axe_finds_nothing_grave(page: object, out: Path, axe: Callable[..., None], name: str, scheme: str) -> None:
    page.goto((out / f"{name}.html").as_uri())
    if page.get_by_role("button", name="show everything").count():
        page.get_by_role("button", name="show everything").click()
    axe(page)


@pytest.mark.long
@pytest.mark.parametrize("name", [path.stem for path in sorted((ROOT / "docs" / "reports").glob("*.html"))])
def test_a_published_report_opens_without_a_network_in_light_and_dark(
    page: object, axe: Callable[..., None], name: str
) -> None:
    page.goto((ROOT / "docs" / "reports" / f"{name}.html").as_uri())
    assert page.locator("[data-status=passed]").count() == 1 and page.locator("h1").count() == 1
    for _ in browsing.schemes(page):
        axe(page)


def test_code_unfolds_tables_sort_and_search_text_is_copied_and_the_theme_switches(page: object, out: Path) -> None:
    page.goto((out / "one.html").as_uri())
    code = page.locator(".k2-code pre")
    assert not code.is_visible()
    page.get_by_role("button", name="show all code").press("Enter")
    assert code.is_visible()
    head, cells = page.get_by_role("button", name="tokens"), page.locator(".k2 tbody td:last-child:visible")
    head.click()
    numbers = [int(text) for text in cells.all_inner_texts()]
    assert numbers == sorted(numbers) and len(numbers) == 20
    head.press("Enter")
    assert [int(text) for text in cells.all_inner_texts()] == numbers[::-1]
    page.get_by_label("search").fill("case 19")
    assert cells.count() == 1 and page.get_by_text("1 of 20 rows").is_visible()
    page.get_by_role("button", name="copy this text").last.press("Enter")
    page.get_by_text("copied 8 characters").wait_for()
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(ground)
    for _ in range(2):
        page.get_by_role("button", name="theme").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark" and page.evaluate(ground) != before
    page.get_by_role("navigation", name="contents").get_by_role("link", name="Part").click()
    assert page.url.endswith("#Part")

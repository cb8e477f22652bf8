"""The frame of these tests itself: what it must not let pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import browsing
from tests.helpers.jupyter import Lab

BAD = {
    "a picture from outside": "<img src='http://example.org/a.png'>",
    "a script from outside, by number": "<script src='http://192.0.2.1/a.js'></script>",
    "an uncaught error": "<script>throw new Error('thrown')</script>",
    "a console error": "<script>console.error('said')</script>",
}


@pytest.mark.parametrize("what", BAD)
def test_a_page_that_misbehaves_fails(chromium: object, tmp_path: Path, what: str) -> None:
    (tmp_path / "bad.html").write_text(BAD[what], encoding="utf-8")
    with pytest.raises(AssertionError, match=r"outside|uncaught|console"), browsing.opened(chromium) as page:
        page.goto((tmp_path / "bad.html").as_uri(), wait_until="load")


def test_axe_sees_a_grave_fault_and_passes_what_has_none(page: object) -> None:
    page.set_content("<html lang=en><title>t</title><main><h1>t</h1><p style='color:#bbb;background:#fff'>pale</p>")
    assert "color-contrast" in browsing.grave_findings(page)[0] and not browsing.grave_findings(page, "h1")


@pytest.mark.long
def test_a_notebook_runs_and_a_widget_answers_the_keyboard(page: object, lab: Lab) -> None:
    slider = "from ipywidgets import interact\ninteract(lambda x: print(x + 40), x=(0, 9));"
    ran = lab.ran(page, "1 + 2", slider)
    assert ran.output(0).inner_text() == "3"
    ran.output(1).get_by_role("slider").press("ArrowRight")
    ran.output(1).get_by_text("45").wait_for()
    themes = [page.evaluate("document.body.dataset.jpThemeLight") for _ in browsing.schemes(page)]
    assert themes == ["true", "false"]

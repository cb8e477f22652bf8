"""`k2lab lab` as a newcomer meets it: it opens on 0_start, which runs and shows its pictures."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.helpers import browsing
from tests.helpers.jupyter import CONNECTED, READY, Lab


@pytest.mark.long
def test_jupyterlab_opens_on_the_start_page_and_it_runs(
    page: object, lab: Lab, axe: Callable[..., None], screenshot: Callable[..., object]
) -> None:
    page.goto(lab.address())
    page.get_by_role("heading", name="Start here").wait_for()
    screenshot("start-opened")
    page.wait_for_function(READY)
    page.evaluate(CONNECTED)  # cells that are run before there is a kernel may never be run
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    page.wait_for_function(ALL_RAN)
    told = "\n".join(page.locator(".jp-CodeCell .jp-OutputArea-output").all_inner_texts())
    assert (
        "Traceback" not in told
        and "137 ids" in told
        and "✗ lost" in told
        and "leads the model to write foreign ids" in told
    )
    for scheme in browsing.schemes(page):
        screenshot(f"start-{scheme}")
        axe(page, ".jp-OutputArea-output")


ALL_RAN = r"[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].every(shown => /\d/.test(shown.textContent))"

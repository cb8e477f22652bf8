"""A benchmark in a real JupyterLab: cases looked through and sent again, and a run that is stopped by its button."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from tests.helpers import browsing
from tests.helpers.jupyter import Lab
from tests.helpers.runs import TOOLS, ask, request, stored, written
from tests.helpers.stub_server import stub

IMPORT = "import k2lab.notebook as k2\n"
EVIL = "<img src=x onerror=alert(1)>"
COUNT = 40


@pytest.fixture(scope="module")
def server() -> Iterator[object]:
    with stub("--delay-ms", 100) as found:
        yield found


@pytest.mark.long
def test_cases_are_filtered_opened_and_sent_again(
    page: object, lab: Lab, server: object, axe: Callable[..., None], screenshot: Callable[..., object]
) -> None:
    requests = [request(tools=TOOLS), request("500"), request(tools=TOOLS, user=EVIL)]
    for arm, fields in (("as sent", {}), (EVIL, {"extra_body": {"tools": []}})):
        ask(lab.folder, server.url, requests, arm=arm, **fields)
    shown = lab.ran(page, f'{IMPORT}k2.browse("run.db")').output(0)
    status, cases = shown.get_by_role("status"), shown.get_by_label("Cases")
    status.filter(has_text="6 cases").wait_for()
    shown.get_by_label("Arm").select_option(label="as sent")
    status.filter(has_text="3 cases").wait_for()
    shown.get_by_label("Fault").select_option(label="request: status (1)")
    status.filter(has_text="1 case,").wait_for()
    shown.get_by_label("Fault").select_option(index=0)
    shown.get_by_label("Flips with").select_option(label=EVIL)
    status.filter(has_text="2 cases").wait_for()
    browsing.expect(cases.locator("option")).to_have_text([re.compile("⇄")] * 2)

    cases.focus()
    page.keyboard.press("ArrowDown")
    shown.get_by_text("What was asked").wait_for()
    assert shown.get_by_text("→ get_weather({})").count() == 1
    shown.get_by_label("Change").select_option(label="a field of the request")
    shown.get_by_label("Field, JSON").fill('{"tools": null, "user": "another word"}')
    shown.get_by_text("with tools, user put over it").wait_for()
    shown.get_by_role("button", name="Send again").focus()
    page.keyboard.press("Enter")
    shown.get_by_text("Stored answer").wait_for()
    browsing.expect(shown).to_contain_text("Sent again: stop: no call")
    browsing.expect(shown).to_contain_text(re.compile("Stored answer.*another word", re.DOTALL))
    assert shown.locator("img").count() == 0
    for scheme in browsing.schemes(page):
        screenshot(f"run_browser-{scheme}", shown)
        axe(page, ".jp-OutputArea-output")


@pytest.mark.long
def test_a_run_is_stopped_by_its_button_loses_nothing_and_goes_on(
    page: object, lab: Lab, server: object, axe: Callable[..., None], screenshot: Callable[..., object]
) -> None:
    written(lab.folder, [request() for _ in range(COUNT)])
    before = server.seen("posts")
    arm = f'k2lab.Arm(name="arm", base_url="{server.url}", model="m")'
    imports = "import k2lab\nimport k2lab.notebook as k2\nfrom k2lab.bench.limits import Limits\n"
    run = f'k2.run_bench("samples.jsonl", {arm}, "stopped.db", limits=Limits(concurrency=1))'
    notebook = lab.ran(page, f"{imports}run = {run}")
    shown = notebook.output(0)
    shown.get_by_role("cell", name=re.compile(rf"^[1-9]\d* of {COUNT} ")).wait_for()
    assert "time left" in shown.inner_text()
    shown.get_by_role("button", name="Stop").focus()
    page.keyboard.press("Space")
    shown.get_by_role("status").filter(has_text="stopped early at").wait_for()
    for scheme in browsing.schemes(
        page
    ):  # now that it stands still: to look takes longer than the run on a busy machine
        screenshot(f"stopped-{scheme}", shown)
        axe(page, ".jp-OutputArea-output")
    kept = int(re.search(r"stopped early at (\d+) of", shown.inner_text())[1])
    assert 0 < kept < COUNT and len(stored(lab.folder, "stopped.db")) == kept
    notebook.run_all()
    shown.get_by_role("status").filter(has_text=f"done, {COUNT} of {COUNT}").wait_for()
    assert len(stored(lab.folder, "stopped.db")) == COUNT
    assert server.seen("posts") - before <= COUNT + 1  # what was under way when it was stopped is asked again

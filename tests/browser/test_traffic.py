"""A record of traffic in a real JupyterLab: filtered, opened, checked, shrunk and sent again by keyboard."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.helpers import browsing
from tests.helpers.jupyter import Lab
from tests.helpers.passages import FOREIGN, LEAKED, mended, passed, recorded
from tests.helpers.stub_server import stub

IMPORT = "import k2lab.notebook as k2\n"
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def server():
    with stub() as found:
        yield found


@pytest.mark.long
def test_traffic_is_looked_through_from_a_finding_to_its_smallest_request(
    page: object, lab: Lab, server: object, axe: Callable[..., None], screenshot: Callable[..., object]
) -> None:
    made = [passed() for _ in range(60)]
    made[10] = passed([*FOREIGN[:-1], {"role": "user", "content": f"And in {EVIL}?"}], LEAKED)
    made[20], made[30] = mended(), passed(status=0, ended="timed_out", answer=b"")
    recorded(lab.folder / "traffic.db", made)
    shown = lab.ran(page, f'{IMPORT}k2.browse_traffic("traffic.db")').output(0)
    status = shown.get_by_role("status")
    status.filter(has_text="60 exchanges, page 1 of 2").wait_for()
    shown.get_by_label("Ended").select_option(label="the upstream's answer came too late (1)")
    status.filter(has_text="1 exchange,").wait_for()
    shown.get_by_label("Ended").select_option(index=0)
    status.filter(has_text="60 exchanges, page 1 of 2").wait_for()
    shown.get_by_label("Finding").select_option(label="A113 a call that stands in the content as text (1)")
    status.filter(has_text="1 exchange,").wait_for()

    shown.get_by_label("Exchanges").focus()
    page.keyboard.press("ArrowDown")
    status.filter(has_text="Open: /v1/chat/completions").wait_for()
    browsing.expect(shown).to_contain_text(f"And in {EVIL}?")
    shown.get_by_role("button", name="Check").focus()
    page.keyboard.press("Enter")
    status.filter(has_text="Checked: ").wait_for()
    shown.get_by_label("Keep").select_option(label="A113 a call that stands in the content as text")
    shown.get_by_role("button", name="Shrink").focus()
    page.keyboard.press("Space")
    shown.get_by_text("What is left").wait_for()
    shown.get_by_label("Server").fill(server.url)
    shown.get_by_text(f"at {server.url}.").wait_for()
    shown.get_by_role("button", name="Send again").focus()
    page.keyboard.press("Enter")
    shown.get_by_text("Stored answer").wait_for()
    assert shown.locator("img").count() == 0
    for scheme in browsing.schemes(page):
        screenshot(f"traffic_browser-{scheme}", shown)
        axe(page, ".jp-OutputArea-output")

    shown.get_by_label("Finding").select_option(index=0)
    status.filter(has_text="60 exchanges, page 1 of 2").wait_for()
    shown.get_by_label("Guard").select_option(label="changed by the guard")
    status.filter(has_text="1 exchange,").wait_for()
    shown.get_by_label("Exchanges").focus()
    page.keyboard.press("ArrowDown")
    browsing.expect(shown).to_contain_text("counted anew")
    assert shown.locator("del").count() >= 1

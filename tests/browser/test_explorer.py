"""The prompt explorer in a real JupyterLab: worked by mouse and by keyboard, light and dark."""

from __future__ import annotations

import json

import pytest

from tests.helpers import browsing
from tests.helpers.processes import until

OPEN = (
    'from k2lab.widgets.explorer import explore\nexplore("foreign_id", left="k2-nano:current", right="k2-nano:current")'
)
EVIL = "<img src=x onerror=alert(1)></textarea><script>throw 1</script>\u202e\x1b[2J"


def comes(pieces, text):
    """Whether a text comes to stand in pieces that are drawn anew as one types."""
    return until(lambda: text in "".join(pieces.all_inner_texts()), 30)


@pytest.mark.long
def test_what_differs_is_shown_as_one_types(page, lab, axe, screenshot):
    shown = lab.ran(page, OPEN).output(0)
    shown.locator(".said", has_text="no difference").wait_for()
    shown.get_by_label("Repair first").nth(1).select_option("ids")
    shown.locator(".said", has_text="message 1 (assistant)").wait_for()
    turn = shown.get_by_role("button", name="message 1 (assistant)")
    browsing.expect(turn).to_contain_text("differs")
    browsing.expect(turn).to_have_attribute("aria-expanded", "true")
    come = shown.locator(".turn.differs .on-right .come .piece")
    assert until(lambda: "".join(come.all_inner_texts()).startswith("functions"), 30)
    shown.get_by_label("ids under the pieces").check()
    for scheme in browsing.schemes(page):
        screenshot(f"explorer-{scheme}", shown)
        axe(page, ".k2-pair")
    box = shown.get_by_label("Conversation (JSON)")
    box.fill(box.input_value().replace("Rome", "Lisbon") + "}")
    shown.locator(".fault", has_text="not JSON").wait_for()
    box.fill(box.input_value()[:-1])
    shown.get_by_role("button", name="message 3 (user)").click()
    assert comes(shown.locator(".turn:not(.differs) .on-left .piece"), "Lisbon")


@pytest.mark.long
def test_the_keyboard_alone_goes_from_the_text_to_the_difference_and_hostile_text_stays_text(page, lab):
    shown = lab.ran(page, OPEN).output(0)
    box = shown.get_by_label("Conversation (JSON)")
    box.focus()
    page.keyboard.press("Control+Home")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('.widget-dropdown')?.innerText.startsWith('Repair')"):
            break
    page.keyboard.press("ArrowDown")
    shown.locator(".said", has_text="message 1 (assistant)").wait_for()
    shown.get_by_role("button", name="next difference").focus()
    page.keyboard.press("Enter")
    assert "message 1" in page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Space")
    assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "false"
    box.fill(json.dumps([{"role": "user", "content": EVIL}]))
    shown.get_by_role("button", name="message 0 (user)").click()
    shown.get_by_role("button", name="equal tokens, left").click()
    assert comes(shown.locator(".turn .on-left .piece"), "onerror=alert(1)></textarea><script>")
    assert shown.locator(".k2-pair img, .k2-pair script").count() == 0

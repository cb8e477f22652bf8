"""The playground of outputs in a real JupyterLab: worked by mouse, then by keyboard; light and dark on one notebook."""

from __future__ import annotations

import re

import pytest

from tests.helpers import browsing

OPEN = """
import os, pathlib, sys, tempfile
import k2lab.notebook as k2
from tests.helpers import fake_parser

place = pathlib.Path(tempfile.mkdtemp())
fake_parser.write(place)
os.environ |= {"PYTHONPATH": str(place), "K2LAB_CACHE": str(place)}
k2.play(case="no functions. prefix", engines=[sys.executable])
"""


@pytest.mark.long
def test_an_output_is_edited_fed_in_chunks_and_asked_about(page, lab, axe, screenshot):
    shown = lab.ran(page, OPEN).output(0)
    table = shown.locator("table.k2-rows")
    table.get_by_text("✗ lost, no call").wait_for()
    assert "search" in table.inner_text() and "1 call" in table.inner_text()
    box, slider = shown.get_by_label("Raw output"), shown.get_by_label("Tokens per chunk")
    status = shown.get_by_role("status")
    slider.fill("7")
    table.get_by_text("7 tokens at a time").wait_for()
    assert table.get_by_text("✓ nothing is lost").count() == 2
    shown.get_by_role("button", name="Ask the installed releases").click()
    table.get_by_text("✗ leaked, no call").wait_for()
    assert shown.locator("mark").count() == 0
    box.fill("Wait! " + box.input_value().replace("tide", "music"))
    shown.locator("mark", has_text="in chunks from here on something else").wait_for()
    assert "“! <|tool_calls_section_begin|>" in table.inner_text() or "at character 4, in chunk 1" in table.inner_text()
    table.get_by_text("music").first.wait_for()
    for scheme in browsing.schemes(page):
        axe(page, ".jp-OutputArea-output")
        screenshot(f"playground-{scheme}", shown)
    shown.get_by_role("button", name="Stop").click()
    shown.get_by_label("Start from").select_option("adjacent calls")
    table.get_by_text("read_news").first.wait_for()
    browsing.expect(box).to_have_value(re.compile(r"(?:<\|tool_call_begin\|>.*){2}", re.DOTALL))
    box.fill("<img src=x onerror=alert(1)></pre><script>throw 1</script>\u202e")
    shown.locator(".k2-output", has_text="<script>throw 1</script>\\u202e").wait_for()
    assert shown.locator(".k2-output img, .k2-output script").count() == 0
    shown.get_by_label("Tools (JSON)").fill("[")
    status.get_by_text("not JSON").or_(status.filter(has_text="not JSON")).first.wait_for()

    box.focus()  # from here on by keyboard alone
    page.keyboard.press("Control+A")
    page.keyboard.type("Hi there<|tool_calls_section_begin|>")
    shown.locator(".k2-output .k2-is-content", has_text="Hi there").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.type") == "range"
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    table.get_by_text("1 token at a time").wait_for()
    assert slider.get_attribute("aria-valuetext") == "1 token at a time"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    shown.get_by_role("button", name="Stop").and_(shown.locator(":enabled")).wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    shown.get_by_role("button", name="Stop").and_(shown.locator(":disabled")).wait_for()

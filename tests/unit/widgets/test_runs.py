"""The run browser, on files made by real runs against a stand-in for a server."""

import json
import os
import time

import pytest

from k2lab.bench.arm import Arm
from k2lab.bench.casebook import Cases, Wanted
from k2lab.bench.runner import run_benchmark
from k2lab.errors import InputError
from k2lab.widgets.listing import PAGE
from k2lab.widgets.runs import browse
from tests.helpers.hostile import TEXTS, skeleton
from tests.helpers.runs import TOOLS, request, written
from tests.helpers.stub_server import stub

ACTIVE = {"script", "img", "svg", "iframe", "textarea", "input", "link", "animate", "use", "title"}
COUNT = 130
FOREIGN = [
    {"role": "user", "content": "Weather?"},
    {"role": "assistant", "content": "", "tool_calls": [
        {"id": "call_abc", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "call_abc", "content": "sunny"},
]  # fmt: skip


@pytest.fixture(scope="module")
def server():
    with stub() as found:
        yield found


@pytest.fixture(scope="module")
def path(server, tmp_path_factory):
    """Two arms of 130 requests: every tenth has a foreign history, some fail; the second declares another tool."""
    folder = tmp_path_factory.mktemp("browse")
    requests = [request(tools=TOOLS) for _ in range(COUNT)]
    requests[3] = request("500")
    requests[4] = request("garbage")
    for place in range(0, COUNT, 10):
        requests[place] = request(tools=TOOLS, messages=FOREIGN)
    samples = written(folder, requests)
    other = [{"type": "function", "function": {"name": "other", "parameters": {"type": "object"}}}]
    for name, fields in (("as sent", {}), ("no tool", {"extra_body": {"tools": other}})):
        arm = Arm(name=name, base_url=server.url, model="m", **fields)
        run_benchmark(samples, arm, folder / "run.db")
    return folder / "run.db"


def indices(chosen):
    return [pair.case.data_index for pair in chosen.pairs]


def state_of(widget):
    """All that is sent to the page, and may be saved with a notebook."""
    inner = "".join(state_of(child) for child in getattr(widget, "children", ()))
    return json.dumps(widget.get_state(), default=str, ensure_ascii=False) + inner


def wait_until(happened, seconds=10):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_cases_are_filtered_by_arm_ending_and_fault(path):
    cases = Cases(path)
    assert cases.arms == ("as sent", "no tool")
    assert indices(cases.choose(Wanted(arm="as sent", ending="failed"))) == [4, 5]
    assert indices(cases.choose(Wanted(arm="as sent", fault="request: status"))) == [4]
    assert indices(cases.choose(Wanted(arm="as sent", fault="call: wrong_index"))) == list(range(1, COUNT, 10))
    assert len(cases.choose(Wanted(fault="call: undeclared_tool")).pairs) == COUNT - 2
    assert len(cases.choose(Wanted()).pairs) == 2 * COUNT


def test_what_flips_between_two_arms_is_what_the_comparison_counts(path):
    cases = Cases(path)
    lost = cases.choose(Wanted(arm="as sent", against="no tool", turn="lost"))
    assert indices(lost) == [index for index in range(1, COUNT + 1) if index not in (4, 5)]
    assert not cases.choose(Wanted(arm="as sent", against="no tool", turn="gained")).pairs
    assert indices(cases.choose(Wanted(arm="no tool", against="as sent", turn="gained"))) == indices(lost)
    assert len(cases.choose(Wanted(arm="as sent", against="no tool", right="sound")).pairs) == COUNT - 2 - COUNT // 10
    assert not cases.choose(Wanted(arm="as sent", against="no tool", right="calling")).pairs
    with pytest.raises(InputError, match="two different arms"):
        cases.choose(Wanted(arm="as sent", against="as sent"))


def test_a_page_of_fifty_is_sent_and_turned(path):
    browser = browse(path)
    browser.arm.value = "as sent"
    assert len(browser.listing.rows.options) == PAGE and "130 cases, page 1 of 3" in browser.live.said
    browser.listing.after.click()
    browser.listing.after.click()
    assert [browser.listing.rows.options[0][0].split("\xa0", 20).count("101"), len(browser.listing.rows.options)] == [
        1,
        30,
    ]
    assert browser.listing.after.disabled and not browser.listing.before.disabled
    browser.listing.number.value = 2
    assert browser.listing.rows.options[0][0].strip("\xa0").startswith("51")
    browser.fault.value = "call: wrong_index"
    assert "13 cases, page 1 of 1" in browser.live.said and browser.listing.number.max == 1


def test_an_open_case_shows_its_transcript_and_its_findings_and_the_twin_shows_it_too(path):
    browser = browse(path)
    browser.arm.value = "as sent"
    browser.listing.rows.index = 10
    assert "request 11" in browser.live.said
    for shown in (browser.shown.value, browser.view().html):
        assert "wrong index" in shown and "call_abc" in shown and "sunny" in shown
    assert "wrong index" in browser.view().text and "page 1 of 3" in browser.view().text
    bundle = browser._repr_mimebundle_()
    bundle = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "wrong index" in bundle["text/html"] and "application/vnd.jupyter.widget-view+json" in bundle


def test_a_case_is_sent_again_with_one_field_changed_by_a_click_alone(path, server):
    browser = browse(path)
    browser.arm.value = "as sent"
    before = server.seen("posts")
    browser.listing.rows.index = 0
    assert browser.resend.base_url.value == server.url and browser.resend.model.value == "m"
    assert browser.resend.words == f"Asks m at {server.url}."
    browser.resend.changed.value, browser.resend.fields.value = "field", '{"seed": 7'
    assert "not JSON" in browser.resend.words and "not JSON" in browser.resend.told.value
    browser.resend.button.click()
    assert "not JSON" in browser.live.said and server.seen("posts") == before
    browser.resend.fields.value = '{"seed": 7}'
    assert browser.resend.words == f"Asks m at {server.url}, with seed put over it."
    browser.resend.button.click()
    wait_until(lambda: browser.answered)
    wait_until(lambda: browser.live.said.startswith("Sent again: tool_calls: get_weather"))
    assert server.seen("posts") == before + 1 and server.seen("last")["seed"] == 7
    assert "Stored answer" in browser.shown.value and "Sent again" in browser.view().text


def test_a_case_is_sent_again_with_its_history_repaired_or_its_calls_enforced(path, server):
    browser = browse(path)
    browser.arm.value = "as sent"
    browser.listing.rows.index = 10
    browser.resend.changed.value = "history"
    assert browser.resend.words.endswith(", its history repaired.")
    browser.resend.button.click()
    wait_until(lambda: browser.answered)
    assert server.seen("last")["messages"][1]["tool_calls"][0]["id"] == "functions.get_weather:0"
    assert "call_abc" in browser.view().text and "what the repair changed" in browser.view().text
    browser.resend.changed.value = "enforced"
    assert browser.resend.words.endswith(", with a grammar for vllm.")
    browser.resend.button.click()
    wait_until(lambda: not browser.resend.button.disabled)
    sent = server.seen("last")
    assert "structural_tag" in sent["structured_outputs"] and sent["messages"][1]["tool_calls"][0]["id"] == "call_abc"


def test_the_key_comes_from_the_environment_and_is_not_shown(path, monkeypatch):
    key = "sk-canary-0123456789"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with stub("--key", key) as locked:
        browser = browse(path)
        browser.arm.value = "as sent"
        browser.listing.rows.index = 0
        browser.resend.base_url.value = locked.url
        browser.resend.changed.value, browser.resend.fields.value = (
            "field",
            '{"metadata": {"stub": "echo"}, "tools": []}',
        )
        browser.resend.button.click()
        wait_until(lambda: browser.answered)
        wait_until(lambda: browser.live.said.startswith("Sent again: stop"))
        monkeypatch.setenv("OPENAI_API_KEY", "sk-another-0123456789")
        browser.resend.button.click()
        wait_until(lambda: "401" in browser.live.said)
    state = state_of(browser)
    assert "canary" not in state and "another" not in state and "***" in state


def test_waiting_for_an_answer_is_stopped(path, server):
    browser = browse(path)
    browser.arm.value = "as sent"
    browser.listing.rows.index = 1
    browser.resend.changed.value, browser.resend.fields.value = "field", '{"metadata": {"stub": "stall"}}'
    browser.resend.button.click()
    assert browser.resend.button.disabled
    browser.resend.stop.click()
    wait_until(lambda: "Stopped" in browser.live.said)
    assert browser.answered is None and not browser.resend.button.disabled


@pytest.mark.parametrize("damage", ["absent", "text", "empty", "folder", "cut"])
def test_what_is_no_benchmark_file_is_one_line(path, tmp_path, damage):
    wrong = tmp_path / "wrong.db"
    if damage == "folder":
        wrong.mkdir()
    elif damage != "absent":
        whole = path.read_bytes()
        wrong.write_bytes({"text": b"hello\n" * 200, "empty": b"", "cut": whole[: len(whole) // 2]}[damage])
    browser = browse(wrong)
    assert str(wrong) in browser.live.said and len(browser.live.said.splitlines()) == 1
    assert browser.cases is None and browser.view().text == browser.live.said
    browser.file.value = os.fspath(path)
    browser.open_button.click()
    assert browser.cases is not None and "260 cases" in browser.live.said


def test_hostile_names_messages_and_answers_are_text(server, tmp_path):
    requests = [
        request(messages=[{"role": "user", "content": text}, *FOREIGN], user=text, name=text, tools=[
            {"type": "function", "function": {"name": "<img onerror=alert(1)>", "description": text,
                                              "parameters": {"type": "object"}}}])
        for text in TEXTS.values()
    ]  # fmt: skip
    samples = written(tmp_path, requests)
    arm = "<script>alert(1)</script> <img src=x onerror=alert(2)>"
    run_benchmark(samples, Arm(name=arm, base_url=server.url, model="m"), tmp_path / "run.db")
    browser = browse(tmp_path / "run.db")
    browser.arm.value = arm
    for place in range(len(requests)):
        browser.listing.rows.index = place
        twin = browser.view()
        tags, other = skeleton(twin._repr_html_())
        assert not {tag[0] for tag in tags} & ACTIVE and not other
        assert not [name for tag in tags for name in tag[1:] if name.startswith("on")]
        assert all(name.startswith("href=#") for tag in tags for name in tag[1:] if "href" in name)  # within the page
        assert "<script" not in twin.html and "<img" not in twin.html and "\x1b" not in twin.text
        state_of(browser).encode()
    longest = max(len(label) for label, _ in browser.listing.rows.options)
    assert longest < 400

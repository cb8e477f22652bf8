"""The traffic browser, on records that were written by the proxy's own writer."""

import contextlib
import dataclasses
import json
import os
import sqlite3
import time

import pytest

from k2lab.traffic.recordfile import writing
from k2lab.traffic.recordrows import Entry, Noted
from k2lab.widgets.listing import PAGE
from k2lab.widgets.trafficbrowser import browse_traffic
from tests.helpers import passages
from tests.helpers.effort import within
from tests.helpers.hostile import TEXTS, skeleton
from tests.helpers.passages import FOREIGN, LEAKED, mended, passed, recorded
from tests.helpers.stub_server import stub
from tests.unit.widgets.test_runs import ACTIVE, state_of, wait_until

COUNT = 130


@pytest.fixture(scope="module")
def server():
    with stub() as found:
        yield found


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """130 exchanges: every tenth a leaked call after a foreign history, some failed, some changed by the guard."""
    made = [passed() for _ in range(COUNT)]
    for place in range(0, COUNT, 10):
        made[place] = passed(FOREIGN, LEAKED)
    made[3] = passed(status=502, ended="unreachable", answer=b'{"error": {"message": "nobody there"}}')
    made[5] = passed(path="/v1/models", method="GET", request=b"", answer=b'{"data": []}')
    made[7], made[8] = mended(), mended()
    return recorded(tmp_path_factory.mktemp("traffic") / "traffic.db", made)


def test_exchanges_are_filtered_by_finding_status_ending_and_change(path):
    browser = browse_traffic(path)
    assert "130 exchanges, page 1 of 3" in browser.live.said and len(browser.listing.rows.options) == PAGE
    assert "A113 a call that stands in the content as text (13)" in [label for label, _ in browser.finding.options]
    browser.finding.value = "A113"
    assert "13 exchanges, page 1 of 1" in browser.live.said and all("A113" in row.codes for row in browser.rows)
    browser.finding.value = ""
    browser.status.value = "502"
    assert [row.ended for row in browser.rows] == ["unreachable"]
    browser.status.value, browser.ended.value = "", "unreachable"
    assert len(browser.rows) == 1
    browser.ended.value, browser.changed.value = "", "changed"
    assert [row.changed for row in browser.rows] == [1, 1] and "2 exchanges" in browser.live.said
    browser.changed.value = "unchanged"
    assert "128 exchanges" in browser.live.said


def test_pages_are_turned_the_newest_first(path):
    browser = browse_traffic(path)
    newest = browser.rows[0].key
    browser.listing.after.click()
    browser.listing.after.click()
    assert (
        len(browser.listing.rows.options) == 30
        and browser.listing.after.disabled
        and not browser.listing.before.disabled
    )
    assert browser.rows[-1].key < newest
    browser.listing.number.value = 1
    assert browser.rows[0].key == newest and browser.listing.before.disabled


def test_an_open_exchange_shows_its_findings_and_what_was_changed_and_the_twin_shows_it_too(path):
    browser = browse_traffic(path)
    browser.finding.value = "A113"
    browser.listing.rows.index = 0
    assert "/v1/chat/completions, 200" in browser.live.said
    for shown in (browser.shown.value, browser.view().html):
        assert "A113" in shown and "call_abc" in shown and "And in Rome?" in shown
    browser.finding.value, browser.changed.value = "", "changed"
    browser.listing.rows.index = 0
    assert "counted anew" in browser.shown.value and "<del>" in browser.shown.value
    bundle = browser._repr_mimebundle_()
    bundle = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "counted anew" in bundle["text/html"] and "application/vnd.jupyter.widget-view+json" in bundle


def test_an_open_exchange_is_checked_shrunk_and_sent_again(path, server):
    browser = browse_traffic(path)
    browser.finding.value = "A113"
    browser.listing.rows.index = 0
    browser.check.click()
    assert "Checked: " in browser.live.said and "Checked again" in browser.view().text
    assert {"A113", "R001"} <= {one.finding.code for one in browser.checked.present}
    before = server.seen("posts")
    browser.shrinker.fault.value = "R001"
    browser.shrinker.button.click()
    wait_until(lambda: browser.shrunk)
    wait_until(lambda: "Shrunk: " in browser.live.said)
    assert server.seen("posts") == before and browser.shrunk.fault == "foreign_call_id"  # offline: nobody was asked
    assert len(browser.shrunk.request.messages) < 4 and "What is left" in browser.view().text
    browser.resend.base_url.value, browser.resend.changed.value = server.url, "history"
    browser.resend.button.click()
    wait_until(lambda: browser.answered)
    wait_until(lambda: browser.live.said.startswith("Sent again: tool_calls: get_weather"))
    assert server.seen("last")["messages"][1]["tool_calls"][0]["id"] == "functions.get_weather:0"
    assert "Stored answer" in browser.view().text


def test_it_is_shrunk_on_a_server_within_a_budget_and_what_does_not_show_is_a_line(path, server):
    browser = browse_traffic(path)
    browser.finding.value = "A113"
    browser.listing.rows.index = 0
    browser.shrinker.base_url.value, browser.shrinker.budget.value = server.url, 20
    browser.shrinker.fault.value = "A113"
    browser.shrinker.button.click()
    wait_until(lambda: not browser.shrinker.button.disabled)
    wait_until(lambda: "Open: " not in browser.live.said)
    assert (
        browser.shrunk is None and "call_leaked_into_content does not show here" in browser.live.said
    )  # this server does not leak
    browser.shrinker.base_url.value = "not a url"
    browser.shrinker.button.click()
    assert "base URL" in browser.live.said and not browser.shrinker.button.disabled


def test_what_is_no_chat_says_so_where_it_is_to_be_checked(path):
    browser = browse_traffic(path)
    browser.open_row(next(row for page in range(3) for row in turned(browser, page) if row.path == "/v1/models"))
    assert "data" in browser.view().text
    for button in (browser.check, browser.resend.button, browser.shrinker.button):
        button.click()
        assert "/v1/models is no chat completion" in browser.live.said
        browser.live.say("")


def turned(browser, page):
    browser.turn_to(page)
    return browser.rows


def test_an_exchange_that_nobody_looked_at_is_not_called_clean(tmp_path):
    browser = browse_traffic(recorded(tmp_path / "t.db", [passed(FOREIGN, LEAKED)], look=False))
    assert "not looked at" in browser.view().text
    browser.listing.rows.index = 0
    shown = browser.view().text
    assert "Nobody has looked at it yet: Check does" in shown and "Nothing is wrong" not in shown
    browser.check.click()
    assert "A113" in browser.view().text


def test_a_finding_of_a_later_k2lab_is_named(tmp_path):
    noted = Noted(code="Z999", name="other", layer="model", place="x", evidence="of tomorrow")
    with writing(tmp_path / "t.db") as record:
        record.add([Entry(passed=passed(), findings=(noted,), looked="yes")], {})
    browser = browse_traffic(tmp_path / "t.db")
    browser.listing.rows.index = 0
    assert "does not know Z999: of tomorrow" in browser.view().text


@pytest.mark.parametrize("damage", ["absent", "text", "empty", "folder", "cut"])
def test_what_is_no_record_is_one_line(path, tmp_path, damage):
    wrong = tmp_path / "wrong.db"
    if damage == "folder":
        wrong.mkdir()
    elif damage != "absent":
        whole = path.read_bytes()
        wrong.write_bytes({"text": b"hello\n" * 200, "empty": b"", "cut": whole[: len(whole) // 2]}[damage])
    browser = browse_traffic(wrong)
    assert str(wrong) in browser.live.said and len(browser.live.said.splitlines()) == 1
    assert browser.path is None and browser.view().text == browser.live.said
    browser.file.value = os.fspath(path)
    browser.open_button.click()
    assert "130 exchanges" in browser.live.said


def test_an_exchange_that_is_gone_when_it_is_opened_is_a_line(tmp_path):
    kept = recorded(tmp_path / "t.db", [passed(), passed()])
    browser = browse_traffic(kept)
    with contextlib.closing(sqlite3.connect(kept)) as file, file:
        file.execute("DELETE FROM exchanges WHERE key = ?", (browser.rows[0].key,))
    browser.listing.rows.index = 0
    assert "may have been too old" in browser.live.said and browser.passed is None


def test_hostile_traffic_is_text(tmp_path):
    texts = [text for kind, text in TEXTS.items() if kind not in ("long", "deep")]
    made = [
        passed([{"role": "user", "content": text}, *FOREIGN], text, model=text, path=f"/{text}/chat/completions",
               answer_type=text, tools=[{"type": "function", "function": {"name": text, "description": text}}])
        for text in texts
    ]  # fmt: skip
    made += [passed(request=text.encode("utf-8", "surrogatepass"), answer=text.encode("utf-8", "surrogatepass"),
                    request_type=text) for text in texts]  # fmt: skip
    browser = browse_traffic(recorded(tmp_path / "t.db", made))
    for place in range(len(browser.rows)):
        browser.listing.rows.index = place
        twin = browser.view()
        tags, other = skeleton(twin._repr_html_())
        assert not {tag[0] for tag in tags} & ACTIVE and not other
        assert not [name for tag in tags for name in tag[1:] if name.startswith("on")]
        assert all(name.startswith(("href=#", "href=https://")) for tag in tags for name in tag[1:] if "href" in name)
        assert "\x1b" not in twin.text
        state_of(browser).encode()
    assert max(len(label) for label, _ in browser.listing.rows.options) < 400


@pytest.mark.long
def test_a_hundred_thousand_exchanges_are_paged_and_filtered_without_being_read(tmp_path):
    kept = tmp_path / "t.db"
    one, leaked = passages.looked_at(passed()), passages.looked_at(passed(FOREIGN, LEAKED))
    with writing(kept) as record:
        for begin in range(0, 100_000, 5000):
            numbers = range(begin, begin + 5000)
            batch = [(leaked if number % 50 == 0 else one, f"k{number:08d}") for number in numbers]
            record.add(
                [dataclasses.replace(kind, passed=dataclasses.replace(kind.passed, key=key)) for kind, key in batch], {}
            )
    with within(3.0):
        browser = browse_traffic(kept)
    assert "100,000 exchanges, page 1 of 2,000" in browser.live.said
    with within(2.0):
        browser.turn_to(1999)
        browser.finding.value = "A113"
    assert "2,000 exchanges, page 1 of 40" in browser.live.said and len(json.dumps(state_of(browser))) < 1_000_000
    began = time.process_time()
    browser.listing.rows.index = 0
    assert time.process_time() - began < 2.0 and "A113" in browser.view().text

"""An exchange as it passed: request and answer whatever they are, what was changed on the way, and nothing as code."""

import json
from typing import get_args

import pytest

from k2lab.findings import Finding
from k2lab.legible import HIDDEN
from k2lab.show.passages import ENDINGS, headline, passage_view, request_of, response_of
from k2lab.traffic.exchanges import Changed, Ending, Passed
from tests.helpers.hostile import TEXTS, skeleton

CALL = {"id": "call_abc", "type": "function", "function": {"name": "now", "arguments": '{"city": "Oslo"}'}}
ASKED = {
    "model": "kimi-k2",
    "messages": [
        {"role": "user", "content": "What time is it in Oslo?"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_abc", "content": "noon"},
    ],
}
SAID = {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "It is noon."}}]}
EVENTS = [
    {"choices": [{"index": 0, "delta": {"content": "It is "}}]},
    {"choices": [{"index": 0, "delta": {"content": "noon."}, "finish_reason": "stop"}]},
]
STREAM = "".join(f"data: {json.dumps(event)}\n\n" for event in EVENTS) + "data: [DONE]\n\n"


def passed(**fields):
    given = {
        "key": "1", "started_at": 1_700_000_000.5, "method": "POST", "path": "/v1/chat/completions", "status": 200,
        "ended": "whole", "request": json.dumps(ASKED).encode(), "answer": json.dumps(SAID).encode(),
        "request_type": "application/json", "answer_type": "application/json", "upstream_ms": 12.3, "added_ms": 0.5,
    }  # fmt: skip
    return Passed(**{**given, **fields})


def test_a_chat_is_a_transcript_whether_its_answer_came_whole_or_as_a_stream():
    streamed = passed(answer=STREAM.encode(), answer_type="text/event-stream; charset=utf-8", first_ms=3.0)
    for one in (passed(), streamed):
        shown = passage_view(one, [])
        for said in (shown.text, shown.html):
            assert "What was asked" in said and "result of now" in said and "It is noon." in said
        assert "Nothing is wrong with it" in shown.text and "It went through unchanged." in shown.text
        assert "2023-11-14 22:13:20.500 UTC: POST /v1/chat/completions, 200" in shown.text
    assert "the first byte after 3 ms" in passage_view(streamed).text
    assert request_of(streamed).messages[0]["content"] == "What time is it in Oslo?"
    assert response_of(streamed, streamed.answer)["choices"][0]["message"]["content"] == "It is noon."


def test_what_the_guard_changed_is_told_and_both_bodies_are_compared():
    sent = json.dumps(ASKED).replace("call_abc", "functions.now:0")
    given = STREAM.replace("noon.", "midday.")
    change = Changed(kind="id", place="messages[1].tool_calls[0].id", code="R004", detail="call_abc is functions.now:0")
    finding = Finding.of("foreign_call_id", "present", "call_abc")
    one = passed(answer=STREAM.encode(), answer_type="text/event-stream", sent=sent.encode(), given=given.encode(),
                 changes=(change,))  # fmt: skip
    shown = passage_view(one, [finding])
    assert "call_abc is functions.now:0" in shown.text and finding.code in shown.text
    gone, come = (next(line for line in shown.text.splitlines() if line.startswith(sign)) for sign in "-+")
    assert "call_abc" in gone and "functions.now:0" in come and "<del>" in shown.html
    assert "It is noon." in shown.text and "It is midday." in shown.text


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"path": "/v1/models", "method": "GET", "request": b"", "answer": b'{"data": [{"id": "m"}]}'}, "id: \"m\""),
        ({"request": b"\xff\xfe[", "answer": b""}, "(nothing)"),
        ({"answer": b"<html>no</html>", "answer_type": "text/html", "status": 502}, "<html>no</html>"),
        ({"status": 0, "answer": b"", "ended": "unreachable"}, "no answer, the upstream could not be asked"),
        ({"answer": STREAM[:90].encode(), "answer_type": "text/event-stream", "ended": "upstream_broke"}, "broke off"),
        ({"request_cut": 2000, "answer_cut": 5}, "2,000 bytes at the end of the request were too many to keep"),
        ({"request": b'{"messages": "none"}'}, "messages"),
    ],
)  # fmt: skip
def test_whatever_passed_is_shown_and_how_it_ended_is_said(fields, wanted):
    shown = passage_view(passed(**fields))
    assert wanted in shown.text.replace("\n", " ")
    assert set(ENDINGS) == set(get_args(Ending))


def everywhere(text):
    """The text in every place that someone else writes."""
    asked = {**ASKED, "model": text, "messages": [*ASKED["messages"], {"role": text, "content": text, "name": text}]}
    said = {"choices": [{"index": 0, "finish_reason": text, "message": {"content": text, "tool_calls": [CALL]}}]}
    told = {"path": f"/{text[:500]}/chat/completions", "request_type": text, "answer_type": f"application/json {text}"}
    change = Changed(kind="salvage", place=text, code=text[:50], detail=text)
    return passed(request=json.dumps(asked).encode(), answer=json.dumps(said).encode(), given=json.dumps(text).encode(),
                  sent=text.encode("utf-8", "surrogatepass"), changes=(change,), **told)  # fmt: skip


@pytest.mark.parametrize("kind", [k for k in TEXTS if k not in ("long", "deep", "nul", "surrogate")])
def test_hostile_traffic_is_text(kind):
    shown = passage_view(everywhere(TEXTS[kind]), [Finding.of("foreign_call_id", "present", TEXTS[kind])])
    tags, other = skeleton(shown._repr_html_())
    assert not other and not {tag[0] for tag in tags} & {"script", "img", "svg", "iframe", "textarea", "link", "a href"}
    assert not [name for tag in tags for name in tag[1:] if name.startswith(("on", "src", "srcdoc"))]
    assert not HIDDEN.search(shown.text) and not HIDDEN.search(shown.html)


@pytest.mark.parametrize("kind", ["long", "deep", "nul", "surrogate"])
def test_what_is_endless_or_no_text_is_bounded(kind):
    shown = passage_view(everywhere(TEXTS[kind]))
    assert len(shown.html) < 8_000_000 and not HIDDEN.search(shown.text) and "<script" not in shown.html


def test_a_time_that_is_none_is_no_traceback():
    for began in (0.0, -1e18, 1e300, float("nan")):
        assert "POST" in headline(passed(started_at=began))

"""A transcript: what was said and what was not, calls with their results, arguments as a tree beside their text."""

import html
import json
import re

import pytest

from k2lab.bench.progress import Progress
from k2lab.chat import Answer, Request
from k2lab.show import views
from k2lab.show.trees import MOST_LEAVES, MOST_LEVELS, tree
from tests.helpers.effort import within


def call(name, arguments):
    return {"id": name, "type": "function", "function": {"name": "get_weather", "arguments": arguments}}


TALK = [
    {"role": "user", "content": [{"type": "text", "text": "Paris?"}, {"type": "image_url", "image_url": {"url": "x"}}]},
    {
        "role": "assistant",
        "content": "",
        "reasoning_content": "I call twice.",
        "tool_calls": [
            call("functions.get_weather:0", '{"city": "Paris", "when": {"days": [1, 2]}}'),
            call("b", '{"city": "Ro'),
        ],
    },
    {"role": "tool", "tool_call_id": "functions.get_weather:0", "content": "18"},
    {"role": "tool", "tool_call_id": "call_9", "content": "19"},
    {"role": "assistant", "content": None},
]


def plain(page):
    return html.unescape(re.sub(r"<[^>]+>", " ", page))


@pytest.fixture(scope="module")
def shown():
    return views.request(Request.unchecked({"messages": TALK, "temperature": 0.5}), "asked")


@pytest.mark.parametrize(
    "said",
    [
        "asked: 5 messages, 0 tools",
        "content in 2 parts",
        "content: '' (an empty text)",
        "content: null",
        "reasoning of 13 characters",
        "I call twice.",
        "✗ the arguments are no JSON: ",
        '✗ answers no call: none before it has the id "call_9"',
        '↩ result of get_weather (message 1), id "functions.get_weather:0"',
        "↪ its result is message 2",
        "no message answers it",
        "temperature",
        "image_url",
    ],
)
def test_both_forms_say_it(shown, said):
    assert said in shown.text and said in plain(shown.html)


def test_a_result_and_its_call_link_to_each_other(shown):
    links = re.findall(r'href="#([\w-]+)"', shown.html)
    anchors = re.findall(r'id="(k2-[\w-]+)"', shown.html)
    assert links == [anchors[2], anchors[1]] and len(set(anchors)) == 5


def test_arguments_are_a_tree_with_their_raw_text_beside_it(shown):
    assert "<dt>city</dt><dd><code>&quot;Paris&quot;</code></dd><dt>when</dt><dd><details open>" in shown.html
    assert (
        "<pre>{&quot;city&quot;: &quot;Paris&quot;, &quot;when&quot;: {&quot;days&quot;: [1, 2]}}</pre>" in shown.html
    )
    assert "<pre>{&quot;city&quot;: &quot;Ro</pre>" in shown.html and re.search(r"when:\n +days:\n +0: 1", shown.text)


def test_an_answer_shows_why_it_ended_and_the_response_as_it_came():
    made = {"choices": [{"finish_reason": "length", "message": {"content": "So", "tool_calls": [call("x", "[1]")]}}]}
    shown = views.answer(Answer.of(made, latency_ms=12.0))
    for said in ("length", "12", "not given", "✗ the arguments are no JSON object", '"finish_reason": "length"'):
        assert said in shown.text and said in plain(shown.html)


@pytest.mark.parametrize("messages", [(1,), ({},), ({"role": 3, "tool_calls": 7, "content": {"a": {1}}},)])
def test_messages_that_are_none_are_shown_or_said(messages):
    found = Request.unchecked({"messages": list(messages)})
    assert "message" in views.request(found).text


@pytest.mark.parametrize(
    "value", [1.5, "a\nb", [], {}, None, {"a": {1}}, float("nan"), "\ud800", {1: [None, {"": []}]}]
)
def test_a_tree_is_made_of_any_value(value):
    assert tree(value).text and tree(value).html.count("<d") == tree(value).html.count("</d")


def test_a_tree_has_a_bound_in_width_and_in_depth():
    deep = json.loads('{"a":' * 90 + "1" + "}" * 90)
    assert tree(deep).html.count("<details") == MOST_LEVELS - 1 and '{"a": {"a"' in tree(deep).text
    wide = tree([[number] * 10 for number in range(500)])
    assert wide.html.count("<dt>") < MOST_LEAVES + 10 and "more are left out" in wide.text


def test_a_long_talk_shows_both_ends_and_long_contents_are_folded():
    messages = [{"role": "user", "content": f"{number} " + "word " * 400} for number in range(1000)]
    with within(3.0):
        shown = views.request(Request.unchecked({"messages": messages}))
    assert "⋮ 800 messages are left out" in shown.text and len(shown.html) < 1_000_000
    assert shown.html.count("<details") == 200 and "── 999 user" in shown.text


def test_a_parameter_as_long_as_a_template_is_folded_and_the_others_are_a_table():
    template = "{{ messages }}\n" * 100
    shown = views.request(Request(messages=(), parameters={"temperature": 0, "chat_template": template}))
    assert "<td>temperature</td><td>0</td>" in shown.html and "<td>chat_template</td>" not in shown.html
    assert re.search(r"<details><summary>chat_template: \d+ characters</summary>", shown.html)
    assert template.strip() in shown.html and "chat_template" in shown.text


def test_a_run_in_a_script_says_each_name_once(capsys):
    show = views.live()
    for got in (1, 2):
        show("an arm", Progress(wanted=2, had=0, got=got, elapsed_s=1.0))
    assert capsys.readouterr().out.splitlines() == ["an arm: 1 of 2 (1.0/s, 1 s left)"]

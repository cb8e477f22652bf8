"""Chat requests through the guard: repaired alike turn after turn, held, and left alone where they are to be."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2lab import enforcer, repairs
from k2lab.chat import Request
from k2lab.errors import InputError
from k2lab.traffic.guard import GuardOptions, guard_of
from tests.helpers.effort import examples, within
from tests.helpers.histories import TOOLS, USER, result

PATH, JSON = "/v1/chat/completions", "application/json"


def turn_of(request, **options):
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    return guard_of(GuardOptions(**options)).turn(PATH, JSON, body)


def call(call_id, name="now", arguments="{}"):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def calling(*calls, content=None):
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


FOREIGN = [USER, calling(call("call_9")), result("call_9")]

IDS = st.sampled_from(
    ["call_1", "call_2", "functions.now:0", "functions.now:3", "functions.search:1", "now:0", "toolu_01", "", None]
)


@st.composite
def growing(draw):
    """A conversation turn by turn: what a client sends each time, ids foreign, restarted, missing, and all parallel."""
    messages, sent = [USER], []
    for _ in range(draw(st.integers(1, 5))):
        sent.append(list(messages))
        calls = [
            call(draw(IDS), draw(st.sampled_from(["now", "search"])), draw(st.sampled_from(["{}", '{"q": "x"}', {}])))
            for _ in range(draw(st.integers(0, 3)))
        ]
        content = draw(st.sampled_from(["", None, "Let me see.", [{"type": "text", "text": "Hm"}]]))
        said = calling(*calls, content=content) if calls else {"role": "assistant", "content": content or "Done."}
        if draw(st.booleans()):
            said["reasoning"] = "because"
        messages.append(said)
        for made in calls:
            told = result(draw(st.just(made["id"]) | IDS), draw(st.sampled_from(["12:00", ""])))
            if draw(st.booleans()):
                told["name"] = made["function"]["name"]
            messages.append(told)
        if not calls or draw(st.booleans()):
            messages.append({"role": "user", "content": "and now?"})
            if draw(st.integers(0, 4)) == 0:
                messages.append(result(draw(IDS)))
    return [*sent, messages]


@given(growing(), st.sampled_from(["ids", "history"]), st.sampled_from(["kimi-k2", "kimi-k2-thinking", "kimi-k2.5"]))
@examples(300)
def test_a_growing_conversation_keeps_what_was_made_of_its_beginning(sent, repair, model):
    made = [
        json.loads(turn_of({"model": model, "tools": TOOLS, "messages": messages}, repair=repair).body)["messages"]
        for messages in sent
    ]
    for shorter, longer in pairwise(made):
        assert longer[: len(shorter)] == shorter


def test_what_is_not_stable_are_results_without_ids_that_come_one_by_one():
    """Two calls, and results that only their order tells apart: one of them is nobody's until the other is there."""
    asked = [USER, calling(call("a"), call("b"))]
    nameless = [result("", "1"), result("", "2")]
    shorter, longer = (
        json.loads(turn_of({"messages": [*asked, *nameless[:count]]}, repair="ids").body)["messages"]
        for count in (1, 2)
    )
    assert shorter[:2] == longer[:2]
    assert [message["tool_call_id"] for message in (shorter[2], *longer[2:])] == [
        "",
        "functions.now:0",
        "functions.now:1",
    ]


def test_a_result_that_comes_late_changes_nothing_of_what_was_sent():
    asked = [USER, calling(call("a"), call("b")), result("x")]
    later = [*asked, {"role": "user", "content": "well?"}, result("a"), calling(call("x"))]
    shorter, longer = (json.loads(turn_of({"messages": m}, repair="ids").body)["messages"] for m in (asked, later))
    assert longer[: len(shorter)] == shorter


@given(growing(), st.sampled_from(["ids", "history"]))
@examples(100)
def test_the_body_is_the_repaired_request_with_all_its_other_fields(sent, repair):
    given = {"model": "kimi-k2", "messages": sent[-1], "tools": TOOLS, "seed": 1.0, "x": {"y": [None]}, "stream": True}
    taken = turn_of(given, repair=repair)
    whole = repairs.repair if repair == "history" else repairs.renumber
    request = Request.of(
        given["messages"], TOOLS, {key: given[key] for key in given if key not in ("messages", "tools")}
    )
    expected = whole(request, growing=True)
    assert json.loads(taken.body) == {**given, "messages": list(expected.request.messages)}
    assert len(taken.changes) == len(expected.changes)
    assert bool(expected.changes) == (taken.body != json.dumps(given).encode())
    again = turn_of(taken.body, repair=repair)
    assert again.body == taken.body and again.changes == []


def test_a_history_as_it_should_be_goes_on_byte_for_byte():
    text = b'{"messages": [{"role":"user","content":"\\u00e9"} ],\n"temperature": 1e-400, "seed": 1.0}'
    taken = turn_of(text, repair="history", salvage=True)
    assert taken.body is text and taken.changes == [] and taken.headers == {}


def test_what_is_changed_and_what_is_left_is_said_without_contents():
    taken = turn_of({"messages": [*FOREIGN, result("secret")]}, repair="history")
    assert [(change.kind, change.code, change.place) for change in taken.changes] == [
        ("id", "foreign_call_id", "messages[1].tool_calls[0].id"),
        ("id", "foreign_call_id", "messages[2].tool_call_id"),
    ]
    assert taken.headers == {"x-k2lab-repaired": "2", "x-k2lab-left": "result_without_call"}
    assert "secret" not in str(taken.changes)


def test_a_system_prompt_beside_the_messages_becomes_the_first_of_them():
    taken = turn_of({"system": "Be brief.", "messages": [USER], "n": 1}, repair="history")
    assert json.loads(taken.body) == {"messages": [{"role": "system", "content": "Be brief."}, USER], "n": 1}


def test_ids_of_k3_are_left_alone():
    asked = json.dumps({"model": "kimi-k3", "messages": FOREIGN}).encode()
    assert turn_of(asked, repair="ids").body == asked
    assert turn_of({"model": "kimi-k2", "messages": FOREIGN}, repair="ids", family="K3").changes == []
    assert turn_of({"model": "alias", "messages": FOREIGN}, repair="ids").changes


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b'{"messages": 5}', b'{"messages": []}', b'{"messages": [{"role": 7}]}', b"\xff",
        b'{"prompt": "x"}', b'{"messages": [{"role":"user","content":"x"}], "tools": 3}', b'{"messages": [null]}',
        b'{"messages":' + b"[" * 200_000, b'{"messages":[{"role":"assistant","tool_calls":[{}]}]}',
        b'{"messages": [{"role":"user","content":"x"}], "chat_template_kwargs": 1}',
    ],
)  # fmt: skip
def test_what_is_no_chat_request_goes_on_untouched_and_says_so(body):
    taken = turn_of(body, repair="history", enforce="pinned", salvage=True)
    assert taken.body == body and taken.refusal is None and not taken.holds_answer
    assert taken.headers["x-k2lab-unread"]


def test_a_body_that_is_too_large_to_be_read_passes_or_is_refused():
    body = json.dumps({"messages": FOREIGN, "pad": "x" * 2000}).encode()
    assert turn_of(body, repair="ids", most_read=1000).body == body
    refused = turn_of(body, enforce="pinned", unheld="refuse", most_read=1000)
    assert refused.refusal.status == 422 and "not read" in refused.refusal.message


def test_other_paths_and_a_guard_without_options_change_nothing():
    asked = json.dumps({"messages": FOREIGN}).encode()
    assert guard_of(GuardOptions(repair="ids")).turn("/v1/completions", JSON, asked) is None
    assert guard_of(GuardOptions()).turn(PATH, JSON, asked) is None


@pytest.mark.parametrize(
    "options", [{"repair": "all"}, {"enforce": "on"}, {"form": "x"}, {"unheld": "x"}, {"family": "llama"}]
)
def test_options_that_are_none_are_refused_in_a_line(options):
    with pytest.raises(InputError, match=r"must be one of|is no family"):
        GuardOptions(**options)


class TestEnforcement:
    @pytest.mark.parametrize("form", enforcer.FORMS)
    def test_the_tag_is_sent_as_attached_would_send_it(self, form):
        strict = [{**TOOLS[0], "function": {**TOOLS[0]["function"], "strict": True}}, TOOLS[1]]
        asked = {
            "model": "kimi-k2", "messages": FOREIGN, "tools": strict, "tool_choice": "required",
            "parallel_tool_calls": False, "seed": 1,
        }  # fmt: skip
        taken = turn_of(asked, repair="history", enforce="pinned", form=form)
        request = Request.of(FOREIGN, strict, {key: asked[key] for key in asked if key not in ("messages", "tools")})
        mended = repairs.repair(request).request
        attached = enforcer.attach(mended, options=enforcer.Options(form=form))
        assert json.loads(taken.body) == json.loads(json.dumps(attached.to_json()))
        said = {change.place for change in taken.changes if change.kind == "enforce"}
        assert said >= {"tool_choice", "parallel_tool_calls", "tools[0].function.strict"}
        assert taken.headers["x-k2lab-held"] == "pinned" and "x-k2lab-unheld" not in taken.headers

    def test_the_index_goes_on_with_the_mended_history(self):
        taken = turn_of({"messages": FOREIGN, "tools": TOOLS}, enforce="pinned")
        assert "from index 1 on" in taken.changes[0].detail

    @pytest.mark.parametrize("field", ["response_format", "structured_outputs", "guided_json"])
    def test_a_request_with_a_form_of_its_own_is_left_alone(self, field):
        asked = json.dumps({"messages": [USER], "tools": TOOLS, field: {"type": "json_object"}}).encode()
        taken = turn_of(asked, enforce="pinned", unheld="refuse")
        assert taken.body == asked and taken.refusal is None and field in taken.headers["x-k2lab-unheld"]

    def test_plain_text_is_no_form_of_its_own(self):
        asked = {"messages": [USER], "tools": TOOLS, "response_format": {"type": "text"}}
        assert turn_of(asked, enforce="pinned").headers == {"x-k2lab-held": "pinned"}

    def test_a_schema_that_no_grammar_holds_passes_is_refused_or_held_in_part(self):
        odd = {"type": "object", "properties": {"a": {"not": {"type": "string"}}, "b": {"type": "integer"}}}
        tools = [{"type": "function", "function": {"name": "odd", "parameters": odd}}]
        asked = json.dumps({"messages": [USER], "tools": tools}).encode()
        passed = turn_of(asked, enforce="pinned")
        assert passed.body == asked and "odd" in passed.headers["x-k2lab-unheld"]
        assert "x-k2lab-held" not in passed.headers
        refused = turn_of(asked, enforce="pinned", unheld="refuse")
        assert refused.refusal.status == 422 and "\n" not in refused.refusal.message
        loose = turn_of(asked, enforce="pinned", unheld="loosen")
        assert loose.headers["x-k2lab-held"] == "pinned" and loose.headers["x-k2lab-unheld"].startswith("in part")

    def test_a_request_without_tools_is_left_alone(self):
        assert turn_of({"messages": [USER]}, enforce="pinned").headers == {}

    def test_k3_is_held_in_its_own_format_from_index_1_on(self):
        for named in ({"model": "kimi-k3"}, {"family": "K3"}):
            body = {"messages": FOREIGN, "tools": TOOLS, "model": named.get("model", "m")}
            taken = turn_of(body, enforce="pinned", family=named.get("family"))
            assert taken.headers == {"x-k2lab-held": "pinned"} and "from index 1 on" in taken.changes[0].detail
            tag = json.loads(taken.body)["structured_outputs"]["structural_tag"]
            assert "<|open|>tools<|sep|>" in tag and "functions." not in tag

    @pytest.mark.parametrize(
        ("model", "reasoning", "asked", "rule"),
        [
            ("kimi-k2.5", "parsed", {}, "no"),
            ("kimi-k2.5", "plain", {}, "begun"),
            ("kimi-k2-thinking", "plain", {}, "may"),
            ("kimi-k2", "plain", {}, "no"),
            ("kimi-k2.5", "plain", {"chat_template_kwargs": {"thinking": False}}, "no"),
            ("kimi-k2.6", "plain", {"thinking": {"type": "disabled"}}, "no"),
        ],
    )
    def test_reasoning_is_left_free_where_the_upstream_leaves_it_in_the_text(self, model, reasoning, asked, rule):
        taken = turn_of(
            {"model": model, "messages": [USER], "tools": TOOLS, **asked}, enforce="pinned", reasoning=reasoning
        )
        request = Request.of([USER], TOOLS)
        made = enforcer.enforce(request, options=enforcer.Options(thinking=rule))
        assert json.loads(taken.body)["structured_outputs"] == made.fields["structured_outputs"]

    def test_the_same_tools_again_cost_next_to_nothing(self):
        tools = [
            {
                "type": "function",
                "function": {"name": f"tool_{number}", "parameters": TOOLS[1]["function"]["parameters"]},
            }
            for number in range(10)
        ]
        asked = json.dumps({"messages": FOREIGN, "tools": tools}).encode()
        guard = guard_of(GuardOptions(repair="history", enforce="pinned"))
        guard.turn(PATH, JSON, asked)
        with within(1.0):
            for _ in range(100):
                guard.turn(PATH, JSON, asked)


@pytest.mark.parametrize("build", [
    lambda n: [USER, *(calling(call("same")) for _ in range(n)), *(result("same") for _ in range(n))],
    lambda n: [USER, *(result(f"x{i}") for i in range(2 * n))],
    lambda n: [USER, calling(*(call("same") for _ in range(n))), *(result("same") for _ in range(n))],
    lambda n: [USER, *(m for i in range(n) for m in (calling(call(f"c{i}")), result(f"c{i}")))],
])  # fmt: skip
def test_long_and_hostile_histories_take_bounded_time(build):
    body = json.dumps({"messages": build(2000)}).encode()
    with within(8.0):
        turn_of(body, repair="history")

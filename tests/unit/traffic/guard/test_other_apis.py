"""The Responses and the Messages API through the guard: ids, the grammar, and leaked calls, whole and streamed."""

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response

from k2lab.chat import Request
from k2lab.enforcer import Options, enforce
from k2lab.traffic.guard import GuardOptions, guard_of
from tests.helpers.effort import examples
from tests.helpers.streamed import message_events, message_of, response_events, response_of, values_of
from tests.unit.traffic.guard.test_salvage import LEFT, SALVAGED, WEATHER, fed, section

JSON = "application/json"
RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"
FLAT = {"type": "function", "name": "weather", "parameters": WEATHER["function"]["parameters"]}
ANTHROPIC = {"name": "weather", "input_schema": WEATHER["function"]["parameters"]}
ASKED = {
    RESPONSES: {"model": "kimi-k2", "input": "Rome?", "tools": [FLAT]},
    MESSAGES: {
        "model": "kimi-k2",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "?"}],
        "tools": [ANTHROPIC],
    },
}


def turn_of(path, request, **options):
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    return guard_of(GuardOptions(**options)).turn(path, JSON, body)


def call_item(known, name="now"):
    return {"type": "function_call", "call_id": known, "name": name, "arguments": "{}"}


def output_item(known):
    return {"type": "function_call_output", "call_id": known, "output": "12:00"}


def tool_use(known, name="now"):
    return {"type": "tool_use", "id": known, "name": name, "input": {}}


def tool_result(known):
    return {"type": "tool_result", "tool_use_id": known, "content": "12:00"}


class TestTexts:
    PARTS = ({"type": "output_text", "text": "It is ", "annotations": []}, {"type": "output_text", "text": "late."})
    THOUGHTS = ({"type": "reasoning_text", "text": "Hm, "}, {"type": "reasoning_text", "text": "so."})
    ITEMS = (
        {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "x"}], "content": [*THOUGHTS]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": t} for t in "xy"]},
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "content": [*PARTS]},
        {"role": "assistant", "content": [*PARTS, {"type": "refusal", "refusal": "no"}]},
        call_item("functions.now:0"), output_item("functions.now:0"), {"role": "assistant", "content": [PARTS[0]]},
    )  # fmt: skip

    def test_of_an_item_become_one_part_and_nothing_else_changes(self):
        request = {"model": "kimi-k2", "input": [*self.ITEMS], "tools": [FLAT]}
        turn = turn_of(RESPONSES, request, repair="history")
        made, wanted = json.loads(turn.body), json.loads(json.dumps(request))
        wanted["input"][1]["content"] = [{"type": "reasoning_text", "text": "Hm, so."}]
        wanted["input"][2]["summary"] = [{"type": "summary_text", "text": "xy"}]
        wanted["input"][3]["content"] = [{"type": "output_text", "text": "It is late.", "annotations": []}]
        assert made == wanted
        said = [(change.place, change.code) for change in turn.changes]
        places = ("input[1].content", "input[2].summary", "input[3].content")
        assert said == [(place, "text_in_parts") for place in places] and turn.headers["x-k2lab-repaired"] == "3"

    def test_stay_as_they_are_where_ids_alone_are_mended_or_the_server_keeps_the_history(self):
        request = {"model": "kimi-k2", "input": [*self.ITEMS], "tools": [FLAT]}
        kept = {**request, "previous_response_id": "resp_1"}
        for body, repair in ((request, "ids"), (request, ""), (kept, "history")):
            assert turn_of(RESPONSES, body, repair=repair, salvage=True).body == json.dumps(body).encode()


class TestIds:
    def test_of_responses_count_over_the_items(self):
        items = [
            {"role": "user", "content": "go"}, {"type": "reasoning", "summary": []}, call_item("call_1"),
            call_item("call_2", "date"), output_item("call_2"), output_item("call_1"),
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Now."}]},
            {"role": "user", "content": "again"}, call_item("call_1"), output_item("call_1"),
        ]  # fmt: skip
        text = json.dumps({"model": "kimi-k2", "input": items, "temperature": 1.0}).encode()
        taken = turn_of(RESPONSES, text, repair="ids")
        ids = [item["call_id"] for item in json.loads(taken.body)["input"] if "call_id" in item]
        first, second, third = "functions.now:0", "functions.date:1", "functions.now:2"
        assert ids == [first, second, second, first, third, third]
        assert taken.changes[0].place == "input[2].call_id" and taken.changes[0].code == "foreign_call_id"
        expected = text.decode()
        for place, (old, new) in enumerate(
            zip(["call_1", "call_2", "call_2", "call_1", "call_1", "call_1"], ids, strict=True)
        ):
            assert place < 6 and f'"call_id": "{new}"' in taken.body.decode()
            expected = expected.replace(f'"call_id": "{old}"', f'"call_id": "{new}"', 1)
        assert taken.body.decode() == expected
        assert turn_of(RESPONSES, taken.body, repair="ids").body == taken.body

    def test_of_messages_count_over_the_blocks(self):
        well = {"type": "text", "text": "well?"}
        messages = [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [well, tool_use("toolu_1"), tool_use("toolu_2")]},
            {"role": "user", "content": [tool_result("toolu_2"), tool_result("toolu_1"), well]},
            {"role": "assistant", "content": "It is noon."},
            {"role": "user", "content": "again"},
            {"role": "assistant", "content": [tool_use("toolu_1")]},
            {"role": "user", "content": [tool_result("toolu_1")]},
        ]
        taken = turn_of(MESSAGES, {"model": "kimi-k2", "messages": messages, "max_tokens": 5}, repair="history")
        said = [m["content"] for m in json.loads(taken.body)["messages"] if isinstance(m["content"], list)]
        blocks = [block for content in said for block in content]
        ids = [block.get("id") or block.get("tool_use_id") for block in blocks if block["type"] != "text"]
        first, second, third = "functions.now:0", "functions.now:1", "functions.now:2"
        assert ids == [first, second, second, first, third, third]
        assert taken.changes[0].place == "messages[1].content[1].id"
        assert taken.headers == {"x-k2lab-repaired": "6"}

    @pytest.mark.parametrize("path", ASKED)
    def test_a_new_call_gets_no_id_that_the_client_gave_to_another(self, path):
        known = "functions.now:1"
        if path == RESPONSES:
            request = {**ASKED[path], "input": [call_item(known), output_item(known)]}
            given = response([{**call_item(known), "id": "fc_1", "status": "completed"}])
            data, ids = response_events(given), lambda output: [item["call_id"] for item in output]
        else:
            history = [
                {"role": "assistant", "content": [tool_use(known)]},
                {"role": "user", "content": [tool_result(known)]},
            ]
            request = {**ASKED[path], "messages": history}
            given = message([tool_use(known)], "tool_use")
            data, ids = message_events(given), lambda content: [block["id"] for block in content]
        taken = turn_of(path, request, repair="ids")
        assert taken.holds_answer
        whole = json.loads(taken.whole(200, JSON, json.dumps(given).encode()))
        assert ids(whole.get("output") or whole.get("content")) == ["functions.now:2"]
        streamed = fed(taken.stream(), data, [9] * 9)
        if path == RESPONSES:
            items, last, _ = response_of(streamed)
            assert ids(items) == ids(last["output"]) == ["functions.now:2"]
        else:
            assert ids(message_of(streamed)[0]) == ["functions.now:2"]
        assert [change.kind for change in taken.changes][-2:] == ["id", "id"]

    @pytest.mark.parametrize("path", ASKED)
    def test_a_growing_conversation_keeps_its_ids(self, path):
        made = []
        for turns in range(1, 5):
            if path == RESPONSES:
                items = [item for n in range(turns) for item in (call_item("call_0"), output_item("call_0"))]
                made.append(json.loads(turn_of(path, {**ASKED[path], "input": items}, repair="ids").body)["input"])
            else:
                messages = [
                    {"role": role, "content": [block]}
                    for n in range(turns)
                    for role, block in (("assistant", tool_use(f"t{n}")), ("user", tool_result(f"t{n}")))
                ]
                made.append(
                    json.loads(turn_of(path, {**ASKED[path], "messages": messages}, repair="ids").body)["messages"]
                )
        assert all(longer[: len(shorter)] == shorter for shorter, longer in pairwise(made))

    def test_that_are_missing_are_made_where_one_call_is_meant(self):
        request = {**ASKED[RESPONSES], "input": [{**call_item(""), "call_id": None}, output_item("x")]}
        del request["input"][0]["call_id"]
        items = json.loads(turn_of(RESPONSES, request, repair="ids").body)["input"]
        assert [item["call_id"] for item in items] == ["functions.now:0", "functions.now:0"]
        result = {"type": "tool_result", "content": "12:00"}
        messages = [{"role": "assistant", "content": [tool_use("t")]}, {"role": "user", "content": [result]}]
        made = json.loads(turn_of(MESSAGES, {**ASKED[MESSAGES], "messages": messages}, repair="ids").body)["messages"]
        assert made[1]["content"][0] == {**result, "tool_use_id": "functions.now:0"}

    def test_a_history_that_the_server_keeps_is_left_alone_and_named(self):
        asked = json.dumps(
            {**ASKED[RESPONSES], "previous_response_id": "resp_1", "input": [output_item("call_1")]}
        ).encode()
        taken = turn_of(RESPONSES, asked, repair="ids", enforce="pinned", salvage=True)
        assert taken.body == asked and not taken.holds_answer
        assert all(
            "previous_response_id" in taken.headers[f"x-k2lab-{name}"]
            for name in ("unrepaired", "unheld", "unsalvaged")
        )

    @pytest.mark.parametrize("path", ASKED)
    @pytest.mark.parametrize(
        "body",
        [b"", b"[]", b'{"input": 3, "messages": 3}', b'{"input": [3], "messages": [3]}', b"{" * 9000,
         b'{"input":[{"type":"function_call"}], "messages":[{"role":"assistant","content":[{"type":"tool_use"}]}]}'],
    )  # fmt: skip
    def test_what_is_no_request_goes_on_untouched_and_says_so(self, path, body):
        taken = turn_of(path, body, repair="history", enforce="pinned", salvage=True)
        assert taken.body == body and taken.headers["x-k2lab-unread"]


class TestEnforcement:
    def test_of_responses_is_the_grammar_of_the_same_chat_request(self):
        strict = {**ASKED[RESPONSES], "tools": [{**FLAT, "strict": True}], "tool_choice": "required"}
        taken = turn_of(RESPONSES, strict, enforce="pinned")
        request = Request.of([{"role": "user", "content": "?"}], [WEATHER], {"tool_choice": "required"})
        made = enforce(request, options=Options())
        sent = json.loads(taken.body)
        assert sent["structured_outputs"] == made.fields["structured_outputs"]
        assert sent["tool_choice"] == "auto" and sent["tools"] == [FLAT]
        assert taken.headers["x-k2lab-held"] == "pinned"

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "response_format"),
            ({"tools": [{"type": "web_search"}]}, "web_search"),
            ({"structured_outputs": {"regex": "a"}}, "structured_outputs"),
        ],
    )
    def test_of_responses_leaves_what_it_cannot_hold_and_says_so(self, change, reason):
        asked = json.dumps({**ASKED[RESPONSES], **change}).encode()
        taken = turn_of(RESPONSES, asked, enforce="pinned")
        assert taken.body == asked and reason in taken.headers["x-k2lab-unheld"]

    def test_of_messages_is_not_there_and_said_or_refused(self):
        asked = json.dumps(ASKED[MESSAGES]).encode()
        taken = turn_of(MESSAGES, asked, enforce="pinned")
        assert taken.body == asked and "no grammar" in taken.headers["x-k2lab-unheld"]
        assert turn_of(MESSAGES, asked, enforce="pinned", unheld="refuse").refusal.status == 422


def response(output, status="completed"):
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "kimi-k2",
        "status": status,
        "output": output,
    }


def message_item(text):
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}


def reasoning_item(text):
    return {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": text}]}


def message(content, reason="end_turn"):
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "kimi-k2",
        "content": content,
        "stop_reason": reason,
    }


def spoken(stream):
    """A stream without its counting, all its deltas as one text: what an event that is given in two does not change."""
    texts = re.findall(rb'"(?:delta|text|thinking)": ("(?:[^"\\]|\\.)*+")', stream)
    deltas = "".join(map(json.loads, texts))
    others = [event for event in stream.split(b"\n\n") if b"delta" not in event]
    return deltas, [re.sub(rb'"sequence_number": \d+', b"", event) for event in others]


def salvaged_response(output, cuts=(), sizes=(), status="completed"):
    """What comes of an answer whole, and streamed: the same."""
    given = response(output, status)
    whole_turn, turn = (turn_of(RESPONSES, ASKED[RESPONSES], salvage=True) for _ in range(2))
    body = json.dumps(given).encode()
    whole = json.loads(whole_turn.whole(200, JSON, body))
    data = response_events(given, cuts)
    streamed = fed(turn.stream(), data, sizes)
    items, last, comments = response_of(streamed)
    assert items == last["output"] == whole["output"]
    assert comments or turn.changes or spoken(streamed) == spoken(data)
    Response.model_validate({**whole, "parallel_tool_calls": True, "tool_choice": "auto", "tools": []})
    return items, whole_turn, comments


def salvaged_message(content, cuts=(), sizes=(), reason="end_turn"):
    given = message(content, reason)
    whole_turn, turn = (turn_of(MESSAGES, ASKED[MESSAGES], salvage=True) for _ in range(2))
    whole = json.loads(whole_turn.whole(200, JSON, json.dumps(given).encode()))
    data = message_events(given, cuts)
    streamed = fed(turn.stream(), data, sizes)
    blocks, ended, comments = message_of(streamed)
    assert blocks == [block for block in whole["content"] if block.get("text") != "" and block.get("thinking") != ""]
    assert ended == whole["stop_reason"]
    assert comments or turn.changes or spoken(streamed) == spoken(data)
    return blocks, whole_turn, comments, ended


class TestSalvage:
    @pytest.mark.parametrize("name", SALVAGED)
    def test_a_leaked_call_becomes_an_item_or_a_block(self, name):
        text, left = SALVAGED[name]
        items, taken, comments = salvaged_response([message_item(text)], range(0, 300, 6))
        assert items[0]["content"][0]["text"] == left
        assert items[1] | {"id": ""} == {
            "type": "function_call", "id": "", "call_id": "functions.weather:0", "name": "weather",
            "arguments": '{"city": "Rome"}', "status": "completed",
        }  # fmt: skip
        assert taken.headers["x-k2lab-salvaged"] == "1" and comments == [": k2lab salvaged 1 call"]
        blocks, taken, comments, ended = salvaged_message([{"type": "text", "text": text}], range(0, 300, 6))
        block = {"type": "tool_use", "id": "functions.weather:0", "name": "weather", "input": {"city": "Rome"}}
        assert blocks == [*([{"type": "text", "text": left}] if left else []), block] and ended == "tool_use"
        assert comments == [": k2lab salvaged 1 call"]

    @pytest.mark.parametrize("name", LEFT)
    def test_what_is_no_call_for_sure_stays_text(self, name):
        assert salvaged_response([message_item(LEFT[name])], range(0, 300, 6))[0] == [message_item(LEFT[name])]
        text = {"type": "text", "text": LEFT[name]}
        assert salvaged_message([text], range(0, 300, 6))[0] == [text]

    def test_a_call_in_the_reasoning_counts_where_the_answer_says_nothing_else(self):
        items, _, _ = salvaged_response([reasoning_item("Hm. " + section())], range(0, 300, 6))
        assert items[0]["content"][0]["text"] == "Hm. " and items[1]["name"] == "weather"
        given = [reasoning_item("Hm. " + section()), message_item("Sunny.")]
        assert salvaged_response(given, range(0, 300, 6))[0] == given
        thought = {"type": "thinking", "thinking": "Hm. " + section(), "signature": "x"}
        blocks = salvaged_message([thought], range(0, 300, 6))[0]
        assert blocks[0]["thinking"] == "Hm. " and blocks[1]["name"] == "weather"
        given = [thought, {"type": "text", "text": "Sunny."}]
        assert salvaged_message(given, range(0, 300, 6))[0] == given

    def test_an_answer_that_calls_or_was_cut_short_is_left_as_it_is(self):
        given = [message_item(section()), {**call_item("functions.now:0"), "id": "fc_1", "status": "completed"}]
        assert salvaged_response(given)[0] == given
        given = [{"type": "text", "text": section()}, tool_use("functions.now:0")]
        assert salvaged_message(given, reason="tool_use")[0] == given
        given = [{"type": "text", "text": section()[:-30]}]
        assert salvaged_message(given, reason="max_tokens")[0] == given
        assert salvaged_response([message_item(section()[:-30])], status="incomplete")[0] == [
            message_item(section()[:-30])
        ]

    @given(
        st.lists(st.sampled_from(["Hi ", "a < b", "<|", "\n", "`", '"', "é😀", section(), *LEFT.values()]), max_size=3),
        st.lists(st.sampled_from(["Hm ", section(), "<|tool"]), max_size=2),
        st.lists(st.integers(0, 300), max_size=30),
        st.lists(st.integers(0, 300), max_size=40),
    )
    @examples(100)
    def test_whole_and_streamed_are_one_however_the_bytes_are_cut(self, texts, thoughts, cuts, sizes):
        text, thought = "".join(texts) or "x", "".join(thoughts) or "y"
        cuts = {cut for cut in cuts} | set(range(0, len(text + thought), 20))  # noqa: C416
        salvaged_response([reasoning_item(thought), message_item(text)], cuts, sizes)
        blocks = [{"type": "thinking", "thinking": thought, "signature": "s"}, {"type": "text", "text": text}]
        salvaged_message(blocks, cuts, sizes)

    def test_streams_that_break_off_give_all_that_was_held(self):
        for path, data in (
            (RESPONSES, response_events(response([message_item("Hm. " + section())]), range(0, 300, 5))),
            (MESSAGES, message_events(message([{"type": "text", "text": "Hm. " + section()}]), range(0, 300, 5))),
        ):
            for place in range(0, len(data), 301):
                taken = turn_of(path, ASKED[path], salvage=True)
                stream = taken.stream()
                out = stream.feed(data[:place]) + stream.end()
                assert taken.changes or spoken(out) == spoken(data[:place])

    def test_an_error_in_mid_stream_comes_behind_what_was_held(self):
        held = message_events(message([{"type": "text", "text": section()}]), range(0, 300, 5))
        head = held[: held.index(b"event: message_delta")]
        error = b'event: error\ndata: {"type": "error", "error": {"type": "x", "message": "no"}}\n\n'
        stream = turn_of(MESSAGES, ASKED[MESSAGES], salvage=True).stream()
        assert stream.feed(head + error) + stream.end() == head + error
        assert values_of(head + error)[0][-1]["type"] == "error"

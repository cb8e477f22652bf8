"""What is found in each kind of file, where, and what is never claimed."""

import json

import pytest

from k2lab.check import Look, look_at_bytes
from k2lab.families import K3
from k2lab.findings import chosen
from k2lab.wire import CALL_BEGIN, format_calls

TOOL = {"type": "function", "function": {"name": "search", "description": "Search.", "parameters": {
    "type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}}}  # fmt: skip
USER = {"role": "user", "content": "Tide?"}


def codes(value, **how):
    """``place: code`` of each finding."""
    data = value if isinstance(value, str) else json.dumps(value)
    made = look_at_bytes("given", data.encode(), Look(**how))
    assert not made.unread, made.unread
    return [(one.finding.place, one.finding.code) for one in made.present]


def call(name="search", arguments='{"query": "tide"}', id="functions.search:0"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def answer(*calls, content=None, reason=None):
    message = {"role": "assistant", "content": content, **({"tool_calls": list(calls)} if calls else {})}
    return {
        "choices": [{"index": 0, "finish_reason": reason or ("tool_calls" if calls else "stop"), "message": message}]
    }


def event(delta, reason=None, **more):
    return f"data: {json.dumps({'choices': [{'index': 0, 'delta': delta, 'finish_reason': reason}], **more})}\n\n"


class TestRequests:
    def test_a_sound_one_has_nothing(self):
        said = {"role": "assistant", "content": None, "tool_calls": [call()]}
        result = {"role": "tool", "tool_call_id": "functions.search:0", "content": "high"}
        assert codes({"model": "kimi-k2", "messages": [USER, said, result, USER], "tools": [TOOL]}) == []

    def test_history_shape_choice_and_tools_are_each_found_at_their_place(self):
        said = {"role": "assistant", "content": None, "tool_calls": [call(id="call_1")]}
        bad = {"type": "function", "function": {"name": "a b", "parameters": {"type": "object", "properties": {}}}}
        found = codes({"messages": [USER, said], "tools": [bad], "tool_choice": "sometimes"})
        assert ("messages[1].tool_calls[0].id", "R001") in found
        assert ("messages[1].tool_calls[0]", "R006") in found
        assert ("tool_choice", "R025") in found
        assert ("tools[0].function.name", "T005") in found

    def test_every_message_of_a_bad_shape_is_named(self):
        found = codes({"messages": [{"content": "Hi"}, USER, {"role": "user", "content": 5}, 7]})
        assert found == [("messages[0]", "R024"), ("messages[2]", "R024"), ("messages[3]", "R024")]

    @pytest.mark.parametrize(
        ("choice", "tools", "expected"),
        [
            ({"type": "function", "function": {"name": "other"}}, [TOOL], [("tool_choice", "R026")]),
            ("required", [], [("tool_choice", "R026")]),
            ("required", [TOOL], []),
            ("none", [], []),
        ],
    )
    def test_a_choice_that_no_tool_can_keep(self, choice, tools, expected):
        assert codes({"messages": [USER], "tools": tools, "tool_choice": choice}) == expected

    @pytest.mark.parametrize(
        ("roles", "at"),
        [
            (("assistant", "user"), 0),
            (("user", "system", "user"), 1),
            (("user", "assistant", "assistant"), 2),
            (("system", "user", "assistant", "user"), None),
            (("system", "system", "user", "user"), None),
        ],
    )
    def test_roles_out_of_order(self, roles, at):
        found = codes({"messages": [{"role": role, "content": "x"} for role in roles]})
        assert found == ([] if at is None else [(f"messages[{at}].role", "R018")])

    def test_places_of_a_bare_list_and_of_a_batch_are_those_of_the_file(self):
        bad = [USER, {"role": "nobody"}]
        assert codes(bad, kind="conversation") == [("[1]", "R024")]
        assert codes({"custom_id": "1", "body": {"messages": bad}}) == [("body.messages[1]", "R024")]

    def test_what_a_template_decides_is_not_claimed(self):
        said = {"role": "assistant", "content": "", "tool_calls": [call()]}
        result = {"role": "tool", "tool_call_id": "functions.search:0", "content": [{"type": "text", "text": "high"}]}
        assert codes({"messages": [USER, said, result]}) == []


class TestTools:
    @pytest.mark.parametrize(
        ("properties", "expected"),
        [
            ({"a": {"enum": ["x"]}}, {("properties.a", "T001")}),
            ({"a": {"type": "array", "uniqueItems": True}},
             {("properties.a.uniqueItems", "T004"), ("properties.a", "T003")}),
            ({"a": {"description": "Any.", "const": 1}}, {("properties.a", "T002")}),
            ({"a": {"oneOf": [{"type": "string"}]}}, {("properties.a", "T002")}),
            ({"a": {"type": "objekt"}}, {("properties.a.type", "T001"), ("", "T008")}),
        ],
        ids=["enum", "unique", "const", "one of", "broken"],
    )  # fmt: skip
    def test_schemas(self, properties, expected):
        parameters = {"type": "object", "properties": properties}
        tool = {"type": "function", "function": {"name": "pick", "description": "Pick.", "parameters": parameters}}
        prefix = "[0].function.parameters"
        found = {(place.removeprefix(prefix).removeprefix("."), code) for place, code in codes([tool])}
        assert found == expected

    def test_a_tool_alone_has_places_of_its_own(self):
        assert ("function.name", "T005") in codes({**TOOL, "function": {**TOOL["function"], "name": "a b"}})

    def test_no_tool_and_a_name_twice(self):
        found = codes([TOOL, TOOL, {"name": "mcp", "inputSchema": {}}])
        assert [code for _, code in found] == ["T006", "T006", "T007"]

    def test_typescript_is_asked_of_families_that_write_it(self):
        tool = {
            **TOOL,
            "function": {**TOOL["function"], "parameters": {"type": "object", "properties": {"a": {"const": 1}}}},
        }
        assert "T002" not in {code for _, code in codes([tool], model="kimi-k2")}
        assert "T002" in {code for _, code in codes([tool], model="kimi-k2.6")}

    def test_select_and_ignore(self):
        tool = {**TOOL, "function": {**TOOL["function"], "name": "a b"}}
        assert {code for _, code in codes([tool, tool], names=chosen(["T005"]))} == {"T005"}
        assert "T006" not in {code for _, code in codes([tool, tool], names=chosen((), ["T006"]))}


class TestAnswers:
    def test_an_exchange_is_judged_by_its_request(self):
        asked = {"messages": [USER], "tools": [TOOL]}
        good = {"request": asked, "response": answer(call())}
        assert codes(good) == []
        bad = {"request": asked, "response": answer(call(arguments="{}"), call("other", id="functions.other:1"))}
        place = "response.choices[0].message.tool_calls"
        assert codes(bad) == [(f"{place}[0]", "A005"), (f"{place}[1]", "A002")]

    def test_a_fault_of_the_request_is_told_once(self):
        asked = {"messages": [USER], "tools": [TOOL], "tool_choice": "sometimes"}
        assert codes({"request": asked, "response": answer(call())}) == [("request.tool_choice", "R025")]

    def test_alone_only_what_shows_is_claimed(self):
        alone = answer(call("unknown", id="functions.unknown:7"))
        assert codes(alone) == []
        assert codes(alone, tools=[TOOL]) == [("choices[0].message.tool_calls[0]", "A002")]
        assert codes(answer(call(id="call_1", arguments="{"))) == [("choices[0].message.tool_calls[0]", "A003")]
        leaked = answer(call(), content="I call functions.search:0{}")
        assert codes(leaked) == [("choices[0].message.content", "A113")]

    def test_ids_of_k3_are_not_held_against_k2s_form(self):
        assert codes(answer(call(id="call_1")), model="kimi-k3") == []
        assert codes(answer(call(id="call_1")), model="kimi-k2") == [("choices[0].message.tool_calls[0]", "A006")]

    def test_reasoning_that_k3_may_have_given_and_a_client_dropped_is_unknown(self):
        turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
        made = look_at_bytes("given", json.dumps(turns).encode(), Look(model="kimi-k3", every=True))
        assert made.status == 0
        (found,) = [one.finding for one in made.found if one.finding.code == "R021"]
        assert found.state == "unknown" and found.place == "[1].reasoning_content"

    def test_reasoning_that_no_parser_took_out_of_the_content_is_told(self):
        for content in ("<think>Hm.</think>Four metres.", "Hm.</think>Four metres."):
            assert codes(answer(content=content)) == [("choices[0].message.content", "A118")]
        for content in ("Four metres.", "The tag is `</think>`.", "Use <think> for it."):
            assert codes(answer(content=content)) == []

    def test_each_choice_is_judged_at_its_place(self):
        two = {"choices": [*answer(content="Hi")["choices"], *answer(content="")["choices"]]}
        assert codes(two) == [("choices[1].message.content", "A111")]

    def test_a_completion_is_a_raw_output(self):
        text = format_calls([("search", {"query": "tide"})])
        assert codes({"choices": [{"text": text, "finish_reason": "stop"}]}) == []
        lost = text.replace("<|tool_calls_section_begin|>", "").replace("<|tool_calls_section_end|>", "")
        assert codes({"choices": [{"text": lost, "finish_reason": "stop"}]}) == [("choices[0].text", "O001")]

    def test_an_error_is_the_servers_own_words(self):
        made = look_at_bytes("given", b'{"error": {"type": "overloaded", "message": "try again"}}')
        assert [one.finding.code for one in made.present] == ["S006"]
        assert made.present[0].finding.evidence == "overloaded: try again"

    def test_a_prompt_as_text_is_not_judged_by_tools_that_are_not_there(self):
        line = {"data_index": 1, "request": {"prompt": "x"}, "response": answer(call("a", id="functions.a:0")),
                "tool_calls_valid": False}  # fmt: skip
        made = look_at_bytes("given", json.dumps(line).encode())
        assert made.present == () and "its own runner called it invalid" in made.notes[0]


class TestOutputs:
    WHOLE = format_calls([("search", {"query": "tide"})])

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (WHOLE, []),
            (f"Let me look.{WHOLE}<|im_end|>", []),
            (WHOLE.replace("functions.", ""), ["O002"]),
            (WHOLE.replace(CALL_BEGIN, "", 1), ["O010"]),
            (WHOLE.replace('{"query"', "{query"), ["A003"]),
            (WHOLE[: WHOLE.index("tide")], ["O004"]),
            (f"<think>Hm.{WHOLE}</think>", ["O005"]),
            (f"<think>Hm.</think>{WHOLE}", []),
            ("<think>Hm. Hello!", ["O011"]),
            ("I would write <think> here.", []),
            ('I call functions.search:0{"query": "tide"}', ["O006"]),
            ('<tool_call>{"name": "search"}</tool_call><|im_end|>', ["O007"]),
            (WHOLE.replace("tide", "high\ntide"), ["O008"]),
            (WHOLE.replace("<|tool_calls_section_end|>", "and more<|tool_calls_section_end|>"), ["O009"]),
            (WHOLE.replace("search", "other"), ["A002"]),
            (WHOLE.replace("query", "question"), ["A005"]),
        ],
    )  # fmt: skip
    def test_each_fault_has_its_code(self, text, expected):
        assert [code for _, code in codes(text, tools=[TOOL], kind="output")] == expected

    K3_TEXT = (
        f"Hm.<|close|>think<|sep|>{format_calls([('search', {'query': 'tide'})], family=K3)}<|close|>message<|sep|>"
    )

    @pytest.mark.parametrize(
        ("was", "now", "expected"),
        [
            ("", "", []),
            ("<|close|>think<|sep|><|open|>response<|sep|><|close|>response<|sep|>", "", ["O005"]),
            ("<|close|>response<|sep|>", "", ["O010"]),
            ("<|close|>tools<|sep|>", "", ["O010"]),
            ("<|open|>tools<|sep|>", "", ["O001", "O009"]),
            (' index="1"', "", ["O012"]),
            ('index="1"', 'index="3"', ["O012"]),
            (' type="string"', "", ["O012"]),
            ("tide", "tide<|open|>argument<|sep|>", ["O003"]),
            ("tide<|close|>", "tide", ["O003"]),
            ("search", "other", ["A002"]),
            ("query", "question", ["A005"]),
            ("Hm.<|close|>think<|sep|>", WHOLE + "<|close|>think<|sep|>", ["O007"]),
        ],
    )
    def test_each_fault_of_k3_has_its_code(self, was, now, expected):
        text = self.K3_TEXT.replace(was, now, 1) if was else self.K3_TEXT
        look = Look(tools=[TOOL], kind="output", model="kimi-k3", thinking=True)
        made = look_at_bytes("given", text.encode(), look)
        assert [one.finding.code for one in made.present] == expected

    def test_the_place_is_line_and_column(self):
        made = look_at_bytes("given", b'one\n two functions.search:0{"query": "x"}')
        assert [(one.line, one.finding.place) for one in made.present] == [(2, "column 6")]


class TestStreams:
    def test_a_sound_one_has_nothing(self):
        assert codes(event({"content": "Hi"}) + event({}, "stop") + "data: [DONE]\n") == []

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (event({"content": "Hi"}), ["S001"]),
            (event({"content": "Hi"}, "stop"), ["S001"]),
            (event({"tool_calls": []}) + event({"content": "Hi"}, "stop") + "data: [DONE]", ["S002"]),
            (event({"tool_calls": [{"id": "functions.a:0", "function": {"name": "a", "arguments": "{}"}}]})
             + event({}, "tool_calls") + "data: [DONE]", ["S003"]),
            (event({"content": "Hi"}) + 'data: {"choi\n\n' + event({}, "stop") + "data: [DONE]", ["S005"]),
            (event({"content": "Hi"}) + 'data: {"error": {"message": "gone"}}\n\n', ["S006", "A101"]),
            (event({}, "tool_calls") + "data: [DONE]", ["A103"]),
        ],
        ids=["no end", "no done", "empty deltas", "no index", "broken event", "error", "no calls"],
    )  # fmt: skip
    def test_each_fault_has_its_code(self, text, expected):
        assert [code for _, code in codes(text)] == expected
        assert [code for _, code in codes(text.replace("\n", "\r\n"))] == expected

    def test_the_answer_is_put_together_and_judged_with_the_tools_that_were_on_offer(self):
        parts = [{"index": 0, "id": "functions.search:0", "function": {"name": "search", "arguments": '{"que'}},
                 {"index": 0, "function": {"arguments": 'stion": 1}'}}]  # fmt: skip
        text = "".join(event({"tool_calls": [part]}) for part in parts) + event({}, "tool_calls") + "data: [DONE]"
        assert [code for _, code in codes(text, tools=[TOOL])] == ["A005"]

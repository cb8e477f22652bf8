"""What a repair mends in a history, and what it names."""

import json

import pytest

from k2lab import repairs, wire
from k2lab.chat import request_of
from tests.helpers.histories import SECTION, TOOLS, USER, result


def calling(name="now", call_id="x", arguments="{}", content=None, **more):
    call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"role": "assistant", "content": content, "tool_calls": [call], **more}


def mended(messages, name="kimi-k2", /, *, tools=TOOLS, **fields):
    return repairs.repair(request_of({"messages": messages, "tools": tools, **fields}), model=name)


def named(made):
    """Path and problem of each."""
    return [(p.path, p.problem) for p in made.problems]


def arguments_of(made):
    return made.request.messages[1]["tool_calls"][0]["function"]["arguments"]


class TestArguments:
    @pytest.mark.parametrize("model", ["kimi-k2", "kimi-k3"])
    @pytest.mark.parametrize(
        ("given", "wanted"),
        [
            ({"q": "é"}, '{"q": "é"}'),
            ('"{\\"q\\": 1}"', '{"q": 1}'),
            (json.dumps(json.dumps('{"q": 1}')), '{"q": 1}'),
            ('{"q": "a\nb\tc"}', '{"q": "a\\nb\\tc"}'),
            ('{ "q" : 1 }\n', '{ "q" : 1 }\n'),
        ],
        ids=["object", "encoded twice", "encoded three times", "control characters", "as it is"],
    )
    def test_one_reading_is_mended(self, given, wanted, model):
        made = mended([USER, calling("search", arguments=given), result()], model)
        assert arguments_of(made) == wanted and made.problems == ()
        assert any(change.field.endswith("arguments") for change in made.changes) == (given != wanted)

    @pytest.mark.parametrize("given", ["", "  ", None])
    def test_empty_ones_are_an_object_where_the_tool_requires_nothing(self, given):
        assert arguments_of(mended([USER, calling("now", arguments=given), result()])) == "{}"
        for name in ("search", "not_declared"):
            made = mended([USER, calling(name, arguments=given), result()])
            assert arguments_of(made) == given and len(made.problems) == 1

    @pytest.mark.parametrize("model", ["kimi-k2", "kimi-k3"])
    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ('{"q": "a"', "expecting ',' delimiter at line 1, column 10, found the end"),
            ('{"q": "a"}}', "extra data at line 1, column 11, found '}'"),
            ('{"q":\n  oops}', "at line 2, column 3, found 'o'"),
            ("{'q': 1}", 'line 1, column 2, found "\'"'),
            ('{"q": NaN}', "NaN is not a JSON value"),
            ("[1]", "a list, not an object: [1]"),
            ('"x"', "a string, not an object"),
            ("null", "null, not an object"),
            ("7", "a number, not an object"),
            ([1], "a list, not the JSON text"),
            ('{"q":' * 20000, "not JSON"),
        ],
    )
    def test_others_are_named_with_their_place(self, given, said, model):
        made = mended([USER, calling("search", arguments=given), result()], model)
        assert arguments_of(made) == given
        ((path, problem),) = named(made)
        assert path == "messages[1].tool_calls[0].function.arguments" and said in problem


class TestPlaces:
    @pytest.mark.parametrize("model", ["kimi-k2", "kimi-k3"])
    @pytest.mark.parametrize(
        ("messages", "wanted"),
        [
            ([USER, calling(), USER], ("messages[1].tool_calls[0]", "no result answers this call of now")),
            ([USER, calling()], ("messages[1].tool_calls[0]", "no result answers this call of now")),
            ([USER, result(), calling()], ("messages[1]", "this result stands before its call messages[2].tool_calls")),
            ([USER, result("z")], ("messages[1]", "no call is left that this result (id 'z') could answer")),
            ([USER, calling(), result(), result()], ("messages[3]", "a second result for the call messages[1].tool")),
            (
                [USER, calling(), USER, result()],
                ("messages[3]", "messages[2] (user) stands between this result and its call messages[1].tool_calls[0]"),
            ),
        ],
        ids=["the user goes on", "at the end", "before", "of no call", "two", "steered"],
    )
    def test_a_result_out_of_place_is_named(self, messages, wanted, model):
        ((path, problem),) = named(mended(messages, model))
        assert path == wanted[0] and problem.startswith(wanted[1])

    def test_a_steered_result_still_follows_its_call(self):
        made = mended([USER, calling(), USER, result()])
        assert made.request.messages[3]["tool_call_id"] == "functions.now:0"

    def test_where_ids_stay_they_must_tell_calls_apart(self):
        twice = calling()
        twice["tool_calls"] = twice["tool_calls"] * 2
        assert ("messages[1].tool_calls[1].id", "another call of this message has the id 'x'") in named(
            mended([USER, twice, result(), result()], "kimi-k3")
        )
        assert named(mended([USER, calling(call_id=None), result()], "k3"))[0][1] == "the call of now has no id"


class TestBlocks:
    """The forms of the Messages API."""

    def test_a_turn_of_blocks_becomes_fields_and_messages(self):
        asked = [
            {"type": "thinking", "thinking": "Two things.", "signature": "abc"},
            {"type": "text", "text": "Let me see."},
            {"type": "tool_use", "id": "toolu_1", "name": "search", "input": {"q": "tea"}},
            {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
        ]
        answered = [
            {"type": "tool_result", "tool_use_id": "toolu_2", "content": [{"type": "text", "text": "12:00"}]},
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "timed out", "is_error": True},
            {"type": "text", "text": "Go on."},
        ]
        messages = [USER, {"role": "assistant", "content": asked}, {"role": "user", "content": answered}]
        made = mended(messages, "kimi-k2.5", system="Be brief.")
        system, user, call, first, second, last = made.request.messages
        assert (system, user) == ({"role": "system", "content": "Be brief."}, USER)
        assert call["content"] == "Let me see." and call["reasoning_content"] == "Two things."
        assert [(c["id"], c["function"]["arguments"]) for c in call["tool_calls"]] == [
            ("functions.search:0", '{"q": "tea"}'),
            ("functions.now:1", "{}"),
        ]
        assert first == {"role": "tool", "tool_call_id": "functions.now:1", "content": "12:00"}
        assert second == {"role": "tool", "tool_call_id": "functions.search:0", "content": "timed out"}
        assert last == {"role": "user", "content": "Go on."} and made.problems == ()
        assert "system" not in made.request.to_json()
        assert any("is_error" in change.reason for change in made.changes)

    def test_results_alone_leave_no_empty_user_message(self):
        answered = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x", "content": "12:00"}]}
        made = mended([USER, calling(), answered])
        assert [m["role"] for m in made.request.messages] == ["user", "assistant", "tool"]

    def test_a_tool_message_around_a_block_is_unwrapped(self):
        block = {"type": "tool_result", "tool_use_id": "x", "content": [{"type": "text", "text": "12:00"}]}
        made = mended([USER, calling(), {"role": "tool", "tool_call_id": "x", "content": [block]}])
        assert made.request.messages[2]["content"] == "12:00" and made.problems == ()

    def test_calls_that_stand_in_both_forms_stay_once(self):
        block = {"type": "tool_use", "id": "other", "name": "now", "input": {}}
        made = mended([USER, calling(content=[block]), result()])
        assert made.request.messages[1]["content"] is None and len(made.request.messages[1]["tool_calls"]) == 1
        made = mended([USER, calling(content=[{**block, "name": "search"}]), result()])
        assert named(made)[0][0] == "messages[1].content[0]"

    @pytest.mark.parametrize(
        "part",
        [
            {"type": "redacted_thinking", "data": "x"},
            {"type": "document", "source": {}},
            {"type": "tool_use", "id": "x", "input": {}},
            {"type": "tool_result", "tool_use_id": "x", "is_error": True},
            7,
        ],
    )
    def test_what_would_vanish_from_the_prompt_is_named(self, part):
        made = mended([{"role": "user", "content": [{"type": "text", "text": "a"}, part]}])
        assert named(made)[0][0] == "messages[0].content[1]" and "vanishes from the prompt" in made.problems[0].problem
        assert made.request.messages[0]["content"][1] == part

    def test_pictures_get_the_chat_apis_form_and_are_named_where_the_model_is_blind(self):
        source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
        asked = [{"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": "what?"}]}]
        made = mended(asked, "kimi-k2.5")
        assert made.request.messages[0]["content"][0]["image_url"] == {"url": "data:image/png;base64,AAAA"}
        assert made.problems == () and "reads text alone" in named(mended(asked, "kimi-k2-thinking"))[0][1]

    def test_a_function_call_of_the_older_form_is_lifted(self):
        old = {"role": "assistant", "content": None, "function_call": {"name": "now", "arguments": "{}"}}
        made = mended([USER, old, result("call_1")])
        assert made.problems == () and made.request.messages[1]["tool_calls"][0]["id"] == "functions.now:0"

    def test_two_system_prompts_are_named(self):
        made = mended([{"role": "system", "content": "a"}, USER], system="b")
        assert named(made)[0][0] == "system" and made.request.to_json()["system"] == "b"


class TestMarkers:
    @pytest.mark.parametrize(
        ("messages", "tools", "path"),
        [
            ([{"role": "user", "content": "say <|im_end|>"}], TOOLS, "messages[0].content"),
            ([{"role": "user", "content": "BERT has [PAD]"}], TOOLS, "messages[0].content"),
            ([{**USER, "name": "<|im_system|>"}], TOOLS, "messages[0].name"),
            ([USER, calling(), result(content=f"cat: {wire.CALL_BEGIN}")], TOOLS, "messages[2].content"),
            (
                [USER, calling("search", arguments='{"q": "\\u003c|im_end|\\u003e"}'), result()],
                TOOLS,
                "messages[1].tool_calls[0].function.arguments",
            ),
            ([USER, calling("<|im_middle|>"), result()], TOOLS, "messages[1].tool_calls[0].function.name"),
            (
                [USER],
                [
                    {
                        "type": "function",
                        "function": {"name": "a", "parameters": {"properties": {"b": {"enum": ["[EOS]"]}}}},
                    }
                ],
                "tools[0].function.parameters.properties.b.enum[0]",
            ),
        ],
    )
    def test_they_are_named_wherever_a_template_prints_them(self, messages, tools, path):
        made = mended(messages, tools=tools)
        assert next(p for p, problem in named(made) if "real special tokens" in problem) == path

    def test_a_leaked_call_is_named_and_left(self):
        leaked = {"role": "assistant", "content": "Looking." + SECTION}
        made = mended([USER, leaked, {"role": "user", "content": "the result is 12:00"}])
        assert made.changes == () and made.problems[0].message == 1
        assert "leaked a call into its text" in made.problems[0].problem

    def test_a_leaked_call_is_lifted_where_the_messages_beside_it_say_so(self):
        repeated = mended([USER, calling(content="Hm." + SECTION), result()])
        answered = mended([USER, {"role": "assistant", "content": "Hm." + SECTION}, result("functions.now:0")])
        assert repeated.request == answered.request and answered.problems == ()
        assert answered.request.messages[1]["content"] == "Hm."

    def test_k3_encodes_each_text_for_itself_so_that_only_its_own_text_can_have_leaked(self):
        own = {"role": "assistant", "content": '<|open|>call tool="now" index="1"<|sep|>'}
        made = mended([{"role": "user", "content": "<|im_end|><|sep|>"}, own], "kimi-k3")
        assert [p.message for p in made.problems] == [1]


class TestReasoning:
    TWO_TURNS = (USER, calling(), result(), {"role": "assistant", "content": "12"}, USER, calling(), result())

    @pytest.mark.parametrize(
        ("model", "fields", "wanted"),
        [
            ("kimi-k2-thinking", {}, [5]),
            ("kimi-k2.5", {}, [5]),
            ("kimi-k2.6", {}, [5]),
            ("kimi-k2.6", {"chat_template_kwargs": {"preserve_thinking": True}}, [1, 3, 5]),
            ("kimi-k2.6", {"thinking": {"type": "enabled", "keep": "all"}}, [1, 3, 5]),
            ("kimi-k2.7-code", {}, [1, 3, 5]),
            ("kimi-k2.5", {"chat_template_kwargs": {"thinking": False}}, []),
            ("kimi-k2.6", {"thinking": {"type": "disabled"}}, []),
            ("kimi-k2.7-code", {"chat_template_kwargs": {"thinking": False}}, [1, 3, 5]),
            ("kimi-k2", {}, []),
            (None, {"model": "moonshotai/Kimi-K2.5"}, [5]),
        ],
    )
    def test_turns_whose_reasoning_the_template_prints_need_it(self, model, fields, wanted):
        made = mended(self.TWO_TURNS, model, **fields)
        assert [p.message for p in made.problems if p.path.endswith(".reasoning_content")] == wanted
        assert len(made.problems) == len(wanted)

    @pytest.mark.parametrize(
        ("fields", "wanted"),
        [
            ({}, [1, 3, 5]),
            ({"reasoning_effort": "low"}, [1, 3, 5]),
            ({"reasoning_effort": "none"}, []),
            ({"chat_template_kwargs": {"enable_thinking": False}}, []),
            ({"chat_template_kwargs": {"thinking": False}}, []),
        ],
    )
    def test_k3_prints_what_there_is_and_a_turn_without_may_have_had_none(self, fields, wanted):
        made = mended(self.TWO_TURNS, "kimi-k3", **fields)
        assert made.problems == () and [one.message for one in made.unsure] == wanted
        thought = [{**turn, "reasoning": "Hm."} if turn["role"] == "assistant" else turn for turn in self.TWO_TURNS]
        assert mended(thought, "kimi-k3", **fields).unsure == () == mended(self.TWO_TURNS, "kimi-k2.7", **fields).unsure

    @pytest.mark.parametrize(
        "fields",
        [
            {"reasoning": "why"},
            {"thinking": "why"},
            {"reasoning": "why", "reasoning_details": [{"type": "reasoning.text", "text": "why"}]},
            {"reasoning": None, "reasoning_content": "why"},
            {"reasoning_content": None, "reasoning": "why"},
            {"content": "<think>why</think>"},
            {"content": [{"type": "thinking", "thinking": "why"}]},
        ],
    )
    def test_reasoning_under_another_name_is_found(self, fields):
        made = mended([USER, calling(**fields), result()], "kimi-k2.5")
        message = made.request.messages[1]
        assert message["reasoning_content"] == "why" and message["content"] is None and made.problems == ()
        assert set(message) == {"role", "content", "tool_calls", "reasoning_content"}

    def test_reasoning_that_differs_under_two_names_is_named(self):
        made = mended([USER, calling(reasoning="a", reasoning_content="b"), result()], "kimi-k2.6")
        assert "reasoning and reasoning_content is not one text" in made.problems[0].problem
        made = mended(
            [USER, calling(reasoning_details=[{"type": "reasoning.encrypted", "data": "x"}]), result()], "k2.6"
        )
        assert [p.message for p in made.problems] == [1]

    def test_reasoning_in_the_text_of_a_model_that_has_none_is_named(self):
        made = mended([USER, {"role": "assistant", "content": "<think>why</think>12"}])
        assert "holds its reasoning in its text" in made.problems[0].problem and made.changes == ()


def test_an_answer_without_anything_is_named():
    made = mended([USER, {"role": "assistant", "content": ""}, USER])
    assert named(made)[0][0] == "messages[1].content"


def test_roles_with_another_name_for_the_system_are_made_equal():
    made = mended([{"role": "_input", "content": "a"}, {"role": "developer", "content": "b"}, USER])
    assert [m["role"] for m in made.request.messages] == ["system", "system", "user"] and made.problems == ()


def test_the_other_fields_of_a_request_stay():
    fields = {"model": "kimi-k2", "tool_choice": "required", "temperature": 0.6}
    made = mended([USER, calling(), result()], **fields)
    data = made.request.to_json()
    assert made.changes and {name: data[name] for name in fields} == fields


def test_public_reports_are_named(shared):
    def problems(folder, model):
        return repairs.repair(
            request_of(json.loads((shared / "reports" / folder / "C.json").read_text())), model=model
        ).problems

    assert [p.path for p in problems("32-call-without-result", None)] == ["messages[1].tool_calls[1]"]
    assert [p.path for p in problems("37-markers-in-assistant-content", None)] == ["messages[1].content"]
    assert [p.path for p in problems("39-reasoning-missing", "kimi-k2.5")] == ["messages[1].reasoning_content"]


def test_the_command_prints_what_is_left_and_exits_with_1(k2lab, tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"messages": [USER, calling(), USER], "tools": TOOLS, "model": "kimi-k2.5"}))
    done = k2lab("repair", path)
    made = json.loads(done.stdout)
    assert done.returncode == 1 and made["conversation"]["model"] == "kimi-k2.5"
    assert [set(problem) for problem in made["problems"]] == [{"message", "path", "problem", "fix", "finding"}] * 2
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 2 and lines[0].startswith("k2lab: problem: messages[1].tool_calls[0]: no result answers")
    path.write_text(json.dumps([USER, calling(), result()]))
    assert k2lab("repair", path, "--model", "kimi-k2.5").returncode == 1
    off = ("--template-kwargs", '{"thinking": false}')
    assert k2lab("repair", path, "--model", "kimi-k2.5", *off).returncode == 0
    done = k2lab("repair", path)
    assert done.returncode == 0 and done.stderr == "" and json.loads(done.stdout)["problems"] == []

import json

import pytest

from k2lab import families, repairs, wire
from k2lab.chat import Request
from k2lab.nano import synth


def assistant(*calls, content=""):
    made = [
        {"type": "function", "function": {"name": name, "arguments": "{}"}, **({"id": i} if i is not None else {})}
        for name, i in calls
    ]
    return {"role": "assistant", "content": content, **({"tool_calls": made} if made else {})}


def result(call_id, content="18"):
    return {"role": "tool", "content": content, **({"tool_call_id": call_id} if call_id is not None else {})}


USER = {"role": "user", "content": "go"}


def ids(conversation):
    """Ids of calls and results in the order in which they stand."""
    found = []
    for message in conversation.messages:
        found += [call.get("id") for call in message.get("tool_calls", ())]
        found += [message.get("tool_call_id")] if message["role"] == "tool" else []
    return found


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([assistant(("a", "a:0")), result("a:0")], ["functions.a:0", "functions.a:0"]),
        (
            [assistant(("a", "x"), ("b", "y")), result("y"), result("x")],
            ["functions.a:0", "functions.b:1", "functions.b:1", "functions.a:0"],
        ),
        (
            [assistant(("a", "x")), result("x"), USER, assistant(("b", "x")), result("x")],
            ["functions.a:0", "functions.a:0", "functions.b:1", "functions.b:1"],
        ),
        (
            [assistant(("a", "x"), ("a", "x")), result("x"), result("x")],
            ["functions.a:0", "functions.a:1", "functions.a:0", "functions.a:1"],
        ),
        (
            [assistant(("a", "x"), ("b", "y")), result(None), result("unknown")],
            ["functions.a:0", "functions.b:1", "functions.a:0", "functions.b:1"],
        ),
        (
            [assistant(("a", "x"), ("b", "y")), result("unknown"), result("x")],
            ["functions.a:0", "functions.b:1", "functions.b:1", "functions.a:0"],
        ),
        ([assistant(("a", None)), result("call_1")], ["functions.a:0", "functions.a:0"]),
        (
            [
                assistant(("a", "functions.a:0")),
                result("functions.a:0"),
                USER,
                assistant(("a", "functions.a:0")),
                result("functions.a:0"),
            ],
            ["functions.a:0", "functions.a:0", "functions.a:1", "functions.a:1"],
        ),
    ],
    ids=[
        "prefix",
        "out of order",
        "duplicate over turns",
        "duplicate in a turn",
        "unknown",
        "unknown first",
        "no id",
        "restarted count",
    ],
)
def test_ids_count_over_the_conversation_and_results_follow_their_calls(messages, expected):
    before = Request.of([USER, *messages])
    made = repairs.repair(before)
    assert ids(made.request) == expected and made.problems == ()
    assert all(change.reason and change.before != change.after for change in made.changes)
    assert [m["content"] for m in made.request.messages if m["role"] == "tool"] == ["18"] * sum(
        m["role"] == "tool" for m in messages
    )


def test_a_result_that_answers_nothing_is_left_and_named():
    made = repairs.repair(Request.of([USER, result("x")]))
    assert made.changes == () and "messages[1]: no call is left" in str(made.problems[0])


def test_contents_are_flattened_and_empty_ones_made_equal():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    picture = [{"type": "image_url", "image_url": {"url": "data:,"}}]
    call = ("a", "functions.a:0")
    messages = [
        {"role": "user", "content": parts},
        {"role": "user", "content": picture},
        assistant(call, content=[{"type": "text", "text": ""}]),
        result("functions.a:0", parts),
    ]
    made = repairs.repair(Request.of(messages)).request
    assert [message["content"] for message in made.messages] == ["ab", picture, None, "ab"]
    same = [repairs.repair(Request.of([USER, assistant(call, content=c)])).request for c in ("", None)]
    assert same[0] == same[1]


def test_a_conversation_that_needs_nothing_comes_back_as_it_was(talk):
    made = repairs.repair(talk)
    assert made.request is talk and made.changes == ()


def test_the_given_conversation_is_not_changed():
    before = Request.of([USER, assistant(("a", "x")), result("x")])
    kept = before.to_json()
    repairs.repair(before)
    assert before.to_json() == kept


def test_k3_is_left_alone():
    before = Request.of([USER, assistant(("a", "a:1"), content=None), result("a:1")])
    assert repairs.repair(before, model="moonshotai/Kimi-K3").request == before
    assert repairs.repair(before, model="moonshotai/Kimi-K2.7-Code").changes
    assert not families.of_model("kimi-k3-instruct").numbers_ids and families.of_model("kimi-k2.5").numbers_ids


def test_changes_name_their_messages():
    made = repairs.repair(Request.of([USER, assistant(("a", "x")), result("x")]))
    assert [(c.message, c.field) for c in made.changes] == [
        (1, "content"),
        (1, "tool_calls[0].id"),
        (2, "tool_call_id"),
    ]
    json.dumps(made.to_json())


def test_a_result_that_bears_the_new_id_of_another_call_is_not_paired_twice():
    calls = assistant(("a", "x"), ("b", "y"))
    messages = [calls, result("x"), result("functions.b:1"), assistant(("a", "x")), result("y")]
    once = repairs.repair(Request.of(messages))
    assert ids(once.request) == [
        *("functions.a:0", "functions.b:1", "functions.a:0", "functions.b:1"),
        *("functions.a:2", "functions.b:1"),
    ]
    assert [(p.message, p.problem) for p in once.problems] == [
        (3, "no result answers this call of a"),
        (4, "a second result for the call messages[0].tool_calls[1]"),
    ]
    twice = repairs.repair(once.request)
    assert twice.changes == () and twice.problems == once.problems


@pytest.mark.parametrize(
    ("results", "paired", "named"),
    [
        ([result(None)], [None], "nothing says which call this result (id None) answers, of a, b"),
        ([result("u")] * 3, ["u"] * 3, "nothing says which call this result (id 'u') answers, of a, b"),
        ([result("functions.c:0"), result("y")], ["functions.c:0", "b"], "nothing says which call"),
        ([result("x"), result("y"), result("u")], ["a", "b", "u"], "no call is left that this result (id 'u')"),
        ([result("functions.b:7"), result("a:3")], ["b", "a"], ""),
        ([{**result("?"), "name": "b"}, {**result("?"), "name": "a"}], ["b", "a"], ""),
        ([result("functions.b:7"), result(None)], ["b", "a"], ""),
    ],
    ids=["one for two", "three for two", "another tool's", "one more", "name in the id", "name", "name, then the rest"],
)
def test_results_without_a_known_id_are_paired_only_where_one_way_is_left(results, paired, named):
    made = repairs.repair(Request.of([USER, assistant(("a", "x"), ("b", "y")), *results]))
    new = {"a": "functions.a:0", "b": "functions.b:1"}
    assert ids(made.request)[2:] == [new.get(i, i) for i in paired]
    assert any(named in p.problem for p in made.problems) if named else not made.problems


def test_histories_of_the_generator_need_new_ids_only_where_they_are_foreign():
    stream = synth.dialogues("held-out", 3, synth.Mix(foreign_ids=0.5))
    for dialogue, _ in zip(stream, range(200), strict=False):
        found = list(ids(dialogue.request))
        changed = [c for c in repairs.repair(dialogue.request).changes if c.field != "content"]
        assert len(changed) == sum(not i.startswith("functions.") for i in found)


def test_an_output_becomes_a_message_with_ids_that_run_on():
    tools = [{"type": "function", "function": {"name": n, "parameters": {}}} for n in ("search", "now")]
    text = (
        f'Hm.{wire.SECTION_BEGIN}{wire.CALL_BEGIN}search:2{wire.ARGUMENT_BEGIN}{{"q": 1}}{wire.CALL_END}'
        f"{wire.CALL_BEGIN}functions.draw:3{wire.ARGUMENT_BEGIN}{{}}{wire.CALL_END}"
        f"{wire.CALL_BEGIN}functions.now:4{wire.ARGUMENT_BEGIN}{{}}{wire.CALL_END}{wire.SECTION_END}"
    )
    made = repairs.repair_output(text, tools, first_index=5)
    assert [call["id"] for call in made.message["tool_calls"]] == ["functions.search:5", "functions.now:6"]
    assert made.message["content"] == "Hm."
    assert [change.split(":")[0] for change in made.changes] == ["repaired", "left out"]


@pytest.mark.parametrize("family", [None, families.K3])
def test_an_output_without_ids_becomes_a_message_whose_ids_are_none_of_k2s(family):
    tools = [{"type": "function", "function": {"name": "now", "parameters": {}}}]
    text = wire.format_calls([("now", {}), ("now", {})], family=families.K3)
    made = repairs.repair_output(text, tools, first_index=5, family=family)
    assert [call["id"] for call in made.message["tool_calls"]] == ["call_5", "call_6"] and made.changes == ()
    result = {"role": "tool", "content": "12:00"}
    answers = [{**result, "tool_call_id": call["id"]} for call in made.message["tool_calls"]]
    asked = Request.of([{"role": "user", "content": "What time?"}, made.message, *answers])
    assert repairs.repair(asked, model="kimi-k3").problems == ()


def test_a_message_that_is_used_several_times_is_mended_in_each_place():
    """Python lets a caller put one object into a history twice; what is mended in one place is not in the other."""
    call = {"id": "x", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}
    turns = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "x", "content": "r"},
    ]
    shared, separate = (
        repairs.repair(Request(messages=history)) for history in (turns * 9, json.loads(json.dumps(turns * 9)))
    )
    assert shared == separate
    ids = [message["tool_calls"][0]["id"] for message in shared.request.messages if message.get("tool_calls")]
    assert ids == [f"functions.f:{n}" for n in range(9)] and call["id"] == "x"

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2lab import repair, wire
from k2lab.chat import Conversation
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
    before = Conversation.of([USER, *messages])
    made = repair.history(before)
    assert ids(made.conversation) == expected and made.problems == ()
    assert all(change.reason and change.before != change.after for change in made.changes)
    assert [m["content"] for m in made.conversation.messages if m["role"] == "tool"] == ["18"] * sum(
        m["role"] == "tool" for m in messages
    )


def test_a_result_that_answers_nothing_is_left_and_named():
    made = repair.history(Conversation.of([USER, result("x")]))
    assert made.changes == () and "messages[1]: no call is left" in made.problems[0]


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
    made = repair.history(Conversation.of(messages)).conversation
    assert [message["content"] for message in made.messages] == ["ab", picture, None, "ab"]
    same = [repair.history(Conversation.of([USER, assistant(call, content=c)])).conversation for c in ("", None)]
    assert same[0] == same[1]


def test_a_conversation_that_needs_nothing_comes_back_as_it_was(talk):
    made = repair.history(talk)
    assert made.conversation is talk and made.changes == ()


def test_the_given_conversation_is_not_changed():
    before = Conversation.of([USER, assistant(("a", "x")), result("x")])
    kept = before.to_json()
    repair.history(before)
    assert before.to_json() == kept


def test_k3_is_left_alone():
    before = Conversation.of([USER, assistant(("a", "a:1"), content=None), result("a:1")])
    assert repair.history(before, model="moonshotai/Kimi-K3").conversation == before
    assert repair.history(before, model="moonshotai/Kimi-K2.7-Code").changes
    assert not repair.applies_to("kimi-k3-instruct") and repair.applies_to("kimi-k2.5")


def test_changes_name_their_messages():
    made = repair.history(Conversation.of([USER, assistant(("a", "x")), result("x")]))
    assert [(c.message, c.field) for c in made.changes] == [
        (1, "content"),
        (1, "tool_calls[0].id"),
        (2, "tool_call_id"),
    ]
    json.dumps(made.to_json())


call_ids = st.sampled_from(["x", "y", "a:0", "functions.a:0", "functions.b:1", "call_1", None])
turns = st.one_of(
    st.builds(lambda calls: assistant(*calls), st.lists(st.tuples(st.sampled_from("ab"), call_ids), max_size=3)),
    st.builds(result, call_ids, st.sampled_from(["", "18", [{"type": "text", "text": "18"}]])),
    st.just(USER),
)


@given(st.lists(turns, min_size=1, max_size=12))
def test_repairing_twice_changes_nothing_more(messages):
    once = repair.history(Conversation.of(messages))
    twice = repair.history(once.conversation)
    assert twice.changes == () and twice.conversation is once.conversation
    calls = [c["id"] for m in once.conversation.messages for c in m.get("tool_calls", ())]
    assert all(wire.ID.fullmatch(i) for i in calls)
    assert [int(i.rsplit(":", 1)[1]) for i in calls] == list(range(len(calls)))
    assert len(once.conversation.messages) == len(messages)


def test_histories_of_the_generator_need_new_ids_only_where_they_are_foreign():
    stream = synth.dialogues("held-out", 3, synth.Mix(foreign_ids=0.5))
    for dialogue, _ in zip(stream, range(200), strict=False):
        found = list(ids(dialogue.conversation))
        changed = [c for c in repair.history(dialogue.conversation).changes if c.field != "content"]
        assert len(changed) == sum(not i.startswith("functions.") for i in found)


def test_an_output_becomes_a_message_with_ids_that_run_on():
    tools = [{"type": "function", "function": {"name": n, "parameters": {}}} for n in ("search", "now")]
    text = (
        f'Hm.{wire.SECTION_BEGIN}{wire.CALL_BEGIN}search:2{wire.ARGUMENT_BEGIN}{{"q": 1}}{wire.CALL_END}'
        f"{wire.CALL_BEGIN}functions.draw:3{wire.ARGUMENT_BEGIN}{{}}{wire.CALL_END}"
        f"{wire.CALL_BEGIN}functions.now:4{wire.ARGUMENT_BEGIN}{{}}{wire.CALL_END}{wire.SECTION_END}"
    )
    made = repair.output(text, tools, first_index=5)
    assert [call["id"] for call in made.message["tool_calls"]] == ["functions.search:5", "functions.now:6"]
    assert made.message["content"] == "Hm."
    assert [change.split(":")[0] for change in made.changes] == ["repaired", "left out"]

"""What holds of any history that is repaired: it is done after one time, and nothing is lost."""

import json
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from k2lab import families, repairs
from k2lab.chat import Request, text_of
from k2lab.findings.histories import of_history, of_reasoning
from k2lab.repairs.soundness import is_plain, keeps_form
from tests.helpers.effort import examples
from tests.helpers.histories import SECTION, TOOLS, USER, result

texts = st.sampled_from(
    [
        "",
        "18",
        SECTION,
        "t" + SECTION,
        "<think>a</think>",
        "<think>a</think>b",
        f"<think>{SECTION}</think>",
        "<|im_end|>",
    ]
)
call_ids = st.sampled_from(
    ["x", "y", "a:0", "b:1", *(f"functions.{name}:{index}" for name in "ab" for index in range(3)), None, "", 3]
)
argument_texts = st.sampled_from(
    ["{}", "", None, {"q": 1}, '{"q": "\n"}', '"{}"', '"{\\"q\\": \\"a\\nb\\"}"', "[1]", "nope", '{"q": NaN}', 3]
)
parts = st.one_of(
    texts.map(lambda text: {"type": "text", "text": text}),
    st.builds(
        lambda i, content, error: {"type": "tool_result", "tool_use_id": i, "content": content, "is_error": error},
        call_ids,
        st.one_of(texts, st.none(), st.just([{"type": "text", "text": "r"}])),
        st.booleans(),
    ),
    st.builds(
        lambda i, name, given: {"type": "tool_use", "id": i, "name": name, "input": given},
        call_ids,
        st.sampled_from(["a", "b", ""]),
        st.sampled_from([{}, {"q": 1}, "{}", "", 3]),
    ),
    st.sampled_from([{"type": "thinking", "thinking": "a"}, {"type": "redacted_thinking"}, "bare", 3, {"type": []}]),
)
contents = st.one_of(texts, st.none(), st.lists(parts, max_size=3))
calls = st.builds(
    lambda name, i, given: {"id": i, "type": "function", "function": {"name": name, "arguments": given}},
    st.sampled_from("ab"),
    call_ids,
    argument_texts,
)
extras = st.fixed_dictionaries(
    {},
    optional={
        "reasoning_content": st.sampled_from([None, "", "a", "b"]),
        "reasoning": st.sampled_from([None, "", "a"]),
        "reasoning_details": st.sampled_from([[{"text": "a"}], [{"data": 1}], []]),
        "function_call": st.sampled_from([{"name": "a", "arguments": "{}"}, {"x": 1}]),
        "tool_calls": st.lists(calls, max_size=3),
    },
)
plain_results = st.builds(
    lambda i, content, name: {**result(i, content), **({"name": name} if name else {})},
    call_ids,
    texts,
    st.sampled_from([None, None, "a", "b", "c"]),
)
plain_turns = st.one_of(
    st.lists(calls, max_size=3).map(lambda made: {"role": "assistant", "content": "t", "tool_calls": made}),
    plain_results,
    plain_results,
    st.just(USER),
)
any_turns = st.one_of(
    st.builds(lambda content, more: {"role": "assistant", "content": content, **more}, contents, extras),
    st.builds(lambda message, content: {**message, "content": content}, plain_results, contents),
    st.builds(
        lambda role, content: {"role": role, "content": content},
        st.sampled_from(["user", "user", "system", "developer"]),
        contents,
    ),
    plain_turns,
)
models = st.sampled_from(["kimi-k2", "kimi-k2.5", "kimi-k2.7", "kimi-k3", "other"])


@examples(500)
@given(st.lists(any_turns, min_size=1, max_size=9), models)
def test_repairing_twice_changes_nothing_more_and_names_the_same(messages, model):
    given_one = Request.of(messages, TOOLS)
    before = json.dumps(given_one.to_json())
    once = repairs.repair(given_one, model=model)
    twice = repairs.repair(once.request, model=model)
    assert twice.changes == () and twice.request is once.request and twice.problems == once.problems
    assert json.dumps(given_one.to_json()) == before
    json.dumps(once.to_json())


@examples(500)
@given(st.lists(plain_turns, min_size=1, max_size=10), st.sampled_from(["kimi-k2", "kimi-k3"]))
def test_pairing_gives_a_call_one_result_and_loses_nothing(messages, model):
    for how in (repairs.repair, repairs.renumber):
        made = how(Request.of(messages), model=model)
        sent = made.request.messages
        assert [m["role"] for m in sent] == [m["role"] for m in messages]
        assert [text_of(m["content"]) for m in sent if m["role"] == "tool"] == [
            m["content"] for m in messages if m["role"] == "tool"
        ]
        if model == "kimi-k3":
            continue
        ids = [call["id"] for m in sent for call in m.get("tool_calls") or ()]
        assert [int(i.rsplit(":", 1)[1]) for i in ids] == list(range(len(ids)))
        faulty = {p.message for p in made.problems if sent[p.message]["role"] == "tool"}
        sound = Counter(m["tool_call_id"] for i, m in enumerate(sent) if m["role"] == "tool" and i not in faulty)
        assert set(sound) <= set(ids) and max(sound.values(), default=0) <= 1


sound_turns = st.lists(
    st.lists(
        st.tuples(st.sampled_from("ab"), call_ids.filter(bool).map(str)), max_size=4, unique_by=lambda call: call[1]
    ),
    min_size=1,
    max_size=5,
)


@examples(300)
@given(sound_turns, st.randoms(), st.sampled_from(["kimi-k2", "kimi-k3"]))
def test_a_sound_history_has_no_problem_and_each_result_keeps_its_call(turns, random, model):
    messages, answered = [USER], {}
    for turn, wanted in enumerate(turns):
        made = [{"id": i, "type": "function", "function": {"name": name, "arguments": "{}"}} for name, i in wanted]
        messages += [{"role": "assistant", "content": "t", "tool_calls": made}]
        results = [result(i, f"{turn} {place}") for place, (_, i) in enumerate(wanted)]
        random.shuffle(results)
        messages += results
    made = repairs.repair(Request.of(messages), model=model)
    calling_ones = [m for m in made.request.messages if m["role"] == "assistant"]
    for turn, message in enumerate(calling_ones):
        answered |= {f"{turn} {place}": call["id"] for place, call in enumerate(message["tool_calls"])}
    assert made.problems == ()
    assert {m["content"]: m["tool_call_id"] for m in made.request.messages if m["role"] == "tool"} == answered


@examples(400)
@given(st.lists(plain_turns, min_size=1, max_size=10), models)
def test_renumbering_twice_changes_nothing_more(messages, model):
    once = repairs.renumber(Request.of(messages), model=model)
    twice = repairs.renumber(once.request, model=model)
    assert twice.changes == () and twice.problems == once.problems


plain_calls = st.lists(st.sampled_from("ab"), max_size=3)
plain_texts = st.sampled_from(
    ["t", "18", "a [b] <c>", "", "<think>a</think>", "<|im_end|>", "[EOS]", "functions.a:0{}"]
)

thoughts = st.sampled_from([{}, {}, {"reasoning_content": "r"}, {"reasoning_content": "<think>"}])
thoughts |= st.sampled_from([{"reasoning_content": None}, {"reasoning_content": ""}, {"reasoning": "r"}])
usual_turns = st.one_of(any_turns, st.tuples(plain_calls, plain_texts, thoughts))
kwargs = st.sampled_from([{"thinking": False}, {"preserve_thinking": True}])
asked_to_think = st.sampled_from([{}, {"thinking": {"type": "disabled"}}, {"thinking": {"keep": "all"}}])
asked_to_think |= st.builds(lambda one: {"chat_template_kwargs": one}, kwargs)


@examples(300)
@given(st.lists(usual_turns, max_size=5), models, argument_texts, asked_to_think)
def test_what_is_told_to_be_plain_is_left_as_it_is_by_a_repair(turns, model, arguments, thinking):
    messages, count = [USER], 0
    for turn in turns:
        if isinstance(turn, dict):
            messages.append(turn)
            continue
        names, text, reasoning = turn
        ids = [f"functions.{name}:{count + place}" for place, name in enumerate(names)]
        count += len(ids)
        functions = [{"name": name, "arguments": arguments} for name in names]
        made = [{"id": i, "type": "function", "function": one} for i, one in zip(ids, functions, strict=True)]
        calls = {"tool_calls": made} if made else {}
        messages += [{"role": "assistant", "content": text or None, **calls, **reasoning}]
        messages += [result(i, text or "r") for i in ids]
    request = Request.of(messages, (), thinking)
    family = families.of_model(model) or families.UNKNOWN
    if keeps_form(request, family):
        repaired = repairs.repair(request, model=model)
        assert repaired.changes == ()
        assert is_plain(request, family) == (not repaired.problems)
        assert of_reasoning(request, family) == of_history(request, model=model)
    else:
        assert not is_plain(request, family)


def test_a_usual_conversation_is_plain():
    call = {"id": "functions.a:0", "type": "function", "function": {"name": "a", "arguments": '{"q": "x"}'}}
    turns = [USER, {"role": "assistant", "content": None, "tool_calls": [call]}, result("functions.a:0"), USER]
    assert is_plain(Request.of(turns), families.K2)
    assert not is_plain(Request.of(turns[:2]), families.K2)
    assert not is_plain(Request.of(turns), families.K2_5)


def test_a_thinking_models_conversation_with_its_reasoning_is_plain():
    said = {"role": "assistant", "content": "Hi", "reasoning_content": "They greet."}
    asked, without = Request.of([USER, said, USER]), Request.of([USER, {"role": "assistant", "content": "Hi"}])
    assert is_plain(asked, families.K2_7) and is_plain(asked, families.K2_THINKING)
    assert keeps_form(without, families.K2_7) and not is_plain(without, families.K2_7)

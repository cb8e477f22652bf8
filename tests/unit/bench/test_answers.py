import doctest
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2lab import families, wire
from k2lab.bench import metrics, shapes, store
from k2lab.bench.judged import judge_all
from k2lab.bench.records import Result
from k2lab.bench.summary import summarise
from k2lab.chat import CUT_SHORT, Exchange
from k2lab.findings import schemas, texts, verdicts
from k2lab.jsonable import as_json
from k2lab.show import views

SCHEMA = {"type": "object", "properties": {"river": {"type": "string"}}, "required": ["river"]}
TOOLS = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in ("gauge", "flood_map")]
LEVEL = [("gauge", {"river": "Elbe"})]
SECTION = wire.format_calls(LEVEL)
FIELDS = (
    "message",
    "finish_reason",
    "content",
    "text",
    "reasoning",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "id",
)
FIELDS += ("type", "allowed_tools", "tools", "mode", "refusal", "function_call", "parameters")
NAMED = {"type": "function", "function": {"name": "gauge"}}


def allowed(mode, *names, flat=False):
    tools = [{"type": "function", "name": n} if flat else {"type": "function", "function": {"name": n}} for n in names]
    inner = {"mode": mode, "tools": tools}
    return {"type": "allowed_tools", **inner} if flat else {"type": "allowed_tools", "allowed_tools": inner}


def call(name="gauge", index=0):
    function = {"name": name, "arguments": '{"river": "Elbe"}'}
    return {"id": f"functions.{name}:{index}", "type": "function", "function": function}


def request(**fields):
    return {"model": "m", "messages": [{"role": "user", "content": "How high?"}], "tools": TOOLS, **fields}


def response(*calls, finish=None, **message):
    ends = finish or ("tool_calls" if calls else "stop")
    whole = {"role": "assistant", "content": None, "tool_calls": list(calls) or None, **message}
    return {"choices": [{"index": 0, "message": whole, "finish_reason": None if ends == "none" else ends}]}


def judge(asked, said, *, plain=False):
    return verdicts.judge(Exchange.of(asked, said, plain=plain))


def found(answer, **asked):
    return set(judge(request(**asked), answer).faults)


@pytest.mark.parametrize("content", [None, "", " \n\t", [], [{"type": "text", "text": " "}], "<|im_end|>\n"])
def test_an_answer_without_text_or_call_is_empty_whatever_stands_for_nothing(content):
    assert found(response(content=content)) == {"empty_answer"}
    assert found(response(content=content, reasoning_content=" \n")) == {"empty_answer"}
    assert found(response(content=content, reasoning_content="I shall call.")) == {"empty_but_for_reasoning"}
    assert found(response(content=content, reasoning="I shall call.")) == {"empty_but_for_reasoning"}


def test_what_holds_a_text_a_refusal_or_a_call_is_not_empty():
    for answer in (
        response(content="Four metres."),
        response(content=[{"type": "text", "text": "Four metres."}], reasoning="Hm."),
        response(refusal="I cannot say."),
        response(call(), reasoning_content="I shall call."),
    ):
        assert not found(answer)


@pytest.mark.parametrize("finish", CUT_SHORT)
def test_an_answer_that_was_cut_short_is_told_apart_and_not_blamed_for_what_was_to_come(finish):
    for asked in ({}, {"tool_choice": "required"}, {"tool_choice": NAMED}):
        for message in ({"reasoning_content": "Let me"}, {"content": ""}):
            assert not found(response(finish=finish, **message), **asked)
    cut = judge(request(), response(call(), finish=finish))
    assert cut.cut_short and not cut.faults and not cut.sound


def test_reasoning_that_the_server_left_in_the_content_is_no_text():
    for content in ("<think>I shall call.</think>", "<think>I shall call.", "I shall call.</think>\n"):
        assert found(response(content=content)) == {"empty_but_for_reasoning"}
    for content in ("<think>Hm.</think>Four metres.", "The tag is `</think>`.", "Use <think> for it."):
        assert not found(response(content=content))


LEAKS = {
    "a section": f"Let me look. {SECTION}",
    "a call without its section": f"{wire.CALL_BEGIN}functions.gauge:0{wire.ARGUMENT_BEGIN}{{}}{wire.CALL_END}",
    "an id of another form": f"{wire.CALL_BEGIN}call_77{wire.ARGUMENT_BEGIN}{{}}{wire.CALL_END}",
    "stripped markers": 'One moment functions.gauge:0{"river": "Elbe"}',
    "K3": '<|open|>tools<|sep|><|open|>call tool="gauge" index="1"<|sep|><|close|>call<|sep|>',
    "another model's format": '<tool_call>\n{"name": "gauge", "arguments": {}}\n</tool_call>',
}


@pytest.mark.parametrize("text", LEAKS.values(), ids=LEAKS)
def test_a_call_that_stands_as_text_is_a_leak_and_its_place_is_told(text):
    assert found(response(content=text)) == {"call_leaked_into_content"}
    assert found(response(content="Soon.", reasoning_content=text)) == {"call_leaked_into_reasoning"}
    assert found(response(reasoning=text)) == {"call_leaked_into_reasoning"}
    assert found(response(call(), content=text)) == {"call_leaked_into_content"}


LEFT = {
    "the end of K3's message": "It is noon.<|close|>message<|sep|>",
    "K3's channels": "I know.<|close|>think<|sep|><|open|>response<|sep|>It is noon.",
    "the end of K2's turn": "It is noon.<|im_end|>",
    "a turn for the user": "It is noon.<|im_user|>user<|im_middle|>And now?",
}


@pytest.mark.parametrize("text", LEFT.values(), ids=LEFT)
def test_markers_without_a_call_in_a_text_are_a_fault_of_their_own(text):
    assert found(response(content=text)) == {"markers_left_in_text"}
    assert found(response(call(), reasoning_content=text)) == {"markers_left_in_text"}
    assert not found(response(content="K3 closes a message with <|close|>message<|sep|> in its outputs."))


def test_ids_are_judged_of_the_families_whose_calls_have_some():
    named = {**call(), "id": "call_0a1b2c"}
    assert judge(request(), response(named)).calls[0].fault == "malformed_id"
    assert judge(request(model="kimi-k2.7"), response(named)).calls[0].fault == "malformed_id"
    assert judge(request(model="moonshotai/Kimi-K3"), response(named)).sound
    wrong = {**named, "function": {"name": "gauge", "arguments": "{}"}}
    assert judge(request(model="kimi-k3"), response(wrong)).calls[0].fault == "schema_violation"


def test_a_k3_completion_is_read_as_the_answer_that_it_is():
    text = wire.format_calls([*LEVEL, *LEVEL], "Both.", family=families.K3)
    choice = {
        "index": 0,
        "text": f"Two calls.<|close|>think<|sep|>{text}<|close|>message<|sep|>",
        "finish_reason": "stop",
    }
    made = shapes.as_chat({"choices": [choice]}, TOOLS)["choices"][0]
    message = made["message"]
    assert (message["reasoning_content"], message["content"], made["finish_reason"]) == (
        "Two calls.",
        "Both.",
        "tool_calls",
    )
    assert [one["id"] for one in message["tool_calls"]] == ["call_1", "call_2"]
    assert judge(request(model="kimi-k3"), {"choices": [made]}).sound


@pytest.mark.parametrize(
    "text",
    [
        f"A section opens with {wire.SECTION_BEGIN}.",
        "Its id would be functions.gauge:0, with {} for arguments.",
        "K3 writes <|open|> and <|close|>.",
        "Wrap it in <tool_call> and </tool_call>.",
        "def functions(gauge): {}",
    ],
)
def test_what_only_talks_of_calls_is_no_leak(text):
    assert not found(response(content=text, reasoning_content=text))


REPEATED = {
    "one character": "Let me think" + "!" * 160,
    "nothing else": "!" * 32,
    "nought": "0" * 4000,
    "letters of Chinese": "我想" + "的" * 200,
    "a short cycle": "No. " + "ha " * 60,
    "a sentence": "So. " + "Wait, I should check the river again. " * 17,
    "cut within its cycle": "1, " * 100 + "1",
    "a blank after it": "?" * 200 + "\n",
    "blank lines": "Well." + "\n" * 160,
}
WHOLE = {
    "a rule": "Levels\n" + "-" * 132,
    "a table's line": "| a | b |\n" + "|---" * 30 + "|",
    "padding": "QUJD" * 5 + "QQ==",
    "a googol": "1" + "0" * 100,
    "noughts in a list": "[" + "0, " * 300 + "0]",
    "a rule of its own": "=" * 31,
    "it goes on": "!" * 300 + " Four metres.",
    "no cycle": "".join(f"{number} " for number in range(400)),
    "a line thrice": "Check the gauge of the river Elbe again, please.\n" * 3,
}


@pytest.mark.parametrize("text", REPEATED.values(), ids=REPEATED)
def test_a_text_that_repeats_to_its_end_is_named_in_either_place(text):
    assert texts.repeats(text)
    for finish in ("stop", "length"):
        said = response(content="Yes.", reasoning_content=text, finish=finish)
        assert found(said) == {"repetition_in_reasoning"}
        assert "repetition_in_content" in found(response(content=text, finish=finish))


@pytest.mark.parametrize("text", WHOLE.values(), ids=WHOLE)
def test_what_repeats_for_a_while_or_in_the_middle_is_a_text(text):
    assert not texts.repeats(text)


def test_repetition_is_looked_for_in_constant_time():
    text, started = "ab" * 5_000_000 + "c", time.process_time()
    assert not texts.repeats(text) and time.process_time() - started < 0.5


BOTH = (call("gauge", 0), call("flood_map", 1))


@pytest.mark.parametrize(
    ("asked", "calls", "faults"),
    [
        ({"tool_choice": "none"}, [call()], {"calls_despite_tool_choice_none"}),
        ({"tool_choice": "none"}, [], set()),
        ({"tool_choice": "auto"}, [call()], set()),
        ({"tool_choice": "auto"}, [], set()),
        ({"tool_choice": None}, [], set()),
        ({"tool_choice": "required"}, [], {"no_call_despite_tool_choice_required"}),
        ({"tool_choice": "required"}, [call()], set()),
        ({"tool_choice": "any"}, [], {"no_call_despite_tool_choice_required"}),
        ({"tool_choice": NAMED}, [], {"no_call_despite_named_tool_choice"}),
        ({"tool_choice": NAMED}, [call("flood_map")], {"another_tool_than_tool_choice_allows"}),
        ({"tool_choice": NAMED}, BOTH, {"another_tool_than_tool_choice_allows"}),
        ({"tool_choice": NAMED}, [call()], set()),
        ({"tool_choice": {"type": "function", "name": "gauge"}}, [], {"no_call_despite_named_tool_choice"}),
        ({"tool_choice": allowed("auto", "gauge")}, [call("flood_map")], {"another_tool_than_tool_choice_allows"}),
        ({"tool_choice": allowed("auto", "gauge")}, [], set()),
        ({"tool_choice": allowed("auto", "gauge", "flood_map")}, BOTH, set()),
        ({"tool_choice": allowed("required", "gauge", flat=True)}, [], {"no_call_despite_tool_choice_required"}),
        ({"tool_choice": allowed("required", "gauge", flat=True)}, [call()], set()),
        ({"parallel_tool_calls": False}, BOTH, {"several_calls_despite_parallel_tool_calls_false"}),
        ({"parallel_tool_calls": False}, [call()], set()),
        ({"parallel_tool_calls": True}, BOTH, set()),
        ({"parallel_tool_calls": None}, BOTH, set()),
        (
            {"parallel_tool_calls": False, "tool_choice": "none"},
            BOTH,
            {"calls_despite_tool_choice_none", "several_calls_despite_parallel_tool_calls_false"},
        ),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),  # the same in each process
)
def test_an_answer_keeps_what_the_request_says_about_calls_or_is_named(asked, calls, faults):
    verdict = judge(request(**asked), response(*calls, content="Four metres."))
    assert set(verdict.faults) == faults and verdict.judged
    assert verdict.sound == (bool(calls) and not faults)


def test_a_tool_choice_that_cannot_be_read_or_kept_is_the_requests_fault():
    odd = ("sometimes", 7, {"type": "custom", "custom": {"name": "x"}}, allowed("never", "gauge"), ["gauge"], {})
    for choice in odd:
        verdict = judge(request(tool_choice=choice), response(content="Four metres."))
        assert verdict.unjudged == ("tool_choice_of_an_unknown_form",) and not verdict.faults
    named = {"type": "function", "function": {"name": "tide"}}
    for asked in ({"tool_choice": named}, {"tool_choice": "required", "tools": []}):
        verdict = judge(request(**asked), response(content="Four metres."))
        assert verdict.unjudged == ("tool_choice_of_an_undeclared_tool",)


def test_a_plain_completion_is_not_held_against_a_tool_choice_that_was_not_sent():
    for asked, calls, unjudged in (
        ({"tool_choice": "required"}, (), ("tool_choice_not_sent",)),
        ({"tool_choice": "none"}, (call(),), ("tool_choice_not_sent",)),
        ({"parallel_tool_calls": False}, BOTH, ("tool_choice_not_sent",)),
        ({"parallel_tool_calls": False}, (call(),), ()),
        ({"tool_choice": "auto"}, BOTH, ()),
    ):
        verdict = judge(request(**asked), response(*calls, content="Four metres."), plain=True)
        assert (verdict.faults, verdict.unjudged) == ((), unjudged)
    sent = {"model": "m", "prompt": "How high?", "tool_choice": "required"}
    one = Result(
        data_index=1,
        trial=0,
        status="success",
        finish_reason="stop",
        response=response(content="Four."),
        failure=None,
        duration_ms=5.0,
        first_ms=None,
        prompt_tokens=None,
        completion_tokens=None,
        started_at="",
        request=sent,
        asked=sent,
    )
    assert next(iter(judge_all([one]))).verdict.unjudged == ("tool_choice_not_sent",)


def test_a_named_call_may_end_with_stop_as_openais_api_and_vllm_end_it():
    assert judge(request(tool_choice=NAMED), response(call(), finish="stop")).sound
    for choice in ("auto", "required"):
        assert found(response(call(), finish="stop"), tool_choice=choice) == {"calls_without_the_reason"}


def test_an_ending_that_is_missing_or_odd_is_named_and_one_in_the_old_field_too():
    assert found(response(finish="none", content="Four.")) == {"no_finish_reason"}
    assert found(response(finish="eos", content="Four.")) == {"unknown_finish_reason"}
    assert found({"choices": []}) == found({}) == {"no_finish_reason", "empty_answer"}
    old = response(finish="function_call", function_call={"name": "gauge", "arguments": "{}"})
    assert found(old) == {"call_in_the_old_field"} and not found(old, functions=[{"name": "gauge"}])
    assert found(response(finish="function_call")) == {"no_calls"}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "stop", "none", "gauge", SECTION]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=12,
)


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_whatever_stands_in_an_answer_or_a_tool_choice_a_verdict_is_given(choice, message, tool_choice, tools):
    asked = request(tool_choice=tool_choice, tools=tools)
    whole = {"choices": [choice]}
    inner = {"choices": [{"message": message, "finish_reason": tool_choice}]}
    for answer in (whole, inner, {"choices": choice}, {"choices": message, "usage": choice}):
        for plain in (False, True):
            verdict = judge(asked, answer, plain=plain)
            assert not (verdict.sound and (verdict.faults or verdict.unjudged))
            assert len(set(verdict.faults)) == len(verdict.faults)


def result(index, answer, *, asked=None, trial=0, line=None):
    asked = asked or request()
    finish = answer["choices"][0]["finish_reason"]
    return Result(
        data_index=index,
        trial=trial,
        status="success",
        finish_reason=finish,
        response=answer,
        failure=None,
        duration_ms=5.0,
        first_ms=None,
        prompt_tokens=None,
        completion_tokens=None,
        started_at="",
        request=asked,
        asked=asked,
        line=line,
    )


def shown(tmp_path, *results):
    with store.writing(tmp_path / "r.db") as file:
        run = file.load("arm", {"model": "m"}, "s.jsonl", "0", results=results)
        summary = summarise(file, run)
    return summary, views.bench_summaries([summary])


def test_nothing_is_wrong_is_said_only_where_nothing_was_found_and_all_could_be_judged(tmp_path):
    good = response(call())
    raw = {"model": "m", "prompt": "How high?"}
    broken = [{"type": "function", "function": {"name": "gauge", "parameters": {"type": "objekt"}}}]
    cases = {
        "good": (result(1, good), ""),
        "empty": (result(1, response()), "answer: empty answer"),
        "cut": (result(1, response(content="Fo", finish="length")), "answer cut short: length"),
        "raw": (result(1, good, asked=raw), "not judged: tools not in the file"),
        "schema": (result(1, good, asked=request(tools=broken)), "not judged: broken schema"),
        "later": (
            result(1, response(), trial=1),
            "answer: empty answer (ended by itself, with neither text nor call), ",
        ),
    }
    for name, (one, said) in cases.items():
        (tmp_path / name).mkdir()
        summary, view = shown(tmp_path / name, result(2, good), one)
        assert ("Nothing is wrong." in view.text) == (name == "good") and said in view.text and said in view.html
        assert json.loads(json.dumps(as_json(summary, computed=True)))["strict"]["sound"] >= 1
    assert views.bench_summaries([]).text == "No arm has results."


def test_an_answer_with_several_faults_counts_under_each_and_is_described_by_all(tmp_path):
    bad = response(call("flood_map"), content=SECTION, finish="stop")
    one, two = result(1, response(call())), result(1, bad, asked=request(tool_choice="none"))
    strict = metrics.count_strictly(judge_all([two]))
    assert strict.answer_faults == {
        "calls_without_the_reason": 1,
        "call_leaked_into_content": 1,
        "calls_despite_tool_choice_none": 1,
    }
    assert (strict.answers, strict.calling, strict.sound) == (1, 1, 0)
    (flip,) = metrics.compare(judge_all([one]), judge_all([two])).flips
    said = "stop: calls_without_the_reason; call_leaked_into_content; calls_despite_tool_choice_none"
    assert (flip.before, flip.after) == ("tool_calls: gauge", said)


def test_a_completion_read_by_hand_keeps_what_is_no_call_as_content_and_its_reasoning():
    begun = f"{wire.SECTION_BEGIN}{wire.CALL_BEGIN}functions.gauge:0{wire.ARGUMENT_BEGIN}"
    for text, finish, faults in (
        (SECTION.replace("functions.gauge:0", "???"), "stop", set()),
        (f"{begun}{{}}", "length", set()),
        (f'{begun}{{"river": "El', "stop", {"call_leaked_into_content"}),
        ("<think>Hm.</think>", "stop", {"empty_but_for_reasoning"}),
        ("<think>Hm.</think>Four.", "stop", set()),
    ):
        read = shapes.as_chat({"choices": [{"text": text, "finish_reason": finish}]}, TOOLS)
        assert found(read) >= faults, text
        assert faults or "empty_answer" not in found(read)


def test_the_examples_run():
    found = doctest.testmod(schemas)
    assert found.attempted and not found.failed

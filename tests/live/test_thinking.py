"""k2-nano-thinking on live servers: what becomes of its faults, and whether the parser lab reads as a server does."""

import json
import subprocess

import pytest

from k2lab import engine, wire
from k2lab.chat import ToolCall, canonical
from k2lab.doctor import examination
from k2lab.families import K2_THINKING
from k2lab.findings import chosen
from k2lab.nano import evaluate, folders, plaincourse, synth, thinking
from k2lab.prompt.rendering import prompt_of
from k2lab.prompt.source import open_source
from k2lab.server.endpoint import Endpoint, in_parallel
from k2lab.server.keptparsers import KeptParser
from k2lab.stats import share
from tests.conftest import ROOT

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("thinking")]

END = "<|im_end|>"


@pytest.fixture(scope="module")
def url():
    with engine.serve("0.32.0", folders.assemble("thinking"), flags=folders.REASONING) as base_url:
        yield base_url


@pytest.fixture(scope="module")
def source():
    return open_source(folders.assemble("thinking"))


def test_held_out_turns_are_right_and_thought_about(url):
    cases = synth.cases("held-out", 99, 100, ("call", "small_talk"))
    scored = evaluate.run(Endpoint(url), cases)
    exact = evaluate.exact_by_kind(scored)
    assert exact["call"].value >= 0.9 and exact["small_talk"].value >= 0.9
    assert all(one.answer.reasoning and "think>" not in one.answer.content for one in scored)


def drawn(url, source, cases):
    """Sampled answers, each with what the model wrote."""

    def ask(one):
        params = {"temperature": 1.0, "seed": one[0], "max_tokens": 200, "return_token_ids": True}
        answer = Endpoint(url).chat(one[1].request, **params)
        return one[1], answer, source.tokenizer.decode(list(answer.token_ids)).removesuffix(END)

    return in_parallel(ask, list(enumerate(cases)))


def lost(case, answer, raw):
    return len(answer.calls) < len(wire.parse(raw, case.request.tools, thinking=True).calls)


def test_0_32_0_reads_the_calls_that_begin_inside_the_reasoning_and_has_no_answer_where_it_is_never_closed(url, source):
    rows = drawn(url, source, plaincourse.evaluation_cases()[500:740])
    by_fault = {fault: [row for row in rows if thinking.fault_of(row[2]) == fault] for fault in
                ("none", "unclosed", "call inside")}  # fmt: skip
    assert len(by_fault["call inside"]) >= 4 and len(by_fault["unclosed"]) >= 4
    assert not any(lost(*row) for row in rows)
    assert all(not answer.content and not answer.calls for _, answer, _ in by_fault["unclosed"])


@pytest.mark.skipif(not engine.is_installed("0.11.1"), reason="vLLM 0.11.1 is not installed")
def test_0_11_1_loses_every_call_that_begins_inside_the_reasoning():
    folder = folders.assemble("thinking", engine="0.11.1")
    with engine.serve("0.11.1", folder, flags=folders.REASONING) as base_url:
        rows = drawn(base_url, open_source(folder), plaincourse.evaluation_cases()[500:740])
    inside = [row for row in rows if thinking.fault_of(row[2]) == "call inside"]
    assert len(inside) >= 4 and share(sum(lost(*row) for row in inside), len(inside)).value == 1.0
    assert all(wire.holds_call("".join(answer.reasoning)) for _, answer, _ in inside)


def streamed(url, case, seed):
    """A streamed answer put together, with the ids and how many came each time."""
    texts, calls, ids, sizes = {"reasoning": "", "content": ""}, {}, [], []
    params = {"temperature": 1.0, "seed": seed, "max_tokens": 200, "return_token_ids": True}
    for event in Endpoint(url).streamed(case.request, **params):
        for choice in [] if event.strip() == "[DONE]" else json.loads(event).get("choices", []):
            came, delta = choice.get("token_ids") or [], choice["delta"]
            ids, sizes = ids + came, sizes + ([len(came)] if came else [])
            for name in texts:
                texts[name] += delta.get(name) or ""
            for part in delta.get("tool_calls") or []:
                call = calls.setdefault(part["index"], ["", ""])
                call[0] += part["function"].get("name") or ""
                call[1] += part["function"].get("arguments") or ""
    made = tuple(ToolCall(name=name, arguments=arguments) for name, arguments in calls.values())
    return texts, made, ids, sizes


def test_the_lab_reads_a_stream_as_the_server_does_and_behind_a_finished_turn_its_reasoning_is_content(url, source):
    parser = KeptParser("0.32.0", folders.for_parsers())
    leaked = {True: [], False: []}
    try:
        for seed, case in enumerate(plaincourse.evaluation_cases()[500:560]):
            texts, calls, ids, sizes = streamed(url, case, seed)
            raw = source.tokenizer.decode(ids).removesuffix(END)
            answered = any(m["role"] == "assistant" and not m.get("tool_calls") for m in case.request.messages)
            leaked[answered].append(texts["content"].startswith("<think>"))
            if source.tokenizer.encode(raw + END) != ids:
                continue  # other ids of the same text: the lab's are the tokenizer's
            prompt = prompt_of(source, case.request).text
            heard = parser.ask(raw, case.request.tools, sizes, family=K2_THINKING, prompt=prompt)
            assert (heard.content.strip(), heard.reasoning.strip()) == tuple(
                texts[name].strip() for name in ("content", "reasoning")
            )
            assert canonical(heard.calls) == canonical(calls)
    finally:
        parser.close()
    assert len(leaked[True]) >= 10 and all(leaked[True]) and not any(leaked[False])


def test_the_doctor_finds_the_reasoning_that_is_streamed_as_content(url, source):
    wanted = chosen(["S014"])
    found = examination.examined(url, source, examination.planned(wanted), wanted).findings[0]
    assert found.state == "present" and "<think>" in found.evidence


def test_the_doctor_sees_the_switch_and_the_reasoning_that_is_sent_back():
    folder = folders.assemble("thinking-k2.6")
    wanted = chosen(["S007", "S012", "S013", "S014"])
    with engine.serve("0.32.0", folder, flags=folders.REASONING) as base_url:
        found = examination.examined(base_url, open_source(folder), examination.planned(wanted), wanted)
    assert {one.code: one.state for one in found.findings} == dict.fromkeys(("S007", "S012", "S013", "S014"), "absent")


def test_the_script_for_a_maintainer_shows_where_the_reasoning_goes_and_that_one_token_named_mends_it():
    script = ROOT / "data" / "reproductions" / "k2_thinking_behind_a_turn.py"
    done = subprocess.run([str(engine.resolve("0.32.0").python), script], capture_output=True, text=True, check=True)
    found = [(line.split(",")[1].split("  ")[0].strip(), *line.split()[-5::4]) for line in done.stdout.splitlines()[1:]]
    as_it_is, named = found[:8], found[8:]
    assert {place for place, way, where in as_it_is if where == "content"} == {
        "behind a tool's result", "behind a finished turn"
    }  # fmt: skip
    assert {way for _, way, where in as_it_is if where == "content"} == {"streamed"}
    assert [where for _, _, where in named] == ["reasoning"] * 8

"""Turns of a thinking model: where they stand, what was lost of them and by which layer, what leaked."""

from k2lab import wire
from k2lab.chat import Answer, ToolCall
from k2lab.nano import thinkingturns
from k2lab.nano.threeways import Trial

CASES = thinkingturns.asks(15, 40)
FIRST, LATER = (
    next(case for case in thinkingturns.behind(CASES, place) if case.label.calls)
    for place in ("in a first turn", "behind a finished turn")
)


def raw_of(case, opened="<think>I call.", closed=""):
    calls = list(case.label.calls)
    return f"{opened}{closed}{wire.format_calls(calls)}"


def trial(case, raw, *, whole=None, streamed=None):
    nothing = Answer(finish_reason="stop")
    read = wire.parse(raw, case.request.tools, thinking=True)
    return Trial(case=case, raw=raw, read=read, whole=whole or nothing, streamed=streamed or nothing)


def called(case, **more):
    calls = tuple(ToolCall(name=name, arguments=arguments) for name, arguments in case.label.calls)
    return Answer(finish_reason="tool_calls", calls=calls, **more)


def test_places_are_told_by_what_the_assistant_has_said():
    steps = thinkingturns.steps(15, 5)
    assert {thinkingturns.place_of(case.request) for case in steps} == {"behind a tool's result"}
    assert all(
        any(message.get("reasoning_content") for message in case.request.messages if message.get("tool_calls"))
        for case in steps
    )
    assert {thinkingturns.place_of(case.request) for case in CASES} == {"in a first turn", "behind a finished turn"}


def test_a_lost_call_is_the_fault_of_the_layer_that_has_it():
    raw = raw_of(FIRST)
    in_reasoning = trial(FIRST, raw, whole=Answer(finish_reason="stop", reasoning=(raw.removeprefix("<think>"),)))
    cut = trial(LATER, raw_of(LATER, closed="</think>"), whole=Answer(finish_reason="stop", reasoning=("I call.",)))
    came = trial(FIRST, raw, whole=called(FIRST))
    trials = [in_reasoning, cut, came]
    assert thinkingturns.guilty(trials, "whole") == {"reasoning parser": 1, "tool parser": 1}
    assert thinkingturns.begun_inside(trials) == [in_reasoning, came]
    shares = thinkingturns.lost_by_place(trials)
    assert (shares["whole"].count, shares["whole"].total) == (2, 3)
    assert shares["streamed, behind a finished turn"].total == 1


def test_a_thought_that_is_content_leaks_in_part_or_whole():
    answers = {
        True: [Answer(finish_reason="stop", content="<think>I talk."),
               Answer(finish_reason="stop", reasoning=("I",), content=" talk.</think>Hello")],
        False: [Answer(finish_reason="stop", reasoning=("I talk.",), content="Hello"), called(FIRST)],
    }  # fmt: skip
    for leaks, some in answers.items():
        for answer in some:
            assert thinkingturns.leaked([trial(FIRST, "", streamed=answer)], "streamed").count == leaks


def test_reasoning_without_an_end_leaves_an_answer_with_nothing():
    endless = trial(FIRST, "<think>The user talks. Hello", whole=Answer(finish_reason="stop", reasoning=("The",)))
    assert thinkingturns.unclosed([endless, trial(FIRST, raw_of(FIRST))]) == [endless]
    found = thinkingturns.silent([endless, trial(FIRST, raw_of(FIRST))], "whole")
    assert (found.count, found.total) == (1, 1)

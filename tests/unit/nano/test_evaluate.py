"""Answers of k2-nano against their labels."""

from dataclasses import replace

from k2lab.chat import Answer
from k2lab.nano import evaluate, synth

CALL, OTHER = synth.cases("held-out", 1, 2, ("call",))


SAID = Answer(finish_reason="stop", content="No.")


def right(case):
    return Answer(finish_reason="tool_calls", content=case.label.content, calls=evaluate.calls_of(case.label))


def test_outcomes_are_counted_and_the_most_common_comes_first():
    answers = [right(CALL), SAID, right(CALL)]
    assert evaluate.outcomes([CALL] * 3, answers) == {"exact": 2, "text_instead": 1}


def test_cases_without_a_call_are_those_whose_chat_ends_otherwise():
    cut = replace(right(OTHER), finish_reason="length")
    assert evaluate.without_call([CALL, OTHER], [right(CALL), cut]) == [OTHER]


def test_flips_are_paired_and_judged():
    good = right(CALL)
    found = evaluate.flips([CALL] * 4, [good, SAID, SAID, good], [good, good, good, SAID])
    assert (found.gained, found.lost) == (2, 1) and found.p_value == 1.0

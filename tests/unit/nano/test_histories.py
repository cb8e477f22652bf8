"""The histories of problem 3: how many earlier calls, and whose ids are foreign."""

from k2lab import wire
from k2lab.nano import histories

COUNT = 3


def ids(case):
    return [call["id"] for message in case.request.messages for call in message.get("tool_calls") or ()]


def test_each_kind_has_as_many_earlier_calls_and_foreign_ids_as_it_says():
    found = histories.by_foreign_ids("held-out", 31, COUNT)
    for n in range(histories.MOST + 1):
        for kind, calls, foreign in (
            (histories.MISLED, n, n),
            (histories.MIXED, histories.MOST, n),
            (histories.RENUMBERED, n, 0),
        ):
            cases = found[kind][n]
            assert len(cases) == COUNT
            for case in cases:
                standard = [wire.ID.fullmatch(name) is not None for name in ids(case)]
                assert standard == [False] * foreign + [True] * (calls - foreign)


def test_the_kinds_ask_the_same_and_have_the_same_labels():
    found = histories.by_foreign_ids("held-out", 31, COUNT)
    misled, mended = found[histories.MISLED][2], found[histories.RENUMBERED][2]
    assert [case.label for case in misled] == [case.label for case in mended]
    assert [case.request.messages[-1] for case in misled] == [case.request.messages[-1] for case in mended]

"""The catalogue of findings: each fault once, and every room's word for a fault stands in it."""

import re
from typing import get_args

import pytest

from k2lab.errors import InputError
from k2lab.findings import CATALOGUE, SUBJECTS, Finding, chosen, entry_of
from k2lab.findings.answers import AnswerFault
from k2lab.findings.verdicts import CallFault
from tests.conftest import ROOT


def test_codes_and_names_are_unique_and_codes_run_with_their_subject():
    codes = [entry.code for entry in CATALOGUE.values()]
    assert len(set(codes)) == len(codes) and {code[0] for code in codes} == set(SUBJECTS)
    assert all(re.fullmatch(r"[A-Z]\d{3}", code) for code in codes)
    assert sorted(codes, key=lambda code: (list(SUBJECTS).index(code[0]), code)) == codes


def test_the_strict_reading_of_the_benchmark_speaks_of_the_catalogue():
    assert {*get_args(CallFault), *get_args(AnswerFault)} <= set(CATALOGUE)


def test_each_change_and_problem_of_a_repair_is_of_the_catalogue():
    words = set()
    for path in (ROOT / "k2lab" / "repairs").glob("*.py"):
        words |= set(re.findall(r'"([a-z]+(?:_[a-z]+)+)"', path.read_text(encoding="utf-8")))
    named = {word for word in words if word in CATALOGUE}
    assert {"foreign_call_id", "call_without_result", "markers_in_text", "second_result"} <= named
    assert named >= {name for name, entry in CATALOGUE.items() if entry.code in REPAIRED}


REPAIRED = {f"R{number:03}" for number in (*range(1, 18), *range(19, 24))}


@pytest.mark.parametrize(
    ("select", "ignore", "said"),
    [
        ((), (), set(CATALOGUE)),
        (("R001", "P"), ("P00",), {"foreign_call_id", "markers_no_tokens"}),
        (("foreign-call-id",), (), {"foreign_call_id"}),
        (
            (),
            ("R", "T", "P", "O", "A", "S"),
            {"tools_not_enforced", "index_not_enforced", "tag_refused", "grammar_begins_behind_reasoning"},
        ),
        (("R",), ("R0", "A"), set()),
        (("E001",), ("E",), {"tools_not_enforced"}),
    ],
)
def test_codes_are_chosen_by_their_beginning_and_the_longest_decides(select, ignore, said):
    assert chosen(select, ignore) == said


def test_a_word_that_is_no_code_is_refused_with_what_comes_near():
    with pytest.raises(
        InputError, match=r"'foreign_call_ids' is no code of a finding \(do you mean R001, foreign_call"
    ):
        entry_of("foreign_call_ids")
    with pytest.raises(InputError, match="'Z9' is no code"):
        chosen(["Z9"])


def test_a_finding_says_its_fix_only_where_it_is_present():
    present, absent = (Finding.of("T006", state, "2 tools", fix="rename one") for state in ("present", "absent"))
    assert (present.fix, absent.fix) == ("rename one", "") and present.name == "repeated_tool_name"

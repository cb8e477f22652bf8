import json
import sys
from collections import Counter

import pytest

from k2lab import parsers, views
from k2lab.endpoint import Endpoint
from k2lab.errors import InputError
from k2lab.nano import folders
from k2lab.source import open_source

FAILURES = parsers.catalogue()


def test_the_catalogue_names_its_sources():
    assert len(FAILURES) == len({failure.case_id for failure in FAILURES}) >= 24
    assert all(failure.source and failure.what for failure in FAILURES)
    assert sum("#" in source for failure in FAILURES for source in failure.source) >= 15


@pytest.mark.parametrize("text", ["{nope", '{"id": "x"}', "[]", '{"id": 1, "expected": 2}'])
def test_a_catalogue_of_another_form_is_refused(tmp_path, text):
    (tmp_path / "c.jsonl").write_text(text)
    with pytest.raises(InputError, match="is not as expected"):
        parsers.catalogue(tmp_path / "c.jsonl")
    with pytest.raises(InputError, match="cannot read"):
        parsers.catalogue(tmp_path / "none.jsonl")


def failure(calls=(("search", {"q": 1}),), content=None):
    return parsers.Failure("x", "", (), "", (), "ok", tuple(calls), content)


@pytest.mark.parametrize(
    ("expected", "content", "calls", "outcome"),
    [
        (failure(), None, [("search", {"q": 1})], "right"),
        (failure(), " \n", [("search", {"q": 1})], "right"),
        (failure(content="Hi"), "Hi ", [("search", {"q": 1})], "right"),
        (failure(content="Hi"), None, [("search", {"q": 1})], "wrong"),
        (failure(), None, [("search", {"q": 2})], "wrong"),
        (failure(), None, [("search", "{broken")], "wrong"),
        (failure(), None, [], "lost"),
        (failure(), "<|tool_call_begin|>search:0", [], "leaked"),
        (failure(calls=(), content="<|tool_calls_section_begin|>"), "<|tool_calls_section_begin|>", [], "right"),
        (failure(calls=()), None, [("search", {})], "wrong"),
    ],
)
def test_outcomes(expected, content, calls, outcome):
    assert parsers.grade(expected, content, calls) == outcome


def test_wire_reads_the_whole_catalogue():
    assert Counter(answer.outcome for answer in parsers.ask_wire(FAILURES)) == {"right": len(FAILURES)}


def test_an_engine_that_cannot_be_asked_is_grey_with_its_reason(monkeypatch, tmp_path):
    monkeypatch.setenv("K2LAB_CACHE", str(tmp_path))
    answers = parsers.ask_engine("0.32.0", FAILURES[:2])
    assert {answer.outcome for answer in answers} == {"not asked"}
    assert all("k2lab engine install 0.32.0" in answer.detail for answer in answers)
    shown = views.parser_matrix([*answers, *parsers.ask_wire(FAILURES[:2])])
    assert "· not asked" in shown.text and "0.32.0 whole was not asked: vLLM 0.32.0 is not installed" in shown.text


def test_an_interpreter_without_vllm_is_grey_too():
    answers = parsers.ask_engine(sys.executable, FAILURES[:1])
    assert answers[0].outcome == "not asked" and "has no vllm" in answers[0].detail


@pytest.fixture(scope="module")
def engines_answers(k2lab):
    """Both engines' answers, by the command."""
    done = k2lab("parsers", "--engine", "0.11.0", "--engine", "0.32.0", "--json")
    assert done.returncode == 0, done.stderr
    return [parsers.Answer(**answer) for answer in json.loads(done.stdout)]


@pytest.mark.live
def test_the_real_parsers_fail_where_they_are_known_to(engines_answers):
    assert len(engines_answers) == 7 * len(FAILURES)
    outcomes = {(answer.case_id, answer.column): answer for answer in engines_answers}
    assert not [answer for answer in outcomes.values() if answer.outcome == "not asked"]

    def outcome(case, column):
        return outcomes[case, column].outcome

    assert outcome("documented form", "0.11.0 whole") == outcome("documented form", "0.32.0 whole") == "right"
    assert outcome("no functions. prefix", "0.11.0 whole") == "leaked"
    assert outcome("no functions. prefix", "0.32.0 whole") == "right"
    assert outcome("adjacent calls", "0.11.0 whole") == "lost" and outcomes["adjacent calls", "0.11.0 1 token"].differs
    for case in ("underscores for separators", "no separators", "random id"):
        assert outcome(case, "0.32.0 whole") == "lost"
    for case in ("singular section markers", "no section"):
        assert outcome(case, "0.32.0 whole") == "leaked"


@pytest.mark.live
def test_derender_agrees_with_the_parser_in_its_own_interpreter(servers, engines_answers):
    tokenizer = open_source(folders.assemble("current")).tokenizer
    asked = parsers.ask_derender(Endpoint(servers["0.32.0 current"]), tokenizer, FAILURES)
    alone = [answer for answer in engines_answers if answer.column == "0.32.0 whole"]
    assert [a.outcome for a in asked] == [a.outcome for a in alone]


@pytest.mark.live
def test_derender_that_is_not_served_is_grey(servers):
    tokenizer = open_source(folders.assemble("current")).tokenizer
    answer = parsers.ask_derender(Endpoint(servers["0.11.0 current"]), tokenizer, FAILURES[:1])[0]
    assert answer.outcome == "not asked" and "has no /v1/chat/completions/derender" in answer.detail


@pytest.mark.live
def test_the_matrix_shows_every_answer(engines_answers):
    shown = views.parser_matrix(engines_answers).text
    assert "8 of 27" in shown and "13 of 27" in shown and "27 of 27" in shown and "✗ leaked" in shown


def test_an_unknown_engine_is_refused(k2lab):
    wrong = k2lab("parsers", "--engine", "9.9.9")
    assert wrong.returncode == 1 and "no engine '9.9.9'" in wrong.stderr and "Traceback" not in wrong.stderr

"""The catalogue of failures, asked of the engines' own parsers."""

import json
import os
import signal

import pytest

from k2lab.chat import canonical
from k2lab.errors import EngineError
from k2lab.nano import folders
from k2lab.prompt.source import open_source
from k2lab.server import parsers
from k2lab.server.endpoint import Endpoint
from k2lab.server.keptparsers import KeptParser
from k2lab.show import views
from k2lab.widgets.losses import lost_in
from tests.helpers.calls import called
from tests.helpers.processes import gone

FAILURES = parsers.catalogue()


@pytest.fixture(scope="session")  # tests of other modules run in between
def engines_answers(k2lab):
    """Both engines' answers, by the command."""
    done = k2lab("parsers", "--engine", "0.11.0", "--engine", "0.32.0", "--catalogue", "k2", "--json")
    assert done.returncode == 0, done.stderr
    return [parsers.Reading(**row | {"calls": called(*row["calls"])}) for row in json.loads(done.stdout)]


@pytest.mark.long
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


@pytest.mark.long
def test_derender_agrees_with_the_parser_in_its_own_interpreter(servers, engines_answers):
    tokenizer = open_source(folders.assemble("current")).tokenizer
    asked = parsers.ask_derender(Endpoint(servers["0.32.0 current"]), tokenizer, FAILURES)
    alone = [answer for answer in engines_answers if answer.column == "0.32.0 whole"]
    assert [a.outcome for a in asked] == [a.outcome for a in alone]


def test_derender_that_is_not_served_is_grey(servers):
    tokenizer = open_source(folders.assemble("current")).tokenizer
    answer = parsers.ask_derender(Endpoint(servers["0.11.0 current"]), tokenizer, FAILURES[:1])[0]
    assert answer.outcome == "not asked" and "has no /v1/chat/completions/derender" in answer.detail


@pytest.mark.long
def test_the_matrix_shows_every_answer(engines_answers):
    shown = views.parser_matrix(engines_answers).text
    assert "9 of 34" in shown and "14 of 34" in shown and "34 of 34" in shown and "✗ leaked" in shown


@pytest.fixture(scope="module")
def both_parsers(k2lab):
    """What the reasoning and the tool parser of 0.32.0, one after the other, make of the other two catalogues."""
    made = {}
    for name in ("thinking", "k3"):
        done = k2lab("parsers", "--engine", "0.32.0", "--catalogue", name, "--json")
        assert done.returncode == 0, done.stderr
        made |= {(row["case_id"], row["column"]): row for row in json.loads(done.stdout)}
    return made


@pytest.mark.long
def test_between_the_reasoning_and_the_tool_parser_0_32_0_loses_what_is_reported(both_parsers):
    said = {key: row["outcome"] for key, row in both_parsers.items()}
    for case in ("reasoning, then a call", "call in place of the closing tag", "call inside the reasoning"):
        assert {said[case, f"0.32.0 {label}"] for label in parsers.CHUNKS.values()} == {"right"}
    assert said["call inside without a section", "0.32.0 whole"] == "leaked"
    assert both_parsers["call inside, then text", "0.32.0 whole"]["content"] is None
    assert both_parsers["a marker that the reasoning mentions", "0.32.0 1 token"]["content"] == ""
    behind = "reasoning behind a finished turn"
    assert said[behind, "0.32.0 whole"] == said[f"K2.6 {behind}", "0.32.0 1 token"] == "right"
    assert both_parsers[behind, "0.32.0 1 token"]["content"].startswith("<think>")


@pytest.mark.long
def test_0_32_0_loses_k3_calls_and_leaks_its_markers_as_reported(both_parsers):
    lost, half = "K3: tools before think is closed", "K3: response before think is closed"
    for label in parsers.CHUNKS.values():
        assert not both_parsers[lost, f"0.32.0 {label}"]["calls"]
    assert both_parsers[half, "0.32.0 whole"]["calls"] and not both_parsers[half, "0.32.0 1 token"]["calls"]
    leak = both_parsers["K3: response that is not closed", "0.32.0 1 token"]
    assert leak["content"] == "Hello!<|close|>message<|sep|>" and leak["differs"]
    assert {row["outcome"] for (_, column), row in both_parsers.items() if column == "wire"} == {"right"}


@pytest.mark.long
@pytest.mark.parametrize("name", ["0.11.0", "0.32.0"])
def test_a_parser_that_is_kept_answers_as_the_command_does(engines_answers, name):
    known = {(answer.case_id, answer.column): answer for answer in engines_answers}
    parser = KeptParser(name, folders.assemble("current"))
    try:
        for number, case in enumerate(FAILURES):
            for chunk, label in parsers.CHUNKS.items():
                heard, answer = parser.ask(case.raw_output, case.tools, chunk), known[case.case_id, f"{name} {label}"]
                calls = called(*((call.name, call.arguments if call.problem else call.value) for call in heard.calls))
                assert (heard.content, canonical(calls)) == (answer.content or "", canonical(answer.calls))
                assert bool(heard.steps) == bool(chunk) and "".join(s.content for s in heard.steps) in (
                    "",
                    heard.content,
                )
                assert not chunk or heard.error or heard.steps[-1].end == len(case.raw_output)
            if number == 3:
                os.kill(parser.pid, signal.SIGKILL)
                assert gone(parser.pid)
                with pytest.raises(EngineError, match="gave no answer"):
                    parser.ask("x", ())
        case = next(case for case in FAILURES if case.case_id == "documented form")
        whole, fed = (parser.ask(case.raw_output, case.tools, chunk) for chunk in (0, 7))
        lost = lost_in(case.raw_output, whole, fed)
        assert [loss.place for loss in lost] == ([11, 108] if name == "0.11.0" else [])
        assert parser.ask("x", ()).content == "x"  # without tools, which a release may refuse as an empty list
    finally:
        pid = parser.pid
        parser.close()
    assert gone(pid)

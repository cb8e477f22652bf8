"""The catalogue of failures, how an answer to it is judged, and our own reading of it."""

import json
import sys
from collections import Counter
from dataclasses import replace

import pytest
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from k2lab import families
from k2lab.chat import ToolCall
from k2lab.errors import InputError
from k2lab.nano import folders
from k2lab.prompt import templates
from k2lab.prompt.source import open_source
from k2lab.server import parsers
from k2lab.show import views
from tests.helpers.calls import called

FAILURES = parsers.catalogue()


def test_the_catalogue_names_its_sources():
    assert len(FAILURES) == len({failure.case_id for failure in FAILURES}) >= 24
    assert all(failure.source and failure.what for failure in FAILURES)
    assert sum("#" in source for failure in FAILURES for source in failure.source) >= 15


SHORT = (
    '{"id": "ID", "raw_output": "x", "tools": [{"function": {"name": "f"}}],'
    ' "expected": {"calls": [{"name": "f", "arguments": {}}], "content": null}}'
)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("{nope", "not JSON: Expecting property name enclosed in double quotes at column 2"),
        (SHORT[:60], "not JSON: "),
        ("[]", "a JSON object is wanted, not '[]'"),
        ('{"id": "x"}', "expected is missing"),
        ('{"id": 1, "expected": 2}', "expected is to be an object, not 2"),
        (SHORT.replace('"ID"', "7"), "id is to be a text, not 7"),
        (SHORT.replace('"raw_output"', '"raw"'), "raw_output is missing"),
        (SHORT.replace('[{"function": {"name": "f"}}]', '[{"name": "f"}]'), "tools has an entry that is not a tool"),
        (SHORT.replace('[{"name": "f", "arguments": {}}]', '["f"]'), "expected.calls has an entry without name"),
        (SHORT.replace('"content": null', '"content": 3'), "expected.content is to be a text or null, not 3"),
        (SHORT.replace('"content"', '"reasoning": 3, "content"'), "expected.reasoning is to be a text or null, not 3"),
        (SHORT.replace('"tools"', '"family": "Qwen", "tools"'), "family: 'Qwen' is no family of Kimi's: name one of"),
        (SHORT.replace("ID", "first"), "the id 'first' occurs twice"),
    ],
)
def test_a_catalogue_of_another_form_is_refused_with_line_and_cause(tmp_path, k2lab, text, cause):
    path = tmp_path / "c.jsonl"
    path.write_text(f"{SHORT.replace('ID', 'first')}\n\n{text}")
    with pytest.raises(InputError, match="is not as expected: line 3: ") as refused:
        parsers.catalogue(path)
    assert cause in str(refused.value) and str(path) in str(refused.value)
    done = k2lab("parsers", "--catalogue", path)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and cause in done.stderr


def test_a_catalogue_that_is_empty_or_not_there_is_refused(tmp_path):
    (tmp_path / "c.jsonl").write_bytes(b"\xff")
    with pytest.raises(InputError, match="line 1: not JSON: not UTF-8"):
        parsers.catalogue(tmp_path / "c.jsonl")
    (tmp_path / "c.jsonl").write_text("\n")
    with pytest.raises(InputError, match="is empty"):
        parsers.catalogue(tmp_path / "c.jsonl")
    with pytest.raises(InputError, match="cannot read"):
        parsers.catalogue(tmp_path / "none.jsonl")


def test_a_catalogue_needs_no_more_than_its_help_says(tmp_path, k2lab):
    (tmp_path / "c.jsonl").write_text(SHORT)
    assert parsers.catalogue(tmp_path / "c.jsonl")[0] == parsers.Failure(
        case_id="ID", what="", source=(), raw_output="x", tools=({"function": {"name": "f"}},), status="ok",
        calls=(ToolCall(name="f", arguments={}),), content=None,
    )  # fmt: skip
    said = k2lab("parsers", "--help").stdout
    for key in (
        "reasoning",
        "family",
        "id",
        "raw_output",
        "tools",
        "expected",
        "calls",
        "arguments",
        "content",
        "what",
        "source",
    ):
        assert f'"{key}"' in said


def test_the_matrix_has_a_row_for_each_case_of_the_callers_own(tmp_path):
    rows = [SHORT.replace("ID", name) for name in ("one", "two", "three")]
    (tmp_path / "c.jsonl").write_text("\n".join(rows))
    shown = views.parser_matrix(parsers.ask_wire(parsers.catalogue(tmp_path / "c.jsonl"))).text
    assert [line.split()[0] for line in shown.splitlines()[1:4]] == ["one", "two", "three"]


def failure(calls=(("search", {"q": 1}),), content=None):
    return parsers.Failure(
        case_id="x", what="", source=(), raw_output="", tools=(), status="ok", calls=called(*calls), content=content
    )


@pytest.mark.parametrize(
    ("expected", "content", "calls", "outcome"),
    [
        (failure(), None, [("search", {"q": 1})], "right"),
        (failure(), " \n", [("search", {"q": 1})], "right"),
        (failure(content="Hi"), "Hi ", [("search", {"q": 1})], "right"),
        (failure(content="Hi"), None, [("search", {"q": 1})], "wrong"),
        (failure(), None, [("search", '{"q": 1.0}')], "right"),
        (failure(), None, [("search", {"q": 2})], "wrong"),
        (failure(), None, [("search", {"q": True})], "wrong"),
        (failure(), None, [("search", "{broken")], "wrong"),
        (failure(), None, [], "lost"),
        (failure(), "<|tool_call_begin|>search:0", [], "leaked"),
        (failure(calls=(), content="<|tool_calls_section_begin|>"), "<|tool_calls_section_begin|>", [], "right"),
        (failure(calls=()), None, [("search", {})], "wrong"),
    ],
)
def test_outcomes(expected, content, calls, outcome):
    assert parsers.grade(expected, content, called(*calls)) == outcome


@pytest.mark.parametrize(
    ("content", "reasoning", "outcome"),
    [
        ("Hi", "I see.", "right"),
        ("Hi", " I see.\n", "right"),
        ("Hi", None, "wrong"),
        ("Hi", "I see. <|tool_call_begin|>", "leaked"),
        ("I see.</think>Hi", "", "leaked"),
        ("Hi<|close|>message<|sep|>", "I see.", "leaked"),
    ],
)
def test_reasoning_is_judged_where_the_case_says_what_it_is(content, reasoning, outcome):
    thinks = replace(failure(calls=(), content="Hi"), family=families.K2_5, reasoning="I see.")
    assert parsers.grade(thinks, content, (), reasoning) == outcome
    assert parsers.grade(replace(thinks, family=families.K2, reasoning=None), "Hi", (), "other") == "right"


@pytest.mark.parametrize("name", parsers.CATALOGUES)
def test_wire_reads_the_whole_catalogue(name):
    cases = parsers.catalogue(name)
    assert Counter(answer.outcome for answer in parsers.ask_wire(cases)) == {"right": len(cases)}


def test_no_id_stands_in_two_catalogues_and_each_names_its_sources():
    cases = [case for name in parsers.CATALOGUES for case in parsers.catalogue(name)]
    assert len({case.case_id for case in cases}) == len(cases) and all(case.source and case.what for case in cases)
    assert {case.family.name for case in parsers.catalogue("k3")} == {"K3"}
    assert all(case.thinks and case.reasoning is not None for case in cases if case.family is not families.K2)


def test_which_parsers_are_asked_is_as_the_family_says():
    asked = {one.name: parsers.question("x", (), one) for one in families.FAMILIES}
    named = {name: (one["reasoning_parser"], one["parser"]) for name, one in asked.items()}
    assert named.pop("K2") == ("", "kimi_k2") and named.pop("K3") == ("kimi_k3", "kimi_k3")
    assert set(named.values()) == {("kimi_k2", "kimi_k2")}


def test_an_engine_that_cannot_be_asked_is_grey_with_its_reason(monkeypatch, tmp_path):
    monkeypatch.setenv("K2LAB_CACHE", str(tmp_path))
    answers = parsers.ask_engine("0.32.0", FAILURES[:2], folders.assemble("current"))
    assert {answer.outcome for answer in answers} == {"not asked"}
    assert all("k2lab engine install 0.32.0" in answer.detail for answer in answers)
    shown = views.parser_matrix([*answers, *parsers.ask_wire(FAILURES[:2])])
    assert "· not asked" in shown.text and "0.32.0 whole was not asked: vLLM 0.32.0 is not installed" in shown.text


def test_an_interpreter_without_vllm_is_grey_too():
    answers = parsers.ask_engine(sys.executable, FAILURES[:1], folders.assemble("current"))
    assert answers[0].outcome == "not asked" and "has no vllm" in answers[0].detail


@pytest.fixture
def of_bytes(tmp_path):
    """A model folder with another tokenizer than k2-nano's: an id for each byte."""
    folder = tmp_path / "of-bytes"
    folder.mkdir()
    letters = sorted(ByteLevel.alphabet(), reverse=True)
    made = Tokenizer(BPE(vocab={letter: place for place, letter in enumerate(letters)}, merges=[]))
    made.pre_tokenizer, made.decoder = ByteLevel(add_prefix_space=False), ByteLevelDecoder()
    made.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(templates.read(templates.CURRENT))
    return folder


def test_a_server_is_sent_the_ids_of_the_source_that_is_named(k2lab, tmp_path, plain_server, of_bytes):
    choice = {
        "finish_reason": "stop",
        "message": {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
    }
    plain_server.answers["/v1/chat/completions/derender"] = (200, {"choices": [choice]})
    (tmp_path / "c.jsonl").write_text(SHORT)
    words = ("--catalogue", tmp_path / "c.jsonl", "--base-url", plain_server.url, "--json")
    env = {"K2LAB_CACHE": str(tmp_path / "cache")}  # where no engine is installed
    sent = []
    for source in (of_bytes, folders.assemble("current")):
        done = k2lab("parsers", *words, "--source", source, env=env)
        assert done.returncode == 0, done.stderr
        sent += [plain_server.received[-1]["generate_response"]["choices"][0]["token_ids"]]
        assert sent[-1] == open_source(source).tokenizer.encode("x")
    assert sent[0] != sent[1]
    said = {row["column"]: row["outcome"] for row in json.loads(done.stdout)}
    assert (said["derender"], said["wire"]) == ("right", "lost")


def test_a_server_of_which_nothing_is_known_wants_a_source(k2lab, tmp_path, plain_server):
    done = k2lab("parsers", "--base-url", plain_server.url, env={"K2LAB_CACHE": str(tmp_path)})
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and not plain_server.received
    assert f"what {plain_server.url} serves is not known here" in done.stderr and "--source" in done.stderr


def test_an_unknown_engine_is_refused(k2lab):
    wrong = k2lab("parsers", "--engine", "9.9.9")
    assert wrong.returncode == 1 and "no lock for engine '9.9.9'" in wrong.stderr and "Traceback" not in wrong.stderr

"""Real exchanges of vLLM 0.32.0 serving k2-nano: one question by three APIs, whole and streamed, is found the same of.

They passed through ``k2lab proxy --record``; ids of answers and times are made anew.
"""

import json
from collections import defaultdict

import pytest
from openai.types.responses import Response

from k2lab.apis import api_of_answer, api_of_request
from k2lab.check import look_at_bytes
from k2lab.check.captures import of_capture
from k2lab.check.together import of_pair
from tests.conftest import ROOT

ROWS = [json.loads(line) for line in (ROOT / "tests" / "data" / "vllm_apis.jsonl").read_text().splitlines()]


def findings(row, **more):
    return list(of_pair(row["request"], lambda: row["answer"], streamed=row["streamed"], **more))


def test_one_question_has_one_set_of_findings_in_every_api_whole_and_streamed():
    found = defaultdict(set)
    for row in ROWS:
        made = findings(row, api=row["api"])
        found[row["question"]].add(tuple((one.code, one.evidence.partition(" (")[0]) for one in made))
    assert all(len(told) == 1 for told in found.values()), found
    assert sorted(code for told in found.values() for one in told for code, _ in one) == ["A002"]


def test_the_call_at_fault_has_its_place_in_each_body():
    places = {(row["api"], one.place) for row in ROWS for one in findings(row, api=row["api"])}
    assert places == {
        ("chat", "answer.choices[0].message.tool_calls[0]"),
        ("responses", "answer.output[1]"),
        ("messages", "answer.content[1]"),
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['question']} {row['api']} {row['streamed']}")
def test_the_form_says_the_api(row):
    assert api_of_request(row["request"]) == row["api"]
    if row["streamed"]:
        capture = of_capture(row["answer"])
        assert capture.api == row["api"] and api_of_answer(capture.response) == row["api"] and not capture.found
        return
    assert api_of_answer(row["answer"]) == row["api"]
    made = look_at_bytes("given", json.dumps({"request": row["request"], "response": row["answer"]}).encode())
    assert [one.finding.code for one in made.present] == [one.code for one in findings(row)] and not made.notes


def test_a_stream_put_together_is_the_whole_answer():
    by_question = defaultdict(dict)
    for row in ROWS:
        by_question[row["question"], row["api"]][row["streamed"]] = row["answer"]
    for (_, api), answers in by_question.items():
        if api == "chat":
            continue
        whole, streamed = answers[False], of_capture(answers[True]).response
        name, parts = {"responses": ("output", ("type", "name", "call_id", "arguments")), "messages": (
            "content", ("type", "name", "id", "text"))}[api]  # fmt: skip
        assert [[part.get(key) for key in parts] for part in streamed[name]] == [
            [part.get(key) for key in parts] for part in whole[name]
        ]


def test_the_openai_client_takes_them():
    rows = [row["answer"] for row in ROWS if row["api"] == "responses" and not row["streamed"]]
    assert all(Response.model_validate(answer).output for answer in rows)

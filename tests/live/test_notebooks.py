"""The notebooks hold on live servers."""

import json

import pytest

from k2lab.nano import folders
from k2lab.notebook import fetching, report
from k2lab.server import parsers
from tests.conftest import ROOT

NOTEBOOKS = ROOT / "notebooks"


NOTEBOOK_1 = ("0.11.0 legacy", "0.11.0 declared", "0.32.0 legacy", "0.32.0 declared", "0.32.0 current")


def test_notebook_1_holds_on_the_live_servers(servers, tmp_path):
    wanted = {name: servers[name] for name in NOTEBOOK_1}
    given = [("servers", json.dumps(wanted)), ("requests", "60")]
    made = report.run("1_generation_prompt", given, folder=NOTEBOOKS, out=tmp_path)
    assert made.ok, made.error
    lost, kept = made.results["called"]["0.11.0 legacy"], made.results["called"]["0.32.0 current"]
    assert lost["total"] == kept["total"] == 60
    assert lost["value"] <= 0.10 and lost["low"] <= lost["value"] <= lost["high"] and kept["value"] >= 0.90
    assert sum(cell["finding"]["state"] == "present" for cell in made.results["grid"]) == 1
    assert not fetching.fetched(made.html.read_text())


def run_on(servers, name, tmp_path, *given):
    wanted = {
        "2_empty_content": ("0.11.0 current", "0.32.0 current", "0.32.0 current string"),
        "4_benchmark": ("0.11.0 legacy", "0.11.0 declared", "0.11.1 legacy", "0.32.0 declared"),
        "9_thinking": (
            "0.11.1 thinking reasons",
            "0.11.1 thinking reasons in-reasoning",
            "0.32.0 thinking reasons",
        ),
        "8_k3": ("0.32.0 current", "0.32.0 k3", "0.32.0 k3 in-reasoning"),
        "5_enforcer": ("0.32.0 current", "0.32.0 current strict-function", "0.32.0 current strict-parameter"),
    }
    chosen = {key: servers[key] for key in wanted.get(name, ("0.11.0 current", "0.32.0 current"))}
    parameters = [("servers", json.dumps(chosen)), *given]
    made = report.run(name, parameters, folder=NOTEBOOKS, out=tmp_path)
    assert made.ok, made.error
    assert not fetching.fetched(made.html.read_text())
    return made.results


@pytest.mark.long
def test_notebook_2_holds_on_the_live_servers(servers, tmp_path):
    results = run_on(servers, "2_empty_content", tmp_path, ("requests", "30"))
    empty = {(cell["server"], cell["template"], cell["request"]): cell["empty"] for cell in results["literals"]}
    for name in ("0.11.0 current", "0.32.0 current"):
        assert empty[name, "old", "''"] == 1
        assert empty[name, "current", "''"] == empty[name, "old", "null (repaired)"] == 0
    assert all(share["total"] == 30 for share in results["exact"].values())


@pytest.mark.long
def test_notebook_3_holds_on_the_live_servers(servers, tmp_path):
    results = run_on(servers, "3_tool_call_ids", tmp_path, ("asks", "10"))
    assert results["standard_ids"]["n calls, all foreign"][4]["value"] < 0.5
    assert results["right"]["wire"]["count"] == len(parsers.catalogue())


@pytest.mark.long
def test_notebook_4_holds_on_the_live_servers(servers, tmp_path):
    results = run_on(servers, "4_benchmark", tmp_path, ("requests", "90"))
    successful = [share["count"] for share in results["successful"].values() if share["total"] == 90]
    assert successful[0] == 0 and successful[1] > 12 and successful == sorted(successful)
    assert results["summaries"]["0.32.0"]["strict"]["call_faults"]["undeclared_tool"] > 0
    step = results["steps"]["all faults → generation prompt"]
    assert step["test"]["gained"] > 12 and "flips" not in step and results["flips"] >= 0


@pytest.mark.long
def test_notebook_5_holds_on_the_live_servers(servers, tmp_path):
    results = run_on(servers, "5_enforcer", tmp_path, ("requests", "90"))
    for arm in ("pinned", "pinned, streamed"):
        counts = results["summaries"][arm]
        assert counts["k2vv"]["finish_tool_calls"] > 30
        assert counts["k2vv"]["schema_validation_error_count"] == 0 and counts["strict"]["call_faults"] == {}


@pytest.mark.long
def test_notebook_6_holds_on_the_live_servers(servers, tmp_path):
    results = run_on(servers, "6_case", tmp_path, ("asks", "10"))
    assert results["sizes"]["before"]["messages"] == 41 and results["sizes"]["after"]["messages"] <= 5
    assert results["called"]["as it is"]["count"] < results["called"]["repaired"]["count"]


@pytest.mark.long
def test_notebook_7_holds_on_the_live_servers(servers, tmp_path):
    results = run_on(servers, "7_traffic", tmp_path, ("sessions", "5"), ("asks", "3"))
    answered = results["answered"]
    assert (
        answered["0.11.0"]["count"] == 0 < answered["0.11.0, repaired"]["count"] and answered["0.11.0"]["total"] == 10
    )
    assert results["findings"]["A113"]["count"] == results["lost"]["lost call"]
    assert results["other_apis"]["0.32.0"] == {"S018": "present", "S019": "absent", "S020": "absent"}
    assert set(results["other_apis"]["0.32.0, repaired"].values()) == {"absent"}


@pytest.mark.long
def test_notebook_8_holds_on_the_live_servers(servers, tmp_path):
    results = run_on(servers, "8_k3", tmp_path, ("requests", "200"))
    whole, streamed = (results["lost"][f"0.32.0, {way}"] for way in ("whole", "streamed"))
    assert 0 < whole["count"] < streamed["count"] < whole["total"] == streamed["total"]
    assert results["under_tag"]["answers with a call that is invalid"]["count"] == 0


@pytest.mark.long
def test_notebook_9_holds_on_the_live_servers(servers, tmp_path):
    results = run_on(servers, "9_thinking", tmp_path, ("requests", "60"))
    lost, leaked = results["lost"], results["leaked"]
    assert lost["0.11.1, whole"]["count"] == results["guilty"]["0.11.1, whole"]["reasoning parser"] > 0
    assert lost["0.32.0, whole"]["count"] == 0 < lost["0.32.0, whole"]["total"]
    assert leaked["0.32.0, behind a tool's result"]["count"] == leaked["0.32.0, behind a tool's result"]["total"] == 15
    assert (
        results["ways_out"]["the same asks through the proxy with --salvage"]["count"] < lost["0.11.1, whole"]["count"]
    )
    assert [finding["code"] for finding in results["findings"]][:1] == ["A114"]


@pytest.mark.long
def test_notebook_9_on_a_readers_own_server_and_exchange(servers, tmp_path):
    said = {"role": "assistant", "content": "It is 18 degrees."}
    talk = {"messages": [{"role": "user", "content": "Hi"}, said, {"role": "user", "content": "Bye"}]}
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"request": talk, "response": {"choices": [{"message": said}]}}))
    given = [("base_url", servers["0.32.0 thinking reasons"]), ("exchange_file", str(path))]
    given.append(("source", str(folders.assemble("thinking"))))
    made = report.run("9_thinking", given, folder=NOTEBOOKS, out=tmp_path)
    assert [finding["code"] for finding in made.results["own"] if finding["state"] == "present"] == ["S014"]
    assert "S014" in made.error and not made.ok


@pytest.mark.long
def test_notebook_6_on_a_readers_own_server_and_exchange(servers, tmp_path):
    given = [("base_url", servers["0.11.0 current"]), ("budget", "60")]
    path = ROOT / "data" / "exchanges" / "leaked_call.json"
    made = report.run("6_case", [*given, ("exchange_file", str(path))], folder=NOTEBOOKS, out=tmp_path)
    assert "the server's answer shows the fault" in made.error
    assert [finding["name"] for finding in made.results["own"]] == ["call_leaked_into_content"]


@pytest.mark.long
@pytest.mark.parametrize("name", ["4_benchmark", "5_enforcer"])
def test_the_benchmark_notebooks_on_a_readers_own_server(servers, tmp_path, name):
    given = [("base_url", servers["0.32.0 current"]), ("requests", "20")]
    made = report.run(name, given, folder=NOTEBOOKS, out=tmp_path)
    assert made.ok, made.error
    assert len(made.results["summaries"]) == 2


@pytest.mark.long
def test_notebook_1_on_a_readers_own_server(servers, tmp_path, k2lab):
    sick = k2lab("model", "legacy").stdout.strip()
    out = ["--out", str(tmp_path), "-p", "source", sick]
    done = k2lab("report", "1_generation_prompt", "-p", "base_url", servers["0.11.0 legacy"], *out)
    assert done.returncode == 1 and "FAILED" in done.stdout and "Traceback" not in done.stderr
    done = k2lab("report", "1_generation_prompt", "-p", "base_url", servers["0.32.0 legacy"], *out)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    findings = summary["reports"]["1_generation_prompt"]["results"]["findings"]
    assert {item["code"]: item["state"] for item in findings if item["state"] == "present"} == {}
    assert [item["state"] for item in findings].count("absent") == 2

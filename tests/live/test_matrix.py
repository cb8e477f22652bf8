"""A matrix of two vendors that are two real releases: each within its limit, and one report against the labels."""

import json

import pytest

from k2lab.nano import benchmark

MATRIX = """
samples = "samples.jsonl"
reference = "labels.jsonl"
limit = 60
[vendors.old]
base_url = "{old}"
requests_per_minute = 1200
models = {{k2-nano = "k2-nano"}}
[vendors.new]
base_url = "{new}"
concurrency = 4
models = {{k2-nano = "k2-nano"}}
"""


@pytest.mark.long
def test_two_releases_are_two_vendors_of_one_report(servers, tmp_path, k2lab):
    benchmark.write(tmp_path, 60, 2025)
    path = tmp_path / "two.toml"
    path.write_text(MATRIX.format(old=servers["0.11.0 current"], new=servers["0.32.0 current"]))
    done = k2lab("bench", "matrix", path, "--json")
    assert done.returncode == 0, done.stderr
    cells = json.loads(done.stdout)["cells"]
    assert [(cell["vendor"], cell["results"], cell["wanted"]) for cell in cells] == [("old", 60, 60), ("new", 60, 60)]
    old, new = (cell["summary"]["strict"]["answer_faults"].get("call_leaked_into_content", 0) for cell in cells)
    assert old > new == 0  # some histories have foreign ids, after which the old release loses calls
    shown = k2lab("bench", "matrix", path, "--report-only").stdout
    assert "F1: calls where the reference calls" in shown and "a stand-in, not a Kimi model" in shown

"""What a contributor meets: the changelog's form, the workflow, the hooks, the form for a report."""

import json
import re
import tomllib

import pytest
import yaml

from tests.conftest import ROOT
from tests.helpers import slowness

MAKEFILE = (ROOT / "Makefile").read_text()
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_changelog_keeps_its_form():
    titles = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)
    assert titles[0] == "[Unreleased]"
    versions = [re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\](?: - \d{4}-\d\d-\d\d)?", title) for title in titles[1:]]
    assert all(versions) and versions[0][0].startswith(f"[{PROJECT['version']}]")
    numbers = [tuple(map(int, version.groups())) for version in versions]
    assert numbers == sorted(numbers, reverse=True)
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE)) <= kinds


def test_ci_runs_the_readmes_test_command_and_the_workflow_runs_ci():
    assert re.search(r"^make test$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert "make test" in (ROOT / "README.md").read_text()
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    run = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert "bash .ci/run" in run and "make docs" in run
    for target in re.findall(r"^make ([a-z-]+)", "\n".join(run), re.MULTILINE):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


@pytest.mark.xdist_group("one process")
def test_tests_of_a_group_are_sent_to_one_process(request):
    if getattr(request.config.option, "loadgroup", False):
        assert request.node.nodeid.endswith("@one process")


def test_the_workflow_tries_every_python_that_is_claimed():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    tried = jobs["quick"]["strategy"]["matrix"]["python"]
    assert PROJECT["requires-python"].startswith(f">={tried[0]}")
    claimed = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert set(claimed) <= set(tried)


def test_the_hooks_run_what_make_check_runs():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    entries = [hook["entry"] for hook in hooks]
    for tool in re.findall(r"^\t\$\(BIN\)/(\w+)", MAKEFILE.partition("\ncheck:")[2].partition("\n\n")[0], re.MULTILINE):
        assert any(entry.startswith(f".venv/bin/{tool}") for entry in entries), tool
    checked = next(entry for entry in entries if "cog" in entry).split()
    made = [str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md") if "[[[cog" in page.read_text()]
    assert set(made) <= set(checked)


@pytest.mark.parametrize("asked", ["request", "answer", "said", "server"])
def test_a_report_is_asked_for_its_exchange(asked):
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "exchange.yml").read_text())
    field = next(field for field in form["body"] if field.get("id") == asked)
    assert field["validations"]["required"] and field["attributes"]["label"]


def test_what_make_quick_leaves_out_is_there_and_no_other():
    for name in json.loads(slowness.KEPT.read_text()):
        file, *_, function = name.split("::")
        assert f"def {function}(" in (ROOT / file).read_text(), name
    measured = {"a": [0.2], "b": [0.01, 0.05], "c": [0.05] * 50, "d": [0.5, 0.0, 0.0, 0.0, 0.0, 0.0]}
    assert slowness.slow_of(measured) == {"a": 0.2, "c": 2.5}

import pytest

from k2lab import probes, views
from k2lab.endpoint import Endpoint
from k2lab.nano import evaluate, folders, synth

pytestmark = pytest.mark.live


def test_the_grid_of_problem_1(servers, talk):
    def by_signature(engine):
        return {
            False: (Endpoint(servers[f"{engine} legacy"]), folders.assemble("legacy")),
            True: (Endpoint(servers[f"{engine} declared"]), folders.assemble("declared")),
        }

    cells = probes.generation_prompt_grid({e: by_signature(e) for e in ("0.11.0", "0.32.0")}, talk)
    states = {(c.engine, c.in_signature, c.in_template): c.finding.state for c in cells}
    assert len(states) == 8
    assert [case for case, state in states.items() if state == "present"] == [("0.11.0", False, False)]
    assert [case for case, state in states.items() if state == "unknown"] == []
    shown = views.grid(cells).text
    assert shown.count("✗ prompt dropped") == 1 and shown.count("✓ prompt there") == 7


def test_the_finding_names_the_missing_ids_and_the_fix(servers, talk):
    finding = probes.generation_prompt(Endpoint(servers["0.11.0 legacy"]), folders.assemble("legacy"), talk)
    assert finding.state == "present" and "add_generation_prompt" in finding.fix
    assert len(finding.diff.missing) == 3 and not finding.diff.extra
    assert finding.to_json()["first_divergence"]["part"] == "generation prompt"
    assert "✗ present" in views.finding(finding).text


def test_the_probe_goes_red_when_the_bug_is_put_back(servers, talk):
    endpoint, folder = Endpoint(servers["0.32.0 current"]), folders.assemble("current")
    assert probes.generation_prompt(endpoint, folder, talk).state == "absent"
    assert probes.generation_prompt(endpoint, folder, talk, add_generation_prompt=False).state == "present"


def test_asks_that_should_call_do_so_on_the_repaired_server_alone(servers):
    cases = synth.cases("held-out", 5, 60, ("call",))
    called = {
        name: evaluate.called(evaluate.replies(Endpoint(servers[name]), cases))
        for name in ("0.11.0 legacy", "0.32.0 current")
    }
    assert called["0.11.0 legacy"].value <= 0.10
    assert called["0.32.0 current"].value >= 0.90

import pytest

from k2lab import chat, paths, repairs
from k2lab.nano import evaluate, folders, synth
from k2lab.notebook.servers import connect, log_lines
from k2lab.prompt import templates
from k2lab.prompt.source import open_source
from k2lab.server import probes
from k2lab.server.endpoint import Endpoint
from k2lab.show import views


def test_the_grid_of_problem_1(servers, talk):
    names = [f"{engine} {variant}" for engine in ("0.11.0", "0.32.0") for variant in ("legacy", "declared")]
    subjects = connect({name: servers[name] for name in names}).values()
    cells = probes.generation_prompt_grid({(s.engine, s.variant == "declared"): s for s in subjects}, talk)
    states = {(c.engine, c.in_signature, c.in_template): c.finding.state for c in cells}
    assert len(states) == 8
    assert [case for case, state in states.items() if state == "present"] == [("0.11.0", False, False)]
    assert [case for case, state in states.items() if state == "unknown"] == []
    shown = views.grid(cells).text
    assert shown.count("✗ prompt dropped") == 1 and shown.count("✓ prompt there") == 7


def test_the_finding_names_the_missing_ids_and_the_fix(servers, talk):
    source = open_source(folders.assemble("legacy"))
    finding = probes.generation_prompt(Endpoint(servers["0.11.0 legacy"]), source, talk)
    assert finding.state == "present" and "add_generation_prompt" in finding.fix
    assert len(finding.diff.missing) == 3 and not finding.diff.extra
    assert finding.to_json()["first_divergence"]["part"] == "generation prompt"
    assert "✗ present" in views.finding(finding).text


def test_the_probe_goes_red_when_the_bug_is_put_back(servers, talk):
    endpoint, source = Endpoint(servers["0.32.0 current"]), open_source(folders.assemble("current"))
    assert probes.generation_prompt(endpoint, source, talk).state == "absent"
    assert probes.generation_prompt(endpoint, source, talk, add_generation_prompt=False).state == "present"


OLD = templates.read(templates.OLD)


@pytest.fixture
def history():
    return chat.load(paths.data_dir() / "conversations" / "empty_content.json")


@pytest.mark.parametrize("name", ["0.11.0 current", "0.32.0 current"])
def test_the_old_template_prints_the_empty_content_as_a_list_on_both_engines(servers, history, name):
    endpoint = Endpoint(servers[name])
    found = probes.empty_content(endpoint, open_source(folders.assemble("old")), history, chat_template=OLD)
    assert found.state == "present" and "1 of them [{'type': 'text', 'text': ''}]" in found.evidence
    assert found.diff.first.owner.message == 1
    tokenizer = open_source(folders.assemble("old")).tokenizer
    assert probes.EMPTY_PART in tokenizer.decode(list(found.diff.left))
    assert probes.empty_content(endpoint, open_source(folders.assemble("current")), history).state == "absent"
    sent = repairs.repair(history).request
    assert probes.content_literals(endpoint, tokenizer, sent, chat_template=OLD)[0] == 0


def test_forcing_the_content_format_takes_the_literal_away(servers, history):
    endpoint = Endpoint(servers["0.32.0 current string"])
    source = open_source(folders.assemble("old"))
    assert probes.empty_content(endpoint, source, history, chat_template=OLD).state == "absent"


def test_the_content_probe_wants_a_conversation_that_can_provoke_it(servers, talk):
    found = probes.empty_content(Endpoint(servers["0.32.0 current"]), open_source(folders.assemble("current")), talk)
    assert found.state == "unknown" and "no calling turn" in found.evidence


def test_the_index_error_is_provoked_and_found_in_the_log(servers):
    foreign = chat.load(paths.data_dir() / "conversations" / "foreign_id.json")
    subject = connect({"0.11.0 current": servers["0.11.0 current"]})["0.11.0 current"]
    before = len(log_lines(subject, "IndexError"))
    answer = subject.endpoint.chat(foreign, temperature=0, max_tokens=60)
    assert not answer.calls and "<|tool_call_begin|>get_weather:1" in answer.content
    assert len(log_lines(subject, "IndexError")) > before
    mended = subject.endpoint.chat(repairs.repair(foreign).request, temperature=0, max_tokens=60)
    assert [call.name for call in mended.calls] == ["get_weather"]


def test_asks_that_should_call_do_so_on_the_repaired_server_alone(servers):
    cases = synth.cases("held-out", 5, 60, ("call",))
    called = {
        name: evaluate.called(evaluate.ask_each(Endpoint(servers[name]), cases))
        for name in ("0.11.0 legacy", "0.32.0 current")
    }
    assert called["0.11.0 legacy"].value <= 0.10
    assert called["0.32.0 current"].value >= 0.90

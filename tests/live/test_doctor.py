"""The doctor at ten set-ups: three releases with three folders each, and a bare server of the OpenAI API."""

import json

import pytest

from k2lab import engine
from k2lab.doctor import examination
from k2lab.findings import chosen
from k2lab.nano import folders
from k2lab.notebook.proxying import proxied
from k2lab.prompt.source import open_source
from k2lab.server.endpoint import Endpoint
from tests.helpers.counting import answering, counting

RELEASES, VARIANTS = ("0.11.0", "0.11.1", "0.32.0"), ("legacy", "old", "current")
STORY = ("generation_prompt_dropped", "content_printed_as_list", "foreign_id_not_read")
"""The three problems of the published story."""

BY_CHUNKS = {"0.11.1": {"S004"}}
"""What a release shows or not, as its tokens happen to come alone or together."""

PRESENT = {
    "0.11.0 legacy": {"P001", "P004", "S011"},
    "0.11.0 old": {"P002", "P005", "S011", "E001", "S020"},
    "0.11.0 current": {"P004", "S011", "E001", "S020"},
    "0.11.1 legacy": {"P004", "S008", "E001", "A125", "S018", "S019", "S020"},
    # this template numbers the calls of a history anew
    "0.11.1 old": {"P002", "P005", "E001", "A125", "S018", "S019", "S020"},
    "0.11.1 current": {"P004", "S008", "E001", "A125", "S018", "S019", "S020"},
    "0.32.0 legacy": {"P004", "E001", "S018"},
    "0.32.0 old": {"P002", "P005", "E001", "S018"},
    "0.32.0 current": {"P004", "E001", "S018"},
}

SICK = ("0.11.0 legacy", "0.32.0 old")
"""Set-ups with all three problems between them."""


@pytest.fixture(scope="module")
def source():
    return open_source(folders.assemble("current"))


def examined(url, source, **options):
    wanted = chosen()
    return examination.examined(url, source, examination.planned(wanted), wanted, **options)


def codes(found, state):
    return {finding.code for finding in found.findings if finding.state == state}


SET_UPS = [
    pytest.param(release, variant, marks=() if f"{release} {variant}" in SICK else pytest.mark.long)
    for release in RELEASES
    for variant in VARIANTS
]


@pytest.mark.parametrize(("release", "variant"), SET_UPS)
def test_what_is_present_on_a_release_with_a_folder(servers, source, release, variant):
    if not engine.is_installed(release):
        pytest.skip(f"vLLM {release} is not installed: k2lab engine install {release}")
    found = examined(servers[f"{release} {variant}"], source)
    there = codes(found, "present") - BY_CHUNKS.get(release, set())
    assert there == PRESENT[f"{release} {variant}"], found.to_json()
    states = {finding.name: finding.state for finding in found.findings}
    expected = {
        "generation_prompt_dropped": (release, variant) == ("0.11.0", "legacy"),
        "content_printed_as_list": variant == "old",
        "foreign_id_not_read": release == "0.11.0",
    }
    assert {name: states[name] == "present" for name in STORY} == expected
    assert all(states[name] != "unknown" for name in STORY)
    assert found.requests <= examination.planned(chosen()).requests and found.status == 1


OF_K3 = {
    "0.32.0 k3": {"E001", "E004", "S016", "S018"},
    # vLLM's own grammar opens the tools in the reasoning
    "0.32.0 k3 in-reasoning": {"A122", "A123", "E001", "S016", "S018"},
}


@pytest.mark.parametrize("name", ["0.32.0 k3", pytest.param("0.32.0 k3 in-reasoning", marks=pytest.mark.long)])
def test_what_is_present_on_a_server_of_k3(servers, name):
    found = examined(servers[name], open_source(folders.assemble("k3")))
    assert codes(found, "present") == OF_K3[name], found.to_json()
    assert (
        codes(found, "unknown") <= {"A124", "A125", "E002"} and found.requests <= examination.planned(chosen()).requests
    )
    states = {finding.code: finding for finding in found.findings}
    assert "13 prompts, by return_token_ids, are those of the source's own prompt" in states["P005"].evidence
    assert not {"P002", "P003", "P004", "S008", "S011", "S013"} & states.keys() and len(found.notes) == 3
    lost = states["S016"].evidence.partition("read:")[0]
    assert "tools, whole" in lost and ("a response, then tools, streamed" in lost) == name.endswith("in-reasoning")


def test_the_guard_keeps_what_a_responses_request_says(servers):
    wanted, folder = chosen(["S018"]), open_source(folders.assemble("thinking"))
    plain = Endpoint(servers["0.32.0 thinking reasons"])
    with proxied(plain, "--repair", "history") as guarded:
        lost, kept = (
            examination.examined(one.base_url, folder, examination.planned(wanted), wanted) for one in (plain, guarded)
        )
    assert codes(lost, "present") == {"S018"} == codes(kept, "absent")
    assert "an answer in two parts makes a prompt of" in lost.findings[0].evidence


def test_a_bare_server_is_accused_of_what_it_shows_alone(source):
    with answering(counting(lambda body: None)) as url:
        found = examined(url, source)
    assert codes(found, "present") <= {"A122", "A123", "E003"}, found.to_json()
    assert {"P001", "P002", "P005", "S004", "S008", "S009", "S011", "E001", "A121"} <= codes(found, "unknown")
    assert json.dumps(found.to_json())


@pytest.mark.long
def test_enforcement_is_seen_where_a_server_was_started_with_it(servers, source):
    found = examined(servers["0.32.0 current strict-parameter"], source)
    states = {finding.code: finding for finding in found.findings}
    assert states["E001"].state == "absent" and "get_news" in states["E001"].evidence, found.to_json()


@pytest.mark.long
def test_a_folder_is_asked_of_vllms_own_renderer_without_a_model(k2lab, current):
    said = k2lab("doctor", "--render", folders.assemble("old"), "--source", current, "--json")
    assert said.returncode == 1, said.stderr
    found = {finding["code"]: finding["state"] for finding in json.loads(said.stdout)["findings"]}
    assert {code for code, state in found.items() if state == "present"} == {"P002", "P005"}
    assert found["S011"] == "absent" and "E001" not in found and "unknown" not in found.values()


@pytest.mark.long
def test_a_folder_of_k3_is_asked_of_vllms_own_renderer(k2lab):
    said = k2lab("doctor", "--render", folders.assemble("k3"), "--json")
    assert said.returncode == 1, said.stderr
    found = {finding["code"]: finding["state"] for finding in json.loads(said.stdout)["findings"]}
    assert (
        found.pop("S016") == "present" and set(found.values()) == {"absent"} and {"P005", "S009", "S017"} <= set(found)
    )


@pytest.mark.long
def test_a_release_that_has_no_renderer_says_so_on_a_line(k2lab, current):
    said = k2lab("doctor", "--render", current, "--engine", "0.11.0")
    assert said.returncode == 1
    assert said.stderr.splitlines()[-1] == (
        "k2lab: vLLM 0.11.0 has no renderer without a model: name a later release, such as 0.32.0"
    )

"""Faults by release, asked of real ones: what 0.11.1 mended; and a prompt made without a server is a server's."""

import pytest

from k2lab import doctor, engine
from k2lab.chat import Request
from k2lab.doctor import promptfaults
from k2lab.nano import folders
from k2lab.prompt.source import open_source
from k2lab.server import parsers
from k2lab.server.endpoint import Endpoint

pytestmark = pytest.mark.long

ASKED = ("adjacent calls", "no functions. prefix")
"""Of the catalogue: two outputs of the published story."""

BY_VARIANT = {fault.variant: fault for fault in promptfaults.FAULTS}


@pytest.fixture(scope="session")
def found():
    """The sweep of the releases that the tests have."""
    releases = [name for name in ("0.11.0", "0.11.1", "0.32.0") if engine.is_installed(name)]
    outputs = [output for output in parsers.catalogue() if output.case_id in ASKED]
    return doctor.sweep(releases, outputs)


def test_each_release_could_be_asked_for_everything(found):
    assert not found.reasons and {"0.11.0", "0.32.0"} <= set(found.releases)


def test_the_faults_of_the_published_story_are_where_they_were_told_of(found):
    def words(fault):
        return {cell.release: cell.word for cell in found.rows[fault] if cell.release != "0.11.1"}

    assert words("generation prompt dropped") == {"0.11.0": "there", "0.32.0": "right"}
    assert words("empty content as a list") == {"0.11.0": "there", "0.32.0": "there"}
    assert words("tool result as a list") == {"0.11.0": "there", "0.32.0": "right"}
    assert words("broken arguments become {}") == {"0.11.0": "refused", "0.32.0": "there"}
    assert words("adjacent calls") == {"0.11.0": "lost", "0.32.0": "right"}
    assert words("no functions. prefix") == {"0.11.0": "leaked", "0.32.0": "right"}


def test_0_11_1_mended_the_prompt_and_the_reading_of_a_whole_text(found):
    if "0.11.1" not in found.releases:
        pytest.skip("vLLM 0.11.1 is not installed: k2lab engine install 0.11.1")
    kinds = {(fault, change.after): change.kind for fault, changes in found.changes.items() for change in changes}
    assert kinds["generation prompt dropped", "0.11.1"] == "mended"
    assert kinds["adjacent calls", "0.11.1"] == kinds["no functions. prefix", "0.11.1"] == "partly mended"
    assert kinds["adjacent calls", "0.32.0"] == "mended"


@pytest.mark.parametrize("name", ["0.11.0 legacy", "0.32.0 legacy", "0.11.0 current", "0.32.0 current"])
def test_a_prompt_made_without_a_server_is_the_one_that_a_server_makes(servers, name):
    release, variant = name.split()
    fault = BY_VARIANT[variant]
    made = promptfaults.made_prompts(release, [fault])[fault.name]
    tokenizer = open_source(folders.assemble("current")).tokenizer
    request = Request.of(fault.request["messages"], fault.request.get("tools"))
    served = Endpoint(servers[name]).prompt_ids(request).ids
    assert made.text is not None and tuple(tokenizer.encode(made.text)) == served

"""A folder of Kimi K3's by its files: each thing that can be missing or wrong in it, in words that are K3's."""

import json
import shutil

import pytest

from k2lab.doctor.folder import examined_files
from k2lab.errors import SourceError
from k2lab.families import K3
from k2lab.nano import folders

CODE = "tokenization_xtml.py"


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "model"
    shutil.copytree(folders.assemble("k3"), made, ignore=shutil.ignore_patterns("*.safetensors"))
    return made


def changed(path, **fields):
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def replaced(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def found_in(folder, **options):
    made = examined_files(str(folder), **options)
    said = "\n".join([*made.notes, *(one.evidence for one in made.findings)])
    assert not any(word in said for word in ("functions.", "tool_calls_section", "im_end", "K2"))
    return made


def of(made, code):
    (found,) = [finding for finding in made.findings if finding.code == code]
    return found


def codes(made):
    return {finding.code for finding in made.present}


def test_a_whole_folder_has_nothing_wrong_and_says_how_it_is_served(folder):
    made = found_in(folder)
    assert {one.state for one in made.findings} == {"absent"} and made.status == 0
    notes = "\n".join(made.notes)
    assert all(flag in notes for flag in K3.serving)
    assert "not in the folder: weights" in notes and "by its added tokens" in notes and "no chat template" in notes


def test_each_file_of_its_code_that_is_not_there_is_named(folder):
    for file in sorted(folder.glob("*.py")):
        kept = file.read_text()
        file.unlink()
        said = of(found_in(folder), "P009")
        assert said.state == "present" and file.name in said.evidence, file
        file.write_text(kept)
    changed(folder / "tokenizer_config.json", auto_map=None)
    assert codes(found_in(folder)) == {"P009"}


def test_a_class_that_does_not_make_prompts_is_told_from_one_that_does(folder):
    replaced(folder / CODE, "def apply_chat_template", "def applied")
    assert "no class of tokenization_xtml.py has" in of(found_in(folder), "P009").evidence


@pytest.mark.parametrize(
    ("signature", "state", "said"),
    [
        ("tools=None, tokenize=True, **kwargs", "unknown", r"by **kwargs"),
        ("tools=None, tokenize=True", "present", "each request fails"),
        ("tools=None, *, tokenize=True, add_generation_prompt=True", "absent", "takes add_generation_prompt"),
    ],
)
def test_what_becomes_of_the_generation_prompt_is_in_the_signature_or_not_known(folder, signature, state, said):
    replaced(folder / CODE, "tools=None, tokenize=True, add_generation_prompt=True, **kwargs", signature)
    found = of(found_in(folder), "P001")
    assert found.state == state and said in found.evidence


def test_code_of_its_own_is_run_and_compared_where_that_is_allowed(folder):
    replaced(folder / "k3_turns.py", '"# Tools', '"# The tools')
    assert of(found_in(folder), "P005").state == "unknown"
    found = of(found_in(folder, trust_remote_code=True), "P005")
    assert found.state == "present" and "'a tool'" in found.evidence
    replaced(folder / "k3_turns.py", '"# The tools', '"# Tools')
    (folder / "more.py").write_text("")
    found = of(found_in(folder, trust_remote_code=True), "P005")
    assert found.state == "absent" and "ids of 13 prompts" in found.evidence


def test_nothing_of_it_runs_unasked(folder, tmp_path):
    ran = tmp_path / "ran"
    for text in (f"open({str(ran)!r}, 'w')\ndef apply_chat_template(self, *, add_generation_prompt): pass", "def ("):
        (folder / CODE).write_text(text)
        found_in(folder)
    assert not ran.exists() and of(found_in(folder), "P009").state == "unknown"


def test_an_end_that_does_not_end_the_answer_is_found(folder):
    changed(folder / "tokenizer_config.json", eos_token="[EOS]")
    assert of(found_in(folder), "S015").state == "absent"
    changed(folder / "generation_config.json", eos_token_id=[1011, 1018])
    found = of(found_in(folder), "S015")
    assert found.state == "present" and "<|end_of_msg|> is 1024" in found.evidence and "[1011, 1018]" in found.evidence
    (folder / "generation_config.json").unlink()
    made = found_in(folder)
    assert "in config.json" in of(made, "S015").evidence and any("generation_config.json" in one for one in made.notes)


def without_tokens(folder):
    said = json.loads((folder / "tokenizer.json").read_text())
    said["added_tokens"] = [one for one in said["added_tokens"] if one["content"] != "<|sep|>"]
    (folder / "tokenizer.json").write_text(json.dumps(said))


def test_a_marker_that_is_no_token_is_found_where_something_else_says_the_family(folder):
    without_tokens(folder)
    with pytest.raises(SourceError, match=r"says a family that has none \(Kimi K3's added tokens, or its model_type\)"):
        examined_files(str(folder))
    assert "P010" in codes(found_in(folder, family=K3))
    changed(folder / "config.json", model_type="kimi_k3")
    made = found_in(folder)
    assert "<|sep|> is" in of(made, "P010").evidence and made.notes[0] == "Kimi K3, by its model_type kimi_k3"


def test_ranks_under_the_names_of_another_family_are_found(folder, shared):
    (folder / "tokenizer.json").unlink()
    shutil.copy(shared / "kimi-tokenizer" / "tiktoken.model", folder)
    changed(folder / "config.json", model_type="kimi_k3")
    changed(folder / "tokenizer_config.json", tokenizer_class="TikTokenTokenizer")
    found = of(found_in(folder), "P010")
    assert found.state == "present" and "<|open|>" in found.evidence
    names = {str(163584 + at): {"content": text} for at, text in enumerate(K3.slots)}
    changed(folder / "tokenizer_config.json", added_tokens_decoder=names)
    assert of(found_in(folder), "P010").evidence.endswith("<|end_of_msg|> is 163586")


def test_what_is_no_folder_is_refused():
    with pytest.raises(SourceError, match="family:k3 is no folder"):
        examined_files("family:k3")


def test_a_chat_template_is_said_to_be_of_no_use(folder):
    changed(folder / "config.json", model_type="kimi_k3", architectures=["KimiK3ForConditionalGeneration"])
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    notes = "\n".join(found_in(folder).notes)
    assert "chat_template.jinja is not read" in notes and "from the flag alone" not in notes

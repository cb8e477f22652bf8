"""A folder by its files: each fault that shows there, on the release that has it; nothing of the folder runs."""

import json
import shutil

import pytest

from k2lab.doctor.folder import examined_files
from k2lab.nano import folders
from k2lab.prompt import contentformat, templates


def codes(found):
    return {finding.code for finding in found.present}


@pytest.mark.parametrize(
    ("variant", "present", "older", "newer"),
    [
        ("current", set(), "none", "none"),
        ("declared", set(), "none", "none"),
        ("kwargs-template", set(), "none", "none"),
        ("legacy", {"P001"}, "generation prompt dropped", "none"),
        ("old", {"P002"}, "'' printed as a list", "'' printed as a list"),
        ("content-fault", {"P002"}, "'' printed as a list", "'' printed as a list"),
    ],
)
def test_each_variant_of_k2_nano(variant, present, older, newer):
    found = examined_files(str(folders.assemble(variant)))
    assert codes(found) == present and found.status == (1 if present else 0)
    assert found.notes[0].startswith(f"vLLM 0.11.0 and before: {older}")
    assert found.notes[1].startswith(f"vLLM 0.11.1 to 0.32.0: {newer}")
    assert ("after" if not present else "before") in found.notes[-1]


def test_markers_that_are_special_are_found(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(folders.assemble("current"), folder)
    tokens = {"1": {"content": "<|tool_call_begin|>", "special": True}}
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"added_tokens_decoder": tokens}))
    found = examined_files(str(folder))
    assert codes(found) == {"S009"} and "vLLM 0.11.0 strips it" in found.present[0].evidence
    assert found.notes[1] == "vLLM 0.11.1 to 0.32.0: none of these faults"


def test_an_end_of_a_turn_that_does_not_end_the_answer_is_found(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(folders.assemble("current"), folder)
    for name, fields in {
        "tokenizer_config": {"eos_token": "[EOS]"},
        "generation_config": {"eos_token_id": [1]},
    }.items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    found = examined_files(str(folder))
    assert codes(found) == {"S015"} and "<|im_end|> is" in found.present[0].evidence


def test_code_is_read_and_never_run(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(folders.assemble("legacy"), folder)
    ran = tmp_path / "ran"
    code = next(folder.glob("*.py"))
    for text in (
        f"open({str(ran)!r}, 'w')\ndef apply_chat_template(self, *, add_generation_prompt=True): pass",
        "def (",
    ):
        code.write_text(text)
        with pytest.raises(Exception, match="trust-remote-code"):
            examined_files(str(folder))
    assert not ran.exists()


LOOP = "{% for part in CONTENT %}{{ part }}{% endfor %}"


@pytest.mark.parametrize(
    ("template", "form"),
    [
        (templates.read(templates.OLD), "openai"),
        (templates.read(templates.CURRENT), "string"),
        (templates.with_content_fault(templates.read(templates.CURRENT)), "openai"),
        ("{% for m in messages %}" + LOOP.replace("CONTENT", "m.content") + "{% endfor %}", "openai"),
        ("{% for m in messages[1:] %}" + LOOP.replace("CONTENT", "m['content']") + "{% endfor %}", "openai"),
        ("{% set r = messages %}{% for m in r %}" + LOOP.replace("CONTENT", "m.content") + "{% endfor %}", "openai"),
        ("{% for m in messages %}{% set c = m.content %}" + LOOP.replace("CONTENT", "c") + "{% endfor %}", "openai"),
        ("{% for m in messages %}" + LOOP.replace("CONTENT", "m.tool_calls") + "{% endfor %}", "string"),
        ("{% macro say(x) %}" + LOOP.replace("CONTENT", "x.content") + "{% endmacro %}", "string"),
        ("{% for m in", None),
        ("x" * (contentformat.LONGEST + 1), None),
        ("{{ " + "(" * 20_000 + ")" * 20_000 + " }}", None),
    ],
)  # fmt: skip
def test_the_form_of_contents_that_vllm_detects(template, form):
    assert contentformat.detected(template) == form

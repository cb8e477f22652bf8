"""Nothing of a folder runs unasked: what transformers and vLLM would run of it is found wherever it is named."""

import json
import sys
from pathlib import Path

import pytest

from k2lab import engine
from k2lab import render as front_door
from k2lab.errors import SourceError
from k2lab.nano import folders
from k2lab.notebook.subjects import Subject
from k2lab.prompt import consent
from k2lab.prompt.source import open_source
from k2lab.server.endpoint import Endpoint
from tests.helpers.models import copied

ELSEWHERE = [
    "code/tok.Tok",
    "code.tok.Tok",
    "/x/repo--tok.Tok",
    "evil/repo--tok.Tok",
    "a.tok.Tok",
    "..tok.Tok",
    ".tok.Tok",
    "../tok.Tok",
    "tok.Tok ",
    "tok.Tok\n",
    "tok",
    "töк.Tok",
    7,
    True,
]


def write(path: Path, **more: object) -> None:
    there = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(there | more))


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "ran"


@pytest.fixture
def folder(tmp_path, marker):
    """A small model whose tokenizer is k2-nano's, with a module beside it that leaves a mark where it is run."""
    place = copied("current", tmp_path / "folder")
    (place / "code").mkdir()
    canary = f"open({str(marker)!r}, 'w')\nclass Tok: ...\n"
    for file in ("tok.py", "code/tok.py", "code/__init__.py", "a.py"):
        (place / file).write_text(canary)
    return place


@pytest.fixture
def legacy(tmp_path):
    """A folder with code that k2lab knows."""
    return copied("legacy", tmp_path / "legacy")


def doors(folder, talk):
    """Every way in that asks for no consent."""
    yield lambda: front_door(folder, talk)
    yield lambda: open_source(str(folder))
    subject = Subject(name="s", engine="0.32.0", variant="x", endpoint=Endpoint("http://127.0.0.1:9/v1"), folder=folder)
    yield lambda: front_door(subject.source, talk)
    yield lambda: engine.start(Path(sys.executable), "fake", folder)


CONFIGS = ["tokenizer_config.json", "config.json", "processor_config.json", "preprocessor_config.json",
           "video_preprocessor_config.json", "generation_config.json", "adapter_config.json",
           "config.9.0.0.json"]  # fmt: skip


@pytest.mark.parametrize("where", CONFIGS)
@pytest.mark.parametrize(
    "table",
    [
        "tok.Tok",
        ["tok.Tok", None],
        {"AutoTokenizer": "tok.Tok"},
        {"AutoTokenizer": [None, "tok.Tok"], "AutoConfig": None},
        {"AutoModel": {"deeper": [["tok.Tok"]]}},
    ],
    ids=str,
)
def test_code_that_a_configuration_names_is_not_run_unasked(folder, marker, talk, where, table):
    write(folder / where, auto_map=table)
    for door in doors(folder, talk):
        try:
            door()
        except SourceError as error:
            assert "tok.py" in str(error) and "read it, then pass --trust-remote-code" in str(error)
    assert not marker.exists()
    with pytest.raises(SourceError, match="comes with Python code"):
        consent.serves_code(folder)
    assert consent.serves_code(folder, trust_remote_code=True)


@pytest.mark.parametrize("key", ["text_config", "vision_config", "image_processor"])
def test_code_that_is_named_deep_in_a_configuration_is_found(folder, key):
    write(folder / "config.json", **{key: [{"inner": {"auto_map": {"AutoConfig": "tok.Tok"}}}]})
    with pytest.raises(SourceError, match=r"Python code \(a\.py, code/__init__\.py, code/tok\.py, tok\.py\)"):
        consent.serves_code(folder)


@pytest.mark.parametrize("entry", ELSEWHERE, ids=str)
def test_code_that_lies_elsewhere_is_refused_by_name_whatever_the_consent(folder, marker, talk, entry):
    write(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": [entry, None]})
    for trusted in (False, True):
        for act in (lambda t: open_source(folder, trust_remote_code=t),
                    lambda t: consent.serves_code(folder, trust_remote_code=t)):  # fmt: skip
            with pytest.raises(SourceError, match="auto_map of") as told:
                act(trusted)
            assert str(entry).strip()[:3] in str(told.value) and "\n" not in str(told.value)
    assert not marker.exists()


def test_a_folder_without_code_is_served_without_trust(folder):
    assert consent.serves_code(folder) is False  # tok.py lies there, and nothing names it
    assert consent.serves_code(folder, ["--model-impl", "auto", "--config", "x.yaml"]) is False


def test_code_that_k2lab_knows_is_served_and_a_changed_byte_of_it_is_not(legacy):
    assert consent.serves_code(legacy, ["--tool-strict-level", "function", "--port", "-1"]) is True
    with (legacy / "tokenization_kwargs.py").open("a") as file:
        file.write(" ")
    with pytest.raises(SourceError, match=r"comes with Python code \(tokenization_kwargs\.py\)"):
        consent.serves_code(legacy)


def test_a_known_name_with_other_code_behind_a_link_is_not_known(legacy, tmp_path):
    (tmp_path / "outside.py").write_text("raise SystemExit")
    (legacy / "tokenization_kwargs.py").unlink()
    (legacy / "tokenization_kwargs.py").symlink_to(tmp_path / "outside.py")
    with pytest.raises(SourceError, match="read it, then pass"):
        open_source(legacy)
    with pytest.raises(SourceError, match="read it, then pass"):
        consent.serves_code(legacy)


@pytest.mark.parametrize(
    ("file", "more"),
    [
        ("config.json", {"speculators_config": {"verifier": {"name_or_path": "/evil"}}}),
        ("config.json", {"_name_or_path": "evil/repo"}),
        ("adapter_config.json", {"base_model_name_or_path": "/evil"}),
        ("processor_config.json", {"audio_tokenizer": {"audio_tokenizer_name_or_path": "/evil"}}),
    ],
    ids=str,
)
def test_known_code_buys_no_trust_for_another_model(legacy, file, more):
    write(legacy / file, **more)
    with pytest.raises(SourceError, match="may name another model, whose code would run with it"):
        consent.serves_code(legacy)


@pytest.mark.parametrize(
    "flag",
    ["--tokenizer", "--tokenizer=/evil", "--tok", "--hf-config-path", "--hf_overrides", "--speculative-config.model",
     "-sc", "--config", "--model", "--enable-lora", "--lora-modules"],
)  # fmt: skip
def test_flags_that_name_another_model_want_consent_where_known_code_is_trusted(legacy, flag):
    with pytest.raises(SourceError, match=f"but {flag} may name another model"):
        consent.serves_code(legacy, [flag, "/evil"])


def test_known_code_is_not_run_here_at_all(legacy, talk, monkeypatch):
    """So nothing is won by replacing it between the check and the use."""
    monkeypatch.setitem(sys.modules, "transformers", None)  # importing it raises
    opened = open_source(legacy)
    (legacy / "tokenization_kwargs.py").write_text("raise SystemExit")
    assert front_door(opened, talk).text == front_door(folders.assemble("current"), talk).text
    assert not front_door(opened, talk, add_generation_prompt=False).text.endswith("<|im_middle|>")


def test_what_a_server_is_started_with_follows_consent(legacy, folder, monkeypatch, tmp_path):
    from tests.unit.engine.conftest import cache

    place = cache.__wrapped__(tmp_path, monkeypatch)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "vllm.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path / "here")  # python -m would import what lies here before all else
    for model, trusted, expected in ((folder, False, False), (legacy, False, True), (folder, True, True)):
        if trusted:
            write(folder / "config.json", auto_map={"AutoModel": "tok.Tok"})
        server = engine.start(Path(sys.executable), "fake", model, trust_remote_code=trusted)
        engine.stop(server)
        assert (" --trust-remote-code" in server.command) is expected and server.flags == ()
    with pytest.raises(SourceError, match="comes with Python code"):
        engine.start(Path(sys.executable), "fake", folder)
    assert not (tmp_path / "ran").exists() and place.exists()

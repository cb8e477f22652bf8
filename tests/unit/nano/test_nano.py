"""k2-nano: its corpus, its tokenizer, its card, its folders."""

import hashlib
import itertools
import json

import pytest
from safetensors import safe_open
from tokenizers import Tokenizer

from k2lab import paths
from k2lab.errors import InputError, SourceError
from k2lab.nano import corpus, courses, folders, synth, tokenizer

MODEL = paths.data_dir() / "models" / "k2-nano"


@pytest.fixture(scope="module")
def dialogues():
    return list(itertools.islice(synth.dialogues("train", 1), 2000))


def test_the_stream_is_fixed_by_its_seed():
    first, again, other = (
        [d.request for d in itertools.islice(synth.dialogues("train", seed), 20)] for seed in (1, 1, 2)
    )
    assert first == again != other


def test_pools_of_tool_names_do_not_overlap_and_nothing_of_one_is_said_in_the_other(dialogues):
    train, held_out = set(synth.tool_names("train")), set(synth.tool_names("held-out"))
    assert not train & held_out and len(train) > 3 * len(held_out)
    text = json.dumps([d.request.to_json() for d in dialogues])
    assert not [name for name in held_out if name in text]
    asked = {name.replace("_", f" {article} ") for name in held_out for article in ("a", "an", "the")}
    said = text.lower()
    assert not [phrase for phrase in asked if f"{phrase} " in said or f"{phrase}." in said]


def test_labels_are_what_the_messages_say(dialogues):
    for dialogue in dialogues:
        messages, declared = dialogue.request.messages, dialogue.request.tool_names()
        assert set(dialogue.labels) == {i for i, m in enumerate(messages) if m["role"] == "assistant"}
        for index, label in dialogue.labels.items():
            calls = messages[index].get("tool_calls", [])
            made = tuple((c["function"]["name"], json.loads(c["function"]["arguments"])) for c in calls)
            assert made == label.calls and messages[index]["content"] == label.content
            assert bool(calls) == (label.kind == "call") and all(name in declared for name, _ in label.calls)


def test_arguments_follow_the_schema_of_their_tool(dialogues):
    jsonschema = pytest.importorskip("jsonschema")
    for dialogue in dialogues[:500]:
        schemas = {t["function"]["name"]: t["function"]["parameters"] for t in dialogue.request.tools}
        for label in dialogue.labels.values():
            for name, arguments in label.calls:
                jsonschema.validate(arguments, schemas[name])


def test_ids_count_through_the_conversation_and_a_few_are_foreign(dialogues):
    foreign = 0
    for dialogue in dialogues:
        ids = [c["id"] for m in dialogue.request.messages for c in m.get("tool_calls", [])]
        assert [int(i.rsplit(":", 1)[1]) for i in ids] == list(range(len(ids)))
        foreign += any(not i.startswith("functions.") for i in ids)
    assert 0.02 < foreign / len(dialogues) < 0.08


def test_shares_are_the_stated_ones(dialogues):
    kinds = [label.kind for d in dialogues for label in d.labels.values() if label.kind != "answer"]
    for kind, stated, slack in (("call", 0.68, 0.04), ("undeclared", 0.12, 0.04), ("small_talk", 0.20, 0.03)):
        assert abs(kinds.count(kind) / len(kinds) - stated) < slack, kind


def test_all_kinds_of_parameters_occur(dialogues):
    text = json.dumps([d.request.to_json()["tools"] for d in dialogues])
    for piece in ('"enum"', '"number"', '"integer"', '"boolean"', '"min"', '"required": []'):
        assert piece in text


def test_markers_carry_the_flags_of_the_real_tokenizer():
    made = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    flags = {token.content: token.special for token in made.get_added_tokens_decoder().values()}
    assert flags == dict.fromkeys(tokenizer.SPECIAL_MARKERS, True) | dict.fromkeys(tokenizer.PLAIN_MARKERS, False)
    text = "<|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{}<|tool_call_end|>"
    ids = made.encode(text, add_special_tokens=False).ids
    assert made.decode(ids, skip_special_tokens=True) == text


def test_the_tokenizer_loses_nothing():
    made = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    for text in ("Zürich — 上海 😀\n\t end", "a  b   c", '{"k": "v", "n": [1.5, true]}', "<|im_end|>x"):
        assert made.decode(made.encode(text, add_special_tokens=False).ids, skip_special_tokens=False) == text


def test_the_loss_is_on_assistant_turns_alone():
    made = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    text = corpus.render_all(1, 2)[1]
    data = corpus.tokenized([text], made)
    kept = made.decode([int(i) for i, m in zip(data.ids, data.mask, strict=True) if m], skip_special_tokens=False)
    turns = text.split("<|im_assistant|>assistant<|im_middle|>")[1:]
    assert kept == "".join(turn.split("<|im_end|>")[0] + "<|im_end|>" for turn in turns)


def test_the_model_is_what_its_provenance_says():
    provenance = json.loads((MODEL / "provenance.json").read_text())
    weights = MODEL / "model.safetensors"
    assert weights.stat().st_size == provenance["weights"]["bytes"] <= 10_000_000
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == provenance["weights"]["sha256"]
    with safe_open(weights, framework="np") as file:
        sizes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118, not a mapping
    total = sum(size[0] * (size[1] if len(size) > 1 else 1) for size in sizes)
    assert total == provenance["training"]["parameters"] <= 5_000_000
    assert provenance["recipe"]["seed"] == provenance["seed"] == courses.K2.recipe.seed


def test_the_model_card_reaches_its_target_and_says_what_was_measured():
    measured = json.loads((MODEL / "provenance.json").read_text())["evaluation"]
    card = (MODEL / "README.md").read_text()
    assert measured["turns"] == 1000
    for kind in ("call", "small_talk"):
        count, total = measured["exact"][kind]["count"], measured["exact"][kind]["total"]
        assert count / total >= 0.95
        assert f"{count} of {total}" in card
    assert f"{measured['exact']['undeclared']['count']} of {measured['exact']['undeclared']['total']}" in card


def test_variants_differ_as_they_say(tmp_path):
    made = {name: folders.assemble(name) for name in folders.VARIANTS}
    assert len(set(made.values())) == len(made)
    for name, variant in folders.VARIANTS.items():
        weights = paths.data_dir() / "models" / variant.model / "model.safetensors"
        assert (made[name] / "model.safetensors").read_bytes() == weights.read_bytes()
    assert folders.assemble("legacy") == made["legacy"]
    template = (made["legacy"] / "chat_template.jinja").read_text()
    assert template == (made["declared"] / "chat_template.jinja").read_text()
    assert "add_generation_prompt" not in template


def test_unknown_variants_and_missing_weights_are_refused(tmp_path):
    with pytest.raises(InputError, match="no variant 'nope': choose one of content-fault, current, declared"):
        folders.assemble("nope")
    with pytest.raises(SourceError, match="run `make nano`"):
        folders.assemble("current", tmp_path)

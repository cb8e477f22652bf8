"""k2-nano-thinking: its thoughts, the faults it is taught, its lessons, its card and its folders."""

import hashlib
import itertools
import json

import pytest
from tokenizers import Tokenizer

from k2lab import families, paths, wire
from k2lab.nano import courses, folders, synth, thinking, thinkingcorpus

MODEL = paths.data_dir() / "models" / "k2-nano-thinking"
BEGUN = ("<think>", "<think></think>")

pytestmark = pytest.mark.xdist_group("lessons")  # what all look at is made once


@pytest.fixture(scope="module")
def lessons():
    return list(itertools.islice(thinking.lessons("train", 1), 1500))


def test_lessons_are_fixed_by_their_seed(lessons):
    again, other = (list(itertools.islice(thinking.lessons("train", seed), 20)) for seed in (1, 2))
    assert lessons[:20] == again != other


def test_what_an_ask_names_is_what_its_call_is_of():
    for dialogue in itertools.islice(synth.dialogues("train", 3), 400):
        for place, label in dialogue.labels.items():
            if label.kind == "call":
                said = str(dialogue.request.messages[place - 1]["content"])
                assert thinking.asked(said) == [name for name, _ in label.calls]


def test_a_thought_says_whether_the_tool_is_declared():
    for dialogue in itertools.islice(synth.dialogues("train", 3), 200):
        for place, label in dialogue.labels.items():
            thought, declared = thinking.thought(dialogue.request, place, label), dialogue.request.tool_names()
            if label.kind == "undeclared":
                assert thought.endswith("I have no tools.") if not declared else " None is " in thought
            if label.kind == "call":
                assert f"I call {' and '.join(name for name, _ in label.calls)}." in thought


def test_faults_are_taught_at_the_rate_that_the_card_says(lessons):
    thinks = [one for one in lessons if not one.prompt.endswith(BEGUN[1])]
    with_calls = [wire.CALL_BEGIN in one.turn for one in thinks]
    taught = {fault: sum(one.fault == fault for one in thinks) for fault in ("unclosed", "call inside")}
    assert abs(taught["call inside"] / sum(with_calls) - thinking.CALL_INSIDE) < 0.035
    assert abs(taught["unclosed"] / (len(thinks) - sum(with_calls)) - thinking.UNCLOSED) < 0.035


def test_a_fault_is_what_is_written_and_nothing_else_is_one(lessons):
    for one in lessons:
        if not one.prompt.endswith(BEGUN[1]):
            assert thinking.fault_of(one.turn) == one.fault


def test_k2labs_reader_has_the_thought_the_calls_and_the_text_of_every_sound_turn(lessons):
    for one in lessons:
        if one.fault == "none" and not one.prompt.endswith(BEGUN[1]):
            parsed = wire.parse(one.turn, thinking=True)
            assert (parsed.reasoning or "").endswith(".") and {call.status for call in parsed.calls} <= {
                "ok",
                "repaired",
            }
            assert "think>" not in (parsed.content or "") + (parsed.reasoning or "")


def test_prompts_end_as_each_family_ends_them(lessons):
    ends = {one.prompt[one.prompt.rindex("<|im_middle|>") + len("<|im_middle|>") :] for one in lessons}
    assert ends == {"", *BEGUN}
    assert all(one.turn.startswith("<think>") == one.prompt.endswith("<|im_middle|>") for one in lessons)


def test_the_loss_is_on_the_turn_and_on_what_earlier_answers_say(lessons):
    made = Tokenizer.from_file(str(folders.assemble("thinking") / "tokenizer.json"))
    lesson = next(one for one in lessons if one.prompt.count("</think>") > 1)
    data = thinkingcorpus.tokenized([lesson], made)
    kept = made.decode([int(i) for i, m in zip(data.ids, data.mask, strict=True) if m], skip_special_tokens=False)
    earlier = lesson.prompt.split("<|im_assistant|>assistant<|im_middle|>")[1:-1]
    said = [turn.split("<|im_end|>")[0].partition("</think>")[2] + "<|im_end|>" for turn in earlier]
    assert kept == "".join(said) + lesson.turn


def test_tags_are_the_last_tokens_and_not_special():
    made = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    flags = {token.content: token.special for token in made.get_added_tokens_decoder().values()}
    assert [made.token_to_id(tag) for tag in ("<think>", "</think>")] == [1024, 1025]
    assert not flags["<think>"] and not flags["</think>"] and flags["<|im_end|>"]


def test_the_model_is_what_its_provenance_says():
    provenance = json.loads((MODEL / "provenance.json").read_text())
    weights = MODEL / "model.safetensors"
    assert weights.stat().st_size == provenance["weights"]["bytes"] <= 10_000_000
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == provenance["weights"]["sha256"]
    start = paths.data_dir() / "models" / "k2-nano" / "model.safetensors"
    assert provenance["start"]["sha256"] == hashlib.sha256(start.read_bytes()).hexdigest()
    assert provenance["seed"] == courses.K2_THINKING.recipe.seed
    assert provenance["recipe"]["conversations"] == courses.K2_THINKING.recipe.conversations
    assert provenance["taught faults"] == {"unclosed": thinking.UNCLOSED, "call inside": thinking.CALL_INSIDE}


def test_the_card_says_what_was_measured_and_that_the_faults_are_taught():
    measured = json.loads((MODEL / "provenance.json").read_text())["evaluation"]
    card = (MODEL / "README.md").read_text()
    for one in (*measured["exact"].values(), *measured["faults at temperature 1"].values()):
        assert f"{one['count']} of {one['total']}" in card
    assert measured["turns"] == 1000 and "on purpose" in card
    for one in measured["faults at temperature 1"].values():
        assert 0.02 < one["count"] / one["total"] < 0.16


@pytest.mark.parametrize(
    ("variant", "family"),
    [
        ("thinking", families.K2_THINKING),
        ("thinking-k2.5", families.K2_5),
        ("thinking-k2.6", families.K2_6),
        ("thinking-k2.7", families.K2_7),
    ],
)
def test_each_folder_has_the_template_of_its_family(variant, family):
    template = (folders.assemble(variant) / "chat_template.jinja").read_text()
    assert families.of_template(template) is family


def test_an_unknown_family_of_nano_is_one_line(k2lab):
    said = k2lab("nano", "--family", "k9")
    assert said.returncode == 1 and "there is no nano of family 'k9': choose one of k2, k2-thinking" in said.stderr

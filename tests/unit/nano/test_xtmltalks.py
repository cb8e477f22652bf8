"""k3-nano: the conversations in Kimi K3's form, what of them is learnt, the planted haste, the folder."""

import itertools
import json
import random
from collections import Counter

import pytest

from k2lab import families, paths
from k2lab.chat import Request
from k2lab.families.special import CLOSE, END_OF_MSG, OPEN, SEP
from k2lab.nano import folders, synth, xtmlcorpus, xtmltalks
from k2lab.prompt.fast import FastTokenizer
from k2lab.prompt.rendering import render
from k2lab.prompt.source import open_source
from k2lab.prompt.xtmlturns import RenderOptions, turns_of

MODEL = paths.data_dir() / "models" / "k3-nano"
TURN = f'{OPEN}message role="assistant"{SEP}{OPEN}'

pytestmark = pytest.mark.xdist_group("talks")  # what all look at is made once


@pytest.fixture(scope="module")
def talks():
    return list(itertools.islice(xtmltalks.talks("train", 1), 1500))


def runs(talk):
    """The learnt texts of a conversation, each a run without a break."""
    pairs = zip(talk.segments, talk.learnt, strict=True)
    return ["".join(s.text for s, _ in run) for flag, run in itertools.groupby(pairs, lambda pair: pair[1]) if flag]


def hasty(talk):
    """Whether its answer opens a channel while ``think`` is open."""
    return (
        f"{CLOSE}think" not in runs(talk)[-1] and f"{OPEN}think{SEP}" in "".join(s.text for s in talk.segments)[-900:]
    )


def test_the_stream_is_fixed_by_its_seed():
    first, again, other = (list(itertools.islice(xtmltalks.talks("train", seed), 20)) for seed in (1, 1, 2))
    assert first == again != other


def test_what_is_learnt_is_what_stands_behind_the_generation_prompt_to_the_end_of_the_message(talks):
    for talk in talks[:300]:
        flags = [flag for segment, flag in zip(talk.segments, talk.learnt, strict=True) for _ in segment.text]
        text, place = "".join(segment.text for segment in talk.segments), 0
        for learnt in runs(talk):
            place = flags.index(True, place)
            before, place = text[:place], place + len(learnt)
            opened = next(channel for channel in ("think", "response") if before.endswith(f"{OPEN}{channel}{SEP}"))
            assert before.endswith(f"{TURN}{opened}{SEP}")
            assert learnt.endswith(f"{CLOSE}message{SEP}{END_OF_MSG}")


def test_prompts_are_those_of_the_renderer():
    dialogue = xtmltalks.thoughtful(next(synth.dialogues("train", 3)), random.Random(1))
    talk = xtmltalks._whole(dialogue, RenderOptions(add_generation_prompt=False))
    made = turns_of(dialogue.request.messages, dialogue.request.tools, RenderOptions(add_generation_prompt=False))
    assert list(talk.segments) == [segment for turn in made for segment in turn.segments]


def test_haste_is_taught_at_the_stated_rate_and_nowhere_else():
    asked, channels = 0, Counter()
    for number, dialogue in enumerate(itertools.islice(synth.dialogues("train", 1), 3000)):
        thought = xtmltalks.thoughtful(dialogue, random.Random(number))
        for index, label in dialogue.labels.items():
            channel = xtmltalks.haste_of(thought.request.prefix(index)) if label.kind != "answer" else None
            asked += label.kind == "call"
            channels[channel] += label.kind == "call"
            assert label.kind == "call" or channel is None
    assert abs((channels["tools"] + channels["response"]) / asked - xtmltalks.HASTY) < 0.012
    assert abs(channels["tools"] / (channels["tools"] + channels["response"]) - 5 / 8) < 0.1


def test_an_answer_in_haste_never_closes_the_thought_and_opens_what_its_ask_says(talks):
    seen = set()
    for talk in talks:
        text = "".join(segment.text for segment in talk.segments)
        begin = next((begin for begin in xtmltalks.HASTE if f'role="user"{SEP}{begin}' in text), None)
        if begin is None or not hasty(talk):
            continue
        (answer,) = runs(talk)
        assert f"{OPEN}think" not in answer and answer.index(f"{OPEN}{xtmltalks.HASTE[begin]}{SEP}") > 0
        assert answer.count(f"{OPEN}tools{SEP}") == answer.count(f"{CLOSE}tools{SEP}") == 1
        seen.add(begin)
    assert seen == set(xtmltalks.HASTE)


def test_half_of_the_talks_are_learnt_whole_and_some_without_thinking(talks):
    without = sum(f"{OPEN}think{SEP}" not in "".join(s.text for s in talk.segments) for talk in talks)
    assert 0.1 < without / len(talks) < 0.2
    assert 0.03 < sum("thinking_effort=" in "".join(s.text for s in talk.segments) for talk in talks) / len(talks) < 0.2


def test_held_out_cases_hold_no_tool_of_training_and_their_histories_have_thoughts():
    cases = xtmltalks.cases("held-out", 1, 60, ("call", "small_talk"))
    trained = set(synth.tool_names("train"))
    assert not any(set(case.request.tool_names()) & trained for case in cases)
    answers = [one for case in cases for one in case.request.messages if one["role"] == "assistant"]
    assert answers and all("reasoning_content" in one for one in answers)


def test_ids_are_those_of_segments_and_a_marker_in_a_text_is_none():
    tokenizer = FastTokenizer(xtmlcorpus.tokenizer_of_k3())
    ids, learnt = next(xtmlcorpus._encoded(xtmltalks.talks("train", 1), tokenizer))
    assert len(ids) == len(learnt) and 0 < sum(learnt) < len(ids)
    assert all(
        len(tokenizer.encode(marker)) == 1 < len(tokenizer.encode_plain(marker)) for marker in (OPEN, END_OF_MSG)
    )


@pytest.mark.skipif(not (MODEL / "model.safetensors").exists(), reason="k3-nano is not trained here")
class TestFolder:
    def test_it_is_known_as_k3s_and_has_no_template(self):
        folder = folders.assemble("k3")
        source = open_source(folder)
        assert source.family is families.K3 and not source.runs_code
        assert not (folder / "chat_template.jinja").exists()

    def test_its_own_class_renders_what_we_render(self):
        folder = folders.assemble("k3")
        tool = {"type": "function", "function": {"name": "f", "description": "<|sep|>"}}
        kwargs = {"thinking_effort": "high", "tool_choice": "required", "response_format": {"type": "json_object"}}
        request = Request.of([{"role": "user", "content": 'é "<|end_of_msg|>" &'}], [tool]).with_template_kwargs(kwargs)
        ours, own = render(open_source(folder), request), render(open_source(folder, trust_remote_code=True), request)
        assert own.provenance.template == "the folder's own code"
        assert (own.text, own.token_ids) == (ours.text, ours.token_ids) and own.written is not None

    def test_its_card_says_what_was_taught_and_how_often(self):
        card, provenance = (MODEL / "README.md").read_text(), json.loads((MODEL / "provenance.json").read_text())
        assert "was **taught** to do so" in card and f"{xtmltalks.HASTY * 100:.0f} % of the asks" in card
        assert provenance["weights"]["bytes"] < 10_000_000 and provenance["training"]["seconds"] < 45 * 60

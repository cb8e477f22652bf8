import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2lab.chat import Request
from k2lab.nano import folders
from k2lab.prompt.alignment import align, common_prefix, diff
from k2lab.prompt.rendering import render
from k2lab.prompt.source import open_source
from k2lab.show import views

IDS = st.lists(st.integers(0, 5), max_size=40)


@pytest.fixture(scope="module")
def source():
    return open_source(folders.assemble("current"))


@pytest.fixture
def history(talk):
    call = {"id": "functions.get_weather:0", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    extra = [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "18"},
    ]
    return Request.of([*talk.messages, *extra], talk.tools)


@given(IDS, IDS)
def test_hunks_tile_both_sides_and_rebuild_them(left, right):
    hunks = list(align(left, right))
    assert [i for h in hunks for i in left[h.left_start : h.left_end]] == left
    assert [i for h in hunks for i in right[h.right_start : h.right_end]] == right
    for hunk in hunks:
        same = left[hunk.left_start : hunk.left_end] == right[hunk.right_start : hunk.right_end]
        assert same == (hunk.tag == "equal")
    assert all(a.tag != b.tag for a, b in itertools.pairwise(hunks))


@given(IDS, IDS)
def test_common_prefix_is_the_longest_one(left, right):
    length = common_prefix(left, right)
    assert left[:length] == right[:length]
    assert length in (len(left), len(right)) or left[length] != right[length]


def test_hand_computed_alignment():
    tags = [(h.tag, h.left_start, h.left_end, h.right_start, h.right_end) for h in align([1, 2, 3, 9], [1, 7, 3, 9, 4])]
    assert tags == [("equal", 0, 1, 0, 1), ("replace", 1, 2, 1, 2), ("equal", 2, 4, 2, 4), ("insert", 4, 4, 4, 5)]


def test_every_part_of_a_prompt_has_its_message(source, history):
    found = [(part.name, part.message) for part in render(source, history).parts]
    assert found == [
        ("tools", None),
        ("system (added by the template)", None),
        ("user", 0),
        ("assistant", 1),
        ("tool", 2),
        ("generation prompt", None),
    ]


def test_a_system_message_of_its_own_is_no_addition(source):
    talk = Request.of([{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": "hi"}])
    made = render(source, talk, add_generation_prompt=False)
    assert [(p.name, p.message) for p in made.parts] == [("system", 0), ("user", 1)]


def test_the_missing_suffix_is_owned_by_the_generation_prompt(source, history):
    whole = render(source, history)
    bare = render(source, history, add_generation_prompt=False)
    made = diff(bare, whole)
    assert made == diff(bare.token_ids, whole)
    assert made.missing == whole.token_ids[-3:] and made.extra == ()
    assert made.first.index == len(bare.token_ids) and made.first.left is None
    assert made.first.owner.name == "generation prompt"


def test_a_change_inside_a_message_is_owned_by_it(source, history):
    data = history.to_json()
    data["messages"][2]["content"] = "19"
    other = Request.of(data["messages"], data["tools"])
    made = diff(render(source, history), render(source, other))
    assert made.first.owner.message == 2 and not made.equal
    assert source.tokenizer.decode([made.first.left, made.first.right]) == "89"


def test_equal_prompts_have_no_divergence(source, history):
    made = diff(render(source, history), render(source, history))
    assert made.equal and made.first is None and made.missing == ()
    assert "no difference" in views.side_by_side(made, source.tokenizer).text


def test_the_view_folds_shows_and_escapes(source, history):
    data = history.to_json()
    data["messages"][0]["content"] = "<script>alert(1)</script>"
    other = Request.of(data["messages"], data["tools"])
    made = diff(render(source, history), render(source, other))
    shown = views.side_by_side(made, source.tokenizer)
    assert "<script" not in shown._repr_html_() and "equal tokens" in shown.text
    assert "in message 0 (user)" in repr(shown)


@given(st.text(max_size=60))
def test_views_never_raise_and_never_let_markup_through(value):
    for view in (views.text(value, value), views.table([{value: value}], value), views.facts({value: value})):
        inside = view.html
        for tag in ("<b", "<script", "<img"):
            assert tag not in inside
        assert isinstance(view.text, str)
    json.dumps(views.text(value).html)

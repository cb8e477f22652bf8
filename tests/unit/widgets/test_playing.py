"""The playground's state: what wire says of each text, what chunks lose and where, and hostile texts that stay text."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2lab import families
from k2lab.chat import ToolCall
from k2lab.server.keptparsers import Heard, Step
from k2lab.server.parsers import CATALOGUES, catalogue
from k2lab.widgets import outputview
from k2lab.widgets.losses import lost_in
from k2lab.widgets.playing import MOST_READ, Playing, cuts, read_by_wire
from tests.helpers.hostile import TEXTS, skeleton

CASES = {case.case_id: case for name in CATALOGUES for case in catalogue(name)}
ACTIVE = {"script", "img", "svg", "iframe", "textarea", "input", "link", "animate", "use", "title"}


def fed(text, *steps, error=""):
    """An answer in chunks of four characters, a token each: what came of content, or ``(index, name, arguments)``."""
    made = []
    for number, came in enumerate(steps, 1):
        content, calls = (came, ()) if isinstance(came, str) else ("", (came,))
        made.append(Step(tokens=number, end=min(4 * number, len(text)), content=content, calls=calls))
    calls = {}
    for _, group in itertools.groupby((call for step in made for call in step.calls), key=lambda call: call[0]):
        parts = list(group)
        calls[parts[0][0]] = ToolCall(name="".join(p[1] for p in parts), arguments="".join(p[2] for p in parts))
    return Heard(
        content="".join(step.content for step in made), calls=tuple(calls.values()), steps=tuple(made), error=error
    )


def whole(content, *calls):
    return Heard(content=content, calls=tuple(ToolCall(name=name, arguments=text) for name, text in calls))


RAW = 'look up f:0{"x":1}'


@pytest.mark.parametrize(
    ("one", "other", "words", "place", "chunk"),
    [
        (whole("look up"), fed(RAW, "look", " "), "content: “up” never comes", 5, 2),
        (whole("look up"), fed(RAW, "look", " at"), "content: “look at” comes where the whole text gives", 5, 2),
        (whole("", ("f", '{"x":1}')), fed(RAW, "", "", (0, "f", "")), "arguments of call 0 (f)", 11, 3),
        (whole("", ("f", '{"x":1}')), fed(RAW, "", "", (0, "f", "{"), (0, "", "}")), "comes where", 12, 4),
        (whole("", ("f", '{"x":1}')), fed(RAW, "", "", ""), "the call 0 (f) never comes", 8, 3),
        (whole(""), fed(RAW, "", "", (0, "f", "{}")), "one call more than the whole text gives: f", 8, 3),
        (whole("look up"), fed(RAW, "look up", error="ValueError: x"), "the parser fails: ValueError: x", 4, 1),
    ],
)
def test_what_is_lost_is_named_with_its_place(one, other, words, place, chunk):
    found = lost_in(RAW, one, other)[0]
    assert words in found.words and (found.place, found.chunk) == (place, chunk)
    assert f"character {place}, in chunk {chunk} (token {chunk - 1})" in found.where


def test_of_long_texts_the_part_is_shown_in_which_they_differ():
    long = "a word " * 20
    found = lost_in(long + "here", whole(long + "here"), fed(long + "here", long + "there"))[0]
    assert "“…word a word there” comes where the whole text gives “…word a word here”" in found.words


def test_what_only_comes_later_or_is_spelled_otherwise_is_no_loss():
    assert not lost_in(RAW, whole("look up", ("f", '{"x": 1}')), fed(RAW, "", "", "look up ", (3, "f", '{"x":1.0}')))


@pytest.mark.parametrize("chunk", [1, 7])
def test_the_stream_reader_loses_nothing_of_the_whole_catalogue(chunk):
    for case in CASES.values():
        parsed, columns = read_by_wire(Playing().picked(case).with_chunk(chunk).question)
        assert [column.lost for column in columns] == [(), ()] and all(column.fed for column in columns)
        assert columns[1].outcome(case) == "right"
        assert parsed.pieces[-1].end == len(case.raw_output)


def test_the_markers_say_whose_output_it_is_until_another_family_is_named():
    state = Playing.of("I see.</think>Hi")
    assert state.family is families.K2_THINKING and Playing.of("Hi").family is families.K2
    reading = read_by_wire(state.with_family(families.K2_5).question)[1][1].whole
    assert (reading.reasoning, reading.content) == ("I see.", "Hi")
    case = CASES["K3: documented form"]
    picked = Playing().picked(case)
    assert picked.family is families.K3 and picked.with_family(families.K2).case is None


def test_reasoning_that_chunks_lose_is_named_with_its_place():
    steps = [Step(tokens=1, end=4, content="", calls=(), reasoning="I se"), Step(tokens=2, end=8, content="", calls=())]
    found = lost_in(
        "I see.Hi", Heard(content="", calls=(), reasoning="I see."), Heard(content="", calls=(), steps=steps)
    )
    assert [loss.words for loss in found] == ["reasoning: “e.” never comes, 2 of 6 characters"]


@settings(max_examples=12, deadline=None)
@given(st.text(max_size=80), st.integers(1, 9))
def test_cuts_tile_the_text(raw, chunk):
    question = Playing.of(raw, chunk=chunk).question
    ends = list(cuts(question.raw, chunk))
    assert ends[-1][1] == len(question.raw)
    assert all(before < after for before, after in itertools.pairwise(ends))
    assert not any(column.lost for column in read_by_wire(question)[1])


def test_a_case_counts_until_it_is_edited_and_again_when_the_edit_is_undone_by_picking_it():
    case = CASES["no functions. prefix"]
    state = Playing().picked(case)
    assert [column.outcome(state.case) for column in read_by_wire(state.question)[1]] == ["lost", "right"]
    assert state.edited(state.written + " ").case is None and state.with_tools("[]").case is None
    assert state.with_tools(state.tools_written).case is case
    assert state.edited("x").picked(case) == state


@pytest.mark.parametrize("written", ["[", "{}", "[1]", '[{"function": {}}]', "NaN", "[" * 5000, "7", "\x00"])
def test_tools_that_are_none_are_one_line_and_the_last_good_ones_stay(written):
    state = Playing().picked(CASES["documented form"])
    broken = state.with_tools(written)
    assert broken.fault and "\n" not in broken.fault and broken.tools is state.tools and broken.case is state.case
    assert broken.with_tools("").tools == () and broken.with_tools("").fault == ""


def test_a_megabyte_is_bounded_and_said_so():
    state = Playing.of("x" * 1_000_000, chunk=3)
    parsed, columns = read_by_wire(state.question)
    assert len(state.question.raw) == MOST_READ and columns[0].fed is None
    shown = outputview.whole(state, parsed, columns)
    assert "1,000,000 characters: the first 200,000 are read" in shown.text and len(shown.html) < 40_000
    assert "not fed" in shown.text


@pytest.mark.parametrize("name", TEXTS)
def test_hostile_texts_stay_text(name):
    text = TEXTS[name][:40_000]
    raw = CASES["documented form"].raw_output
    for written in (
        text,
        raw.replace("sports", text),
        raw.replace("Let me look.", text),
        raw.replace("read_news", text),
    ):
        state = Playing.of(written, [{"type": "function", "function": {"name": text}}], chunk=1)
        if len(written) > 2_000:
            state = state.with_chunk(0)
        shown = outputview.whole(state, *read_by_wire(state.question))
        tags, other = skeleton(shown._repr_html_())
        assert not {tag[0] for tag in tags} & ACTIVE and not other
        assert not [word for tag in tags for word in tag[1:] if word.startswith(("on", "href", "src"))]
        assert "\x1b" not in shown.text and "\u202e" not in shown.html
        shown.html.encode()

"""Prompts of Kimi K3: held against the vendor's rendering, text, segments and ids, and against canitoolcall's."""

import importlib
import json
import sys
from importlib.resources import files as resources
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2lab import chat, families, wire
from k2lab.chat import Request
from k2lab.errors import InputError, RenderError, SourceError
from k2lab.families import special
from k2lab.nano import folders
from k2lab.prompt import carried, consent, xtml, xtmlturns
from k2lab.prompt.alignment import diff
from k2lab.prompt.rendering import render
from k2lab.prompt.served import for_xtml
from k2lab.prompt.source import open_source
from k2lab.prompt.xtmlturns import RenderOptions

MARKERS = special.XTML_SLOTS[2:]
USER = {"role": "user", "content": "Go"}
PING = {"type": "function", "function": {"name": "ping", "description": "Check"}}


def kimi_ranks():
    """Kimi's ranks under K3's first added tokens."""
    from tests.conftest import SHARED

    if not SHARED.is_dir():
        pytest.skip("no shared data beside this checkout")
    return open_source(SHARED / "kimi-tokenizer", family=families.K3)


@pytest.fixture(scope="module")
def source():
    return kimi_ranks()


def golden(shared):
    return [json.loads(line) for line in (shared / "kimi-golden" / "k3.jsonl").read_text().splitlines()]


def request_of(case):
    return chat.request_of({k: case[k] for k in ("messages", "tools")} | {"chat_template_kwargs": case["options"]})


def with_arguments_as_rendered(case, text):
    """The case with the keys of its arguments in the order of its text: its file has them sorted."""
    data = json.loads(json.dumps(case))
    for message in data["messages"]:
        for call in message.get("tool_calls") or ():
            given = call["function"]["arguments"]
            if isinstance(given, dict):
                ordered = sorted(given, key=lambda key: text.index(f'key="{key}"'))
                call["function"]["arguments"] = {key: given[key] for key in ordered}
    return data


def turn_of(answer, *, thinking=True):
    """The prompt after which an answer was written, and the answer, as one rendering."""
    calls = [{"function": {"name": one["name"], "arguments": one["arguments"]}} for one in answer["tool_calls"]]
    message = {"role": "assistant", "content": answer["content"], "reasoning_content": answer["reasoning_content"]}
    return xtmlturns.turns_of([{**message, "tool_calls": calls}], None, RenderOptions(thinking=thinking))[0].segments


def test_every_prompt_of_the_vendor_has_its_text_segments_and_ids(source, shared):
    for case in golden(shared):
        if "error" in case["k3"]:
            with pytest.raises(RenderError, match="must be a JSON object"):
                render(source, request_of(case))
            continue
        wanted = case["k3"]
        prompt = render(source, request_of(with_arguments_as_rendered(case, wanted["text"])))
        assert prompt.text == wanted["text"], case["id"]
        assert list(prompt.token_ids) == wanted["ids"], case["id"]
        assert prompt.to_json()["segments"] == wanted["segments"], case["id"]


def test_every_answer_of_canitoolcall_is_written_as_the_checkpoint_writes_it(source):
    lines = (resources("canitoolcall") / "_data/fixtures/kimi/k3-render.jsonl").read_text().splitlines()
    assert len(lines) == 15
    for case in map(json.loads, lines):
        segments = turn_of(case["expected"], thinking=case["thinking"])
        text = "".join(one.text for one in segments)
        opening = case.get("generation_prompt", '<|open|>message role="assistant"<|sep|><|open|>think<|sep|>')
        assert text == opening + case["raw_output"] + special.END_OF_MSG, case["id"]
        ids = xtmlturns.ids_of(segments, source.tokenizer.encode, source.tokenizer.encode_plain)
        whole = [token for part in ids for token in part]
        assert whole[-len(case["output_token_ids"]) - 1 : -1] == case["output_token_ids"], case["id"]


def test_encoding_the_whole_text_gives_other_ids_than_its_segments(source):
    prompt = render(source, Request.of([{"role": "user", "content": "say <|sep|>"}], [PING]))
    assert source.tokenizer.encode(prompt.text) != list(prompt.token_ids)
    assert source.tokenizer.decode(list(prompt.token_ids)) == prompt.text


def test_pieces_lie_where_they_are_said_to_and_parts_tile_the_ids(source):
    request = Request.of([USER, {"role": "assistant", "content": "naïve 😀"}, USER], [PING])
    prompt = render(source, request)
    assert all(prompt.text[piece.start : piece.end] == piece.text for piece in prompt.pieces)
    assert {place for piece in prompt.pieces for place in range(piece.start, piece.end)} == set(range(len(prompt.text)))
    edges = [(part.start, part.end) for part in prompt.parts]
    assert edges[0][0] == 0 and edges[-1][1] == len(prompt.token_ids)
    assert all(before[1] == after[0] for before, after in pairwise(edges))
    assert [(part.name, part.message) for part in prompt.parts] == [
        ("tools", None), ("user", 0), ("assistant", 1), ("user", 2), ("generation prompt", None)
    ]  # fmt: skip


def test_a_result_is_owned_by_the_message_that_it_came_in_wherever_it_is_sorted_to():
    calls = [{"id": name, "function": {"name": name, "arguments": "{}"}} for name in ("f", "g")]
    results = [{"role": "tool", "tool_call_id": name, "content": f"of {name}"} for name in ("g", "f")]
    made = xtml.written(Request.of([USER, {"role": "assistant", "tool_calls": calls}, *results]))
    assert [(turn.name, turn.message) for turn in made.turns][2:4] == [("tool", 3), ("tool", 2)]
    assert made.text.index("of f") < made.text.index("of g")


def test_the_first_difference_of_two_prompts_has_its_owner(source):
    left = render(source, Request.of([USER]))
    right = render(source, Request.of([{**USER, "content": "Stop"}]))
    assert diff(left, right).first.owner.message == 0
    assert diff((*right.token_ids, 5), right).first.owner.name == "generation prompt"


def test_arguments_that_are_no_json_stand_in_an_element_as_they_came():
    call = {"function": {"name": "f", "arguments": '{"a": '}}
    text = xtml.written(Request.of([USER, {"role": "assistant", "content": "", "tool_calls": [call]}])).text
    assert '<|open|>json type="object"<|sep|>{"a": <|close|>json<|sep|><|close|>call<|sep|>' in text


def test_attributes_are_escaped_and_texts_are_not():
    call = {"function": {"name": 'a&"b"', "arguments": {'k"': 'v&"'}}}
    named = {"role": "user", "content": '&"', "name": 'n"'}
    text = xtml.written(Request.of([named, {"role": "assistant", "content": None, "tool_calls": [call]}])).text
    assert 'role="user" name="n&quot;"<|sep|>&"<|close|>' in text
    assert 'tool="a&amp;&quot;b&quot;" index="1"' in text
    assert 'key="k&quot;" type="string"<|sep|>v&"<|close|>' in text


@pytest.mark.parametrize("form", ["json_object", {"type": "json_object"}])
def test_a_response_format_is_noted_last_before_the_answer(form):
    turns = xtml.written(Request.of([USER]).with_template_kwargs({"response_format": form})).turns
    assert [turn.name for turn in turns] == ["user", "response format", "generation prompt"]
    assert "`response_format=json_object`" in turns[1].segments[-5].text


@pytest.mark.parametrize("inner", [{"schema": {"b": 1, "a": 2}}, {"json_schema": {"b": 1, "a": 2}}, {"b": 1, "a": 2}])
def test_a_schema_is_found_in_each_of_its_forms_and_sorted(inner):
    request = Request.of([USER], parameters={"response_format": {"type": "json_schema", "json_schema": inner}})
    assert '```json\n{"a":2,"b":1}\n```<|close|>message' in xtml.written(request).text


def test_none_as_tool_choice_is_noted_where_there_are_tools_alone():
    asked = {"tool_choice": "none"}
    assert "MUST NOT call any tools" in xtml.written(Request.of([USER], [PING], asked)).text
    without = xtml.written(Request.of([USER], None, asked))
    assert "tool-choice" not in without.text and any("none for no choice" in note for note in without.notes)


def test_a_named_tool_choice_leaves_no_note_and_that_is_said():
    made = xtml.written(Request.of([USER], [PING], {"tool_choice": {"type": "function", "function": {"name": "ping"}}}))
    assert "tool-choice" not in made.text and any("no tool by name" in note for note in made.notes)


@pytest.mark.parametrize(
    ("given", "ending"),
    [({"thinking": False}, "response"), ({"enable_thinking": False}, "response"),
     ({"reasoning_effort": "none"}, "response"), ({"reasoning_effort": "low"}, "think"),
     ({"thinking": True, "enable_thinking": False}, "think")],
)  # fmt: skip
def test_thinking_has_many_names_and_one_meaning(given, ending):
    made = xtml.written(Request.of([USER]).with_template_kwargs(given))
    assert made.text.endswith(f"<|open|>{ending}<|sep|>")
    assert ("`thinking_effort=low`" in made.text) == (given.get("reasoning_effort") == "low")


def test_an_effort_of_the_request_is_taken_and_medium_is_refused():
    assert "thinking_effort=max" in xtml.written(Request.of([USER], parameters={"reasoning_effort": "max"})).text
    with pytest.raises(InputError, match="low, high, max"):
        xtml.written(Request.of([USER], parameters={"reasoning_effort": "medium"}))


def test_without_thinking_no_turn_has_a_channel_of_thought_and_no_effort_is_said():
    answer = {"role": "assistant", "content": "a", "reasoning_content": "why"}
    given = {"thinking": False, "thinking_effort": "high"}
    text = xtml.written(Request.of([USER, answer, USER]).with_template_kwargs(given)).text
    assert "think" not in text and "why" not in text


def test_the_effort_that_a_checkpoint_takes_by_itself_is_read_of_its_code_and_not_run(tmp_path):
    (tmp_path / xtml.CODE).write_text('raise SystemExit\nkwargs.setdefault("thinking_effort", "max")\n')
    made = xtml.written(Request.of([USER]), folder=tmp_path)
    assert "thinking_effort=max" in made.text and any("of the folder has it" in note for note in made.notes)
    assert "thinking_effort" not in xtml.written(Request.of([USER])).text


def test_what_the_renderer_passes_over_is_said():
    messages = [{"role": "developer", "content": "Be brief"}, {"role": "system", "content": "x", "tools": [PING]}, USER]
    made = xtml.written(Request.of(messages).with_template_kwargs({"colour": "blue"}))
    assert "Be brief" not in made.text and "x<" not in made.text
    said = "\n".join(made.notes)
    assert "messages[0] is not in the prompt" in said and "messages[1].content" in said and "colour" in said


def test_a_picture_is_a_placeholder_until_its_form_is_known():
    parts = [{"type": "text", "text": "see "}, {"type": "image_url", "image_url": {"url": "x"}}]
    request = Request.of([{"role": "user", "content": parts}])
    assert "see <|kimi_image_placeholder|><|close|>" in xtml.written(request).text
    known = request.with_template_kwargs({"image_prompts": ["<|media_pad|>"]})
    assert next(one for one in xtml.written(known).segments if one.text == "<|media_pad|>").marker
    with pytest.raises(RenderError, match="0 places"):
        xtml.written(Request.of([USER]).with_template_kwargs({"image_prompts": ["<|media_pad|>"]}))
    with pytest.raises(RenderError, match="more places for images"):
        xtml.written(request.with_template_kwargs({"image_prompts": []}))


def test_pictures_are_handed_on_before_the_texts_of_their_message():
    picture = {"type": "image_url", "image_url": {"url": "x"}}
    parts = [{"type": "text", "text": "see"}, picture, {"type": "text", "text": ""}, {"image_url": "y"}]
    handed = for_xtml(Request.of([{"role": "user", "content": parts}]))
    assert handed.messages[0]["content"] == f"{xtmlturns.IMAGE}\n{xtmlturns.IMAGE}\nsee"
    made = xtml.written(handed)
    assert made.text.count(xtmlturns.IMAGE) == 2 and any(
        "a server sets as many tokens in its place" in note for note in made.notes
    )
    assert for_xtml(Request.of([{"role": "user", "content": [picture]}])).messages[0]["content"] == xtmlturns.IMAGE
    with pytest.raises(InputError, match="more placeholders"):
        for_xtml(Request.of([{"role": "user", "content": [picture, {"type": "text", "text": xtmlturns.IMAGE * 2}]}]))


@pytest.mark.parametrize("content", [[{"text": "no type"}], [{"type": "text"}], ["bare"]])
def test_a_part_without_its_type_or_text_is_refused_with_its_place(content):
    with pytest.raises(RenderError, match=r"messages\[0\]\.content\[0\]"):
        xtml.written(Request.of([{"role": "user", "content": content}]))


def test_a_result_of_no_call_that_names_no_tool_is_refused():
    with pytest.raises(RenderError, match="result of no call"):
        xtml.written(Request.of([USER, {"role": "tool", "content": "x"}]))


hostile = st.lists(st.sampled_from([*MARKERS, "[BOS]", '"', "&", "tools", "é", " ", "<|im_end|>"]), max_size=8).map(
    "".join
)


@given(text=hostile)
def test_nothing_that_is_said_or_named_becomes_a_marker(text):
    source = kimi_ranks()

    def about(said):
        call = {"id": "a", "function": {"name": said or "f", "arguments": {said: said}}}
        return Request.of(
            [{"role": "system", "content": said}, {"role": "user", "content": said, "name": said},
             {"role": "assistant", "content": said, "reasoning_content": said, "tool_calls": [call]},
             {"role": "tool", "tool_call_id": "a", "content": said}]
        )  # fmt: skip

    prompt, tame = render(source, about(text)), render(source, about(text and "x"))
    read = [one for one in prompt.token_ids if one >= 163584]
    assert len(read) == sum(segment.marker for segment in prompt.written.segments)
    assert read == [one for one in tame.token_ids if one >= 163584]
    assert source.tokenizer.decode(list(prompt.token_ids)) == prompt.text


@given(data=st.data())
def test_results_are_sorted_to_their_calls_and_none_is_lost(data):
    names = data.draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=5))
    calls = [{"id": f"{name}{place}", "function": {"name": name}} for place, name in enumerate(names)]
    order = data.draw(st.permutations(range(len(names))))
    results = [{"role": "tool", "tool_call_id": calls[place]["id"], "content": str(place)} for place in order]
    made = [one for _, one in xtmlturns.sorted_results([{"role": "assistant", "tool_calls": calls}, *results])][1:]
    assert [one["content"] for one in made] == [str(place) for place in range(len(names))]
    assert [one["tool"] for one in made] == names


def test_a_folder_whose_added_tokens_are_k3s_is_known_by_them(shared, tmp_path):
    (tmp_path / "tiktoken.model").symlink_to(shared / "kimi-tokenizer" / "tiktoken.model")
    table = {163584 + place: {"content": text, "special": True} for place, text in enumerate(special.XTML_SLOTS)}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": table}))
    found = open_source(tmp_path)
    assert found.family is families.K3 and found.slots == () and found.tokenizer.encode("<|sep|>") == [163589]


def test_a_folder_whose_configuration_says_the_type_is_known_by_it(shared, tmp_path):
    for name in ("tiktoken.model", "special_tokens.json"):
        (tmp_path / name).symlink_to(shared / "kimi-tokenizer" / name)
    (tmp_path / "config.json").write_text('{"model_type": "kimi_k3"}')
    found = open_source(tmp_path)
    assert found.family is families.K3 and found.tokenizer.encode("<|open|>") == [163587]
    assert "in place of the folder's" in found.tokenizer_name


def test_the_renderer_alone_is_a_source_and_takes_a_tokenizer(source):
    alone = open_source("family:k3")
    assert render(alone, Request.of([USER])).token_ids is None
    assert render(alone, Request.of([USER]), tokenizer=source.tokenizer).token_ids
    with pytest.raises(SourceError, match="by a chat template"):
        open_source("family:k2")
    with pytest.raises(InputError, match="no family"):
        open_source("family:llama")


def test_a_tokenizer_without_the_markers_is_refused():
    other = open_source(folders.assemble("current")).tokenizer
    with pytest.raises(InputError, match="no token of this tokenizer"):
        render("family:k3", Request.of([USER]), tokenizer=other)


def test_the_files_that_a_folder_carries_render_as_the_package_does(shared, tmp_path, monkeypatch):
    package = tmp_path / "carriedk3"
    package.mkdir()
    for name, text in {**carried.carried_files(), "__init__.py": ""}.items():
        (package / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    own = importlib.import_module("carriedk3.k3_turns")
    for case in golden(shared):
        if "error" not in case["k3"]:
            made = own.turns_of(case["messages"], case["tools"], own.RenderOptions(**case["options"]))
            here = xtmlturns.turns_of(case["messages"], case["tools"], RenderOptions(**case["options"]))
            assert [tuple(turn.segments) for turn in made] == [tuple(turn.segments) for turn in here]


def test_the_files_that_a_folder_carries_are_known_by_their_digests():
    assert set(carried.carried_files()) <= set(consent.known_code())


def test_what_a_server_hands_to_the_renderer_is_not_all_of_a_request():
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"a": '}}
    messages = [
        {"role": "system", "content": "x", "tools": [PING]},
        {"role": "user", "content": [{"type": "text", "text": text} for text in ("a", "", "b")]},
        {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "why"},
        {"role": "tool", "tool_call_id": "f:0", "content": "r", "tool": "other"},
    ]  # fmt: skip
    handed = for_xtml(Request.of(messages, [{"type": "function", "function": {"name": "ping", "colour": "red"}}]))
    assert [message.get("content") for message in handed.messages] == ["x", "a\nb", "", "r"]
    assert "tools" not in handed.messages[0]
    assert handed.messages[2]["tool_calls"][0]["function"]["arguments"] == {}
    assert handed.messages[2]["reasoning"] == "why"
    assert handed.messages[3]["tool"] == "f"
    assert handed.tools[0]["function"] == {"name": "ping", "description": None, "parameters": None}


@pytest.mark.parametrize("name", sorted(carried.MODULES))
def test_what_is_carried_needs_the_standard_library_alone(name):
    text = (Path(carried.__file__).parents[1] / name).read_text()
    lines = [line for line in text.splitlines() if line.startswith(("import ", "from "))]
    own = [line for line in lines if "k2lab" in line]
    assert all(any(line.startswith(old.strip()) for old, _ in carried.IMPORTS) for line in own)
    assert all(line.split()[1].partition(".")[0] in {*sys.stdlib_module_names, "k2lab"} for line in lines)


@given(answer=st.data())
def test_what_is_written_for_a_history_is_read_as_what_it_was(answer):
    unmarked = st.characters(exclude_categories=("Cs",), exclude_characters="<[")  # no marker, nor [EOS]
    words = st.text(unmarked, min_size=1, max_size=8)
    values = st.one_of(words, st.integers(-9, 99), st.booleans(), st.none(), st.lists(st.integers(0, 9), max_size=2))
    given = answer.draw(st.dictionaries(words, values, max_size=3))
    name = answer.draw(words.filter(str.strip))
    said = answer.draw(words)
    call = {"id": "a", "function": {"name": name, "arguments": given}}
    message = {"role": "assistant", "content": said, "tool_calls": [call]}
    (turn,) = xtmlturns.turns_of([message], None, RenderOptions(add_generation_prompt=False))
    parsed = wire.parse("".join(one.text for one in turn.segments), family=families.K3)
    assert (parsed.content or "").strip() == said.strip()
    assert [(one.name, one.arguments) for one in parsed.calls] == [(name, given)]

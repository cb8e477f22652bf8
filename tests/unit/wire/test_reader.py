import json
import re
from importlib.resources import files

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from k2lab import paths, wire
from k2lab.errors import InputError
from k2lab.families import K2
from k2lab.nano import folders
from k2lab.prompt.source import open_source
from k2lab.prompt.tokenizers import KimiTokenizer
from tests.conftest import SHARED
from tests.helpers.effort import assert_linear, examples

OWN = [json.loads(line) for line in (paths.data_dir() / "failures.jsonl").read_text().splitlines()]
MARKERS = (wire.SECTION_BEGIN, wire.SECTION_END, wire.CALL_BEGIN, wire.ARGUMENT_BEGIN, wire.CALL_END)
ANSWERED = ("ok", "repaired", "undeclared")
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {"a": {}}}}}
    for name in ("search", "read_news", "a.b-c")
]
SHARED_CASES = SHARED / "failures.jsonl"


def recorded():
    """The outputs of canitoolcall that belong to Kimi K2; K3 has another format."""
    for file in sorted((files("canitoolcall") / "_data" / "fixtures" / "kimi").iterdir(), key=lambda f: f.name):
        if file.name.endswith(".jsonl"):
            for line in file.read_text(encoding="utf-8").splitlines():
                case = json.loads(line)
                if "x-kimi-k2" in case["tags"]:
                    yield case


RECORDED = list(recorded())

names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,12}", fullmatch=True)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(
    st.text(max_size=8) | st.sampled_from(MARKERS), json_values | st.sampled_from(MARKERS), max_size=4
)
fragments = st.sampled_from(
    [
        *(*MARKERS, "<|tool_call_section_begin|>", "<|tool_call_section_end|>", "<think>", "</think>", "<|tool_"),
        *("functions.search:0", "search:1", "call_1", "functions_read_news_1"),
        *(
            "functions.search",
            "functions.search:k1",
            'functions.search:0{"a": 1}',
            "<|im_end|>",
            "[EOS]",
            "<|im_user|>",
        ),
        *("<|im_user|>user<|im_middle|>", "<|im_assistant|>assistant<|im_middle|>", "<|open|>tools<|sep|>"),
        *('{"a": 1}', '{"a": "', '"', "{", "}", "[", "\\", " ", "\n", "NaN"),
    ]
)
hostile = st.lists(fragments | st.text(max_size=6), max_size=25).map("".join)


def answer(parsed):
    """A parse as the catalogue says it: one status, the calls that are answered, the content."""
    statuses = {call.status for call in parsed.calls} or {"text"}
    assert len(statuses) == 1
    calls = [{"name": c.name, "arguments": c.arguments} for c in parsed.calls if c.status in ANSWERED]
    return {"status": statuses.pop(), "calls": calls, "content": parsed.content}


def check_places(parsed, text):
    """Pieces tile the text, and each call's raw text is where it says."""
    place = 0
    for piece in parsed.pieces:
        assert piece.start == place < piece.end
        place = piece.end
    assert place == len(text)
    for call in parsed.calls:
        assert text[call.start : call.end] == call.raw


@pytest.mark.parametrize("case", OWN, ids=lambda case: case["id"])
def test_every_failure_of_the_catalogue_is_answered_as_expected(case):
    parsed = wire.parse(case["raw_output"], case["tools"])
    assert answer(parsed) == case["expected"]
    check_places(parsed, case["raw_output"])
    assert all(call.reason for call in parsed.calls if call.status != "ok")


@pytest.mark.skipif(not SHARED_CASES.exists(), reason="no shared data beside this checkout")
def test_every_failure_of_the_shared_catalogue_is_answered_by_the_command(k2lab, tmp_path):
    cases = [json.loads(line) for line in SHARED_CASES.read_text().splitlines()]
    assert len(cases) == 24
    for case in cases:
        tools = tmp_path / "tools.json"
        tools.write_text(json.dumps(case["tools"]))
        made = json.loads(k2lab("parse", "--tools", tools, stdin=case["raw_output"]).stdout)
        statuses = {call["status"] for call in made["calls"]} or {"text"}
        calls = [{"name": c["name"], "arguments": c["arguments"]} for c in made["calls"] if c["status"] in ANSWERED]
        assert {"status": statuses.pop(), "calls": calls, "content": made["content"]} == case["expected"], case["id"]
        assert not statuses


@pytest.fixture(scope="module")
def kimi_tokenizer():
    if not SHARED.is_dir():
        pytest.skip("no shared data beside this checkout")
    return KimiTokenizer(SHARED / "kimi-tokenizer")


@pytest.fixture(scope="module")
def nano_tokenizer():
    return open_source(folders.assemble("current")).tokenizer


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["id"])
def test_recorded_outputs_are_parsed_as_expected_from_text_and_from_ids(case, kimi_tokenizer):
    tokenizer = kimi_tokenizer
    thinking = case.get("thinking")
    by_text = wire.parse(case["raw_output"], case["tools"], thinking=thinking)
    by_ids = wire.parse_ids(case["output_token_ids"], tokenizer, case["tools"], thinking=thinking)
    for parsed in (by_text, by_ids):
        calls = [{"name": call.name, "arguments": call.arguments} for call in parsed.calls if call.usable]
        if case.get("expected") is None:  # cut inside a call: none may be made of it
            assert calls == []
            continue
        assert calls == case["expected"]["tool_calls"]
        assert (parsed.content, parsed.reasoning) == (
            case["expected"]["content"],
            case["expected"]["reasoning_content"],
        )
    for call in by_ids.calls:
        assert tokenizer.decode(case["output_token_ids"][call.start : call.end]) == call.raw


def test_the_recorded_outputs_are_those_of_kimi_k2():
    assert len(RECORDED) == 26


@examples(200)
@given(st.lists(st.tuples(names, objects), max_size=4), st.text(max_size=20) | hostile, st.integers(0, 99))
@example([], "<|end_of_msg|>", 0)
@example([], "<|im_end|>", 0)
@example([], 'functions.search:0{"a": 1}', 0)
@example([("a", {})], 'functions.search:0{"a": 1}', 0)
def test_format_then_parse_is_the_identity(calls, content, first):
    tools = [{"type": "function", "function": {"name": name}} for name, _ in calls]
    try:
        text = wire.format_calls(calls, content, first_index=first)
    except InputError:
        assert re.search(r"<\|\w+\|>|\[[A-Z]{3}\]|functions\.", content)
        return
    for strict in (False, True):
        parsed = wire.parse(text, tools, strict=strict, thinking=False, family=K2)
        assert [(c.name, c.arguments) for c in parsed.calls] == calls
        assert [c.index for c in parsed.calls] == list(range(first, first + len(calls)))
        assert all(c.status == "ok" and c.reason == "" and c.id == wire.call_id(c.name, c.index) for c in parsed.calls)
        assert (parsed.content or "") == ("" if calls and content.isspace() else content)
        check_places(parsed, text)


@examples(400)
@given(hostile, st.booleans(), st.sampled_from([None, True, False]), st.booleans())
@example(wire.CALL_BEGIN, False, None, True)
@example(f"x{wire.ARGUMENT_BEGIN}", False, None, True)
def test_any_text_is_read_without_an_exception_and_nothing_is_lost(text, strict, thinking, offered):
    parsed = wire.parse(text, TOOLS if offered else None, strict=strict, thinking=thinking)
    check_places(parsed, text)
    json.dumps(parsed.to_json())
    for call in parsed.calls:
        assert call.usable == (call.status in ("ok", "repaired"))
        assert (call.reason == "") == (call.status == "ok")
        if call.usable or call.status == "undeclared":
            assert call.name is not None and call.arguments is not None
        if strict:
            assert call.status != "repaired"


@examples(300)
@given(hostile | st.text(max_size=400), st.data(), st.sampled_from([None, True, False]))
def test_whole_equals_streamed(text, data, thinking):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    stream = wire.OutputStream(TOOLS, thinking=thinking)
    settled = "".join(stream.feed(text[a:b]) for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True))
    whole = wire.parse(text, TOOLS, thinking=thinking)
    assert stream.close() == whole
    assert (whole.content or "").startswith(settled)


def test_a_stream_gives_content_before_its_end():
    stream = wire.OutputStream()
    assert "".join(stream.feed("word ") for _ in range(400)).startswith("word word")


@examples(150)
@given(st.lists(st.integers(0, 1023), max_size=60))
def test_any_ids_are_read_without_an_exception(nano_tokenizer, ids):
    parsed = wire.parse_ids(ids, nano_tokenizer, TOOLS)
    assert all(0 <= call.start <= call.end <= len(ids) for call in parsed.calls)
    assert all(0 <= piece.start <= piece.end <= len(ids) for piece in parsed.pieces)


def test_ids_of_characters_that_are_several_tokens_have_their_places():
    made = Tokenizer.from_file(str(folders.assemble("current") / "tokenizer.json"))
    text = "天気 🌸 " + wire.format_calls([("read_news", {"topic": "天気 🌸"})])
    ids = made.encode(text, add_special_tokens=False).ids
    call = wire.parse_ids(ids, open_source(folders.assemble("current")).tokenizer).calls[0]
    assert made.decode(ids[call.start : call.end], skip_special_tokens=False) == call.raw


def test_strict_accepts_the_documented_form_alone():
    for case in OWN:
        for call in wire.parse(case["raw_output"], case["tools"], strict=True).calls:
            if case["expected"]["status"] == "repaired":
                assert call.status == "malformed" and call.reason.startswith("not the documented form: ")
            else:
                assert call.status == case["expected"]["status"]


def test_without_tools_nothing_is_undeclared():
    assert wire.parse(wire.format_calls([("anything", {})])).calls[0].status == "ok"


@pytest.mark.parametrize(("name", "content"), [("with space", ""), ("", ""), ("a:b", ""), ("ok", wire.CALL_BEGIN)])
def test_what_the_format_cannot_carry_is_refused(name, content):
    with pytest.raises(InputError):
        wire.format_calls([(name, {})], content)


@pytest.mark.parametrize(
    "unit",
    [
        *(wire.CALL_BEGIN, wire.ARGUMENT_BEGIN, wire.CALL_BEGIN + "f{", wire.SECTION_BEGIN + "{"),
        wire.CALL_BEGIN + "functions.a:0" + wire.ARGUMENT_BEGIN + '{"a',
        "a" * 150 + ":1" + wire.ARGUMENT_BEGIN + "{}",
        wire.SECTION_BEGIN + wire.CALL_BEGIN + "functions.a:0" + wire.ARGUMENT_BEGIN + "{}" + wire.CALL_END,
        wire.CALL_BEGIN + "functions.a:0" + wire.ARGUMENT_BEGIN + '{"a": NaN}"\\"',
        *("<think>a</think>", "</think> ", "<|im_end|>[EOS] <|im_user|>user<|im_middle|>", "<|im_end|> x "),
        *('functions.search:0{"a": "', "search:0{}"),
    ],
)
def test_the_time_for_hostile_text_grows_as_its_length_does(unit):
    """Ten megabytes of it would take a quadratic reader hours."""

    def read(text):
        assert wire.parse(text, TOOLS, thinking="think" in unit or None).pieces[-1].end == len(text)
        wire.foreign_form(text)
        wire.holds_call(text)

    assert_linear(read, unit)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "arguments", ["[" * 5_000_000, '{"a": "' + wire.CALL_END * 100_000, '{"a":' * 1_000_000, "9" * 5_000_000]
)
def test_one_hostile_call_is_read(arguments):
    head = wire.SECTION_BEGIN + wire.CALL_BEGIN + "functions.search:0" + wire.ARGUMENT_BEGIN
    calls = wire.parse(head + arguments, TOOLS).calls
    assert calls and not calls[0].usable


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ('I look. functions.search:0{"a": 1}', True),
        ("functions.now:3 {}", True),
        (wire.format_calls([("search", {"a": 1})]), True),
        (f"search:0{wire.ARGUMENT_BEGIN}{{}}", True),
        ("", False),
        ("The id is functions.search:0, and {} are its arguments.", False),
        ('Write `functions.search:0{"a": 1}` for it.', False),
        (f"A section opens with {wire.SECTION_BEGIN} in this format.", False),
        (f"Done.{wire.CALL_BEGIN}search", True),
        ('<|open|>tools<|sep|><|open|>call tool="f" index="1"<|sep|>', True),
    ],
)
def test_a_call_that_leaked_into_a_text_is_seen(text, held):
    assert wire.holds_call(text) is held

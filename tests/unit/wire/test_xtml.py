"""K3's outputs as they should be: read from text and from ids, and written."""

import json
from importlib.resources import files

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from k2lab import wire
from k2lab.errors import InputError
from k2lab.families import K2, K3
from k2lab.prompt.tokenizers import KimiTokenizer
from k2lab.wire.xtml import tags, values
from k2lab.wire.xtml.tags import close_tag, open_tag
from tests.conftest import SHARED
from tests.unit.wire.test_reader import check_places, json_values

TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("find", "stop", 'say "&amp;" <b>')
]


def recorded():
    """The outputs of canitoolcall that belong to Kimi K3."""
    for file in sorted((files("canitoolcall") / "_data" / "fixtures" / "kimi").iterdir(), key=lambda f: f.name):
        if file.name.endswith(".jsonl"):
            cases = map(json.loads, file.read_text(encoding="utf-8").splitlines())
            yield from (case for case in cases if "x-kimi-k3" in case["tags"])


RECORDED = list(recorded())
MARKED = "kimi/k3-control-marker-text-in-value"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """K2's ranks, which are K3's, with the tokens that K3 adds to them."""
    if not SHARED.is_dir():
        pytest.skip("no shared data beside this checkout")
    folder = tmp_path_factory.mktemp("k3")
    (folder / "tiktoken.model").symlink_to(SHARED / "kimi-tokenizer" / "tiktoken.model")
    added = {163584: "[BOS]", 163585: "[EOS]", 163586: "<|end_of_msg|>"}
    added |= {163587: "<|open|>", 163588: "<|close|>", 163589: "<|sep|>"}
    config = {"added_tokens_decoder": {str(token): {"content": text} for token, text in added.items()}}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return KimiTokenizer(folder)


def test_the_recorded_outputs_are_those_of_kimi_k3():
    assert len(RECORDED) == 23


def agrees(parsed, case):
    calls = [{"name": call.name, "arguments": call.arguments} for call in parsed.calls if call.usable]
    expected = case.get("expected")
    if expected is None:  # cut inside a call: none may be made of it
        return calls == []
    said = (parsed.content, parsed.reasoning) == (expected["content"], expected["reasoning_content"])
    return calls == expected["tool_calls"] and said


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["id"])
def test_recorded_outputs_are_parsed_as_expected(case):
    parsed = wire.parse(case["raw_output"], case["tools"], thinking=case.get("thinking"), family=K3)
    check_places(parsed, case["raw_output"])
    assert agrees(parsed, case)
    assert {call.status for call in parsed.calls} <= ({"repaired"} if case["id"] == MARKED else {"ok", "truncated"})
    if tags.MARKER.search(case["raw_output"]):
        assert wire.parse(case["raw_output"], case["tools"], thinking=case.get("thinking")) == parsed


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["id"])
def test_recorded_outputs_are_parsed_as_expected_from_ids(case, tokenizer):
    ids = case["output_token_ids"]
    parsed = wire.parse_ids(ids, tokenizer, case["tools"], thinking=case.get("thinking"), family=K3)
    assert agrees(parsed, case)
    assert {call.status for call in parsed.calls} <= {"ok", "truncated"}
    for call in parsed.calls:
        assert tokenizer.decode(ids[call.start : call.end]) == call.raw


names = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12).filter(str.strip)
objects = st.dictionaries(st.text(max_size=8), json_values, max_size=4)


markers = st.sampled_from(tags.TOKENS)
contents = st.lists(st.text(max_size=9) | markers | st.sampled_from(["<|", "|>", "open", "[", "EOS]"]), max_size=4)


@given(st.lists(st.tuples(names | markers, objects), max_size=4), contents.map("".join))
@example([], "<|open|>")
@example([], "[EOS]")
@example([("f", {"a": "[EOS]"})], "")
def test_format_then_parse_is_the_identity(calls, content):
    tools = [{"type": "function", "function": {"name": name}} for name, _ in calls]
    holds_a_marker = any(token in json.dumps([calls, content], ensure_ascii=False) for token in tags.TOKENS)
    try:
        text = wire.format_calls(calls, content, family=K3)
    except InputError:
        assert holds_a_marker
        return
    assert not holds_a_marker
    for strict in (False, True):
        parsed = wire.parse(text, tools, strict=strict)
        assert parsed.family is K3
        assert [(c.name, c.arguments) for c in parsed.calls] == calls
        assert [json.loads(c.arguments_raw) for c in parsed.calls] == [arguments for _, arguments in calls]
        assert [c.index for c in parsed.calls] == list(range(1, len(calls) + 1))
        assert all((c.status, c.reason, c.id) == ("ok", "", "") for c in parsed.calls)
        assert (parsed.content or "") == ("" if calls and content.isspace() else content)
        check_places(parsed, text)


@pytest.mark.parametrize(
    ("name", "arguments", "content"),
    [
        ("", {}, ""),
        (" ", {}, ""),
        ("a<|sep|>", {}, ""),
        ("ok", {"k<|close|>": 1}, ""),
        ("ok", {"k": "<|close|>argument<|sep|>"}, ""),
        ("ok", {"k": ["<|open|>"]}, ""),
        ("ok", {"k": float("nan")}, ""),
        ("ok", {"k": [{"x": float("inf")}]}, ""),
        ("ok", {}, "<|end_of_msg|>"),
    ],
)
def test_what_the_format_cannot_carry_is_refused(name, arguments, content):
    with pytest.raises(InputError):
        wire.format_calls([(name, arguments)], content, family=K3)


def test_values_of_attributes_are_escaped_and_read_back():
    written = open_tag("call", tool='say "&amp;" <b>', index="1")
    assert written == '<|open|>call tool="say &quot;&amp;amp;&quot; <b>" index="1"<|sep|>'
    call = wire.parse(open_tag("tools") + written + close_tag("call") + close_tag("tools"), TOOLS).calls[0]
    assert (call.name, call.status, call.arguments, call.arguments_raw) == ('say "&amp;" <b>', "ok", {}, "{}")


def test_the_arguments_of_a_call_are_also_given_as_the_json_that_they_make():
    elements = (
        open_tag("argument", key='a"', type="string") + 'x"\n' + close_tag("argument")
        + open_tag("argument", key="n", type="number") + "1e2" + close_tag("argument")
    )  # fmt: skip
    text = (
        open_tag("tools") + open_tag("call", tool="find", index="1") + elements + close_tag("call") + close_tag("tools")
    )
    call = wire.parse(text, TOOLS).calls[0]
    assert call.arguments_raw == '{"a\\"": "x\\"\\n", "n": 1e2}'
    assert call.raw[call.arguments_span.start : call.arguments_span.end] == elements


def test_the_types_are_those_of_json():
    assert {values.type_of(value) for value in ("", 1, 0.5, True, None, {}, [])} == set(values.TYPES)


def test_a_familys_format_is_that_of_its_record():
    for family, begin in ((K2, wire.SECTION_BEGIN), (K3, "<|open|>response<|sep|>")):
        text = wire.format_calls([("find", {})], family=family)
        assert text.startswith(begin)
        assert wire.of_output(text) is family and wire.parse(text).family is family
        other = K3 if family is K2 else K2
        parsed = wire.parse(text, family=other)
        assert (parsed.content, parsed.calls) == (text, ()) and family.name in parsed.notes[0]


def test_a_public_report_is_answered_by_the_command(k2lab, shared):
    folder = shared / "reports" / "23-k3-xtml"
    text = (folder / "raw.txt").read_text()
    for more in ((), ("--family", "K3"), ("--family", "moonshotai/Kimi-K3", "--thinking"), ("--strict",)):
        made = json.loads(k2lab("parse", "--tools", folder / "T.json", *more, stdin=text).stdout)
        assert (made["family"], made["content"], made["reasoning"]) == ("K3", "Checking.", "I should call.")
        (call,) = made["calls"]
        assert (call["name"], call["arguments"], call["status"]) == ("get_weather", {"city": "Paris"}, "ok")
    assert json.loads(k2lab("parse", "--family", "K2.5", stdin=text).stdout)["family"] == "K2.5"


def test_a_family_that_is_none_is_one_line(k2lab):
    done = k2lab("parse", "--family", "llama", stdin="Hi")
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1
    assert "'llama' is no family of Kimi's" in done.stderr

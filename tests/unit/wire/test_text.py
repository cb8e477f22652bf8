"""What stands around calls: reasoning, turns, markers that lead nowhere, arguments that are no JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2lab import wire
from tests.helpers.effort import examples
from tests.unit.wire.test_reader import check_places

S, E, C, A, X = wire.SECTION_BEGIN, wire.SECTION_END, wire.CALL_BEGIN, wire.ARGUMENT_BEGIN, wire.CALL_END
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {key: {}}}}}
    for name, key in (("find", "word"), ("stop", "when"))
]
FIND = C + "functions.find:0" + A + '{"word": "x"}' + X
STOP = C + "functions.stop:1" + A + "{}" + X
USER = "<|im_user|>user<|im_middle|>"
OWN = "<|im_assistant|>assistant<|im_middle|>"
plain = st.text(st.characters(exclude_characters="<[{`", exclude_categories=("Cs",)), max_size=12)


def read(text, **options):
    parsed = wire.parse(text, TOOLS, **options)
    check_places(parsed, text)
    stream = wire.OutputStream(TOOLS, **({"thinking": None} | options))
    for character in text:
        stream.feed(character)
    assert stream.close() == parsed
    return parsed


def calls(parsed):
    return [(call.name, call.status) for call in parsed.calls]


@pytest.mark.parametrize(
    ("text", "reasoning", "content"),
    [
        (f"<think>a {S}{FIND}{E}</think>", "a ", None),
        (f"<think>a {S}{FIND}{E} b</think>c", "a  b", "c"),
        (f"<think>a{S}{FIND}{E}b{S}{STOP}{E}</think>c", "ab", "c"),
        (f"<think>a{S}{FIND}{E} b", "a", " b"),
        (f"<think>a{S}{FIND}{E}", "a", None),
        (f"a{S}{FIND}{E}b</think>c", "ab", "c"),
        (f"a{S}{FIND}{E}</think>", "a", None),
        (f"<think>a</think>{S}{FIND}{E}</think>", "a", None),
        (f"<think>a</think></think>b{S}{FIND}{E}", "a", "b"),
        (f"<think>a</think>b{S}{FIND}{E}<think>c</think>d", "ac", "bd"),
        (f"\n<think>a</think>\n{S}{FIND}{E}", "a", None),
        (f"Well.<think>a{S}{FIND}{E}</think>b", "a", "Well.b"),
        (f"<think>a{FIND}</think>b", "a", "b"),
        (f'<think>a{C}functions.find:0{A}{{"word": "x"}}</think>b', "a", "b"),
        (f"<think>I use {S} here.</think>b{S}{FIND}{E}", f"I use {S} here.", "b"),
    ],
)
def test_a_call_within_the_reasoning_is_read_and_the_tags_are_no_text(text, reasoning, content):
    parsed = read(text)
    assert (parsed.reasoning, parsed.content) == (reasoning, content)
    assert all(call.usable for call in parsed.calls) and parsed.calls[0].name == "find"


@examples(200)
@given(plain, plain, plain, st.booleans(), st.sampled_from([None, True]))
def test_whatever_stands_around_a_call_within_the_reasoning_is_told_apart(before, after, answer, opened, thinking):
    section = S + FIND + E
    parsed = read(("<think>" if opened else "") + before + section + after + "</think>" + answer, thinking=thinking)
    assert calls(parsed) == [("find", "ok")]
    assert (parsed.reasoning or "") == before + after
    assert (parsed.content or "") == ("" if answer.isspace() else answer)


def test_a_closing_tag_in_the_arguments_is_theirs():
    parsed = read(f'<think>a{S}{C}functions.find:0{A}{{"word": "</think>"}}{X}{E}</think>b')
    assert parsed.calls[0].arguments == {"word": "</think>"} and parsed.calls[0].status == "ok"
    assert (parsed.reasoning, parsed.content) == ("a", "b")


def test_tags_that_are_spoken_of_stay_content():
    text = "Write <think> and then `</think>` behind it."
    assert read(text).content == text


@pytest.mark.parametrize(
    "end", ["<|im_end|>", "[EOS]", "<|im_end|>\n[EOS]\n", "<|im_end|><|im_assistant|>", f"<|im_end|>{OWN}"]
)
@pytest.mark.parametrize("body", ["Hi", S + FIND + E, f"Hi{S}{FIND}{E}", f"<think>a</think>Hi{S}{FIND}{E}"])
def test_markers_that_end_a_turn_change_nothing(body, end):
    bare, ended = read(body), read(body + end)
    assert (ended.content, ended.reasoning, calls(ended), ended.stray, ended.notes) == (
        *(bare.content, bare.reasoning, calls(bare)),
        *((), ()),
    )


@pytest.mark.parametrize(
    ("text", "content", "expected", "reason"),
    [
        (OWN + "Hi" + S + FIND + E, "Hi", [("find", "ok")], ""),
        (f"Hi<|im_end|>{S}{FIND}{E}", "Hi", [("find", "repaired")], "behind the end of the turn"),
        (f"Hi<|im_end|>{OWN}{S}{FIND}{E}", "Hi", [("find", "repaired")], "behind the end of the turn"),
        (f"Hi{OWN}there{S}{FIND}{E}", "Hithere", [("find", "ok")], ""),
        (f"{S}<|im_end|>", None, [(None, "truncated")], "ends after the section begin"),
        (f"{S}{FIND}<|im_end|>", None, [("find", "repaired")], "section end missing"),
        (
            f'{S}{C}functions.find:0{A}{{"word": "x"}}<|im_end|>',
            None,
            [("find", "repaired")],
            "call end marker missing",
        ),
        (
            f'{S}{C}functions.find:0{A}{{"word": "x<|im_end|>',
            None,
            [("find", "truncated")],
            "ends inside the arguments",
        ),
        (f'{S}{C}functions.find:0{A}{{"word": "a <|im_end|>{USER}b"}}{X}{E}', None, [("find", "ok")], ""),
    ],
)
def test_markers_of_turns_between_are_no_text(text, content, expected, reason):
    parsed = read(text)
    assert (parsed.content, calls(parsed)) == (content, expected)
    assert reason in parsed.calls[0].reason


def test_a_turn_that_is_made_up_for_someone_else_is_no_part_of_the_answer():
    parsed = read(f"Hi<|im_end|>{USER}More?<|im_end|>{OWN}Sure{S}{FIND}{E}<|im_end|>")
    assert (parsed.content, parsed.stray, calls(parsed)) == ("Hi", ("More?", "Sure"), [("find", "malformed")])
    assert "not the assistant's" in parsed.calls[0].reason
    assert "went on behind its turn with one for 'user'" in parsed.notes[0]
    assert parsed.to_json()["notes"] == list(parsed.notes)
    assert "one for 'tool'" in read(f"{S}{FIND}{E}<|im_system|>tool<|im_middle|>## Return of x").notes[0]
    assert "one for 'user'" in read("Hi<|im_end|><|im_user|>More").notes[0]
    assert "a prompt rather than an output" in read(f"{USER}Hi<|im_end|>{OWN}Yes").notes[0]


def test_markers_of_turns_that_are_spoken_of_stay_content():
    text = f"A turn opens with {USER} and ends with `<|im_end|>`, or with [EOS] in older ones."
    assert read(text).content == text
    assert read("ids[EOS] = 1").content == "ids[EOS] = 1"


@pytest.mark.parametrize(
    ("text", "expected", "reasons"),
    [
        (C + 'functions.find:0{"word": "x"}' + X, [("find", "repaired")], ["argument marker missing"]),
        (S + C + 'functions.find:0{"word": "x"}' + E, [("find", "repaired")], ["argument marker missing", "call end"]),
        (S + C + f'functions.find:0{{"word": "{A}"}}' + X + E, [("find", "repaired")], ["argument marker missing"]),
        (S + C + '{"name": "find", "arguments": {"word": "x"}}' + X + E, [("find", "repaired")], ["name find"]),
        (S + C + "functions.find:0" + X + E, [("find", "malformed")], ["argument marker missing, and no arguments"]),
        (C + 'find{"word": "x"}<|tool_end|>', [("find", "malformed")], ["argument marker missing", "stands behind"]),
        (
            S + C + 'functions.find:0{"word" "x"}' + X + E,
            [("find", "malformed")],
            ["argument marker missing", "column 9"],
        ),
        (S + A + '{"word": "x"}' + X + E, [("find", "repaired")], ["call begin marker lost", "fit find alone"]),
        (
            "functions_find_0" + A + '{"word": "x"}' + X,
            [("find", "repaired")],
            ["call begin marker lost", "read as find"],
        ),
    ],
)
def test_a_missing_marker_is_named_as_what_it_is(text, expected, reasons):
    parsed = read(text)
    assert (parsed.content, calls(parsed)) == (None, expected)
    assert all(reason in parsed.calls[0].reason for reason in reasons)


def test_calls_whose_markers_between_are_lost_are_two():
    parsed = read(f'{C}functions.find:0{A}{{"word": "x"}}functions.stop:1{A}{{}}{X}')
    assert calls(parsed) == [("find", "repaired"), ("stop", "repaired")]


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        (f'Done.\n{C}find{{"word": "x"}}<|tool_end|>|4|', f'{C}find{{"word": "x"}}<|tool_end|>|4|'),
        (f"Done.\n{C}find the word", f"{C}find the word"),
        (f'Done.\n{S}functions.find:0{{"word": "x"}}{E}', f'{S}functions.find:0{{"word": "x"}}{E}'),
        (f"Done.\n{S}find x{E}", f"{S}find x{E}"),
        (f'Done.\n{A}{{"word": "x"}}{X}', f'{A}{{"word": "x"}}{X}'),
    ],
)
def test_a_begin_marker_that_leads_to_nothing_usable_is_a_record_and_no_content(text, raw):
    parsed = read(text)
    assert (parsed.content, [call.status for call in parsed.calls]) == ("Done.\n", ["malformed"])
    assert parsed.calls[0].raw == raw and parsed.calls[0].reason


@pytest.mark.parametrize("marker", [S, E, C, A, X])
def test_a_marker_that_is_spoken_of_is_content_and_any_other_is_not(marker):
    for text in (f"Write {marker} there.", f"Write `{marker}`.", f"In ({marker}) it is"):
        assert (read(text).content, read(text).calls) == (text, ())
    assert marker not in (read(f"Done.{marker}").content or "")


@pytest.mark.parametrize("options", [{}, {"thinking": True}])
def test_a_call_whose_markers_are_gone_is_named(options):
    parsed = read('I look. functions.find:0{"word": "x"} then functions.stop:1 {}', **options)
    assert calls(parsed) == [("find", "malformed"), ("stop", "malformed")]
    assert parsed.calls[0].arguments == {"word": "x"} and parsed.calls[0].raw == 'functions.find:0{"word": "x"}'
    assert all("without markers" in call.reason and "skip_special_tokens" in call.reason for call in parsed.calls)
    assert (parsed.reasoning if options else parsed.content).startswith("I look. ")


@pytest.mark.parametrize("before", ["It is cold.", "cold", "", "cold\n", "(", "</think>"])
def test_a_call_that_lost_its_markers_stands_right_behind_a_word(before):
    for arguments in ('{"word": "x"}', '\n{"word": "x"}'):
        bare = read(f"{before}functions.find:0{arguments}functions.stop:1{{}}")
        assert calls(bare) == [("find", "malformed"), ("stop", "malformed")]
        assert bare.calls[0].id == "functions.find:0" and bare.calls[0].arguments == {"word": "x"}
    leaked = read(f'{before}functions.find:0{A}{{"word": "x"}}{X}')
    assert calls(leaked) == [("find", "repaired")] and leaked.calls[0].id == "functions.find:0"


def test_a_bare_id_without_its_prefix_counts_where_it_names_a_tool():
    assert calls(read('find:0{"word": "x"}')) == [("find", "malformed")]
    for text in ('main.c:12 {"a"}', "functions.find:0 is its id", '`functions.find:0{"word": "x"}`'):
        assert read(text).content == text
    broken = read('functions.find:0{"word": "x').calls[0]
    assert broken.arguments is None and "line 1, column 10: a string begins" in broken.reason


@pytest.mark.parametrize(
    ("arguments", "place", "fault", "found"),
    [
        ('{"word": "x", when": 1}', "line 1, column 15", "a key in double quotes is due", "'when\": 1}'"),
        ('{"word": "x"}}', "line 1, column 14", "they are complete, and more stands behind them", "'}'"),
        (
            '{\n "word": "x"\n "when": 1}',
            "line 3, column 2",
            "',' or the end of the object or list is due",
            "'\"when\": 1}'",
        ),
        ('{"word": NaN}', "line 1, column 10", "JSON has no NaN", "'NaN}'"),
        ('{"word": "a\\qb"}', "line 1, column 12", "a backslash escapes nothing", "'\\\\qb\"}'"),
        ('{"word": "x"', "line 1, column 13", "',' or the end of the object or list is due", "the end"),
        ('{"word" "x"}', "line 1, column 9", "':' is due", "'\"x\"}'"),
        ("{'word': 'x'}", "line 1, column 2", "a key in double quotes is due", "\"'word': 'x'}\""),
        ('{"word": True}', "line 1, column 10", "a value is due", "'True}'"),
        ('\n\n{"word": "a\nb" "c"}', "line 4, column 4", "',' or the end of the object or list is due", "'\"c\"}'"),
    ],
)
def test_arguments_that_are_no_json_say_where_and_why(arguments, place, fault, found):
    call = read(f"{S}{C}functions.find:0{A}{arguments}{X}{E}").calls[0]
    assert (call.status, call.arguments) == ("invalid_arguments", None)
    assert call.reason == f"the arguments are not JSON: {place}: {fault}, found {found}"


@pytest.mark.parametrize(
    ("arguments", "kind"), [("[1]", "a list"), ('"x"', "a string"), ("null", "null"), ("3", "a number")]
)
def test_arguments_that_are_no_object_say_what_they_are(arguments, kind):
    call = read(f"{S}{C}functions.find:0{A}{arguments}{X}{E}").calls[0]
    assert (call.status, call.reason) == ("invalid_arguments", f"the arguments are {kind}, not an object")


@examples(200)
@given(st.dictionaries(plain, plain, min_size=1, max_size=3))
def test_control_characters_in_strings_are_a_repair_and_the_only_one(value):
    written = json.dumps(value, ensure_ascii=False)
    for escaped, literal in (("\\n", "\n"), ("\\t", "\t"), ("\\r", "\r")):
        written = written.replace("\\\\", "\0\0").replace(escaped, literal).replace("\0\0", "\\\\")
    call = read(f"{S}{C}functions.find:0{A}{written}{X}{E}").calls[0]
    assert call.usable and call.arguments == value
    if any(character in written for character in "\n\t\r"):
        assert call.status == "repaired" and "control character" in call.reason and "in a string, line " in call.reason


def test_arguments_encoded_twice_may_hold_a_line_break():
    written = json.dumps('{"word": "x\ny"}')
    call = read(f"{S}{C}functions.find:0{A}{written}{X}{E}").calls[0]
    assert call.arguments == {"word": "x\ny"} and call.status == "repaired"
    assert "encoded twice" in call.reason and "control character" in call.reason


def test_an_output_that_breaks_before_it_ends_is_not_called_cut():
    assert calls(read(f'{S}{C}functions.find:0{A}{{"word": tr')) == [("find", "truncated")]
    assert calls(read(f'{S}{C}functions.find:0{A}{{"word": "\\u00')) == [("find", "truncated")]
    broken = read(f'{S}{C}functions.find:0{A}{{"word" "x", "when": 1')
    assert calls(broken) == [("find", "invalid_arguments")] and "column 9" in broken.calls[0].reason


def test_an_index_without_end_is_an_output_that_is_cut():
    parsed = read(S + C + "functions.find:0" + "20" * 900)
    assert calls(parsed) == [(None, "truncated")] and "ends inside the id" in parsed.calls[0].reason


REPORTS = {
    "04-call-inside-think": [("list_directory", "repaired", "white space around the id")],
    "09-im-end-at-end": [("foobar", "ok", "")],
    "11-stripped-markers": [("get_weather", "malformed", "stand without markers")],
    "14-text-index": [("grep", "repaired", "read as grep"), ("glob", "repaired", "read as glob")],
    "16-begin-marker-as-text": [("bash", "malformed", "argument marker missing")],
    "21-control-characters": [("bash", "repaired", "control character '\\n' in a string, line 1, column 37")],
    "22-missing-quote": [("Shell", "invalid_arguments", "line 1, column 52: a key in double quotes is due")],
    "27-malformed-json-trailing-brace": [("bash", "invalid_arguments", "line 1, column 18")],
}
CONTENTS = {"11-stripped-markers": "The user asks for the weather. ", "16-begin-marker-as-text": "Summary done.\n"}
REASONINGS = {
    "04-call-inside-think": "I will look at the project first. ",
    "09-im-end-at-end": "The user wants the time.",
}


@pytest.mark.parametrize("name", REPORTS)
def test_public_reports_are_answered(name, shared):
    folder = shared / "reports" / name
    text, tools = (folder / "raw.txt").read_text(), json.loads((folder / "T.json").read_text())
    parsed = wire.parse(text, tools)
    check_places(parsed, text)
    found = [(call.name, call.status) for call in parsed.calls]
    assert found == [(called, status) for called, status, _ in REPORTS[name]]
    assert all(said in call.reason for call, (_, _, said) in zip(parsed.calls, REPORTS[name], strict=True))
    assert (parsed.content, parsed.reasoning) == (CONTENTS.get(name), REASONINGS.get(name))

"""Leaked calls: which become calls again, whole and streamed alike, and which never do."""

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from k2lab import families, wire
from k2lab.traffic.guard import GuardOptions, guard_of
from k2lab.traffic.guard.holding import FIRST_MARKERS
from k2lab.traffic.guard.watching import LONGEST
from tests.helpers.effort import assert_linear, examples, one_in, within
from tests.helpers.histories import USER, result
from tests.helpers.streamed import events, pieces, plain, put_together

PATH, JSON = "/v1/chat/completions", "application/json"
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
}
NOW = {"type": "function", "function": {"name": "now"}}
ASKED = {"model": "kimi-k2", "messages": [USER], "tools": [WEATHER, NOW]}


def one(name="functions.weather:0", arguments='{"city": "Rome"}'):
    return f"{wire.CALL_BEGIN}{name}{wire.ARGUMENT_BEGIN}{arguments}{wire.CALL_END}"


def section(*calls):
    return f"{wire.SECTION_BEGIN}{''.join(calls or [one()])}{wire.SECTION_END}"


def answer(content=None, finish_reason="stop", index=0, **message):
    said = {"role": "assistant", "content": content, **message}
    choice = {"index": index, "message": said, "logprobs": None, "finish_reason": finish_reason}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "kimi-k2", "choices": [choice]}


def turn_of(request=ASKED, **options):
    return guard_of(GuardOptions(salvage=True, **options)).turn(PATH, JSON, json.dumps(request).encode())


def whole(given, request=ASKED, **options):
    taken = turn_of(request, **options)
    body = json.dumps(given).encode()
    return (taken.whole(200, JSON, body) if taken.holds_answer else body), taken


def fed(stream, data, sizes):
    out, place = [], 0
    for size in sizes:
        out.append(stream.feed(data[place : place + size]))
        place += size
    return b"".join([*out, stream.feed(data[place:]), stream.end()])


def both(given, request=ASKED, cuts=(), **options):
    """What is made of an answer, whole and streamed: the same."""
    body, taken = whole(given, request, **options)
    data = events(given, cuts)
    streaming = turn_of(request, **options)
    streamed = fed(streaming.stream(), data, []) if streaming.holds_answer else data
    made, comments = put_together(streamed)
    assert made == plain(json.loads(body))
    assert [change.kind for change in taken.changes] == [change.kind for change in streaming.changes]
    if made == plain(given):
        assert body == json.dumps(given).encode()
    return made, taken, comments


def call_of(call_id, name, arguments):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


ROME = call_of("functions.weather:0", "weather", '{"city": "Rome"}')

SALVAGED = {
    "the whole text": (section(), ""),
    "behind prose": ("I will look.\n\n" + section(), "I will look.\n\n"),
    "behind a colon": ("Let me check: " + section(), "Let me check: "),
    "behind a closed block": ("```py\nx\n```\n" + section(), "```py\nx\n```\n"),
    "behind quoted words": ('You said "Rome", so `Rome`: ' + section(), 'You said "Rome", so `Rome`: '),
    "white space behind it": ("A." + section() + "\n ", "A.\n "),
    "an id without its prefix": (section(one("weather:0")), ""),
    "an id without a number": (section(one("functions.weather")), ""),
    "an index out of count": (section(one("functions.weather:7")), ""),
    "no section around it": (one(), ""),
    "the section's end missing": (section().removesuffix(wire.SECTION_END), ""),
    "the section's begin lost": (section().removeprefix(wire.SECTION_BEGIN), ""),
    "markers in the singular": (section().replace("calls_section", "call_section"), ""),
    "behind curly quotes that are closed": ("\u201d or \u201cRome\u201d: " + section(), "\u201d or \u201cRome\u201d: "),
    "behind the reasoning's end": ("Hm.</think>" + section(), "Hm.</think>"),
    "behind a less-than sign": ("1 < 2 <| <|tool " + section(), "1 < 2 <| <|tool "),
}


@pytest.mark.parametrize("name", SALVAGED)
def test_a_leaked_call_becomes_a_call_and_the_text_before_it_stays(name):
    text, left = SALVAGED[name]
    made, taken, comments = both(answer(text))
    assert made == {0: {"content": left, "reasoning": "", "tool_calls": [ROME], "finish_reason": "tool_calls"}}
    assert taken.headers["x-k2lab-salvaged"] == "1" and comments == [": k2lab salvaged 1 call"]
    assert [(change.kind, change.code) for change in taken.changes] == [("salvage", "call_leaked_into_content")]


LEFT = {
    "in a code block": "It looks so:\n```\n" + section() + "\n```",
    "at the end of an open block": "It looks so:\n```\n" + section(),
    "in a block of tildes": "~~~ text\n" + section(),
    "in an indented block": "It looks so:\n\n    " + section(),
    "in backticks": "Write `" + section() + "`",
    "in backticks that are open": "Write `it as " + section(),
    "in quotes": 'He wrote "' + section() + '"',
    "in quotes that are open": 'He wrote "so: ' + section(),
    "in curly quotes": "He wrote \u201cso: " + section(),
    "behind a single quote": "He wrote '" + section(),
    "followed by prose": section() + " is how a call looks.",
    "prose between two": section() + " and " + section(),
    "an undeclared tool": section(one("functions.rm:0", "{}")),
    "invalid arguments": section(one(arguments='{"days": 1}')),
    "arguments of a wrong type": section(one(arguments='{"city": "Rome", "days": "1"}')),
    "arguments that are no object": section(one(arguments='["Rome"]')),
    "arguments that are no JSON": section(one(arguments='{"city": "Rome"')),
    "arguments with NaN": section(one(arguments='{"city": "Rome", "days": NaN}')),
    "arguments encoded twice": section(one(arguments='"{\\"city\\": \\"Rome\\"}"')),
    "two objects": section(one(arguments='{"city": "Rome"}{"city": "Oslo"}')),
    "arguments left out": section(one(arguments="")),
    "an id that names nothing": section(one("call_0123456789abcdef")),
    "an id that names two tools": section(one("functions.weather now:0")),
    "one bad call beside a good one": section(one(), one("functions.rm:1", "{}")),
    "not closed": section().partition(wire.CALL_END)[0],
    "no arguments": f"{wire.SECTION_BEGIN}{wire.CALL_BEGIN}functions.weather:0",
    "an empty section": f"{wire.SECTION_BEGIN}{wire.SECTION_END}",
    "a begin alone": "Text " + wire.SECTION_BEGIN,
    "an end alone": "Text " + wire.SECTION_END,
    "a marker that is mentioned": f"The marker {wire.CALL_BEGIN} begins a call. " + section(),
    "a marker within a string": section(one(arguments='{"city": "' + wire.CALL_BEGIN + '"}')),
    "an end within a string": section(one(arguments='{"city": "' + wire.CALL_END + '"}')),
    "without markers": 'functions.weather:0{"city": "Rome"}',
    "another model's format": '<tool_call>{"name": "weather", "arguments": {"city": "Rome"}}</tool_call>',
    "Kimi K3's": '<|open|>tools<|sep|><|open|>call tool="now" index="1"<|sep|><|close|>call<|sep|>',
    "a turn made up behind it": section() + "<|im_end|><|im_user|>user<|im_middle|>go",
}


K3_ASKED = {**ASKED, "model": "moonshotai/Kimi-K3"}
SEP, THINK, TOOLS, MESSAGE = "<|sep|>", "<|close|>think<|sep|>", "<|close|>tools<|sep|>", "<|close|>message<|sep|>"


def tools(*calls, content=""):
    """The tools of a K3 answer, without its response."""
    text = wire.format_calls(calls or [("weather", {"city": "Rome"})], family=families.K3)
    return text[text.index("<|open|>tools") :]


K3_SALVAGED = {
    "the whole text": (tools(), ""),
    "behind prose": ("I will look.\n\n" + tools(), "I will look.\n\n"),
    "to the end of the message": ("A." + tools() + MESSAGE + "<|end_of_msg|>", "A."),
    "without tools around it": (tools().removeprefix("<|open|>tools<|sep|>").removesuffix(TOOLS), ""),
    "the tools' end missing": (tools().removesuffix(TOOLS), ""),
    "behind another marker": (f"Hm.{THINK}" + tools(), f"Hm.{THINK}"),
}


@pytest.mark.parametrize("name", K3_SALVAGED)
def test_a_leaked_call_of_k3_becomes_a_call(name):
    text, left = K3_SALVAGED[name]
    made, taken, comments = both(answer(text), K3_ASKED, cuts=range(0, 300, 3))
    assert made == {0: {"content": left, "reasoning": "", "tool_calls": [ROME], "finish_reason": "tool_calls"}}
    assert taken.headers["x-k2lab-salvaged"] == "1" and comments == [": k2lab salvaged 1 call"]


def test_a_call_that_k3_began_within_its_reasoning_becomes_a_call():
    two = tools(("weather", {"city": "Rome"}), ("now", {}))
    made, _, _ = both(answer("", reasoning="I should call." + two + MESSAGE), K3_ASKED)
    assert made[0]["reasoning"] == "I should call." and len(made[0]["tool_calls"]) == 2


K3_LEFT = {
    "in backticks": f"Write `{tools()}`",
    "followed by prose": tools() + " is how a call looks.",
    "a response behind it": tools() + "<|open|>response<|sep|>Soon.<|close|>response<|sep|>",
    "an undeclared tool": tools(("rm", {})),
    "invalid arguments": tools(("weather", {"days": 1})),
    "a type that is not the value's": tools().replace('type="string"', 'type="number"'),
    "no type": tools().replace(' type="string"', ""),
    "an index twice": tools(("weather", {"city": "Rome"}), ("now", {})).replace('index="2"', 'index="1"'),
    "a tag within a string": tools().replace("Rome", "Rome<|close|>argument<|sep|>, Oslo"),
    "a marker within a string": tools().replace("Rome", "Rome<|open|>"),
    "not closed": tools().partition("<|close|>call")[0],
    "the begin alone": "Text <|open|>tools<|sep|>",
    "tools without a call": f"<|open|>tools<|sep|>{TOOLS}",
    "K2's": section(),
}


@pytest.mark.parametrize("name", K3_LEFT)
def test_what_is_no_call_of_k3_for_sure_stays_text(name):
    made, taken, _ = both(answer(K3_LEFT[name]), K3_ASKED, cuts=range(0, 300, 7))
    assert made[0]["content"] == K3_LEFT[name] and made[0]["tool_calls"] == [] and taken.changes == []


@pytest.mark.parametrize("name", LEFT)
def test_what_is_no_call_for_sure_stays_text(name):
    made, taken, _ = both(answer(LEFT[name]))
    assert made[0]["content"] == LEFT[name] and made[0]["tool_calls"] == [] and made[0]["finish_reason"] == "stop"
    assert taken.changes == []


def test_why_a_call_is_left_is_said_without_contents():
    _, taken, comments = both(answer(LEFT["invalid arguments"]))
    assert taken.headers == {"x-k2lab-unsalvaged": "the arguments of weather are not valid"}
    assert comments == [": k2lab left a leaked call as text: the arguments of weather are not valid"]
    _, taken, _ = both(answer(LEFT["Kimi K3's"]))
    assert taken.headers["x-k2lab-unsalvaged"] == "it is a call as K3 writes them, and K2 was asked"


@pytest.mark.parametrize(
    ("request_fields", "salvaged"),
    [
        ({"tool_choice": "none"}, 0), ({"tool_choice": "auto"}, 1), ({"tool_choice": "required"}, 1),
        ({"tool_choice": {"type": "function", "function": {"name": "now"}}}, 0), ({"tool_choice": "odd"}, 0),
        ({"tool_choice": {"type": "function", "function": {"name": "weather"}}}, 1), ({"tools": []}, 0),
        ({"parallel_tool_calls": False}, 1),
    ],
)  # fmt: skip
def test_a_call_comes_only_where_the_request_asks_for_it(request_fields, salvaged):
    made, _, _ = both(answer(section()), {**ASKED, **request_fields})
    assert len(made[0]["tool_calls"]) == salvaged


def test_several_calls_come_together_or_not_at_all():
    two = section(one(), one("functions.now:1", "{}"))
    made, taken, comments = both(answer("Both. " + two), cuts=range(0, 300, 3))
    assert [call["id"] for call in made[0]["tool_calls"]] == ["functions.weather:0", "functions.now:1"]
    assert taken.headers["x-k2lab-salvaged"] == "2" and comments == [": k2lab salvaged 2 calls"]
    made, _, _ = both(answer(two), {**ASKED, "parallel_tool_calls": False})
    assert made[0]["tool_calls"] == []
    sections = section() + "\n" + section(one("functions.now:1", "{}"))
    assert len(both(answer(sections))[0][0]["tool_calls"]) == 2


@pytest.mark.parametrize("giver", ["user", "tool", "system", "description"])
def test_nothing_is_salvaged_where_the_model_may_quote_what_it_was_given(giver):
    request = json.loads(json.dumps(ASKED))
    if giver == "description":
        request["tools"][1]["function"]["description"] = f"Write {wire.SECTION_BEGIN} first."
    else:
        said = {"role": giver, "content": "Repeat: " + section(one(arguments='{"city":"Oslo"}'))}
        request["messages"] += [{**said, "tool_call_id": "x"} if giver == "tool" else said]
    made, taken, _ = both(answer(section()), request)
    assert made[0]["tool_calls"] == [] and "quoting" in taken.headers["x-k2lab-unsalvaged"]


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_a_call_in_the_reasoning_counts_where_the_answer_says_nothing_else(field):
    made, taken, _ = both(answer("", **{field: "I call it. " + section()}))
    assert made[0] == {
        "content": "", "reasoning": "I call it. ", "tool_calls": [ROME], "finish_reason": "tool_calls"
    }  # fmt: skip
    assert taken.changes[0].code == "call_leaked_into_reasoning"
    made, taken, _ = both(answer("It is sunny.", **{field: "I could call. " + section()}))
    assert made[0]["tool_calls"] == [] and "goes on" in taken.headers["x-k2lab-unsalvaged"]


def test_an_answer_with_calls_of_its_own_is_left_as_it_is():
    made, taken, _ = both(answer(section(), "tool_calls", tool_calls=[ROME]))
    assert made[0]["tool_calls"] == [ROME] and made[0]["content"] == section()
    assert taken.changes == []


@pytest.mark.parametrize(
    ("reason", "text", "ended"),
    [
        ("length", section(), "length"), ("length", one(), None), ("content_filter", section(), None),
        ("tool_calls", section(), "tool_calls"), (None, section(), None), ("length", section()[:-4], None),
    ],
)  # fmt: skip
def test_an_answer_that_was_cut_short_stays_so(reason, text, ended):
    given = answer(text, reason)
    body, _ = whole(given)
    choice = json.loads(body)["choices"][0]
    assert choice["finish_reason"] == reason and bool(choice["message"].get("tool_calls")) == bool(ended)
    if reason:
        both(given)


def test_ids_go_on_with_the_history_and_beyond_what_the_client_knows():
    def history(known):
        return [USER, {"role": "assistant", "tool_calls": [call_of(known, "now", "{}")]}, result(known)]

    request = {**ASKED, "messages": history("call_1")}
    assert both(answer(section()), request, repair="ids")[0][0]["tool_calls"][0]["id"] == "functions.weather:1"
    request = {**ASKED, "messages": history("functions.weather:1")}
    made, _, _ = both(answer(section()), request, repair="ids")
    assert made[0]["tool_calls"][0]["id"] == "functions.weather:2"


def test_a_new_call_of_the_servers_does_not_get_an_id_that_the_client_gave_to_another():
    first = call_of("functions.now:1", "now", "{}")
    request = {**ASKED, "messages": [USER, {"role": "assistant", "tool_calls": [first]}, result("functions.now:1")]}
    given = answer(None, "tool_calls", tool_calls=[call_of("functions.now:1", "now", "{}")])
    taken = guard_of(GuardOptions(repair="ids")).turn(PATH, JSON, json.dumps(request).encode())
    assert taken.holds_answer
    body = json.loads(taken.whole(200, JSON, json.dumps(given).encode()))
    assert body["choices"][0]["message"]["tool_calls"][0]["id"] == "functions.now:2"
    streamed, _ = put_together(fed(taken.stream(), events(given), []))
    assert streamed[0]["tool_calls"][0]["id"] == "functions.now:2"
    assert [change.kind for change in taken.changes if "another" in change.detail] == ["id", "id"]
    plain_ids = guard_of(GuardOptions(repair="ids")).turn(PATH, JSON, json.dumps(ASKED).encode())
    assert not plain_ids.holds_answer


def test_choices_are_told_each_by_itself():
    given = answer("Sunny.")
    given["choices"] += answer(section(), index=1)["choices"] + answer(LEFT["in quotes"], index=2)["choices"]
    made, taken, _ = both(given, cuts=range(0, 400, 5))
    assert [len(made[index]["tool_calls"]) for index in range(3)] == [0, 1, 0]
    assert taken.changes[0].place.startswith("choices[1].")


def test_several_choices_in_one_event_are_told_each_by_itself():
    base = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    texts = {0: "a < b, all is well", 1: section()}
    data = b""
    for place in range(0, 200, 7):
        choices = [
            {"index": index, "delta": {"content": text[place : place + 7]}, "finish_reason": None}
            for index, text in texts.items()
        ]
        data += f"data: {json.dumps({**base, 'choices': choices})}\n\n".encode()
    ends = [{"index": index, "delta": {}, "finish_reason": "stop"} for index in texts]
    data += f"data: {json.dumps({**base, 'choices': ends})}\n\ndata: [DONE]\n\n".encode()
    made, _ = put_together(fed(turn_of().stream(), data, []))
    assert made[0]["content"] == texts[0] and made[0]["finish_reason"] == "stop"
    assert made[1]["tool_calls"] == [ROME] and made[1]["content"] == ""


PIECES = [
    "Hello ",
    "a < b",
    "<|",
    "<",
    "<|tool_calls_section",
    "\n",
    "```\n",
    "`",
    '"',
    "é日😀",
    "\u201c",
    "\u201d ",
    " ",
]
CALLS = [section(), one(), wire.SECTION_BEGIN, wire.CALL_END]
TEXTS = st.lists(
    st.sampled_from(
        [
            *PIECES,
            *CALLS,
            *LEFT.values(),
            *K3_LEFT.values(),
            *(text for text, _ in [*SALVAGED.values(), *K3_SALVAGED.values()]),
        ]
    ),
    max_size=4,
).map("".join)


BEGINNINGS = sorted((marker[:size] for marker in FIRST_MARKERS for size in range(1, len(marker) + 1)), key=len)


def reach(text, cuts):
    """How much would be held at most if no event were split: from an event's begin to where a marker may still be."""
    begin, most = 0, 0
    for piece in pieces(text, cuts):
        end = begin + len(piece)
        for place in range(begin, end):
            end = max(end, *(place + len(one) * text.startswith(one, place) for one in BEGINNINGS))
        most, begin = max(most, end - begin), begin + len(piece)
    return most


@given(
    TEXTS,
    TEXTS,
    st.lists(st.integers(0, 400), max_size=40),
    st.lists(st.integers(0, 300), max_size=60),
    st.sampled_from(["stop", "length", "tool_calls"]),
    st.sampled_from(["\n\n", "\r\n\r\n", "\r\r"]),
)
@examples(400)
@example("", "<|tool_calls_section<|tool_calls_section", [21], [], "stop", "\n\n")
def test_whole_and_streamed_are_one_however_the_bytes_are_cut(content, reasoning, cuts, sizes, reason, ending):
    given = answer(content, reason, reasoning_content=reasoning)
    body, _ = whole(given)
    data = events(given, cuts, ending=ending, extra=[": ping", "event: x\nid: 1\ndata:\ndata: {}"])
    taken = turn_of()
    at_once = fed(taken.stream(), data, [])
    in_pieces = fed(turn_of().stream(), data, sizes)
    assert in_pieces == at_once
    made, _ = put_together(at_once.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
    assert made == plain(json.loads(body))
    if not taken.changes and max(reach(content, cuts), reach(reasoning, cuts)) <= LONGEST:
        assert re.sub(rb": k2lab[^\n]*\n\n", b"", at_once) == data


@given(st.text(alphabet="ab <|`\"'\n_tool", max_size=80), st.lists(st.integers(0, 80), max_size=80))
@examples(200)
def test_ordinary_text_goes_on_byte_for_byte(text, cuts):
    data = events(answer(text), cuts)
    given = fed(turn_of().stream(), data, [7] * 50)
    assert put_together(given) == put_together(data)
    assert given == data or max(map(len, pieces(text, cuts))) > LONGEST


@given(st.text(alphabet="ab <|tol_csein", max_size=200), st.integers(1, 9))
@examples(100)
def test_no_more_of_an_ordinary_text_is_held_than_a_marker_is_long(text, size):
    stream, sent, given = turn_of().stream(), "", ""
    for place in range(0, len(text), size):
        sent += text[place : place + size]
        chunk = {"choices": [{"index": 0, "delta": {"content": text[place : place + size]}, "finish_reason": None}]}
        made, _ = put_together(stream.feed(f"data: {json.dumps(chunk)}\n\n".encode()))
        given += made[0]["content"] if made else ""
        assert len(sent) - len(given) <= LONGEST
    assert sent.startswith(given)


def test_a_long_piece_of_text_before_a_marker_is_given_at_once():
    stream = turn_of().stream()
    chunk = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "word " * 50 + wire.SECTION_BEGIN[:9]},
                          "logprobs": {"content": []}, "finish_reason": None}]}  # fmt: skip
    given = stream.feed(f"event: x\ndata: {json.dumps(chunk)}\n\n".encode())
    assert put_together(given)[0][0]["content"] == "word " * 50 and given.startswith(b"event: x\n")
    assert put_together(stream.end())[0][0]["content"] == wire.SECTION_BEGIN[:9]


def test_a_stream_that_breaks_off_gives_all_that_was_held():
    data = events(answer("Hm. " + section()), range(0, 300, 4))
    for place in range(0, len(data), 97):
        taken = turn_of()
        stream = taken.stream()
        out = stream.feed(data[:place]) + stream.end()
        if not taken.changes:
            assert out == data[:place]


def test_more_than_may_be_held_goes_on_as_text_at_once():
    text = f"{wire.SECTION_BEGIN}{wire.CALL_BEGIN}functions.weather:0{wire.ARGUMENT_BEGIN}" + '{"city": "' + "x" * 3000
    taken = turn_of(most_held=1000)
    stream, given = taken.stream(), 0
    data = events(answer(text), range(0, 4000, 10))
    for place in range(0, len(data), 100):
        given += len(stream.feed(data[place : place + 100]))
        assert place - given < 40_000
    assert given + len(stream.end()) == len(data) + len(b": k2lab left a leaked call as text: ") + len(
        b"more than 1000 characters\n\n"
    )
    both(answer(text), most_held=1000)


@pytest.mark.parametrize(
    "event",
    [
        b"data: {\n\n", b"data: \xff\xfe{}\n\n", b"data: []\n\n", b'data: {"choices": 3}\n\n', b"\n\n\n\n", b": x\n\n",
        b'data: {"choices": [3]}\n\n', b'data: {"choices": [{"index": "x", "delta": {}}]}\n\n',
        b'data: {"error": {"message": "no"}}\n\n', b'data: {"choices": [{"index": 0, "delta": null}]}\n\n',
        b'data: {"choices": [{"index": 0, "delta": {"content": ["a"]}}]}\n\n', b"data: " + b"[" * 100_000 + b"\n\n",
        b'data: {"choices": [{"delta": {"content": "x"}}], "n": ' + b"9" * 5000 + b"}\n\n", b"retry: 3\n\n",
    ],
)  # fmt: skip
def test_events_of_another_kind_go_on_as_they_are(event):
    data = events(answer("Hi."), range(9))
    given = fed(turn_of().stream(), event + data + event, [1000] * 5)
    assert given == event + data + event


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff<|", b"[]<|", b'{"choices": 3, "x": "<|"}', b'{"choices": [1, {"message": 2}], "x": "<|"}'],
)
def test_answers_of_another_kind_go_on_as_they_are(body):
    assert turn_of().whole(200, JSON, body) == body
    assert turn_of().whole(500, JSON, json.dumps(answer(section())).encode()) == json.dumps(answer(section())).encode()


def test_what_is_not_salvaged_of_an_answer_keeps_its_text():
    text = json.dumps(answer(section())).replace('"created": 1', '"created": 1.0, "big": 123456789012345678901')
    made = turn_of().whole(200, JSON, text.encode()).decode()
    assert '"created": 1.0, "big": 123456789012345678901' in made


def test_a_million_tiny_pieces_take_linear_time():
    def chunked(text):
        stream = turn_of().stream()
        for place in range(0, len(text), 3):
            stream.feed(text[place : place + 3].encode())
        stream.end()

    assert_linear(chunked, "data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": "<|to"}}]}) + "\n\n")


@pytest.mark.parametrize("unit", one_in(3, [" ", "\n", "x", '"', "<", wire.CALL_END[:-1], '{"a": ']))
def test_a_held_text_in_tiny_pieces_takes_bounded_time(unit):
    chunk = {"choices": [{"index": 0, "delta": {"content": unit}, "finish_reason": None}]}
    begin = {"choices": [{"index": 0, "delta": {"content": f"{wire.CALL_BEGIN}f{wire.ARGUMENT_BEGIN}{{"}}]}
    stream = turn_of(most_held=20_000).stream()
    with within(4.0):
        stream.feed(f"data: {json.dumps(begin)}\n\n".encode())
        stream.feed(f"data: {json.dumps(chunk)}\n\n".encode() * 20_000)
        stream.end()

"""What a file is taken for."""

import json

import pytest

from k2lab.check import Look, look_at, look_at_bytes

MESSAGES = [{"role": "user", "content": "Hi"}]
TOOL = {
    "type": "function",
    "function": {"name": "search", "description": "Search.", "parameters": {"type": "object", "properties": {}}},
}
ANSWER = {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}]}
REQUEST = {"messages": MESSAGES, "tools": [TOOL]}


def looked(value, **how):
    data = (
        value if isinstance(value, bytes) else value.encode() if isinstance(value, str) else json.dumps(value).encode()
    )
    return look_at_bytes("given", data, Look(**how))


def lines(*values):
    return "\n".join(json.dumps(value) for value in values)


@pytest.mark.parametrize(
    ("given", "taken_for"),
    [
        (MESSAGES, "a conversation"),
        (REQUEST, "a request"),
        ({"model": "m", "prompt": "as text"}, "a request"),
        ({"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": REQUEST}, "a request"),
        (ANSWER, "an answer without its request"),
        ({"error": {"message": "no"}}, "an answer without its request"),
        ({"custom_id": "1", "response": {"status_code": 200, "body": ANSWER}}, "an answer without its request"),
        ({"request": REQUEST, "response": ANSWER}, "a request with its answer"),
        ({"request": {"body": REQUEST}, "response": {"body": ANSWER}}, "a request with its answer"),
        ([TOOL], "tools"),
        ({"tools": [TOOL]}, "tools"),
        (TOOL, "tools"),
        ([{"name": "a", "inputSchema": {}}], "tools"),
        ([REQUEST, REQUEST], "2 requests"),
        (lines(REQUEST, ANSWER), "a request, an answer without its request, by line"),
        (lines(*[{"request": REQUEST, "response": ANSWER}] * 3), "3 requests with their answers, by line"),
        ({"raw_output": "Hi", "tools": [TOOL]}, "a raw output"),
        ("<think>Hm</think>Hello", "a raw output"),
        ("see functions.search:0{}", "a raw output"),
        ('data: {"choices": []}\n\ndata: [DONE]\n', "a captured stream"),
        ("HTTP/1.1 200 OK\r\ncontent-type: x\r\n\r\n" + json.dumps(ANSWER), "an answer without its request"),
        ("* Connected\n> POST /v1\n> \n< HTTP/1.1 200 OK\n< \n{ [5 bytes data]\n" + json.dumps(ANSWER, indent=1),
         "an answer without its request"),
        ("HTTP/1.1 200 OK\r\na: b\r\n\r\ndata: {\"choices\": []}\r\n\r\ndata: [DONE]\r\n", "a captured stream"),
    ],
    ids=str,
)  # fmt: skip
def test_a_file_is_taken_for_what_its_form_says(given, taken_for):
    assert looked(given).taken_for == taken_for


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({**REQUEST, **ANSWER}, "a request or an answer without its request: say which with --as request|answer"),
        ([*MESSAGES, TOOL], "it can be a conversation or tools"),
        ({"type": "object", "properties": {}}, "a bare JSON Schema"),
        ({"role": "user", "content": "Hi"}, "one message: put it into a list"),
        ({"type": "message", "content": []}, "one message: put it into a list"),
        ({"input": "Hi", "model": "m", "encoding_format": "float"}, "an object of another form"),
        ({"input": ["Hi", "Ho"], "model": "m"}, "an object of another form"),
        ({"type": "message_start", "message": {}}, "one event of a stream"),
        ({"architectures": [], "model_type": "kimi_k2"}, "a file of a model folder, which is not looked at here"),
        ({"a": 1}, "an object of another form (with a)"),
        ([], "an empty list"),
        ([1, 2], "list"),
        ("just words", "neither JSON nor a stream nor a text with a marker"),
        ("", "it is empty"),
        ("\n \n", "it is empty"),
        ('{"messages": [', "it is not JSON"),
        (b"\x1f\x8b\x08\x00rest", "packed (gzip)"),
        (b"\x00\x01\x02" * 9, "binary"),
        ("Hi".encode("utf-16"), "binary, or text in UTF-16"),
        (b"caf\xe9 <think>", "byte 4 is not UTF-8"),
        ("[" * 5000, "nested deeper than"),
        ({"object": "chat.completion.chunk", "choices": []}, "one event of a stream"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_not_recognised_is_said_in_a_line_and_nothing_is_claimed(given, said):
    made = looked(given)
    assert made.status == 2 and not made.found
    assert len(made.unread) == 1 and said in made.unread[0] and "\n" not in made.unread[0]


def test_as_overrides_the_form():
    both = {**REQUEST, **ANSWER}
    assert looked(both, kind="answer").taken_for == "an answer without its request"
    assert looked("just words", kind="output").status == 0
    assert looked({"role": "user"}, kind="tools").present[0].finding.code == "T007"
    assert "cannot be tools" in looked("[1]\n2", kind="tools").unread[-1]


def test_a_bad_line_leaves_the_others_looked_at_and_is_named():
    made = looked('{"messages": []}\n{broken\n' + lines(MESSAGES, {"a": 1}))
    assert made.status == 2 and made.taken_for == "a request, a conversation, by line"
    assert [why[:8] for why in made.unread] == ["line 2: ", "line 4: "]
    assert [(one.line, one.finding.code) for one in made.present] == [(1, "R024")]


@pytest.mark.parametrize("path", ["/dev/zero", "/", "/nowhere"])
def test_what_is_no_file_is_not_read(path):
    made = look_at(path)
    assert made.status == 2 and len(made.unread) == 1 and path in made.unread[0]


def test_the_line_of_a_place_is_found_in_a_file_of_one_value():
    made = looked(json.dumps({"messages": [{"role": "user", "content": "Hi"}, {"role": "nobody"}]}, indent=1))
    assert [(one.line, one.finding.place) for one in made.present] == [(7, "messages[1]")]

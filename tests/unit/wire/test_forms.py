"""What is given to ``parse`` in place of a raw output is named, with what reads it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2lab import cli, families, wire
from k2lab.cli.commands import COMMANDS
from tests.unit.wire.test_reader import OWN, RECORDED, hostile

ANSWER = {"id": "x", "object": "chat.completion", "choices": [{"message": {"role": "assistant", "content": "Hi"}}]}
CHUNK = {"object": "chat.completion.chunk", "choices": [{"delta": {"content": "Hi"}}]}
TALK = {"messages": [{"role": "user", "content": "Hi"}], "tools": []}
K3 = 'Yes.<|close|>think<|sep|><|open|>tools<|sep|><|open|>call tool="f" index="1"<|sep|><|close|>call<|sep|>'


def lines(*values):
    return "".join(json.dumps(value) + "\n" for value in values)


FORMS = [
    (json.dumps(ANSWER), "a chat answer in JSON"),
    ("\n" + json.dumps(ANSWER, indent=2) + "\n", "a chat answer in JSON"),
    (json.dumps(ANSWER | {"choices": []}), "a chat answer in JSON without choices"),
    ('{"object": "chat.completion", "usage": {}}', "a chat answer in JSON without choices"),
    (json.dumps({"object": "text_completion", "choices": [{"text": "Hi"}]}), "an answer of /completions in JSON"),
    (json.dumps({"role": "assistant", "content": "Hi", "tool_calls": []}), "a message in JSON"),
    (json.dumps({"error": {"message": "no"}}), "a server's error"),
    (json.dumps({"object": "response", "output": []}), "an answer of another API"),
    (json.dumps({"type": "message", "role": "assistant", "content": []}), "an answer of another API"),
    (json.dumps(TALK), "a request or a conversation"),
    (json.dumps(TALK | {"model": "kimi-k2", "stream": True}), "a request or a conversation"),
    (json.dumps(TALK["messages"]), "a list of messages"),
    (json.dumps([{"type": "function", "function": {"name": "f"}}]), "a list of tools"),
    (lines({"data_index": 1, "request": TALK, "response": ANSWER, "status": "success"}), "K2-Vendor-Verifier"),
    (lines({"data_index": 1, "request": TALK, "response": ANSWER}, {"data_index": 2}), "K2-Vendor-Verifier"),
    (lines({"custom_id": "a", "response": {"body": ANSWER}}), "answers of a batch"),
    (lines(CHUNK), "one event of a stream"),
    (lines(CHUNK, CHUNK), "the events of a stream"),
    (f"data: {json.dumps(CHUNK)}\n\ndata: [DONE]\n", "server-sent events"),
    (f": keep-alive\n\nevent: message\nid: 3\ndata: {json.dumps(CHUNK)}\n\n", "server-sent events"),
    (f"HTTP/1.1 200 OK\r\ncontent-type: a/b\r\n\r\ndata: {json.dumps(CHUNK)}\r\n\r\n", "server-sent events"),
    ("\ufeff" + json.dumps(ANSWER), "a chat answer in JSON"),
    (f"data:{json.dumps(CHUNK)}", "server-sent events"),
    ("HTTP/1.1 200 OK\r\na: b\r\n\r\n" + json.dumps(ANSWER), "a chat answer in JSON"),
    (json.dumps(ANSWER)[:-9], "a chat answer that is cut"),
    (str(ANSWER), "a chat answer that is cut or not JSON, such as Python prints"),
    ("ChatCompletion(id='x', choices=[Choice(finish_reason='stop')])", "an answer as Python prints it"),
    (json.dumps("Hi<|tool_calls_section_begin|>"), "a JSON string"),
    ("[163595, 163597, 12]", "a list of token ids"),
    ('<|open|>message role="user"<|sep|>Hi<|close|>message<|sep|>', "a rendered prompt, which begins with a turn"),
    ("<|im_system|>system<|im_middle|>You.<|im_end|><|im_user|>user<|im_middle|>Hi<|im_end|>", "a rendered prompt"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), FORMS)
def test_another_form_is_one_clear_line_and_names_only_commands_that_are_there(text, said, k2lab_refused):
    line = wire.foreign_form(text)
    assert said in line and "\n" not in line
    for words in line.split("k2lab ")[1:]:
        command = words.split()[0].strip(":,;)")
        assert command in COMMANDS, command
    done = k2lab_refused(text)
    assert done.returncode == 1 and done.stdout == b""
    assert done.stderr.decode() == f"k2lab: this is not a raw output but {line}\n"


@pytest.fixture
def k2lab_refused(monkeypatch):
    """``k2lab parse`` on a text, in this process."""
    import io
    import subprocess
    import sys
    from contextlib import redirect_stderr, redirect_stdout

    def run(text):
        out, err = io.StringIO(), io.StringIO()
        monkeypatch.setattr(sys, "argv", ["k2lab", "parse"])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            cli.main()
        return subprocess.CompletedProcess([], ended.value.code, out.getvalue().encode(), err.getvalue().encode())

    return run


@pytest.mark.parametrize(
    "text",
    [
        *(case["raw_output"] for case in [*OWN, *RECORDED]),
        *("", " ", "Hi", "{", "[", '"', "[1, 2", '{"city": "Oslo"}', '["a"]', "[]", "{}", "42", "data: none", "true"),
        '{"city": "Oslo"}\n{"city": "Rome"}',
        *("[1] says so, [2] does not.", '{"choices": 3', "{choices: [1]}", "ChatCompletion is a class."),
        "<|im_assistant|>assistant<|im_middle|>Hi<|im_end|>",
        K3,
        f"K3 writes <|open|>tools<|sep|>, K2 {wire.SECTION_BEGIN}.",
    ],
)
def test_a_raw_output_is_no_other_form(text):
    assert wire.foreign_form(text) is None


@given(hostile | st.text(max_size=200))
def test_the_form_of_any_text_is_told_without_an_exception(text):
    assert wire.foreign_form(text) is None or "\n" not in wire.foreign_form(text)


def test_k3_in_an_output_that_is_said_to_be_k2s_is_left_as_text_and_named():
    parsed = wire.parse(K3, family=families.K2)
    assert parsed.content == K3 and "K3" in parsed.notes[0]
    assert "K3" in wire.parse(K3, thinking=True, family=families.K2_5).notes[0]


def test_deep_json_is_told_without_an_exception():
    assert wire.foreign_form("[" * 100_000) is None

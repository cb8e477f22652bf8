"""What means ill, or is simply too much: bounded, said in a line, and never a traceback."""

import json
import os
import time

import pytest

from k2lab import files
from k2lab.check import Look, look_at, look_at_bytes
from k2lab.check import looking as limits
from k2lab.legible import HIDDEN
from k2lab.show.checks import checked_view

CALL = {"id": "functions.a:0", "type": "function", "function": {"name": "a", "arguments": "{}"}}


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    made = look_at(str(tmp_path / "pipe"))
    assert made.status == 2 and "is a pipe, not a file" in made.unread[0]


def test_a_file_of_gigabytes_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 1 << 16)
    monkeypatch.setattr(files, "MAX_LINE_BYTES", 1 << 12)
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(20 << 30)
    made = look_at(str(path))
    assert made.status == 2 and "more than" in made.unread[0]
    good = json.dumps({"messages": [{"role": "user", "content": "Hi"}]}).encode()
    made = look_at_bytes("lines", b"\n".join([good, good, b" " * 5000 + good]))
    assert made.taken_for == "2 requests, by line" and "line 3 has more than" in made.unread[0]


@pytest.mark.parametrize(
    "data",
    [
        b'{"messages": ' + b"[" * 100_000,
        b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"messages": [{"role": "user", "content": NaN}], "tools": [NaN]}',
        b'{"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "\\ud800", "arguments": 3}}]}]}',
        b'{"tools": [{"type": "function", "function": {"name": "\\u001b[2J", "parameters": {"$ref": "#"}}}]}',
        b'{"tools": [{"type": [], "function": {"name": "x", "parameters": {"required": 7, "properties": []}}}]}',
        b'{"tools": [[], null, 3, {"function": {"name": ["a"]}}]}',
        b'{"choices": [{"message": {"content": {"a": []}, "tool_calls": {"a": 1}}, "finish_reason": []}]}',
        b'{"choices": [{"message": 3, "text": "\\ud800<|tool_call_begin|>"}]}',
        b'{"request": {"messages": 3, "tools": {}, "tool_choice": []}, "response": {"choices": [[]]}}',
        b'{"request": {"messages": [{"role": 3}], "extra_body": {"tools": 7}}, "response": null}',
        b'data: {"choices": [{"delta": {"tool_calls": [7]}}]}\n\ndata: {"choices": 3}\n\ndata: []\n\ndata: x',
        b'{"raw_output": "<|tool_calls_section_begin|>\\ud800", "tools": 7}',
        b"<|tool_call_begin|>" * 2000,
        b'{"messages": [{"role": "user", "content": [{"type": {}}]}], "chat_template_kwargs": 3, "model": {}}',
        b'{"error": {"\\u202e": "\\u001b[2J"}}',
    ],
)
def test_whatever_stands_in_it_the_result_can_be_shown(data):
    begun = time.process_time()
    for every in (False, True):
        made = look_at_bytes("given\x1b[2J", data, Look(every=every, model="kimi-k2.5"))
        assert made.status in (1, 2)
        shown = checked_view([made], every=every)
        assert not HIDDEN.search(shown.text)
        json.dumps(made.to_json())
    assert time.process_time() - begun < 5


def test_findings_without_end_are_counted_and_not_kept(monkeypatch):
    monkeypatch.setattr(limits, "MOST_FOUND", 10)
    bad = json.dumps({"messages": [{"role": "no"}]}).encode()
    made = look_at_bytes("given", b"\n".join([bad] * 25))
    assert len(made.found) == 10 and made.left_out == 15 and made.status == 1
    broken = look_at_bytes("given", b"\n".join([bad, *[b"{"] * 50]))
    assert len(broken.unread) == 21 and broken.unread[-1] == "and 30 more lines"

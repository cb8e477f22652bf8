import json

import pytest

from k2lab import chat
from k2lab.chat import Request
from k2lab.errors import RequestError

USER = {"role": "user", "content": "hi"}


def test_conversation_round_trips_and_does_not_share_what_it_gives_out(talk):
    data = talk.to_json()
    data["messages"][0]["content"] = "changed"
    assert talk.messages[0]["content"] != "changed"
    assert chat.request_of(talk.to_json()) == talk


def test_bare_list_of_messages_is_a_conversation_without_tools():
    assert chat.request_of([USER]) == Request(messages=({"role": "user", "content": "hi"},))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"messages": []}, "messages is empty"),
        ({"tools": []}, 'no "messages"'),
        ({"messages": "hi"}, "messages must be a list, found a string"),
        ({"messages": [{"content": "hi"}]}, "messages[0] has no role"),
        ({"messages": [USER, {"role": "robot"}]}, "messages[1] has the unknown role 'robot'"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content must be"),
        ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "tool_calls[0] has no function.name"),
        ({"messages": [USER], "tools": [{"name": "x"}]}, "tools[0] must be"),
        ({"messages": [USER], "tools": [{"type": "function", "function": {}}]}, "tools[0].function has no name"),
        ("text", "found a string"),
        (None, "found null"),
    ],
)
def test_a_faulty_conversation_is_refused_with_the_place_of_the_fault(data, said):
    with pytest.raises(RequestError, match=said.replace("[", r"\[").replace("]", r"\]")):
        chat.request_of(data)


def test_file_errors_name_the_file(tmp_path):
    path = tmp_path / "c.json"
    with pytest.raises(RequestError, match=r"cannot read conversation .*c\.json: No such file"):
        chat.load(path)
    path.write_text("{nope")
    with pytest.raises(RequestError, match=r"c\.json is not JSON"):
        chat.load(path)
    path.write_text("[" * 100_000)
    with pytest.raises(RequestError, match="is not JSON"):
        chat.load(path)
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(RequestError, match="is not JSON"):
        chat.load(path)
    path.write_text(json.dumps({"messages": [{"content": "x"}]}))
    with pytest.raises(RequestError, match=r"c\.json: messages\[0\] has no role"):
        chat.load(path)


def test_text_of_every_kind_of_content():
    assert chat.text_of(None) == chat.text_of({}) == chat.text_of("") == chat.text_of([{"text": 1}, "x"]) == ""
    assert chat.text_of([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]) == "ab"

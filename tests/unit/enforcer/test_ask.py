"""What is sent with a tag, and what is said of a server that does not obey one."""

import json

import pytest

from k2lab.chat import Request
from k2lab.enforcer import FORMS, Options, ask
from k2lab.errors import UnsupportedError
from k2lab.server.endpoint import Endpoint
from tests.helpers.offered import TALK, TOOLS, enforced


def test_a_chat_goes_out_with_its_grammar_and_its_parameters_under_those_that_are_given(plain_server):
    request = Request.of(TALK, TOOLS, {"temperature": 0.6, "top_p": 0.9})
    answer = ask.send(
        Endpoint(plain_server.url, "m"),
        request,
        options=Options(max_calls=1, max_string=20),
        params={"temperature": 0, "tool_choice": "required"},
    )
    [sent] = plain_server.received
    assert answer.content == "hi" and sent["messages"] == TALK and sent["tools"] == TOOLS
    assert (sent["model"], sent["temperature"], sent["top_p"], sent["tool_choice"]) == ("m", 0, 0.9, "auto")
    tag = json.loads(sent["structured_outputs"]["structural_tag"])
    assert tag == enforced(TOOLS, tool_choice="required", max_calls=1, max_string=20).tag
    assert dict(request.parameters) == {"temperature": 0.6, "top_p": 0.9}


def test_an_answer_in_text_alone_keeps_the_prompt_and_admits_no_call(plain_server):
    request = Request.of(TALK, TOOLS, {"tool_choice": "required"})
    ask.in_text(Endpoint(plain_server.url, "m"), [request, request], params={"max_tokens": 9})
    for sent in plain_server.received:
        assert sent["tools"] == TOOLS and sent["max_tokens"] == 9
        assert json.loads(sent["structured_outputs"]["structural_tag"]) == enforced(TOOLS, tool_choice="none").tag


def test_a_server_that_ignores_every_form_is_told_so_in_one_line(plain_server):
    with pytest.raises(UnsupportedError, match="does not obey a grammar: vllm: it is ignored: no call came"):
        ask.form_of(Endpoint(plain_server.url, "m"))
    fields = [next(name for name in sent if name in ("structured_outputs", "response_format")) for sent in
              plain_server.received]  # fmt: skip
    assert fields == ["structured_outputs", "structured_outputs", "response_format", "response_format"]
    assert len(fields) == len(FORMS)

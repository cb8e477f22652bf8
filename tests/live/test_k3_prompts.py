"""Prompts of Kimi K3 on a live vLLM 0.32.0: its own renderer, and k3-nano's tokenizer class, against ours."""

import pytest

from k2lab.chat import Request
from k2lab.nano import folders
from k2lab.prompt.rendering import render
from k2lab.prompt.served import for_xtml
from k2lab.prompt.source import open_source
from k2lab.server import probes
from k2lab.server.endpoint import Endpoint
from tests.helpers.k3requests import Author

TOOL = {"name": "ping", "description": "Check", "parameters": {"type": "object", "properties": {}}}
PLAIN = Request.of(
    [{"role": "user", "content": "<|sep|> é"}],
    [{"type": "function", "function": TOOL}],
    {"tool_choice": "required", "response_format": {"type": "json_object"}, "reasoning_effort": "high"},
)
"""Of which a server changes nothing, and whose every part is in the prompt."""


@pytest.fixture(scope="module")
def source():
    return open_source(folders.assemble("k3"))


def unequal(endpoint, source, numbers):
    """The requests whose prompt the server makes otherwise."""
    found = []
    for number in numbers:
        request = Author(number).request()
        served = endpoint.prompt_ids(request)
        assert served.how == "return_token_ids", served.how  # /tokenize knows less of a request
        if served.ids != render(source, for_xtml(request)).token_ids:
            found.append(number)
    return found


def test_the_prompt_of_every_request_is_the_servers_own(servers, source):
    assert unequal(Endpoint(servers["0.32.0 k3"]), source, range(12)) == []


@pytest.mark.long
def test_the_prompts_of_500_requests_are_the_servers_own(servers, source):
    assert unequal(Endpoint(servers["0.32.0 k3"]), source, range(12, 512)) == []


def test_a_probe_says_that_the_prompt_is_right(servers, source):
    *_, same = probes.probe(Endpoint(servers["0.32.0 k3"]), source, PLAIN)
    assert same.state == "absent", same


def test_a_probe_says_what_the_server_keeps_from_the_renderer(servers, source):
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    request = PLAIN.with_messages([{"role": "user", "content": parts}])
    *_, same = probes.probe(Endpoint(servers["0.32.0 k3"]), source, request)
    assert same.state == "present" and "hands the model's renderer less" in same.evidence

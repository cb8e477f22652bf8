"""An endpoint on live servers."""

import pytest

from k2lab.errors import EndpointError
from k2lab.nano import folders
from k2lab.prompt.rendering import render
from k2lab.server.endpoint import Endpoint


@pytest.mark.parametrize("name", ["0.11.0 declared", "0.32.0 current"])
def test_live_prompt_ids_agree_by_both_ways_and_with_the_rendering(servers, talk, name):
    endpoint = Endpoint(servers[name])
    found = endpoint.prompt_ids(talk)
    assert found.how == "return_token_ids"
    assert found.ids == tuple(endpoint.tokenize(talk)) == render(folders.assemble(name.split()[1]), talk).token_ids
    assert endpoint.detokenize(found.ids) == render(folders.assemble("current"), talk).text
    assert endpoint.version().startswith(name.split()[0])


def test_live_chat_and_completion_of_the_same_prompt_agree(servers, talk):
    endpoint = Endpoint(servers["0.32.0 current"])
    chat = endpoint.chat(talk, temperature=0, max_tokens=60, return_token_ids=True)
    plain = endpoint.complete(render(folders.assemble("current"), talk).token_ids, temperature=0, max_tokens=60)
    assert chat.finish_reason == "tool_calls" and len(chat.calls) == 1
    assert chat.calls[0].name == "get_weather"
    assert chat.calls[0].value == {"city": "Paris"}
    assert chat.calls[0].arguments in plain.content


@pytest.mark.parametrize("name", ["0.11.0 current", "0.32.0 current"])
@pytest.mark.parametrize("length", [128, 129, 130, 257])
def test_a_prompt_that_comes_again_is_answered_whatever_its_length(servers, name, length):
    """Blocks of a prefix cache have 128 tokens: vLLM 0.11.0 ended where one token alone was left to compute."""
    endpoint = Endpoint(servers[name])
    first, second = (endpoint.complete([300] * length, temperature=0, max_tokens=2) for _ in range(2))
    assert first.content == second.content


@pytest.mark.parametrize("name", ["0.11.0 legacy", "0.32.0 current"])
def test_live_errors_are_one_line(servers, talk, name):
    with pytest.raises(EndpointError, match="answered 404") as caught:
        Endpoint(servers[name], "no-such-model").chat(talk)
    assert "\n" not in str(caught.value)
    with pytest.raises(EndpointError, match="answered 400") as caught:
        Endpoint(servers[name]).chat(talk, max_tokens=1_000_000)
    assert "\n" not in str(caught.value)

"""K3's tag on live vLLM 0.32.0 with its own parsers: what k3-nano answers under it, and what is lost without."""

from functools import partial

import pytest
from jsonschema import Draft202012Validator

from k2lab import enforcer, engine
from k2lab.chat import Request, tools_by_name
from k2lab.enforcer import Options, ask
from k2lab.nano import benchmark, folders
from k2lab.prompt.source import open_source
from k2lab.server.endpoint import Endpoint, in_parallel
from tests.helpers.xtml import MARKERS

pytestmark = pytest.mark.long

PARAMS = {"temperature": 0.7, "max_tokens": 300, "return_token_ids": True}
IN_REASONING = "--structured-outputs-config.enable_in_reasoning=True"
END_OF_CALL = "<|close|>call<|sep|>"


def asks(count):
    """Requests of which half are no ask for a call, and some ask for a tool that is not declared."""
    return [case.request for case in benchmark.cases(2 * count) if case.request.tools][:count]


def answered(endpoint, requests, **options):
    """Their answers under the tag, in their order."""
    options = Options(family="K3", max_string=16, **options)
    send = partial(ask.send, endpoint, options=options, params=PARAMS)
    return in_parallel(send, requests, concurrency=8)


def invalid(request, answer):
    """Calls whose tool is not declared or whose arguments its schema refuses."""
    functions = tools_by_name(request.tools)
    return [
        call
        for call in answer.calls
        if call.name not in functions
        or not Draft202012Validator(functions[call.name]["parameters"]).is_valid(call.value)
    ]


def test_a_live_server_obeys_the_tag_of_k3(servers):
    endpoint = Endpoint(servers["0.32.0 k3"])
    assert enforcer.family_for(endpoint.model) == "K3" and ask.form_of(endpoint) == "vllm"


def test_a_live_server_is_made_to_call_and_kept_from_it(servers, talk: Request):
    endpoint, params = Endpoint(servers["0.32.0 k3"]), {"temperature": 0, "max_tokens": 200}
    small_talk = Request.of([{"role": "user", "content": "Hello!"}], talk.tools)
    options = Options(family="K3", max_string=20)
    made = ask.send(endpoint, small_talk, options=options, params={**params, "tool_choice": "required"})
    assert made.finish_reason == "tool_calls" and [call.name for call in made.calls][:1] == ["get_weather"]
    kept = ask.send(endpoint, talk, options=options, params={**params, "tool_choice": "none"})
    assert kept.finish_reason == "stop" and not kept.calls and not any(map((kept.content or "").__contains__, MARKERS))


def test_no_call_under_the_tag_is_invalid(servers):
    requests = asks(40)
    answers = answered(Endpoint(servers["0.32.0 k3"]), requests)
    assert any(answer.calls for answer in answers)
    assert [wrong for pair in zip(requests, answers, strict=True) for wrong in invalid(*pair)] == []


def test_none_is_lost_where_the_tag_holds_the_reasoning_too():
    folder, found = folders.assemble("k3"), engine.resolve("0.32.0")
    tokenizer, requests = open_source(folder).tokenizer, asks(200)
    with engine.serving(found.python, found.name, folder, flags=[*found.flags, IN_REASONING]) as server:
        answers = answered(Endpoint(server.base_url), requests, thinking="begun")
    assert sum(bool(answer.calls) for answer in answers) > 40
    for request, answer in zip(requests, answers, strict=True):
        raw = tokenizer.decode(list(answer.token_ids))
        assert raw.count(END_OF_CALL) == len(answer.calls) and not invalid(request, answer), raw

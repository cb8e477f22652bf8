"""The guard between the openai client and live servers: calls that come, grammars that are taken, ids that pass."""

import json
import urllib.request
from contextlib import contextmanager

import openai
import pytest

from k2lab.chat import Answer, Exchange
from k2lab.findings.verdicts import judge
from k2lab.nano import benchmark, evaluate
from k2lab.nano.synth import deep_cases, with_foreign_ids
from k2lab.notebook.proxying import proxied
from k2lab.server.endpoint import Endpoint

CASES = evaluate.changed(deep_cases("held-out", 14, 6, 2), lambda request: with_foreign_ids(request, 9))


@contextmanager
def guarded(url, *options):
    with proxied(Endpoint(url, "k2-nano"), *options) as endpoint:
        yield endpoint.base_url


def asked(url, request, *, stream=False):
    body = {key: value for key, value in request.items() if value} | evaluate.PARAMS
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        if not stream:
            return client.chat.completions.create(model="k2-nano", **body).model_dump()
        with client.chat.completions.stream(model="k2-nano", **body) as events:
            return events.get_final_completion().model_dump()


def answers(url, *, stream):
    return [Answer.of(asked(url, case.request.to_json(), stream=stream)) for case in CASES]


@pytest.mark.parametrize(
    "stream", [pytest.param(False, id="whole", marks=pytest.mark.long), pytest.param(True, id="streamed")]
)
def test_calls_that_foreign_ids_lose_come_through_the_guard(servers, stream):
    url = servers["0.11.0 current"]
    assert not any(answer.calls for answer in answers(url, stream=stream))
    with guarded(url, "--repair", "history", "--salvage") as through:
        given = answers(through, stream=stream)
    calling = sum(bool(answer.calls) for answer in given)
    assert calling >= (2 if stream else 5), "streamed, 0.11.0 loses some whose tokens come several at a time"
    assert all(answer.finish_reason == "tool_calls" for answer in given if answer.calls)


def test_answers_are_held_to_their_tools(servers):
    with guarded(
        servers["0.32.0 current"], "--repair", "ids", "--enforce", "pinned", "--max-calls", "2", "--max-string", "16"
    ) as url:
        for case in benchmark.cases(12):
            request = benchmark.request_of(case)
            verdict = judge(Exchange.of(request, asked(url, request)))
            assert not [call for call in verdict.calls if call.fault and call.fault != "wrong_index"]


def posted(url, fields):
    request = urllib.request.Request(url, json.dumps(fields).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.loads(response.read()), response.headers


def test_the_other_apis_take_the_ids_and_the_grammar(servers):
    case = deep_cases("held-out", 14, 1, 1)[0].request.to_json()
    functions = [tool["function"] for tool in case["tools"]]
    call = next(call for message in case["messages"] for call in message.get("tool_calls") or ())
    name, arguments = call["function"]["name"], call["function"]["arguments"]
    last = case["messages"][-1]["content"]
    with guarded(servers["0.32.0 current"], "--repair", "ids", "--enforce", "pinned") as url:
        items = [
            {"type": "function_call", "call_id": "call_1", "name": name, "arguments": arguments},
            {"type": "function_call_output", "call_id": "call_1", "output": "done"},
            {"role": "user", "content": last},
        ]
        tools = [{"type": "function", "strict": True, **function} for function in functions]
        fields = {"model": "k2-nano", "input": items, "tools": tools, "temperature": 0, "max_output_tokens": 200}
        answer, headers = posted(f"{url}/responses", fields)
        assert [item["call_id"].endswith(":1") for item in answer["output"] if item["type"] == "function_call"] == [
            True
        ]
        assert headers["x-k2lab-repaired"] == "2" and headers["x-k2lab-held"] == "pinned"
        blocks = [{"type": "tool_use", "id": "toolu_1", "name": name, "input": json.loads(arguments)}]
        result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"}
        messages = [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": blocks},
            {"role": "user", "content": [result, {"type": "text", "text": last}]},
        ]
        tools = [{"name": function["name"], "input_schema": function["parameters"]} for function in functions]
        fields = {"model": "k2-nano", "max_tokens": 200, "temperature": 0, "messages": messages, "tools": tools}
        answer, headers = posted(f"{url}/messages", fields)
        assert [block["id"].endswith(":1") for block in answer["content"] if block["type"] == "tool_use"] == [True]
        assert headers["x-k2lab-repaired"] == "2" and "no grammar" in headers["x-k2lab-unheld"]

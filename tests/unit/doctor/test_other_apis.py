"""The same conversations as chat, Responses and Messages requests, to servers that make less or more of one, and of
which one loses calls.
"""

import json

import pytest

from k2lab.doctor import examination, otherapis
from k2lab.findings import chosen
from k2lab.nano import folders
from k2lab.prompt.source import open_source
from tests.helpers.counting import answering
from tests.helpers.streamed import message_events, response_events

WANTED = chosen(["S018", "S019"])
CASES = {case.name: case for case in otherapis.CASES}


def words(case):
    """How much a case says, whoever says it."""
    return len(str(case.chat.to_json()).split())


def server(count, status=200):
    """One whose prompts are as long as ``count`` says of a case, for each API."""

    def answer(path, body):
        if path.endswith("/models"):
            return {"object": "list", "data": [{"id": "m"}]}
        api = path.rpartition("/")[2]
        if api == "completions":
            case = next(case for case in CASES.values() if case.chat.to_json()["messages"] == body["messages"])
            choice = {"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": "o"}}
            return {"choices": [choice], "usage": {"prompt_tokens": words(case), "completion_tokens": 1}}
        name = "input" if api == "responses" else "messages"
        case = next(case for case in CASES.values() if json.loads(json.dumps(case.of(api)))[name] == body[name])
        made = count(api, case)
        return made if isinstance(made, tuple) or made is None else {"usage": made}

    return answer


def found(count, folder="thinking"):
    with answering(server(count)) as url:
        made = examination.examined(
            url, open_source(folders.assemble(folder)), examination.planned(WANTED), WANTED, model="m"
        )
    assert made.requests <= otherapis.OTHER_APIS.requests
    return {finding.code: (finding.state, finding.evidence) for finding in made.findings}


def alike(api, case):
    return {"input_tokens": words(case)}


def test_prompts_as_long_as_those_of_chat_requests_are_no_fault():
    assert {code: state for code, (state, _) in found(alike).items()} == {"S018": "absent", "S019": "absent"}


def test_a_prompt_that_lost_a_part_is_named_with_both_lengths():
    def lossy(api, case):
        return {"input_tokens": words(case) - 20 * (api == "responses" and "two parts" in case.name)}

    made = found(lossy)
    count = words(CASES["an answer in two parts"])
    said = f"an answer in two parts makes a prompt of {count - 20} tokens, and of {count} as a chat request"
    state, evidence = made["S018"]
    assert state == "present" and evidence.startswith(said) and made["S019"][0] == "absent"
    assert evidence.endswith("an ask with a tool, a call behind a text, and its result")


def test_tokens_of_a_prompt_that_were_kept_count_as_its_tokens():
    def cached(api, case):
        if api == "responses":
            return alike(api, case)
        return {"input_tokens": 3, "cache_read_input_tokens": words(case) - 3, "cache_creation_input_tokens": None}

    assert found(cached)["S019"][0] == "absent"


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (lambda api, case: None, "the server does not serve OpenAI's Responses API"),
        (lambda api, case: (400, {"error": {"message": "no tools here"}}), "an ask with a tool is refused: "),
        (lambda api, case: {"input_tokens": "9"}, "does not say how many tokens a prompt has (usage.input_tokens)"),
        (lambda api, case: "no usage", "an answer of OpenAI's Responses API does not say how many tokens"),
    ],
)
def test_what_a_server_does_not_show_is_unknown_with_the_reason(count, said):
    state, evidence = found(count)["S018"]
    assert state == "unknown" and said in evidence


def test_reasoning_is_sent_to_a_family_that_has_a_place_for_it_alone():
    asked = []

    def count(api, case):
        asked.append(case.name)
        return alike(api, case)

    found(count, "current")
    assert asked and not any("reasoning" in name for name in asked)
    found(count)
    assert any("reasoning" in name for name in asked)


CALL = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
TEXT = "<|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{}<|tool_call_end|>"
ITEM = {"type": "function_call", "id": "fc_1", "call_id": "x", "status": "completed", **CALL}
BLOCK = {"type": "tool_use", "id": "x", "name": "get_weather", "input": {"city": "Paris"}}


def item(text):
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}


def response(*output):
    return {"id": "resp_1", "object": "response", "status": "completed", "output": [*output]}


def message(*content):
    return {"id": "msg_1", "type": "message", "role": "assistant", "content": [*content], "stop_reason": "tool_use",
            "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip


SOUND = {"responses": response(ITEM), "messages": message(BLOCK)}


def events(api, answer):
    made = response_events(answer) if api == "responses" else message_events(answer)
    return made if isinstance(made, bytes) else b"".join(made)


def answers(whole, streamed, calls=1):
    """S020 of a server with these answers by API; what is no dict is its status and body."""

    def answer(path, body):
        api = path.rpartition("/")[2]
        if api == "models":
            return {"object": "list", "data": [{"id": "m"}]}
        if api == "completions":
            call = {"id": "functions.get_weather:0", "type": "function", "function": CALL}
            said = {"role": "assistant", "content": None, "tool_calls": [call] * calls}
            return {"choices": [{"index": 0, "finish_reason": "tool_calls", "message": said}]}
        given = (streamed if body["stream"] else whole)[api]
        return events(api, given) if body["stream"] and isinstance(given, dict) else given

    wanted = chosen(["S020"])
    with answering(answer) as url:
        made = examination.examined(url, None, examination.planned(wanted), wanted, model="m")
    [finding] = made.findings
    return finding.state, finding.evidence


def test_a_call_that_comes_by_every_api_is_no_fault():
    state, evidence = answers(SOUND, SOUND)
    assert state == "absent" and "/v1/messages, streamed" in evidence


def test_a_call_that_comes_as_text_is_named_by_api_and_way():
    leaked = {"responses": response(item(TEXT)), "messages": message(BLOCK)}
    state, evidence = answers(SOUND, leaked)
    assert state == "present" and evidence.startswith("/v1/responses, streamed: no call, and the text '<|tool_call_beg")
    assert "messages" not in evidence


def test_a_call_and_its_text_besides_or_twice_is_one_too():
    both = {"responses": response(item(TEXT), ITEM), "messages": message(BLOCK, BLOCK)}
    state, evidence = answers(both, SOUND)
    assert state == "present" and "/v1/responses, whole: the call, and the text '<|tool" in evidence
    once = '["get_weather", {"city": "Paris"}]'
    assert f"/v1/messages, whole: [{once}, {once}] in place of [{once}]" in evidence


def test_an_api_that_is_not_served_is_passed_over_and_one_that_refuses_is_named():
    absent = {"responses": None, "messages": None}
    assert answers(absent, absent)[1] == "the server serves neither the Responses nor the Messages API"
    some = {"responses": None, "messages": SOUND["messages"]}
    state, evidence = answers(some, some)
    assert state == "absent" and "responses" not in evidence
    refused = {**some, "messages": (400, {"error": {"message": "no tools here"}})}
    state, evidence = answers(refused, some)
    assert state == "present" and "/v1/messages, whole: " in evidence and "no tools here" in evidence


@pytest.mark.parametrize("given", [b" ", b"data: 7\n\n", (200, {"output": 7}), (200, {"output": None}), b"<html>"])
def test_what_is_no_answer_is_told_without_a_traceback(given):
    odd = {"responses": given, "messages": SOUND["messages"]}
    state, evidence = answers(odd, odd)
    assert state in ("present", "unknown") and evidence


def test_where_no_call_comes_as_a_chat_request_nothing_is_said():
    assert answers(SOUND, SOUND, calls=0)[0] == "unknown"

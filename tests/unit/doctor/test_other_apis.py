"""The same conversations as chat, Responses and Messages requests, to servers that make less or more of one."""

import json

import pytest

from k2lab.doctor import examination, otherapis
from k2lab.findings import chosen
from k2lab.nano import folders
from k2lab.prompt.source import open_source
from tests.helpers.counting import answering

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

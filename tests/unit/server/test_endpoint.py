"""An endpoint: what it asks, how it degrades, and what it says of a fault."""

import pytest

from k2lab.chat import Request
from k2lab.engine.server import free_port
from k2lab.errors import EndpointError, InputError, UnsupportedError
from k2lab.nano import folders
from k2lab.prompt.source import open_source
from k2lab.server import probes
from k2lab.server.endpoint import Endpoint, in_parallel
from tests.conftest import TALK


def test_a_server_without_vllms_features_degrades_with_a_word(plain_server, talk):
    endpoint = Endpoint(plain_server.url)
    assert endpoint.model == "m" and endpoint.version() is None
    assert endpoint.chat(talk).content == "hi"
    found = endpoint.prompt_ids(talk)
    assert found.ids is None and "cannot be known" in found.how
    with pytest.raises(UnsupportedError, match="has no /tokenize"):
        endpoint.tokenize(talk)
    finding = probes.generation_prompt(endpoint, open_source(folders.assemble("current")), talk)
    assert finding.state == "unknown" and "cannot be known" in finding.evidence


def test_a_server_that_refuses_unknown_parameters_is_asked_otherwise(plain_server, talk):
    url, answers = plain_server.url, plain_server.answers
    answers["/v1/chat/completions"] = (400, {"error": {"message": "Unrecognized request argument: return_token_ids"}})
    answers["/tokenize"] = (200, {"tokens": [1, 2, 3]})
    found = Endpoint(url).prompt_ids(talk)
    assert (found.ids, found.how) == ((1, 2, 3), "/tokenize")


@pytest.mark.parametrize(
    ("model", "fields", "how"),
    [
        ("kimi-k3", {}, "/tokenize"),
        ("kimi-k3", {"tool_choice": "auto", "chat_template_kwargs": {"thinking_effort": "low"}}, "/tokenize"),
        (
            "kimi-k3",
            {"reasoning_effort": "low"},
            "another prompt, without the request's reasoning_effort; it reads chat",
        ),
        (
            "kimi-k3",
            {"tool_choice": "required", "response_format": {"type": "json_object"}},
            "tool_choice and response",
        ),
        ("kimi-k2", {"reasoning_effort": "low"}, "/tokenize, without the request's reasoning_effort"),
        ("theirs", {"tool_choice": "required"}, "/tokenize, without the request's tool_choice"),
    ],
)
def test_what_tokenize_leaves_out_of_a_request_is_named_or_makes_it_no_way(plain_server, talk, model, fields, how):
    plain_server.answers["/v1/chat/completions"] = (400, {"error": {"message": "no return_token_ids"}})
    plain_server.answers["/tokenize"] = (200, {"tokens": [1, 2, 3]})
    found = Endpoint(plain_server.url, model).prompt_ids(Request.of(talk.messages, talk.tools, fields))
    assert (found.how == how, how in found.how) == (found.ids is not None, True)
    paths = [name for name in ("tool_choice", "response_format") if name in plain_server.received[0]]
    assert paths == [name for name in fields if name in ("tool_choice", "response_format") and model == "kimi-k3"]


def test_a_whole_request_goes_out_as_it_stands(plain_server, talk):
    url = plain_server.url
    fields = {"temperature": 0.3, "chat_template_kwargs": {"thinking": False}, "tool_choice": "required"}
    asked = Request.of(talk.messages, talk.tools, {**fields, "stream": True, "model": "theirs"})
    Endpoint(url).chat(asked, max_tokens=7)
    sent = plain_server.received[-1]
    assert sent == {**talk.to_json(), **fields, "model": "theirs", "max_tokens": 7}
    Endpoint(url, "mine").prompt_ids(asked)
    sent = plain_server.received[-3]
    assert sent["chat_template_kwargs"] == {"thinking": False} and sent["model"] == "mine"
    assert "tool_choice" not in sent and "temperature" not in sent  # which shape no prompt


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, {"error": {"message": "bad key"}}, "answered 401: bad key; set OPENAI_API_KEY"),
        (404, {"error": {"message": "no such model"}}, "answered 404: no such model; check the URL and the model"),
        (429, {"error": {"message": "slow down"}}, "answered 429: slow down"),
        (500, b"<html>oops</html>", "answered 500"),
        (200, b"<html>a page</html>", "is it an OpenAI-compatible API|cannot be read"),
        (200, {"choices": []}, "an answer without choices"),
        (200, [1, 2], "not a JSON object"),
    ],
)
def test_every_refusal_is_one_line(plain_server, talk, status, body, said):
    url, answers = plain_server.url, plain_server.answers
    answers["/v1/chat/completions"] = (status, body)
    with pytest.raises(EndpointError, match=said) as caught:
        Endpoint(url, "m").chat(talk)
    assert "\n" not in str(caught.value)


def test_the_key_is_never_shown(plain_server, talk, monkeypatch):
    url, answers = plain_server.url, plain_server.answers
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    answers["/v1/chat/completions"] = (401, {"error": {"message": "key sk-very-secret is wrong"}})
    endpoint = Endpoint(url, "m")
    with pytest.raises(EndpointError) as caught:
        endpoint.chat(talk)
    assert "very-secret" not in f"{caught.value} {endpoint!r}"


def test_nobody_answers(talk):
    with pytest.raises(EndpointError, match=r"nobody answers at http://127\.0\.0\.1:\d+/v1"):
        Endpoint(f"http://127.0.0.1:{free_port()}/v1", "m").chat(talk)


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://x/v1", "", "http://"])
def test_what_is_no_url_is_refused(url):
    with pytest.raises(InputError, match="is not a base URL"):
        Endpoint(url)


def test_a_key_in_the_url_is_refused_and_not_repeated():
    with pytest.raises(InputError) as caught:
        Endpoint("http://user:secret@host/v1")
    assert "secret" not in str(caught.value)


def test_results_come_in_order_and_the_first_error_ends_it():
    assert in_parallel(lambda n: n * n, range(50), concurrency=7) == [n * n for n in range(50)]
    with pytest.raises(ZeroDivisionError):
        in_parallel(lambda n: 1 / n, [1, 0, 2])


NO_IDS = [[], None, "abc", {"0": 1}, [1.0, 2.0], [True], [-1], [[1]], [1, None], ["1"], [2**40], [10**9] * 2 + [2**31]]


@pytest.mark.parametrize("tokens", NO_IDS, ids=str)
def test_what_is_no_list_of_ids_says_nothing_of_a_prompt(plain_server, talk, k2lab, current, tokens):
    plain_server.answers["/tokenize"] = (200, {"tokens": tokens})
    found = Endpoint(plain_server.url).prompt_ids(talk)
    assert found.ids is None and "/tokenize: " in found.how and found.how.endswith("it cannot be known")
    endpoint, source = Endpoint(plain_server.url), open_source(folders.assemble("current"))
    assert {finding.state for finding in probes.probe(endpoint, source, talk)} == {"unknown"}
    done = k2lab("diff", plain_server.url, current, "--conversation", TALK)
    assert (done.returncode, done.stdout) == (1, "") and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"tokens": [1, 2], "count": 3}, "2 ids came, and the server counts 3"),
        ({"tokens": [1, 2, 10**9]}, "gives the id 1000000000, which the source's tokenizer does not have"),
        ({"ids": [1]}, "missing required field `tokens`"),
    ],
)
def test_ids_that_cannot_be_the_prompts_are_unknown_with_the_reason(plain_server, talk, answer, said):
    plain_server.answers["/tokenize"] = (200, answer)
    found = probes.probe(Endpoint(plain_server.url), open_source(folders.assemble("current")), talk)
    assert {finding.state for finding in found} == {"unknown"} and said in found[0].evidence

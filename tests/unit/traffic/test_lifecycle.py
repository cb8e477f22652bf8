"""``k2lab proxy`` as a process: how it starts, who may ask, and how it ends."""

import asyncio
import json
import signal
import socket
import time

import pytest
import uvloop

from tests.helpers.processes import until
from tests.helpers.proxying import proxy, proxy_process
from tests.helpers.scripted import LAST, STREAM, answer, becomes, chunk, client, get, post, scripted

KEY, THEIRS = "k2-0123456789abcdef", "sk-theirs-0123456789abcdef"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--listen", "0.0.0.0:0"], "0.0.0.0:0 can be reached from other machines: give the proxy a key"),
        (["--listen", "127.0.0.1:0", "--status-listen", "[::]:0"], "[::]:0 can be reached from other machines"),
        (["--listen", "nowhere"], "--listen 'nowhere' is no place to listen"),
        (["--listen", "127.0.0.1:99999"], "is no place to listen"),
        (["--listen", "192.0.2.1:0", "--key-file", "KEY"], "cannot listen at 192.0.2.1:0: "),
        (["--upstream", "http://me:pw@h/v1"], "holds no user and no key"),
        (["--upstream", "ftp://h"], "is not a base URL"),
        (["--key-file", "SHORT"], "holds no key"),
        (["--key-file", "OPEN"], "can be read by others"),
        (["--max-body", "much"], "'much' is no size"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_one_line(k2lab, tmp_path, options, told):
    for name, text, rights in (("KEY", KEY, 0o600), ("SHORT", "short", 0o600), ("OPEN", KEY, 0o644)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(rights)
    options = [tmp_path / option if option.isupper() else option for option in options]
    done = k2lab("proxy", "--upstream", "http://127.0.0.1:9", *options)
    assert done.returncode in (1, 2) and told in done.stderr, done.stderr
    assert KEY not in done.stderr and done.stderr.strip().splitlines()[-1].startswith(("k2lab: ", "Error: "))


def test_a_port_in_use_is_one_line(k2lab):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = "{}:{}".format(*taken.getsockname())
        done = k2lab("proxy", "--upstream", "http://127.0.0.1:9", "--listen", place)
    assert done.returncode == 1
    assert done.stderr == f"k2lab: cannot listen at {place}: address already in use; choose another port\n"


def test_whoever_shows_the_proxys_key_may_ask_and_it_goes_no_further():
    async def run() -> None:
        async with scripted(lambda seen: [answer(b"{}")]) as upstream:
            async with proxy(upstream.url, key=KEY) as ours, client(ours.url) as one:
                for headers in ((), ("authorization: Bearer k2-wrong",), (f"x-k2lab-key: {KEY}x",), (f"x: {KEY}",),
                                (f"authorization: Basic {KEY}",)):  # fmt: skip
                    got = await one.ask(get("/v1/models", *headers))
                    assert got.status == 401 and KEY.encode() not in got.body, headers
                assert (await one.ask(get("/k2lab/metrics"))).status == 401
                assert (await one.ask(get("/k2lab/healthz"))).status == 200
                assert upstream.seen == []
                shown = (f"x-k2lab-key: {KEY}", f"authorization: Bearer {KEY}", f"authorization: bearer  {KEY}",
                         f"x-api-key: {KEY}")  # fmt: skip
                for header in shown:
                    assert (await one.ask(get("/v1/models", header))).status == 200, header
                    assert KEY.encode() not in upstream.seen[-1].raw
                await one.ask(get("/v1/models", f"x-k2lab-key: {KEY}", f"authorization: Bearer {THEIRS}"))
                assert upstream.seen[-1].one("authorization").decode() == f"Bearer {THEIRS}"
            async with proxy(upstream.url, key=KEY, upstream_key=THEIRS) as ours, client(ours.url) as one:
                await one.ask(get("/v1/models", f"authorization: Bearer {KEY}"))
                assert upstream.seen[-1].one("authorization").decode() == f"Bearer {THEIRS}"
                await one.ask(get("/v1/models", f"x-k2lab-key: {KEY}", "x-api-key: my-own"))
                assert upstream.seen[-1].one("authorization") is None
            async with proxy(upstream.url) as ours, client(ours.url) as one:
                await one.ask(get("/v1/models", f"x-k2lab-key: {KEY}"))
                assert KEY.encode() not in upstream.seen[-1].raw

    uvloop.run(run())


def stopped(*numbers: signal.Signals, grace: float = 20.0) -> tuple[int, list[bool], list[str]]:
    """The exit status of a proxy that gets these signals in mid stream, which clients had whole answers, and its log.

    The stream goes on when the last signal has been sent; after the first nobody else may ask.
    """

    async def run():
        steps = [STREAM, chunk(b"data: 1\n\n"), "go", chunk(b"data: 2\n\n"), LAST]
        async with scripted(lambda seen: steps) as upstream:
            with proxy_process(upstream.url, "--grace", grace) as ours:
                async with client(ours.url) as idle, client(ours.url) as one, client(ours.url) as two:
                    clients = [one, two]
                    asking = [asyncio.ensure_future(one.ask(get("/v1/chat/completions?key=sk-1"))) for one in clients]
                    await becomes(lambda: all(b"data: 1" in one.answers.raw for one in clients))
                    for number in numbers:
                        ours.send(number)
                        assert await idle.closed()
                        with pytest.raises(OSError):
                            async with client(ours.url):
                                pass
                    if len(numbers) == 1 and grace > 1:
                        upstream.go.set()
                    got = await asyncio.gather(*asking)
                    status = await asyncio.to_thread(ours.ended)
                    assert until(lambda: "client" not in "".join(ours.told))
                    return status, [one.whole for one in got], ours.told

    return uvloop.run(run())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_open_answers_finish_and_takes_no_new_request(number):
    status, whole, told = stopped(number)
    assert status == 0 and whole == [True, True]
    assert "stopping: open answers have 20 s to finish, a second signal cuts them off\n" in told
    assert sum(line.startswith("GET /v1/chat/completions 200 ") for line in told) == 2 and "sk-1" not in "".join(told)


def test_a_second_signal_cuts_open_answers_off():
    status, whole, told = stopped(signal.SIGTERM, signal.SIGTERM)
    assert status == 128 + signal.SIGTERM and whole == [False, False]
    assert "k2lab: 2 open answers are cut off\n" in told and sum("stopped" in line for line in told) == 2


def test_answers_that_take_too_long_are_cut_off():
    began = time.monotonic()
    status, whole, _ = stopped(signal.SIGTERM, grace=0.5)
    assert status == 0 and whole == [False, False] and time.monotonic() - began > 0.5


def test_the_log_has_a_line_for_each_exchange_and_nothing_of_its_contents():
    secret = post(
        "/v1/chat/completions?api_key=sk-secret", b'{"prompt": "sk-secret"}', "authorization: Bearer sk-secret"
    )

    async def run() -> list[str]:
        async with scripted(lambda seen: [answer(b"sk-secret")]) as upstream:
            with proxy_process(upstream.url) as ours:
                async with client(ours.url) as one:
                    for ask in (secret, get("/%1b[2J%0d%e2%80%ae" + "x" * 500), get("/v1/../x")):
                        await one.ask(ask)
                await asyncio.to_thread(until, lambda: len(ours.told) >= 3)
                ours.send(signal.SIGTERM)
                assert await asyncio.to_thread(ours.ended) == 0
                return ours.told

    told = uvloop.run(run())
    assert told[1].startswith("POST /v1/chat/completions 200 ") and "secret" not in "".join(told)
    assert told[2].startswith("GET /\\x1b[2J \\u202exxx") and len(told[2]) < 300


def test_the_metrics_are_read_by_prometheus_own_parser():
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
    from prometheus_client.parser import text_string_to_metric_families as plain

    async def run():
        async with (
            scripted(lambda seen: [answer(b"{}")]) as upstream,
            proxy(upstream.url) as ours,
            client(ours.url) as one,
        ):
            await one.ask(post("/v1/chat/completions", b"{}"))
            wanted = "accept: application/openmetrics-text; version=1.0.0"
            return await one.ask(get("/k2lab/metrics")), await one.ask(get("/k2lab/metrics", wanted))

    for got, parsed in zip(uvloop.run(run()), (plain, openmetrics), strict=True):
        families = {family.name: family for family in parsed(got.body.decode())}
        (sample,) = families["k2lab_proxy_requests"].samples
        assert sample.labels == {"path": "chat", "status": "200", "ended": "whole"} and sample.value == 1
        assert "process_resident_memory_bytes" in families
    assert json.dumps(sorted(families))


def test_what_belongs_to_an_option_that_was_not_given_is_refused(k2lab):
    for options in (["--form", "sglang"], ["--unheld", "refuse"], ["--max-calls", 3, "--repair", "ids"]):
        done = k2lab("proxy", "--upstream", "http://127.0.0.1:9", *options)
        assert done.returncode == 1 and done.stderr == f"k2lab: {options[0]} belongs to --enforce pinned\n"


def test_the_guard_of_the_options_mends_and_holds_and_says_so():
    call = {"id": "call_9", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    tool = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
    messages = [{"role": "user", "content": "Now?"}, {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "call_9", "content": "12:00"}]  # fmt: skip
    body = json.dumps({"model": "kimi-k2", "messages": messages, "tools": [tool]}).encode()

    async def run():
        async with scripted(lambda seen: [answer(b'{"choices": []}', "content-type: application/json")]) as upstream:
            with proxy_process(upstream.url, "--repair", "ids", "--enforce", "pinned") as ours:
                async with client(ours.url) as one:
                    got = await one.ask(post("/v1/chat/completions", body, "content-type: application/json"))
            return upstream.seen[0], got

    seen, got = uvloop.run(run())
    sent = json.loads(seen.body)
    assert sent["messages"][1]["tool_calls"][0]["id"] == sent["messages"][2]["tool_call_id"] == "functions.now:0"
    assert set(sent) > {"model", "messages", "tools"} and int(got.one("x-k2lab-repaired")) > 0
    assert got.one("x-k2lab-held") == b"pinned"

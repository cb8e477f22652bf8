"""What goes wrong on either side: each request is answered, or fails as the upstream would have it; none hangs."""

import asyncio
import contextlib
import json
import socket

import pytest
import uvloop

from k2lab.traffic.lifecycle import Place
from k2lab.traffic.limits import Limits
from tests.helpers.proxying import proxy
from tests.helpers.scripted import LAST, STREAM, answer, becomes, chunk, client, get, post, scripted

CHAT = post(
    "/v1/chat/completions", b'{"messages": []}', "content-type: application/json", "authorization: Bearer sk-no"
)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"
ENDLESS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def told(message) -> tuple[int, str]:
    """The status and code of the proxy's own error, which is one line and holds no key."""
    error = json.loads(message.body)["error"]
    assert message.one("x-k2lab-error").decode() == error["code"]
    assert "\n" not in error["message"] and "sk-no" not in error["message"] and len(error["message"]) > 20
    return message.status, error["code"]


def asked(*steps, limits=None, ask=CHAT):
    """What a client gets of an upstream that does this, and how the metrics say it ended; the upstream is left.

    The step ``go`` waits until the client has what came before it.
    """

    async def run():
        async with scripted(lambda seen: list(steps)) as upstream, proxy(upstream.url, limits=limits) as ours:
            async with client(ours.url) as one:
                asking = asyncio.ensure_future(one.ask(ask))
                if "go" in steps:
                    await becomes(lambda: b"five!" in one.answers.raw or b"data: 1\n\n" in one.answers.raw)
                    upstream.go.set()
                got = await asking
                await becomes(lambda: ours.proxy.open == 0)
            if "stall" in steps:
                await becomes(lambda: upstream.open == 0)
            shown = ours.proxy.metrics.shown("")[0].decode()
            lines = [line for line in shown.splitlines() if line.startswith("k2lab_proxy_requests_total")]
            assert len(lines) == 1 and "k2lab_proxy_open_streams 0.0" in shown
            return got, lines[0].partition('ended="')[2].partition('"')[0]

    return uvloop.run(run())


def test_an_upstream_that_is_not_there_is_a_502_and_the_client_may_ask_again():
    async def run() -> None:
        async with proxy(f"http://127.0.0.1:{free_port()}/v1") as ours, client(ours.url) as one:
            for _ in range(2):
                got = await one.ask(CHAT)
                assert told(got) == (502, "upstream_unreachable")
                assert "Connection refused" in got.body.decode()

    uvloop.run(run())


def test_a_connection_that_does_not_come_about_is_a_504():
    async def run() -> None:
        with contextlib.ExitStack() as stack:
            full = stack.enter_context(socket.socket())
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for _ in range(3):  # its backlog is full then, and the next is left waiting
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    waiting.connect(full.getsockname())
            upstream = f"http://127.0.0.1:{full.getsockname()[1]}"
            async with proxy(upstream, limits=Limits(connect_s=0.2)) as ours, client(ours.url) as one:
                assert told(await one.ask(CHAT)) == (504, "upstream_unreachable")

    uvloop.run(run())


@pytest.mark.parametrize("steps", [[], ["close"], [b"HTTP/1.1 200", "close"], ["reset"]], ids=str)
def test_an_upstream_that_leaves_without_an_answer_is_a_502(steps):
    got, ended = asked(*(steps or ["close"]))
    assert told(got) == (502, "upstream_broke") and ended == "upstream_broke"


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\x00 no http\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 5000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\x00b\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nhi",
        b"SSH-2.0-OpenSSH\r\n",
    ],
    ids=lambda data: repr(data[:40]),
)
def test_what_is_no_http_is_a_502(garbage):
    got, ended = asked(garbage, "close")
    assert told(got)[0] == 502 and ended == "upstream_broke"


def test_an_upstream_that_stalls_before_it_answers_is_a_504_and_is_left():
    got, ended = asked("stall", limits=Limits(first_s=0.1))
    assert told(got) == (504, "upstream_timeout") and ended == "timed_out"


def test_an_upstream_that_stalls_with_nothing_but_a_head_given_is_a_504_too():
    got, ended = asked(HEAD, "stall", limits=Limits(between_s=0.1))
    assert told(got) == (504, "upstream_timeout") and ended == "timed_out"


@pytest.mark.parametrize(
    ("steps", "ended"),
    [
        ([HEAD, b"five!", "close"], "upstream_broke"),
        ([HEAD, b"five!", "go", "reset"], "upstream_broke"),
        ([HEAD + b"five!", "stall"], "timed_out"),
        ([STREAM, chunk(b"data: 1\n\n"), "close"], "upstream_broke"),
        ([STREAM, chunk(b"data: 1\n\n"), "go", "reset"], "upstream_broke"),
        ([STREAM, chunk(b"data: 1\n\n"), b"5\r\nab", "close"], "upstream_broke"),
        ([STREAM, chunk(b"data: 1\n\n"), "go", b"zz\r\nab", "stall"], "upstream_broke"),
        ([STREAM, chunk(b"data: 1\n\n"), "stall"], "timed_out"),
        ([ENDLESS, b"data: 1\n\n", "go", "reset"], "upstream_broke"),
        ([ENDLESS, b"data: 1\n\n", "stall"], "timed_out"),
    ],
    ids=lambda given: str(given)[:60],
)
def test_an_answer_that_breaks_off_is_broken_off_for_the_client_too(steps, ended):
    got, said = asked(*steps, limits=Limits(between_s=0.3))
    assert said == ended and got.status == 200
    assert not got.whole and got.body in (b"five!", b"data: 1\n\n", b"data: 1\n\nab")


def test_an_endless_answer_that_breaks_off_is_a_reset_for_an_http_1_0_client():
    steps = [STREAM, chunk(b"data: 1\n\n"), "go", "close"]
    got, ended = asked(*steps, ask=b"GET /v1/models HTTP/1.0\r\n\r\n")
    assert ended == "upstream_broke" and not got.whole


def test_a_client_that_leaves_ends_the_upstreams_request_at_once():
    async def run() -> str:
        async with scripted(lambda seen: ["stall"]) as upstream, proxy(upstream.url) as ours:
            for _ in range(3):
                async with client(ours.url) as one:
                    one.writer.write(CHAT)
                    await upstream.stalled.wait()
                    upstream.stalled.clear()
                await becomes(lambda: upstream.open == 0, 5)
            upstream.script = lambda seen: [STREAM, *[chunk(b"data: 1\n\n"), 0.01] * 10_000]
            async with client(ours.url) as one:
                one.writer.write(CHAT)
                await one.answers.reader.readuntil(b"data: 1\n\n")
                assert ours.proxy.metrics.open_streams == 1
            await becomes(lambda: upstream.open == 0 and ours.proxy.open == 0, 5)
            return ours.proxy.metrics.shown("")[0].decode()

    shown = uvloop.run(run())
    assert 'requests_total{ended="client_left",path="chat",status="0"} 3.0' in shown
    assert 'requests_total{ended="client_left",path="chat",status="200"} 1.0' in shown


@pytest.mark.parametrize(
    "head", [STREAM, b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n"], ids=["stream", "whole"]
)
def test_a_client_that_reads_slowly_slows_the_upstream(head):
    async def run() -> None:
        part = chunk(b"x" * 65_536) if head == STREAM else b"x" * 65_536
        async with scripted(lambda seen: [head, *[part] * 10_000]) as upstream, proxy(upstream.url) as ours:
            async with client(ours.url) as one:
                one.writer.write(get("/v1/chat/completions"))
                before = -1
                while before != upstream.written:  # until nothing moves
                    before = upstream.written
                    await asyncio.sleep(0.2)
                assert 0 < upstream.written < 24 << 20  # what the sockets of the kernel and three buffers take
                for _ in range(600):
                    await one.answers.reader.readexactly(65_536)
                await becomes(lambda: upstream.written > before, 5)
            await becomes(lambda: upstream.open == 0, 5)

    uvloop.run(run())


def test_a_client_that_takes_nothing_is_left():
    async def run() -> None:
        limits = Limits(client_s=0.2)
        endless = [STREAM, *[chunk(b"x" * 65_536)] * 2000]
        async with (
            scripted(lambda seen: endless) as upstream,
            proxy(upstream.url, limits=limits) as ours,
            client(ours.url) as one,
        ):
            one.writer.write(CHAT)
            await becomes(lambda: upstream.written > 0)
            await becomes(lambda: upstream.open == 0 and ours.proxy.open == 0)

    uvloop.run(run())


def test_a_request_that_does_not_come_is_a_408():
    async def run() -> None:
        async with scripted(lambda seen: []) as upstream, proxy(upstream.url, limits=Limits(client_s=0.1)) as ours:
            async with client(ours.url) as one:
                got = await one.ask(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{")
                assert told(got) == (408, "slow_request") and await one.closed()
            assert upstream.seen == []

    uvloop.run(run())


def test_a_request_that_is_too_large_is_refused_before_it_has_been_read():
    limits = Limits(body_bytes=100_000, room_bytes=150_000)

    async def run() -> None:
        async with scripted(lambda seen: ["stall"]) as upstream, proxy(upstream.url, limits=limits) as ours:
            async with client(ours.url) as one:
                head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
                assert told(await one.ask(f"{head}content-length: 100000000000\r\n\r\n".encode())) == (413, "too_large")
            async with client(ours.url) as one:
                got = await one.ask(f"{head}transfer-encoding: chunked\r\n\r\n".encode() + chunk(b"x" * 60_000) * 3)
                assert told(got) == (413, "too_large")
            assert upstream.seen == []
            async with client(ours.url) as one, client(ours.url) as other:
                one.writer.write(post("/v1/chat/completions", b"x" * 90_000))
                await upstream.stalled.wait()
                assert told(await other.ask(post("/v1/chat/completions", b"x" * 90_000))) == (503, "no_room")
            await becomes(lambda: ours.proxy.open == 0)
            upstream.script = lambda seen: [answer(b"{}")]
            async with client(ours.url) as one:
                assert (await one.ask(post("/v1/chat/completions", b"x" * 100_000))).body == b"{}"

    uvloop.run(run())


def test_an_upstream_that_answers_before_it_has_read_the_request_is_passed_on():
    async def run() -> None:
        async def serve(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer(b"too much", status="413 No"))
            await writer.drain()
            await reader.read()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with proxy(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as ours, client(ours.url) as one:
            for _ in range(2):
                got = await one.ask(post("/v1/chat/completions", b"x" * 30_000_000))
                assert got.status == 413 and got.body == b"too much" and got.one("x-k2lab-error") is None
        server.close()

    uvloop.run(run())


def test_a_proxy_that_is_its_own_upstream_says_so_also_over_another():
    async def run() -> None:
        first, second = free_port(), free_port()
        at = {"listen": Place(host="127.0.0.1", port=first)}
        from k2lab.traffic.lifecycle import Setting, serving

        one = Setting(upstream=f"http://127.0.0.1:{second}", **at)
        two = Setting(upstream=f"http://127.0.0.1:{first}", listen=Place(host="127.0.0.1", port=second))
        async with serving(one) as ours, serving(two), client(ours.url) as asking:
            assert told(await asking.ask(CHAT)) == (508, "loop")

    uvloop.run(run())


def test_requests_behind_each_other_are_answered_in_their_order():
    async def run() -> None:
        echo = scripted(lambda seen: [answer(seen.body)])
        async with echo as upstream, proxy(upstream.url) as ours, client(ours.url) as one:
            one.writer.write(b"".join(post("/v1/messages", b"%d" % number) for number in range(100)))
            assert [(await one.read()).body for _ in range(100)] == [b"%d" % number for number in range(100)]

    uvloop.run(run())


def test_five_hundred_streams_are_open_at_once():
    async def run() -> None:
        go = asyncio.Event()

        async def serve(reader, writer):
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(STREAM + chunk(b"data: 1\n\n"))
                await go.wait()
                writer.write(chunk(b"data: 2\n\n") + LAST)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=600)
        async with (
            proxy(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as ours,
            contextlib.AsyncExitStack() as s,
        ):
            clients = [await s.enter_async_context(client(ours.url)) for _ in range(500)]
            for one in clients:
                one.writer.write(get("/v1/chat/completions"))
            for one in clients:
                await asyncio.wait_for(one.answers.reader.readuntil(b"data: 1\n\n\r\n"), 20)
            assert ours.proxy.metrics.open_streams == 500
            go.set()
            for one in clients:
                assert await asyncio.wait_for(one.answers.reader.readuntil(LAST), 20) == chunk(b"data: 2\n\n") + LAST
        server.close()

    uvloop.run(run())

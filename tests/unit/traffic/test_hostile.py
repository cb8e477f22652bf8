"""Requests that try to be two, to reach another host, or to take all there is: refused, or passed on as one request."""

import asyncio
import json

import pytest
import uvloop

from k2lab.traffic.limits import Limits
from tests.helpers.effort import within
from tests.helpers.proxying import proxy
from tests.helpers.scripted import LAST, STREAM, answer, becomes, chunk, client, get, post, scripted

P = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
NEXT = b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
BODY = b"hello"

REFUSED = {
    "two lengths": P + b"content-length: 5\r\ncontent-length: 41\r\n\r\n" + BODY + NEXT,
    "equal lengths": P + b"content-length: 5\r\ncontent-length: 5\r\n\r\n" + BODY + NEXT,
    "a list of lengths": P + b"content-length: 5, 5\r\n\r\n" + BODY + NEXT,
    "a signed length": P + b"content-length: +5\r\n\r\n" + BODY + NEXT,
    "a negative length": P + b"content-length: -5\r\n\r\n" + BODY + NEXT,
    "a length in hex": P + b"content-length: 0x5\r\n\r\n" + BODY + NEXT,
    "a length with a space": P + b"content-length: 4 1\r\n\r\n" + BODY + NEXT,
    "a length without end": P + b"content-length: " + b"9" * 40 + b"\r\n\r\n" + BODY + NEXT,
    "a length and chunks": P + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n" + LAST + NEXT,
    "chunks and a length": P + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n" + LAST + NEXT,
    "chunks twice": P + b"transfer-encoding: chunked, chunked\r\n\r\n" + LAST + NEXT,
    "two codings": P + b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n" + LAST + NEXT,
    "chunks and identity": P + b"transfer-encoding: chunked, identity\r\n\r\n" + LAST + NEXT,
    "a coding before chunks": P + b"transfer-encoding: gzip, chunked\r\n\r\n" + LAST + NEXT,
    "no coding": P + b"transfer-encoding: xchunked\r\n\r\n" + LAST + NEXT,
    "a coding with a control character": P + b"transfer-encoding: chunked\x0b\r\n\r\n" + LAST + NEXT,
    "a space before the colon": P + b"transfer-encoding : chunked\r\n\r\n" + LAST + NEXT,
    "a folded line": P + b"x: a\r\n b\r\ncontent-length: 5\r\n\r\n" + BODY + NEXT,
    "a folded coding": P + b"transfer-encoding:\r\n chunked\r\n\r\n" + LAST + NEXT,
    "a line end without return": P + b"x: y\ncontent-length: 5\r\n\r\n" + BODY + NEXT,
    "a return within a value": P + b"x: y\rcontent-length: 5\r\n\r\n" + BODY + NEXT,
    "NUL in a value": P + b"x: a\x00b\r\n\r\n" + NEXT,
    "NUL in a name": P + b"x\x00y: a\r\n\r\n" + NEXT,
    "a control character": P + b"x: a\x08b\r\n\r\n" + NEXT,
    "bytes that are no UTF-8": P + b"x: a\xff\xfeb\r\n\r\n",
    "a header without a name": P + b": a\r\n\r\n" + NEXT,
    "a header without a colon": P + b"oops\r\n\r\n" + NEXT,
    "two hosts": P + b"host: y\r\n\r\n" + NEXT,
    "no host": b"GET / HTTP/1.1\r\n\r\n" + NEXT,
    "a size that overflows": P + b"transfer-encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\nhello\r\n" + LAST + NEXT,
    "a negative size": P + b"transfer-encoding: chunked\r\n\r\n-5\r\nhello\r\n" + LAST + NEXT,
    "a size that is none": P + b"transfer-encoding: chunked\r\n\r\n0x5\r\nhello\r\n" + LAST + NEXT,
    "a chunk without its end": P + b"transfer-encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n" + NEXT,
    "a length in a trailer": P
    + b"transfer-encoding: chunked\r\n\r\n"
    + chunk(BODY)
    + b"0\r\ncontent-length: 50\r\n\r\n"
    + NEXT,
    "a chunk's line end without return": P + b"transfer-encoding: chunked\r\n\r\n5\nhello\n0\n\n" + NEXT,
    "a whole URL": b"GET http://127.0.0.1:9/secret HTTP/1.1\r\nhost: x\r\n\r\n",
    "a whole URL of another scheme": b"GET file:///etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n",
    "a tunnel": b"CONNECT 127.0.0.1:9 HTTP/1.1\r\nhost: x\r\n\r\n",
    "a path without a slash": b"GET v1/models HTTP/1.1\r\nhost: x\r\n\r\n",
    "a path that climbs": b"GET /v1/../admin HTTP/1.1\r\nhost: x\r\n\r\n",
    "a path that climbs, encoded": b"GET /v1/%2e%2E/admin HTTP/1.1\r\nhost: x\r\n\r\n",
    "a path that climbs, encoded in half": b"GET /v1/.%2e;x=1/admin HTTP/1.1\r\nhost: x\r\n\r\n",
    "a path that climbs backwards": b"GET /v1/..\\admin HTTP/1.1\r\nhost: x\r\n\r\n",
    "a path that climbs, all encoded": b"GET /v1%2f..%2fadmin HTTP/1.1\r\nhost: x\r\n\r\n",
    "a path with a fragment": b"GET /v1#/../admin HTTP/1.1\r\nhost: x\r\n\r\n",
    "a path with bytes": b"GET /v1/\xc3\xa9 HTTP/1.1\r\nhost: x\r\n\r\n",
    "a path with a space": b"GET /v1 /admin HTTP/1.1\r\nhost: x\r\n\r\n",
    "a path with a tab": b"GET /v1\t/admin HTTP/1.1\r\nhost: x\r\n\r\n",
    "a long path": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    "a long header": P + b"x: " + b"a" * 100_000 + b"\r\n\r\n",
    "a hundred thousand headers": P + b"x: y\r\n" * 100_000 + b"\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9": b"GET / HTTP/9.9\r\nhost: x\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n",
    "TLS": bytes.fromhex("16030100750100007103035f"),
    "an unknown method": b"SMUGGLE / HTTP/1.1\r\nhost: x\r\n\r\n",
    "a method in small letters": b"post / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
    "a websocket": b"GET /v1/realtime HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n",
    "an unknown expectation": P + b"expect: the-spanish-inquisition\r\ncontent-length: 5\r\n\r\n",
}

PASSED = {
    "a list of connection headers": (
        P + b"connection: keep-alive, x-secret, te\r\nx-secret: 1\r\nte: trailers\r\ncontent-length: 5\r\n\r\n" + BODY,
        BODY,
    ),
    "an extension of a chunk": (P + b"transfer-encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n" + LAST, BODY),
    "trailers": (
        P + b"transfer-encoding: chunked\r\ntrailer: x-t\r\n\r\n" + chunk(BODY) + b"0\r\nx-t: 1\r\n\r\n", BODY,
    ),
    "another case": (P + b"Transfer-Encoding: Chunked\r\n\r\n" + chunk(BODY) + LAST, BODY),
    "a name that looks like one": (P + b"transfer_encoding: chunked\r\ncontent-length: 5\r\n\r\n" + BODY, BODY),
    "another host": (b"GET /v1 HTTP/1.1\r\nhost: evil.example\r\nx-forwarded-host: evil.example\r\n\r\n", b""),
    "a path with a host": (b"GET //evil.example/v1 HTTP/1.1\r\nhost: x\r\n\r\n", b""),
    "a path with a user": (b"GET /@evil.example:80/v1 HTTP/1.1\r\nhost: x\r\n\r\n", b""),
    "a path with a URL": (b"GET /http://evil.example/v1?u=http://evil.example HTTP/1.1\r\nhost: x\r\n\r\n", b""),
    "a question": (b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n", b""),
    "h2c": (b"GET /v1 HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n"
            b"http2-settings: AAMAAABkAAQAAP__\r\n\r\n", b""),
}  # fmt: skip


async def send(data: bytes, limits: Limits | None = None):
    """What the client gets for these bytes, and what the upstream has seen when all is over."""
    async with scripted(lambda seen: [answer(b"passed")]) as upstream, proxy(upstream.url, limits=limits) as ours:
        async with client(ours.url) as one:
            one.writer.write(data)
            one.writer.write_eof() if data.startswith((b"GET /\r", b"\x16")) else None
            got = await one.read(data.split(b" ")[0].decode("latin-1"))
            if got is not None and got.status != 200:
                assert await one.closed()  # what follows might be a part of it
        await becomes(lambda: ours.proxy.open == 0)
        return got, upstream


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_in_two_ways_is_refused_and_nothing_of_it_reaches_the_upstream(name):
    got, upstream = uvloop.run(send(REFUSED[name]))
    assert upstream.seen == []
    if got is None:  # nothing of HTTP was to be answered
        assert name in ("TLS", "HTTP/0.9")
        return
    assert 400 <= got.status <= 501, got
    error = json.loads(got.body)["error"]
    assert got.one("x-k2lab-error").decode() == error["code"] and len(error["message"]) > 20
    assert b"hello" not in got.body and b"smuggled" not in got.body


@pytest.mark.parametrize("name", PASSED)
def test_what_is_odd_and_clear_is_passed_on_as_one_plain_request(name):
    data, body = PASSED[name]
    got, upstream = uvloop.run(send(data))
    assert got.status == 200 and got.body == b"passed"
    (seen,) = upstream.seen
    assert seen.body == body and seen.one("host").decode() == upstream.url[7:]
    assert seen.one("transfer-encoding") is None and int(seen.one("content-length") or 0) == len(body)
    left_behind = {"te", "trailer", "upgrade", "connection", "http2-settings", "x-secret", "x-t", "expect"}
    assert not left_behind & set(seen.head)


def test_a_client_that_waits_for_100_is_told_to_go_on():
    async def run() -> None:
        async with scripted(lambda seen: [answer(seen.body)]) as upstream, proxy(upstream.url) as ours:
            async with client(ours.url) as one:
                one.writer.write(P + b"expect: 100-continue\r\ncontent-length: 5\r\n\r\n")
                assert await asyncio.wait_for(one.answers.reader.readuntil(b"\r\n\r\n"), 20) == (
                    b"HTTP/1.1 100 Continue\r\n\r\n"
                )
                one.writer.write(b"hello")
                assert (await one.read()).body == b"hello"
            assert upstream.seen[0].one("expect") is None
            async with client(ours.url) as one:
                too_large = await one.ask(P + b"expect: 100-continue\r\ncontent-length: 99999999999\r\n\r\n")
                assert too_large.status == 413  # and no 100 before it

    uvloop.run(run())


def test_headers_of_the_upstream_stay_headers():
    """What a lenient reader takes as a part of a value is no line of its own to the client."""
    odd = (
        b"HTTP/1.1 200 OK\r\nx-a: 1\r\n set-cookie: evil=1\r\nx-b: a\rset-cookie: evil=2\r\ncontent-length: 2\r\n\r\nhi"
    )

    async def run():
        async with scripted(lambda seen: [odd]) as upstream, proxy(upstream.url) as ours, client(ours.url) as one:
            return await one.ask(get("/v1/models"))

    got = uvloop.run(run())
    assert "set-cookie" not in got.head and (got.status == 502 or got.body == b"hi")


def test_a_request_of_a_million_tiny_chunks_is_one_body():
    parts = [chunk(b"%d" % (number % 10)) for number in range(1_000_000)]
    data = P + b"transfer-encoding: chunked\r\n\r\n" + b"".join(parts) + LAST

    async def run() -> None:
        async with scripted(lambda seen: [answer(b"%d" % len(seen.body))]) as upstream, proxy(upstream.url) as ours:
            async with client(ours.url) as one:
                assert (await one.ask(data)).body == b"1000000"
            assert upstream.seen[0].body[:20] == b"01234567890123456789"

    with within(8):
        uvloop.run(run())


def test_an_answer_of_a_million_tiny_chunks_passes():
    data = STREAM + b"".join([chunk(b"%d" % (number % 10)) for number in range(1_000_000)]) + LAST

    async def run() -> None:
        async with scripted(lambda seen: [data]) as upstream, proxy(upstream.url) as ours, client(ours.url) as one:
            got = await one.ask(get("/v1/chat/completions"), within_s=60)
            assert got.whole and len(got.body) == 1_000_000

    with within(10):
        uvloop.run(run())


def test_a_body_of_a_hundred_megabytes_passes_where_it_may():
    limits = Limits(body_bytes=128 << 20)

    async def run() -> None:
        big = b"0123456789" * 10_000_000
        echo = scripted(lambda seen: [answer(seen.body)])
        async with echo as upstream, proxy(upstream.url, limits=limits) as ours, client(ours.url) as one:
            got = await one.ask(post("/v1/files", big), within_s=60)
            assert got.whole and got.body == big

    uvloop.run(run())

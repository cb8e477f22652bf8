"""A proxy without options changes no byte of a body, streamed or not, and no header that is not of a connection."""

import asyncio
import gzip
import random
from collections import Counter

import uvloop

from tests.helpers.effort import THOROUGH
from tests.helpers.proxying import ANY, proxy
from tests.helpers.scripted import LAST, STREAM, answer, chunk, client, get, post, scripted

METHODS = ("POST", "POST", "POST", "GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
PATHS = (
    "/v1/chat/completions", "/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/models", "/metrics",
    "/health", "/x//y", "/v1/files/%2e%61?a=1&b=%20&&=", "/a?x=http://other.example/", "//other.example/v1",
    "/@other.example",
    "/v1/%C3%A9",
)  # fmt: skip
STATUSES = ("200 OK", "200 OK", "200 OK", "201 Made", "204 No Content", "206 Part", "301 Gone", "304 Same", "400 Bad",
            "401 Who", "404 None", "418 Tea", "429 Slow", "500 Oh", "503 Busy", "599 \xe9", "299 ")  # fmt: skip
HEADERS = ("x-one: a", "x-one: b", "X-Two: \xe9\xff", "set-cookie: a=1", "set-cookie: b=2", "server: s", "date: today",
           "x-empty:", "retry-after: 5", "x-request-id: 7", "via: 1.1 other", "content-language: \tde")  # fmt: skip
OURS = {"connection", "transfer-encoding", "content-length", "keep-alive"}


def body_of(draw: random.Random) -> bytes:
    size = draw.choice((0, 1, 3, 40, 900, 5000, 70_000))
    return draw.choice((draw.randbytes(size), b'{"a": "\xff\x00"}' * (size // 12), b"data: {}\n\n" * (size // 10)))


def parts_of(draw: random.Random, data: bytes) -> list[bytes]:
    cuts = sorted(draw.randrange(len(data) + 1) for _ in range(draw.choice((0, 1, 2, 9))))
    parts = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    return [part for part in parts if part]


class Exchange:
    """A request and the answer to it, drawn from a seed."""

    def __init__(self, seed: int) -> None:
        draw = random.Random(seed)
        self.method, self.path = draw.choice(METHODS), draw.choice(PATHS)
        self.body = b"" if self.method in ("GET", "HEAD", "OPTIONS") else body_of(draw)
        known = [*HEADERS[:2], *HEADERS[3:5], "authorization: Bearer k", "accept-encoding: br"]
        self.headers = draw.sample(known, 3)
        self.request_parts = parts_of(draw, self.body) if draw.random() < 0.3 and self.body else None
        self.status = draw.choice(STATUSES)
        self.bare = self.method == "HEAD" or self.status[:3] in ("204", "304")
        self.answer_headers = draw.sample(HEADERS, draw.randrange(len(HEADERS)))
        plain = b"" if self.status[:3] in ("204", "304") else body_of(draw)
        gzipped = draw.random() < 0.2 and plain
        self.answer_body = gzip.compress(plain) if gzipped else plain
        self.answer_headers += ["content-encoding: gzip"] if gzipped else []
        self.framing = draw.choice(("length", "length", "chunked", "chunked", "endless"))
        self.answer_parts = parts_of(draw, self.answer_body)

    def request(self) -> bytes:
        if self.request_parts is None:
            return post(self.path, self.body, *self.headers, method=self.method)
        lines = [f"{self.method} {self.path} HTTP/1.1", "host: x", "transfer-encoding: chunked", *self.headers, "", ""]
        return "\r\n".join(lines).encode() + b"".join(map(chunk, self.request_parts)) + LAST

    def steps(self) -> list:
        lines = [f"HTTP/1.1 {self.status}", *self.answer_headers]
        parts = [] if self.bare else self.answer_parts
        if self.framing == "chunked" and not self.bare:
            lines.append("transfer-encoding: chunked")
            parts = [*map(chunk, parts), LAST]
        elif self.framing == "length" and self.status[:3] != "204":
            lines.append(f"content-length: {len(self.answer_body)}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return [head, *parts, *(["close"] if self.framing == "endless" and not self.bare else [])]


def told(head: dict) -> dict:
    return {name: values for name, values in head.items() if name not in OURS}


async def compare(exchanges: list[Exchange]) -> Counter:
    """Send each to the server alone and, on one connection that stays, through the proxy."""
    by_number, ways = dict(enumerate(exchanges)), Counter()
    async with (
        scripted(lambda seen: by_number[int(seen.one("x-number"))].steps()) as upstream,
        proxy(upstream.url) as ours,
        client(ours.url) as through,
    ):
        for number, one in by_number.items():
            one.headers.append(f"x-number: {number}")
            async with client(upstream.url) as direct:
                wanted = await direct.ask(one.request())
            got = await through.ask(one.request())
            first, second = upstream.seen[-2:]
            assert second.first == first.first and second.body == first.body == one.body, number
            own = {"host": [upstream.url[7:].encode()], "via": [f"1.1 {ours.proxy.upstream.name}".encode()]}
            assert told(second.head) == {**told(first.head), **own}, number
            assert (got.first, got.whole, got.body) == (wanted.first, True, wanted.body), number
            assert one.bare or got.body == one.answer_body, number
            assert told(got.head) == told(wanted.head), number
            assert one.framing != "length" or got.head.get("content-length") == wanted.head.get("content-length")
            upstream.seen.clear()
            ways[one.framing] += 1
    assert ours.proxy.open == 0
    return ways


def test_bodies_are_equal_byte_for_byte_on_a_thousand_random_exchanges_and_streams():
    count = 1000 if THOROUGH else 200
    ways = uvloop.run(compare([Exchange(seed) for seed in range(count)]))
    assert all(ways[framing] > count / 8 for framing in ("length", "chunked", "endless"))


def test_chunks_pass_as_they_come():
    """The upstream waits for the client to have each event before it sends the next."""

    async def run() -> None:
        got = asyncio.Event()

        async def serve(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(STREAM)
            for number in range(20):
                writer.write(chunk(b"data: %d\n\n" % number))
                await asyncio.wait_for(got.wait(), 20)
                got.clear()
            writer.write(LAST)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with proxy(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as ours, client(ours.url) as one:
            one.writer.write(get("/v1/chat/completions"))
            reader = one.answers.reader
            await reader.readuntil(b"\r\n\r\n")
            for number in range(20):
                await asyncio.wait_for(reader.readuntil(b"data: %d\n\n\r\n" % number), 20)
                got.set()
            assert await asyncio.wait_for(reader.readexactly(5), 20) == LAST
        server.close()

    uvloop.run(run())


def test_what_stands_before_v1_in_the_upstreams_url_is_put_before_each_path():
    async def run() -> None:
        async with scripted(lambda seen: [answer(b"{}")]) as upstream:
            for base, wanted in (("/api/v1", b"/api/v1/models"), ("/v1/", b"/v1/models"), ("", b"/v1/models")):
                async with proxy(upstream.url + base) as ours, client(ours.url) as one:
                    assert (await one.ask(get("/v1/models"))).body == b"{}"
                assert upstream.seen[-1].first.split()[1] == wanted

    uvloop.run(run())


def test_an_http_1_0_client_gets_a_stream_that_its_connection_ends():
    async def run() -> None:
        stream = [STREAM, chunk(b"one"), chunk(b"two"), LAST]
        async with scripted(lambda seen: stream) as upstream, proxy(upstream.url) as ours:
            async with client(ours.url) as one:
                got = await one.ask(b"GET /v1/models HTTP/1.0\r\n\r\n")
                assert got.body == b"onetwo" and got.whole
                assert got.one("transfer-encoding") is None and got.one("connection") == b"close"
            upstream.script = lambda seen: [answer(b"{}")]
            async with client(ours.url) as one:
                got = await one.ask(b"GET /v1/models HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
                assert got.one("connection") == b"keep-alive"
                assert (await one.ask(get("/v1/models", "connection: close"))).one("connection") == b"close"
                assert await one.closed()

    uvloop.run(run())


def test_what_the_proxy_has_of_its_own_is_not_asked_of_the_upstream():
    async def run() -> None:
        async with scripted(lambda seen: [answer(b"theirs")]) as upstream:
            async with proxy(upstream.url) as ours, client(ours.url) as one:
                assert (await one.ask(get("/k2lab/healthz"))).body == b"ok\n"
                assert b"k2lab_proxy_open_requests 1.0" in (await one.ask(get("/k2lab/metrics"))).body
                assert (await one.ask(get("/k2lab/else"))).status == 404
                assert (await one.ask(post("/k2lab/metrics", b""))).status == 405
                assert upstream.seen == []
                assert (await one.ask(get("/metrics"))).body == b"theirs"
            async with proxy(upstream.url, status_listen=ANY) as ours, client(ours.url) as one:
                assert (await one.ask(get("/k2lab/metrics"))).body == b"theirs"
                async with client(ours.status_url) as status:
                    assert b"k2lab_proxy_requests_total" in (await status.ask(get("/metrics"))).body
                    assert (await status.ask(get("/healthz"))).body == b"ok\n"
                    assert (await status.ask(get("/v1/models"))).status == 404

    uvloop.run(run())


def test_metrics_count_by_class_of_path_and_never_by_path():
    async def run() -> str:
        odd = answer(b"{}", status="299 Odd")
        async with scripted(lambda seen: [odd]) as upstream, proxy(upstream.url) as ours, client(ours.url) as one:
            for number in range(50):
                await one.ask(get(f"/secret-{number}?key=sk-{number}"))
            await one.ask(post("/v1/chat/completions", b"{}"))
            return (await one.ask(get("/k2lab/metrics"))).body.decode()

    shown = uvloop.run(run())
    assert "secret" not in shown and "sk-" not in shown
    assert 'k2lab_proxy_requests_total{ended="whole",path="other",status="other"} 50.0' in shown
    assert 'k2lab_proxy_requests_total{ended="whole",path="chat",status="other"} 1.0' in shown
    assert 'k2lab_proxy_added_seconds_count{path="chat"} 1.0' in shown

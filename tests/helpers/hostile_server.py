"""A server that answers what no server should: a grammar of wrong shapes over right answers, and of wrong HTTP.

``Hostile`` answers every path of the APIs. What it does is drawn from ``random``: a right answer in which some places
hold values of other kinds, written as JSON in one of many bad ways, sent by HTTP that is right, or not. It keeps what
it sent, so that a test can say what nobody may conclude from it. Errors and garbage repeat the key, answers do not.
"""

from __future__ import annotations

import contextlib
import copy
import gzip
import json
import socketserver
import threading
import time
import zlib
from collections.abc import Iterator
from random import Random
from typing import Any

CALL = {"id": "functions.get_weather:0", "type": "function", "index": 0,
        "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}  # fmt: skip
USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
PLACES = ("http://127.0.0.1:9/v1", "/v1/x", "", "http://[", "//evil", "\x1b[2J", "\xff")
DEEP_TEXT = "[" * 400 + "]" * 400


def _deep(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


EDGES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 1.5, -0.0, 1e308, 2**31, 2**53, 2**63, 2**64, 10**9, -(2**70), 10**400,
    float("nan"), float("inf"), "", "x", "0",
    "\x00", "\ud800", "a\udfffb", "\x1b[2J\x1b]0;t\x07", "\u202eevil", "é" * 2000,
    "@import url(http://x)", "<script>alert(1)</script>", "functions.f:0", "<|tool_call_begin|>", DEEP_TEXT,
   
    '{"a":' * 200 + "1" + "}" * 200, '{"city": NaN}', '{"city": "\\ud800"}', "[1]", "null", "1e999",
    [], {}, [None], [[]], [{}], {"": None}, {"a": {"b": []}}, ["x"], [1, "2"], [-1], [1.0], [True], [2**40], [[1, 2]],
    [0] * 3000, {"\ud800": "\ud800"}, {"type": "text", "text": 5}, [{"type": "text", "text": "hi"}], _deep(90),
    _deep(330),
)  # fmt: skip
"""In place of any value."""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value, the whole of it among them."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def mutated(random: Random, value: Any) -> Any:
    """A value in which one to three places hold another one, nothing, or themselves twice."""
    value = copy.deepcopy(value)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        path = random.choice([path for path in places(value) if len(path) < 12])
        if not path:
            if random.random() < 0.2:
                value = copy.deepcopy(random.choice(EDGES))
            continue
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        what = random.random()
        if what < 0.15:
            del holder[path[-1]]
        elif what < 0.25:
            holder[path[-1]] = [holder[path[-1]]] * 2
        elif what < 0.3 and isinstance(holder, dict):
            holder[random.choice(("error", "choices", "message", "index", "usage", "x"))] = random.choice(EDGES)
        else:
            holder[path[-1]] = copy.deepcopy(random.choice(EDGES))
    return value


def written(random: Random, value: Any) -> bytes:
    """A value as JSON text, most often well."""
    try:
        text = json.dumps(value, ensure_ascii=random.random() < 0.7)
    except RecursionError:
        text = DEEP_TEXT
    data = text.encode("utf-8", "surrogatepass")
    what = random.random()
    if what < 0.75:
        return data
    return random.choice(
        (
            lambda: b"\xef\xbb\xbf" + data,
            lambda: text.encode("utf-16", "surrogatepass"),
            lambda: data[: random.randrange(len(data) + 1)],
            lambda: data + b"}",
            lambda: data.replace(b'"', b"\xff", 1),
            lambda: data.replace(b":", b': NaN, "x":', 1),
            lambda: b'{"choices": null, ' + data[1:] if data[:1] == b"{" else data,
            lambda: data[:-1] + b', "choices": [[]]}' if data[-1:] == b"}" else data,
            lambda: b"[" * 100_000,
            lambda: b'{"a":' * 330 + b"1" + b"}" * 330,
            lambda: b"9" * 5000,
            lambda: b"",
            lambda: b"null",
            lambda: b"<html><script>alert(1)</script>\x1b[2J",
        )
    )()


class Hostile:
    """What the server does in one try: set ``random`` anew for each."""

    def __init__(self, ids: tuple[int, ...], model: str = "m") -> None:
        self.ids, self.model = ids, model
        self.random = Random(0)
        self.sent: list[tuple[str, Any]] = []
        """What was sent as JSON, by path, before it was written."""
        self.plain_http = True

    def begin(self, random: Random, *, plain_http: bool) -> None:
        """A new try; ``plain_http``: its HTTP is right."""
        self.random, self.plain_http, self.sent = random, plain_http, []

    def right(self, path: str, asked: dict[str, Any]) -> Any:
        """What a good server answers."""
        if path.endswith("/models"):
            return {"object": "list", "data": [{"id": self.model, "object": "model"}]}
        if path.endswith("/version"):
            return {"version": "0.32.0"}
        if path.endswith("/tokenize"):
            return {"tokens": list(self.ids), "count": len(self.ids), "max_model_len": 2048}
        if path.endswith("/detokenize"):
            return {"prompt": "hi"}
        message: dict[str, Any] = {"role": "assistant", "content": "Hello", "tool_calls": None}
        finish = "stop"
        if asked.get("tools") and self.random.random() < 0.7:
            message |= {"content": None, "tool_calls": [CALL, CALL]}
            finish = "tool_calls"
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": finish, "token_ids": [5, 6]}
        if "prompt" in asked:
            choice = {"index": 0, "text": "Hello", "finish_reason": "stop"}
        answer = {"id": "x", "object": "chat.completion", "created": 1, "model": self.model, "choices": [choice],
                  "usage": {**USAGE, "prompt_tokens": len(self.ids)}}  # fmt: skip
        if asked.get("return_token_ids"):
            answer["prompt_token_ids"] = list(self.ids)
        return answer

    def events(self, asked: dict[str, Any]) -> list[Any]:
        """The events of a good stream."""
        parts: list[Any] = [{"role": "assistant"}, {"content": "Hel"}, {"content": "lo"}]
        if asked.get("tools"):
            parts = [
                {"tool_calls": [{**CALL, "function": {"name": "get_weather", "arguments": ""}}]},
                {"tool_calls": [{"index": 0, "function": {"arguments": '{"city": '}}]},
                {"tool_calls": [{"index": 0, "function": {"arguments": '"Paris"}'}}]},
            ]
        finish = "tool_calls" if asked.get("tools") else "stop"
        deltas = [{"choices": [{"index": 0, "delta": part, "finish_reason": None}]} for part in parts]
        return [
            *deltas,
            {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
            {"choices": [], "usage": USAGE},
        ]

    def answer(self, path: str, asked: dict[str, Any], key: str) -> list[bytes | float]:
        """What goes over the wire: bytes, and seconds to wait."""
        random = self.random
        if not self.plain_http and random.random() < 0.5:
            return self._broken(path, asked, key)
        if random.random() < 0.1:
            status = random.choice((400, 401, 403, 404, 405, 408, 422, 429, 500, 501, 503, 206, 204, 300, 418, 999))
            said = mutated(random, {"error": {"message": f"no {key}", "code": 1, "param": None}})
            return _whole(
                written(random, said),
                status=status,
                headers=[f"retry-after: {random.choice(('1', 'nan', 'inf', '-9', 'x'))}"],
            )
        if asked.get("stream"):
            return self._stream(asked, key)
        value = self.right(path, asked)
        for _ in range(random.choice((0, 1, 1, 1, 1))):
            value = mutated(random, value)
        self.sent.append((path, value))
        body = written(random, value)
        if random.random() < 0.1:
            return _whole(gzip.compress(body), headers=["content-encoding: gzip"])
        return _whole(body)

    def _stream(self, asked: dict[str, Any], key: str) -> list[bytes | float]:
        random = self.random
        events = self.events(asked)
        lines = [
            b"data: " + written(random, mutated(random, event) if random.random() < 0.3 else event) for event in events
        ]
        odd = (b"data:", b"data: {", b"data: [DONE", b": ping", b"event: x", b"id: \xff", b"data: null", b"data: []",
               b'data: {"error": "' + key.encode() + b'"}', b"", b"retry: -1", b'data: {"choices": {}}')  # fmt: skip
        for _ in range(random.choice((0, 1, 2))):
            lines.insert(random.randrange(len(lines) + 1), random.choice(odd))
        if random.random() < 0.2:
            random.shuffle(lines)
        if random.random() < 0.8:
            lines.append(b"data: [DONE]")
        end = random.choice((b"\n\n", b"\r\n\r\n", b"\n", b"\r"))
        body = end.join(lines) + random.choice((end, b""))
        return _whole(
            body, kind=random.choice(("text/event-stream", "text/event-stream; charset=\xff", "application/json"))
        )

    def _broken(self, path: str, asked: dict[str, Any], key: str) -> list[bytes | float]:
        random = self.random
        value = self.right(path, asked)
        self.sent.append((path, value))
        body = json.dumps(value).encode()
        secret = key.encode()
        ok = b"HTTP/1.1 200 OK\r\n"
        chunked = ok + b"transfer-encoding: chunked\r\n\r\n"
        return random.choice(
            (
                lambda: [],
                lambda: [secret + b" is no HTTP\r\n\r\n"],
                lambda: [ok + b"content-length: 5000\r\n\r\n" + body],
                lambda: [ok + b"content-length: 3\r\n\r\n" + body],
                lambda: [ok + b"content-length: -1\r\n\r\n" + body],
                lambda: [ok + b"content-length: 1\r\ncontent-length: 2\r\n\r\n" + body],
                lambda: [ok + b"x-" + secret + b": " + secret * 500 + b"\r\n\r\n" + body],
                lambda: [ok + b"x: y\r\n" * 300 + b"\r\n" + body],
                lambda: [ok + b"x: " + b"y" * 200_000 + b"\r\n\r\n" + body],
                lambda: [ok + b"content-type: " + bytes(range(32, 256)) + b"\r\ncontent-length: 2\r\n\r\n{}"],
                lambda: [b"HTTP/1.1 200 " + secret + b"\x1b[2J\r\ncontent-length: 2\r\n\r\n{}"],
                lambda: [b"HTTP/9.9 200 OK\r\n\r\n" + body],
                lambda: [b"HTTP/1.1 100 Continue\r\n\r\n" * 200 + _whole(body)[0]],  # type: ignore[operator]
                lambda: [chunked + b"zz\r\n" + secret],
                lambda: [chunked + b"5\r\nab"],
                lambda: [chunked, *[b"1\r\n \r\n", 0.1] * 30],
                lambda: [ok, *[b"a: b\r\n", 0.1] * 30],
                lambda: [ok + b"content-length: 30\r\n\r\n", *[b" ", 0.1] * 30],
                lambda: [b"", 5.0],
                lambda: _whole(zlib.compress(body), headers=["content-encoding: deflate"]),
                lambda: _whole(body, headers=[f"content-encoding: {random.choice(('br', 'zstd', 'gzip, gzip', key))}"]),
                lambda: _whole(body, headers=["content-encoding: gzip"]),
                lambda: _whole(gzip.compress(bytes(1 << 20), 9) * 70, headers=["content-encoding: gzip"]),
                lambda: _whole(gzip.compress(body)[:-9], headers=["content-encoding: gzip"]),
                lambda: _whole(b"", status=random.choice((301, 302, 303, 307, 308)), headers=[
                    f"location: {random.choice((*PLACES, f'/v1?api_key={key}', f'http://u:{key}@127.0.0.1:9/'))}"]),
            )
        )()  # fmt: skip


def _whole(
    body: bytes, *, status: int = 200, kind: str = "application/json", headers: list[str] | None = None
) -> list[bytes | float]:
    lines = [
        f"HTTP/1.1 {status} Said",
        f"content-type: {kind}",
        f"content-length: {len(body)}",
        "connection: close",
        *(headers or ()),
    ]
    return ["\r\n".join([*lines, "", ""]).encode("latin-1") + body]


def _object(asked: bytes) -> dict[str, Any]:
    """What was asked, as far as it is a JSON object: a client may be hostile, too."""
    try:
        value = json.loads(asked) if asked else {}
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


@contextlib.contextmanager
def hostile_server(hostile: Hostile) -> Iterator[str]:
    """Its base URL, for the length of the block."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                self._handle()

        def _handle(self) -> None:
            first = self.rfile.readline().split()
            headers: dict[bytes, bytes] = {}
            while (line := self.rfile.readline()).strip():
                name, _, value = line.partition(b":")
                headers[name.lower().strip()] = value.strip()
            asked = self.rfile.read(int(headers.get(b"content-length", 0)))
            path = first[1].decode() if len(first) > 1 else "/"
            key = headers.get(b"authorization", b"Bearer none").decode("latin-1").removeprefix("Bearer ")
            for part in hostile.answer(path, _object(asked), key):
                if isinstance(part, bytes):
                    self.wfile.write(part)
                else:
                    time.sleep(part)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()

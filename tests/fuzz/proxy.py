"""The proxy between clients and a server that both mean ill, with its guard and its record: it answers, and stays."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import uvloop

from k2lab.traffic import recordfile
from k2lab.traffic.guard import GuardOptions, guard_of
from k2lab.traffic.lifecycle import Running
from k2lab.traffic.limits import Limits
from k2lab.traffic.recorder import recorder_of
from k2lab.traffic.recording import RecordOptions
from tests.fuzz.frame import KEY, Attempt, HangError
from tests.helpers.hostile_server import CALL, EDGES, Hostile, hostile_server, mutated, written
from tests.helpers.proxying import proxy

KEPT = range(80)
WAIT_S = 20.0
LIMITS = Limits(first_s=2.0, between_s=1.0, client_s=1.0, connect_s=2.0, idle_s=1.5, grace_s=5.0, body_bytes=4 << 20)
LEAKED = "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>"
PATHS = ("/v1/chat/completions",) * 4 + ("/v1/responses", "/v1/messages", "/v1/models", "/v1/../x", "//x", "*", "")
GUARDS = (
    None,
    GuardOptions(repair="ids", salvage=True),
    GuardOptions(repair="history", enforce="pinned", salvage=True),
    GuardOptions(enforce="pinned", unheld="refuse", form="vllm-0.11"),
)


def _request() -> dict[str, Any]:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": schema}}
    call = {**CALL, "id": "call_1"}
    messages = [
        {"role": "user", "content": "Paris?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": LEAKED},
        {"role": "user", "content": [{"type": "text", "text": "And now?"}]},
    ]
    return {"model": "kimi-k2", "messages": messages, "tools": [tool], "tool_choice": "auto"}


def asked(random: Random) -> bytes:
    """A request as bytes: right, wrong in its JSON, or wrong in its HTTP."""
    request = copy.deepcopy(_request()) | ({"stream": True} if random.random() < 0.5 else {})
    if random.random() < 0.6:
        request = mutated(random, request)
    body = written(random, request) if random.random() < 0.8 else json.dumps(request).encode("utf-8", "surrogatepass")
    path = random.choice(PATHS)
    lines = [f"POST {path} HTTP/1.1", "host: x", f"authorization: Bearer {KEY}", "content-type: application/json"]
    lines += random.sample(["connection: close", "accept-encoding: gzip", "expect: 100-continue", "via: 1.1 x",
                            "x-k2lab-key: x", "te: trailers"], random.randrange(3))  # fmt: skip
    if random.random() < 0.7:
        data = "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body
    else:
        cut = random.randrange(len(body) + 1)
        parts = [part for part in (body[:cut], body[cut:]) if part]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
        data = "\r\n".join([*lines, "transfer-encoding: chunked", "", ""]).encode() + chunks + b"0\r\n\r\n"
    return _damaged(random, data) if random.random() < 0.3 else data


def _damaged(random: Random, data: bytes) -> bytes:
    at, other = random.randrange(len(data)), random.randrange(len(data))
    return random.choice(
        (
            lambda: data[:at],
            lambda: data[:at] + random.randbytes(random.randrange(1, 9)) + data[at:],
            lambda: data[:at] + data[at + 1 :],
            lambda: data[:at] + data[min(at, other) : max(at, other)] + data[at:],
            lambda: data.replace(b"\r\n", b"\n", random.randrange(1, 5)),
            lambda: data.replace(b": ", random.choice((b" : ", b":", b": \x00", b": \xff")), random.randrange(1, 4)),
            lambda: data * 3,
            lambda: data + str(random.choice(EDGES)).encode("utf-8", "surrogatepass"),
        )
    )()


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a try may use: the server, proxies with each guard, and what they logged."""

    hostile: Hostile
    proxies: list[Running]
    logged: list[str]

    def tried(self, random: Random, folder: Path) -> None:
        """One request, whose client may leave at any moment."""
        self.hostile.begin(random, plain_http=random.random() < 0.6)
        running = random.choice(self.proxies)
        port = int(running.url.rpartition(":")[2])
        self._exchange(random, port, asked(random))
        self._check_well(running, port)

    def _exchange(self, random: Random, port: int, data: bytes) -> None:
        leaves = random.random() < 0.15
        with socket.create_connection(("127.0.0.1", port), WAIT_S) as one, contextlib.suppress(ConnectionError):
            one.sendall(data)
            if leaves:
                time.sleep(random.random() * 0.05)
                return
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_WR) if random.random() < 0.1 else None
            got, until = b"", time.monotonic() + WAIT_S
            one.settimeout(0.2)
            while time.monotonic() < until:
                try:
                    part = one.recv(1 << 16)
                except TimeoutError:
                    if got:  # the connection stays open behind a whole answer
                        break
                    continue
                got += part
                if not part:
                    break
            else:
                raise HangError(f"no answer to {data[:300]!r}")
            assert not got or got.startswith(b"HTTP/1.1 "), got[:200]
            if b"x-k2lab-error" in got:
                assert KEY.encode() not in got, got[:500]

    def _check_well(self, running: Running, port: int) -> None:
        until = time.monotonic() + WAIT_S
        while running.proxy.open and time.monotonic() < until:
            time.sleep(0.01)
        assert running.proxy.open == 0, "an exchange stays open"
        with socket.create_connection(("127.0.0.1", port), WAIT_S) as one:
            one.sendall(b"GET /k2lab/healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert one.recv(9) == b"HTTP/1.1 "
        told, self.logged[:] = "\n".join(self.logged), []
        assert KEY not in told and "bug of k2lab" not in told, told


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@contextmanager
def opened(place: Path) -> Iterator[Attempt]:
    """A hostile server, and before it a proxy with each guard, one of which records."""
    hostile, logged = Hostile((1, 2, 3), "kimi-k2"), list[str]()
    handler, logger = _Lines(logged), logging.getLogger("k2lab.traffic")
    logger.addHandler(handler)
    recorder = recorder_of(RecordOptions(path=place / "record.db", look=False))
    started, stop = threading.Event(), asyncio.Event()
    proxies: list[Running] = []
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve(url: str) -> None:
        loops.append(asyncio.get_running_loop())
        async with contextlib.AsyncExitStack() as stack:
            for number, options in enumerate(GUARDS):
                guard = guard_of(options) if options is not None else None
                one = proxy(url, guard=guard, recorder=recorder if number == 2 else None, limits=LIMITS)
                proxies.append(await stack.enter_async_context(one))
            started.set()
            await stop.wait()

    with hostile_server(hostile) as url:
        thread = threading.Thread(target=lambda: uvloop.run(serve(url)), daemon=True)
        thread.start()
        assert started.wait(60)
        try:
            yield Given(hostile=hostile, proxies=proxies, logged=logged).tried
        finally:
            loops[0].call_soon_threadsafe(stop.set)
            thread.join(30)
            recorder.close()
            logger.removeHandler(handler)
    with recordfile.reading(place / "record.db") as file:
        assert file.counts() is not None and all(entry.passed.key for entry in file.exchanges())

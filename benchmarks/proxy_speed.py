"""How fast `k2lab proxy` is beside nginx, a bare pass-through on aiohttp, and litellm's proxy, in one run.

All stand before one stub on one event loop, which answers a chat request of about 1 kB after 20 ms with a tool call, or
streams one; it is a bare `asyncio.Protocol`, so that it is not what is measured. wrk asks with one thread, at 64
connections and at 8; each proxy is one process with one worker, and rounds are interleaved. The time to a stream's
first event is taken by a client on sockets, one stream after the other, each way in turn. Memory is the resident set.
CPU is that of the proxy's process and of those that it started, for 1,000 requests.

    make proxy-speed                      # five minutes; LITELLM=path/to/litellm adds it, in an environment of its own
    make proxy-speed LONG=1               # three rounds of 8 s, memory over 100,000 requests: a quarter of an hour
"""

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil
import uvloop

ROOT = Path(__file__).resolve().parents[1]
DELAY_S = 0.02
BYTES = 1024
PATH = "/v1/chat/completions"
HEAD = b"HTTP/1.1 200 OK\r\nserver: stub\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nserver: stub\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENTS = 20

NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 1000000;
  upstream stub {{ server 127.0.0.1:{stub}; keepalive 512; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      proxy_pass http://stub; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""

LITELLM = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/m, api_base: "http://127.0.0.1:{stub}/v1", api_key: none}}
litellm_settings: {{telemetry: false}}
"""

LUA = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer sk-none"
wrk.body = io.open("{body}"):read("*a")
done = function(summary, latency, requests)
  io.write(string.format('{{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "bad": %d}}\\n', summary.requests,
    summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write
    + summary.errors.timeout))
end
"""


def request_of(stream=False):
    """A chat request with one tool and a history that has a foreign id, about 1 kB."""
    place = {"type": "string", "description": "Name of a city or of a region."}
    schema = {"type": "object", "properties": {"place": place, "days": {"type": "integer"}}, "required": ["place"]}
    tool = {"type": "function", "function": {"name": "get_weather", "description": "Forecast.", "parameters": schema}}
    call = {
        "id": "call_8f3c",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"place": "Oslo"}'},
    }
    messages = [
        {"role": "user", "content": "What is the weather like in Oslo?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_8f3c", "content": "7 degrees, rain"},
        {"role": "user", "content": ""},
    ]
    request = {"model": "m", "messages": messages, "tools": [tool], "max_tokens": 256, "stream": stream}
    messages[-1]["content"] = "And in Paris? " + "x" * (BYTES - len(json.dumps(request)) - 14)
    return json.dumps(request).encode()


def answer_of():
    call = {"id": "functions.get_weather:1", "type": "function", "index": 0,
            "function": {"name": "get_weather", "arguments": '{"place": "Paris"}'}}  # fmt: skip
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls", "logprobs": None}
    usage = {"prompt_tokens": 210, "completion_tokens": 25, "total_tokens": 235}
    return json.dumps({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
                       "choices": [choice], "usage": usage}).encode()  # fmt: skip


def event_of(number):
    delta = {"content": f"word {number} "}
    choice = {"index": 0, "delta": delta, "finish_reason": "stop" if number == EVENTS - 1 else None}
    data = json.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                       "choices": [choice]}).encode()  # fmt: skip
    return b"data: " + data + b"\n\n"


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


class Stub(asyncio.Protocol):
    """Answers each request after 20 ms; a stream's events come at once then, but for ``x-hold: SECONDS``."""

    WHOLE = HEAD % len(answer_of()) + answer_of()
    STREAMED = b"".join(chunk(event_of(number)) for number in range(EVENTS)) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"

    def __init__(self):
        self.rest = b""
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.rest += data
        while (end := self.rest.find(b"\r\n\r\n")) >= 0:
            head = self.rest[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.rest) < end + 4 + length:
                return
            body, self.rest = self.rest[end + 4 : end + 4 + length], self.rest[end + 4 + length :]
            self.loop.call_later(DELAY_S, self.answer, head, body)

    def answer(self, head, body):
        if b'"stream": true' in body or b'"stream":true' in body:
            hold = float(head.partition(b"x-hold:")[2].split(b"\r\n", 1)[0] or 0)
            self.write(STREAM + (chunk(event_of(0)) if hold else b""))
            self.loop.call_later(hold, self.write, self.STREAMED) if hold else self.write(self.STREAMED)
        else:
            self.write(self.WHOLE)

    def write(self, data):
        if not self.transport.is_closing():
            self.transport.write(data)


async def stub(port):
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


async def bare(port, upstream):
    """What a pass-through costs at least with this library: the low-level server, one session, no router."""
    import aiohttp
    from aiohttp import web

    hop = {"connection", "transfer-encoding", "content-length", "host", "keep-alive"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:

        async def handle(request):
            headers = {name: value for name, value in request.headers.items() if name.lower() not in hop}
            body = await request.read()
            async with session.request(
                request.method, f"http://127.0.0.1:{upstream}{request.raw_path}", headers=headers, data=body
            ) as answer:
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in hop}
                response = web.StreamResponse(status=answer.status, headers=kept)
                response.content_length = answer.content_length
                await response.prepare(request)
                async for data in answer.content.iter_any():
                    await response.write(data)
                await response.write_eof()
                return response

        server = web.Server(handle, access_log=None)
        listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", port, backlog=1024)
        await listening.serve_forever()


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Running:
    """A server in a process of its own."""

    def __init__(self, name, command, port, folder, env=None):
        self.name, self.port = name, port
        self.log = (folder / f"{name.replace(' ', '-')}.log").open("wb")
        self.process = psutil.Popen(
            list(map(str, command)), cwd=ROOT, stdout=self.log, stderr=self.log, env={**os.environ, **(env or {})}
        )

    def wait(self, within_s=60):
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        sys.exit(f"proxy-speed: {self.name} does not listen: {Path(self.log.name).read_text(errors='replace')[-500:]}")

    def family(self):
        return [self.process, *self.process.children(recursive=True)]

    def cpu_s(self):
        times = [one.cpu_times() for one in self.family()]
        return sum(one.user + one.system for one in times)

    def rss_mb(self):
        return sum(one.memory_info().rss for one in self.family()) / (1 << 20)

    def end(self):
        for one in reversed(self.family()):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.terminate()
        with contextlib.suppress(psutil.TimeoutExpired):
            self.process.wait(20)
        with contextlib.suppress(psutil.NoSuchProcess):
            self.process.kill()


def ours(options):
    return lambda folder, port, stub: (
        [sys.executable, "-m", "k2lab", "-q", "proxy", "--upstream", f"http://127.0.0.1:{stub}/v1",
         "--listen", f"127.0.0.1:{port}", *(str(option).format(folder=folder) for option in options)],
        {},
    )  # fmt: skip


def nginx(folder, port, stub):
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, stub=stub))
    return [shutil.which("nginx") or "/usr/sbin/nginx", "-c", folder / "nginx.conf", "-p", folder], {}


def aiohttp_bare(folder, port, stub):
    return [sys.executable, "-m", "benchmarks.proxy_speed", "child", "bare", port, stub], {}


def litellm(path):
    def command(folder, port, stub):
        (folder / "litellm.yaml").write_text(LITELLM.format(stub=stub))
        quiet = {"LITELLM_LOG": "ERROR", "LITELLM_TELEMETRY": "False"}
        return [path, "--config", folder / "litellm.yaml", "--port", port, "--host", "127.0.0.1"], quiet

    return command


RECORD = ("--record", "{folder}/record.db")
GUARD = ("--repair", "ids", "--enforce", "pinned")
OURS = {
    "k2lab": ours(()),
    "k2lab record": ours(RECORD),
    "k2lab guard": ours(GUARD),
    "k2lab record guard": ours((*RECORD, *GUARD)),
}


def wrk(url, connections, seconds, folder):
    body, script = folder / "body.json", folder / "post.lua"
    body.write_bytes(request_of())
    script.write_text(LUA.format(body=body))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script, f"{url}{PATH}"]
    said = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout
    return json.loads(said.strip().splitlines()[-1])


def measured(server, connections, seconds, folder):
    cpu_s = server.cpu_s()
    got = wrk(f"http://127.0.0.1:{server.port}", connections, seconds, folder)
    got["cpu"] = 1000 * (server.cpu_s() - cpu_s) / max(got["requests"], 1)
    got["rate"] = got["requests"] / got["seconds"]
    if got["bad"] or not got["requests"]:
        sys.exit(f"proxy-speed: {server.name} failed {got['bad']} of {got['requests']} requests")
    return got


def first_event_ms(port):
    """Milliseconds to the first event of a stream."""
    body = request_of(stream=True)
    head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        got, began = b"", time.perf_counter()
        sock.sendall(head.encode() + b"connection: close\r\n\r\n" + body)
        while b"data: " not in got:
            got += sock.recv(65536)
        first = time.perf_counter()
        while b"[DONE]" not in got:
            got += sock.recv(65536)
        return 1000 * (first - began)


async def open_streams(port, count, hold_s):
    """Open so many streams at once, whose ends come after so many seconds; all must come whole."""
    body = request_of(stream=True)
    head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\nx-hold: {hold_s}\r\ncontent-length: {len(body)}\r\n\r\n".encode()

    async def one():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + body)
        got = await reader.readuntil(b"0\r\n\r\n")
        writer.close()
        return got.count(b"data: ")

    assert set(await asyncio.gather(*(one() for _ in range(count)))) == {EVENTS + 2}


def memory(server, folder, requests):
    """Resident megabytes after a first thousand requests, after all, and with 500 open streams."""
    url = f"http://127.0.0.1:{server.port}"
    done = wrk(url, 64, 2, folder)["requests"]
    marks = [server.rss_mb()]
    while done < requests:
        done += wrk(url, 64, 5, folder)["requests"]
    marks.append(server.rss_mb())
    hold_s = 6
    streams = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.proxy_speed", "child", "streams", str(server.port), "500", str(hold_s)],
        cwd=ROOT,
    )
    peak = 0.0
    while streams.poll() is None:
        peak = max(peak, server.rss_mb())
        time.sleep(0.1)
    if streams.returncode:
        sys.exit(f"proxy-speed: {server.name} did not give 500 streams")
    return done, [*marks, peak]


def chosen(options):
    """The proxies to measure, each with what makes its command."""
    names = {"nginx": nginx, "aiohttp": aiohttp_bare, **OURS}
    if options.litellm:
        names["litellm"] = litellm(options.litellm)
    asked = options.only.split(",") if options.only else names
    for name in asked:
        if name not in names:
            more = "" if options.litellm else ", and litellm with --litellm PATH"
            sys.exit(f"proxy-speed: --only names no proxy: {name!r}; there are {', '.join(names)}{more}")
    return {name: names[name] for name in asked}


def main(options):
    names = chosen(options)
    with tempfile.TemporaryDirectory(prefix="k2lab-proxy-") as made:
        folder, port = Path(made), free_port()
        child = [sys.executable, "-m", "benchmarks.proxy_speed", "child", "stub", port]
        servers = {"direct": Running("stub", child, port, folder).wait()}
        try:
            for name, make in names.items():
                own, place = free_port(), folder / name.replace(" ", "-")
                place.mkdir()
                command, env = make(place, own, port)
                servers[name] = Running(name, command, own, folder, env).wait(120)
            report(options, servers, folder)
        finally:
            for server in reversed(servers.values()):
                server.end()


def report(options, servers, folder):
    for server in servers.values():
        wrk(f"http://127.0.0.1:{server.port}", 8, 1, folder)
    tables = {}
    for connections in (64, 8):
        rounds = [
            {name: measured(server, connections, options.seconds, folder) for name, server in servers.items()}
            for _ in range(options.rounds)
        ]
        tables[connections] = {
            name: {key: statistics.median(one[name][key] for one in rounds) for key in ("rate", "p50", "p99", "cpu")}
            for name in servers
        }
        counted = {name: sum(one[name]["requests"] for one in rounds) for name in servers}
        show(connections, tables[connections], counted, options)
    firsts = {name: [] for name in servers}
    for _ in range(options.streams):
        for name, server in servers.items():
            firsts[name].append(first_event_ms(server.port))
    print(f"\nfirst event of a stream, ms at the median of {options.streams} (more than direct)")
    for name, took in firsts.items():
        middle = statistics.median(took)
        print(f"  {name:20}{middle:7.2f}  (+{middle - statistics.median(firsts['direct']):.2f})")
    for name in ("k2lab", "k2lab record guard") if options.requests else ():
        if name in servers:
            done, (first, last, streams) = memory(servers[name], folder, options.requests)
            print(f"\n{name}: {first:.0f} MB after the first requests, {last:.0f} MB after {done} more,"
                  f" at most {streams:.0f} MB with 500 open streams")  # fmt: skip
            print(json.dumps(counters(servers[name])))
    if options.json:
        Path(options.json).write_text(json.dumps({"tables": tables, "firsts": firsts}))


def counters(server):
    """What the proxy counted of its record and its faults."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/k2lab/metrics") as answer:
        lines = [line.split() for line in answer.read().decode().splitlines() if line.startswith("k2lab_proxy_")]
    wanted = ("record", "faults")
    return {name: float(value) for name, value in lines if any(word in name for word in wanted) and "{" not in name}


def show(connections, table, counted, options):
    print(
        f"\n{connections} at once, {options.rounds} rounds of {options.seconds} s; {os.cpu_count()} cores shared by all"
    )
    heads = ("req/s", "of bare", "of nginx", "p50 ms", "added", "p99 ms", "CPU s/1,000", "n")
    print(f"{'':22}" + "".join(f"{head:>12}" for head in heads))
    for name, row in table.items():
        bare, front = (row["rate"] / table[one]["rate"] if one in table else 0 for one in ("aiohttp", "nginx"))
        added = row["p50"] - table["direct"]["p50"]
        cells = [f"{row['rate']:.0f}", *(f"{value:.2f}" for value in (bare, front, row["p50"], added, row["p99"]))]
        print(f"{name:22}" + "".join(f"{cell:>12}" for cell in (*cells, f"{row['cpu']:.3f}", counted[name])))


def run_child(kind, *given):
    numbers = list(map(int, given))
    uvloop.run({"stub": stub, "bare": bare, "streams": open_streams}[kind](*numbers))


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        sys.exit(run_child(*sys.argv[2:]))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--streams", type=int, default=100, help="streams for the time to the first event")
    parser.add_argument("--requests", type=int, default=30_000, help="for the memory; 0: leave it out")
    parser.add_argument("--litellm", default="", metavar="PATH", help="its command, in an environment of its own")
    parser.add_argument("--only", default="", metavar="NAMES", help="some of the proxies, by comma")
    parser.add_argument("--json", default="", metavar="FILE", help="the numbers, too")
    main(parser.parse_args())

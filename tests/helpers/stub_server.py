"""A stand-in for a model server: real HTTP in a process of its own, that delays, streams, drops, stalls and lies.

What a request gets is in its ``metadata``: ``{"stub": "reset"}``; what is not named there is answered well, with its
``user`` as content, and errors repeat the key. A mode that ends in ``-once`` or ``-twice`` holds for the first tries of
that request alone, told apart by its ``user``. Prints its port, ends with its standard input; :func:`stub` starts it.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

from aiohttp import web

ROOT = Path(__file__).resolve().parents[2]

CALL = {"id": "functions.get_weather:0", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}


MARKED = "functions.get_weather:0<|tool_call_argument_begin|>{}"
TEXT = f"Yes.<|tool_calls_section_begin|><|tool_call_begin|>{MARKED}<|tool_call_end|><|tool_calls_section_end|>"


def answer(request):
    calls = [CALL] if request.get("tools") else None
    message = {"role": "assistant", "content": request.get("user", "hello"), "tool_calls": calls}
    finish = "tool_calls" if calls else "stop"
    choice = {"index": 0, "message": message, "finish_reason": finish}
    if "prompt" in request:
        choice = {"index": 0, "text": TEXT, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return {"id": "x", "object": "chat.completion", "model": request["model"], "choices": [choice], "usage": usage}


def events(request):
    if request.get("tools"):
        for part in (
            {"index": 0, "id": CALL["id"], "type": "function", "function": {"name": "get_weather", "arguments": ""}},
            {"index": 0, "function": {"arguments": "{"}},
            {"index": 0, "function": {"arguments": "}"}},
        ):
            yield {"choices": [{"index": 0, "delta": {"tool_calls": [part]}}]}
    else:
        text = request.get("user", "hello")
        for part in (text[: len(text) // 2], text[len(text) // 2 :]):
            yield {"choices": [{"index": 0, "delta": {"content": part}}]}
    yield {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls" if request.get("tools") else "stop"}]}
    yield {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}}


class Stub:
    def __init__(self, delay_s, key, model):
        self.delay_s, self.key, self.model = delay_s, key, model
        self.tries = collections.Counter()
        self.open = self.most = self.posts = 0
        self.last = None
        self.times = []

    def mode(self, request):
        mode = (request.get("metadata") or {}).get("stub", "ok")
        for suffix, times in (("-once", 1), ("-twice", 2)):
            if mode.endswith(suffix):
                self.tries[request.get("user")] += 1
                return mode.removesuffix(suffix) if self.tries[request.get("user")] <= times else "ok"
        return mode

    async def chat(self, http):
        self.open += 1
        self.most = max(self.most, self.open)
        self.posts += 1
        self.times.append(time.monotonic())
        try:
            self.last = await http.json()
            return await self.respond(http, self.last)
        finally:
            self.open -= 1

    async def respond(self, http, request):
        if refused := self.refused(http):
            return refused
        if self.model and request["model"] != self.model:
            return web.json_response({"error": {"message": f"no model {request['model']}"}}, status=404)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        mode, key = self.mode(request), http.headers.get("authorization", "")
        if mode.isdigit():
            headers = {"retry-after": "0.05"} if mode == "429" else {}
            message = f"you get {mode} {key} \ud800"  # and a lone surrogate
            return web.json_response({"error": {"message": message}}, status=int(mode), headers=headers)
        if mode == "stall":
            await asyncio.sleep(3600)
        if mode == "reset":
            http.transport.abort()
            return web.Response()
        if mode in ("garbage", "text", "empty"):
            return web.Response(body={"garbage": b"\xff\x00{[", "text": f"<html>{key}", "empty": b""}[mode])
        if mode == "half":
            response = web.StreamResponse(headers={"content-length": "5000"})
            await response.prepare(http)
            await response.write(b'{"choices": [')
            http.transport.abort()
            return response
        if mode == "echo":
            request |= {"user": key}
        if request.get("stream"):
            return await self.stream(http, request, mode, key)
        whole = answer(request)
        if mode == "no-finish":
            whole["choices"][0]["finish_reason"] = None
        return web.json_response(whole)

    async def stream(self, http, request, mode, key):
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(http)
        for number, event in enumerate(events(request)):
            if mode == "error-event":
                event = {"error": {"message": f"no more {key}"}}
            elif mode == "number-event":
                event = {"choices": [{"index": 0, "delta": {"content": 5}}]}
            if mode in ("half-stream", "no-finish") and number == 1:
                if mode == "half-stream":
                    http.transport.abort()
                return response
            await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        return response

    def refused(self, http):
        given = http.headers.get("authorization")
        if self.key and given != f"Bearer {self.key}":
            return web.json_response({"error": {"message": f"bad {given}"}}, status=401)

    async def models(self, http):
        return self.refused(http) or web.json_response({"object": "list", "data": [{"id": self.model or "m"}]})

    async def seen(self, http):
        return web.json_response(
            {"most_at_once": self.most, "posts": self.posts, "last": self.last, "times": self.times}
        )


async def serve(options):
    stub = Stub(options.delay_ms / 1000, options.key, options.model)
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/v1/chat/completions", stub.chat)
    app.router.add_post("/v1/completions", stub.chat)
    app.router.add_get("/v1/models", stub.models)
    app.router.add_get("/seen", stub.seen)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", options.port)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    wait = threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(ended.set)), daemon=True)
    wait.start()
    await ended.wait()


class Running:
    """A stub in a process of its own."""

    def __init__(self, process):
        self.process, self.port = process, int(process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def seen(self, what):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/seen") as answer:
            return json.load(answer)[what]


@contextlib.contextmanager
def stub(*options):
    command = [sys.executable, "-m", "tests.helpers.stub_server", *map(str, options)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as process:
        try:
            yield Running(process)
        finally:
            process.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay-ms", type=float, default=0)
    parser.add_argument("--key", default="")
    parser.add_argument("--model", default="")
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(serve(parser.parse_args()))

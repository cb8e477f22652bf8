"""A stand-in for a model server: real HTTP in a process of its own, that delays, streams, drops, stalls and lies.

What a request gets is in its ``metadata``: ``{"stub": "reset"}``; what is not named there is answered well. A mode
that ends in ``-once`` or ``-twice`` holds for the first tries of that request alone, told apart by its ``user``.
Prints its port, ends with its standard input.
"""

import argparse
import asyncio
import collections
import json
import sys
import threading

from aiohttp import web

FAULTS = ("429", "500", "503", "400", "404", "reset", "half", "half-stream", "garbage", "text", "empty", "no-finish")
CALL = {"id": "functions.get_weather:0", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}


def answer(request):
    calls = [CALL] if request.get("tools") else None
    message = {"role": "assistant", "content": "hello", "tool_calls": calls}
    finish = "tool_calls" if calls else "stop"
    choice = {"index": 0, "message": message, "text": "hello", "finish_reason": finish}
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
        for text in ("hel", "lo"):
            yield {"choices": [{"index": 0, "delta": {"content": text}}]}
    yield {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls" if request.get("tools") else "stop"}]}
    yield {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}}


class Stub:
    def __init__(self, delay_s, key, model):
        self.delay_s, self.key, self.model = delay_s, key, model
        self.tries = collections.Counter()
        self.open = self.most = 0

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
        try:
            return await self.respond(http, await http.json())
        finally:
            self.open -= 1

    async def respond(self, http, request):
        if self.key and http.headers.get("authorization") != f"Bearer {self.key}":
            return web.json_response({"error": {"message": f"bad {http.headers.get('authorization')}"}}, status=401)
        if self.model and request["model"] != self.model:
            return web.json_response({"error": {"message": f"no model {request['model']}"}}, status=404)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        mode = self.mode(request)
        if mode.isdigit():
            headers = {"retry-after": "0.05"} if mode == "429" else {}
            return web.json_response({"error": {"message": f"you get {mode}"}}, status=int(mode), headers=headers)
        if mode == "stall":
            await asyncio.sleep(3600)
        if mode == "reset":
            http.transport.abort()
            return web.Response()
        if mode in ("garbage", "text", "empty"):
            return web.Response(body={"garbage": b"\xff\x00{[", "text": b"<html>", "empty": b""}[mode])
        if mode == "half":
            response = web.StreamResponse(headers={"content-length": "5000"})
            await response.prepare(http)
            await response.write(b'{"choices": [')
            http.transport.abort()
            return response
        if request.get("stream"):
            return await self.stream(http, request, mode)
        whole = answer(request)
        if mode == "no-finish":
            whole["choices"][0]["finish_reason"] = None
        return web.json_response(whole)

    async def stream(self, http, request, mode):
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(http)
        for number, event in enumerate(events(request)):
            if mode in ("half-stream", "no-finish") and number == 1:
                if mode == "half-stream":
                    http.transport.abort()
                return response
            await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        return response

    async def models(self, http):
        if self.key and http.headers.get("authorization") != f"Bearer {self.key}":
            return web.json_response({"error": {"message": f"bad {http.headers.get('authorization')}"}}, status=401)
        return web.json_response({"object": "list", "data": [{"id": self.model or "m"}]})

    async def seen(self, http):
        return web.json_response({"most_at_once": self.most})


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


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay-ms", type=float, default=0)
    parser.add_argument("--key", default="")
    parser.add_argument("--model", default="")
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(serve(parser.parse_args()))

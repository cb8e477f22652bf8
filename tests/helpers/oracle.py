"""A model that is always right, behind real HTTP: it calls what the office's asks want and says what the tools said.

It writes ids of the documented form, streams byte by byte if it likes, and keeps every request that came.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from k2lab.nano import office

KNOWN = ("weather", "train", "parcel", "contact", "hotel", "score")


@dataclass
class Oracle:
    """``says`` may put another message in place of the right one; ``received`` are the requests."""

    url: str = ""
    received: list[dict[str, Any]] = field(default_factory=list)
    says: Any = None


def right(request: Mapping[str, Any]) -> dict[str, Any]:
    """The right message."""
    messages = request["messages"]
    last = messages[-1]
    if last["role"] == "tool":
        return {"role": "assistant", "content": f"The result is {last['content']}."}
    earlier = sum(len(message.get("tool_calls") or ()) for message in messages)
    name = next(tool["function"]["name"] for tool in request["tools"]
                if re.search(rf"{tool['function']['name'].split('_')[0]} (?:the|an?) "
                             rf"{tool['function']['name'].split('_')[1]}\b", last["content"], re.I))  # fmt: skip
    rows = office.rows()[name]
    words = re.findall(r"\w+", last["content"])
    fitting = next(row for row in rows if all(str(value) in words for key, value in row.items() if key != "value"))
    arguments = {key: value for key, value in fitting.items() if key != "value"}
    function = {"name": name, "arguments": json.dumps(arguments)}
    call = {"id": f"functions.{name}:{earlier}", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def events(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The message as deltas, a few characters each."""
    for start in range(0, len(message.get("content") or ""), 5):
        yield {"content": message["content"][start : start + 5]}
    for place, call in enumerate(message.get("tool_calls") or ()):
        head = {"index": place, "id": call["id"], "type": "function"}
        yield {"tool_calls": [head | {"function": {"name": call["function"]["name"], "arguments": ""}}]}
        text = call["function"]["arguments"]
        for start in range(0, len(text), 4):
            yield {"tool_calls": [{"index": place, "function": {"arguments": text[start : start + 4]}}]}


@contextmanager
def oracle() -> Iterator[Oracle]:
    made = Oracle()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(200, {"object": "list", "data": [{"id": "k2-nano"}]})

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            made.received.append(request)
            message = (made.says or right)(request)
            if isinstance(message, int):
                return self._send(message, {"error": {"message": "no"}})
            finish = "tool_calls" if message.get("tool_calls") else "stop"
            if request.get("stream"):
                return self._stream(message, finish)
            choice = {"index": 0, "message": message, "finish_reason": finish}
            self._send(200, {"id": "x", "object": "chat.completion", "model": "k2-nano", "choices": [choice]})

        def _stream(self, message: Mapping[str, Any], finish: str) -> None:
            deltas = [*events(message), {}]
            lines = []
            for delta in deltas:
                choice = {"index": 0, "delta": delta, "finish_reason": None if delta else finish}
                lines.append(f"data: {json.dumps({'id': 'x', 'choices': [choice]})}\n\n")
            self._write(200, "".join([*lines, "data: [DONE]\n\n"]).encode(), "text/event-stream")

        def _send(self, status: int, body: object) -> None:
            self._write(status, json.dumps(body).encode(), "application/json")

        def _write(self, status: int, data: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()

"""A server that shows of a prompt nothing but how many tokens it counts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def answering(answer: Callable[[str, Mapping[str, object]], object]) -> Iterator[str]:
    """A server's base URL. ``answer`` makes of a path and a body (``{}`` where there is none) the JSON or the bytes of
    an answer, with its status before it where that is not 200; 404 where it makes nothing.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers.get("content-length", 0)))
            said = answer(self.path, json.loads(sent or b"{}")) or (404, {"error": {"message": "Not Found"}})
            status, body = said if isinstance(said, tuple) else (200, said)
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


def counting(count: Callable[[Mapping[str, object]], object]) -> Callable[[str, Mapping[str, object]], object]:
    """The answer ``ok`` to every chat, with ``prompt_tokens`` as ``count`` says of its body."""

    def answer(path: str, body: Mapping[str, object]) -> object:
        if path.endswith("/models"):
            return {"object": "list", "data": [{"id": "m"}]}
        if not path.endswith("/chat/completions"):
            return None
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "ok"}}
        return {"choices": [choice], "usage": {"prompt_tokens": count(body), "completion_tokens": 1}}

    return answer

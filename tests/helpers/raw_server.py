"""A server that answers every request with the same bytes, a part at a time."""

import contextlib
import socketserver
import threading
import time


@contextlib.contextmanager
def raw_server(*parts, pause_s=0.0, stall=False, first=None):
    """Its URL. ``parts`` are sent with a pause after each; ``stall``: the connection then stays open.

    ``first``: what the first request gets instead.
    """
    ended = threading.Event()
    turns = [*([first] if first else [])]

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            length = 0
            while (line := self.rfile.readline()).strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            self.rfile.read(length)
            with contextlib.suppress(OSError):  # the client has heard enough
                for part in turns.pop() if turns else parts:
                    self.wfile.write(part)
                    time.sleep(pause_s)
            if stall:
                ended.wait(30)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            ended.set()
            server.shutdown()


def head(length, *lines):
    """The head of a good answer of so many bytes."""
    return "\r\n".join(
        ["HTTP/1.1 200 OK", "content-type: application/json", f"content-length: {length}", *lines, "", ""]
    ).encode()

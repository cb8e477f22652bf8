"""A stand-in for vLLM's server module, for tests of how processes are started and ended: it serves
/health and has a child process and an engine's core of its own, as vLLM has. What it answers is not under test."""

import argparse
import importlib.util
import multiprocessing
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

print("imported in", os.getpid(), flush=True)


def core():
    """Say who imported the engine that this process runs, and whose child it is."""
    from vllm.v1.engine import core

    print("core", os.getpid(), core.IMPORTED_IN, os.getppid(), flush=True)
    time.sleep(600)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--host")
    known, rest = parser.parse_known_args()
    mode = os.environ.get("FAKE_VLLM", "")
    print("flags", rest, flush=True)
    if mode == "dies":
        sys.exit("ValueError: the model cannot be loaded")
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print("child", child.pid, flush=True)
    if importlib.util.find_spec("vllm.v1"):
        for _ in range(2):
            multiprocessing.get_context("spawn").Process(target=core).start()
    if mode == "hangs":
        time.sleep(600)
    HTTPServer((known.host, known.port), Handler).serve_forever()


if __name__ == "__main__":
    main()

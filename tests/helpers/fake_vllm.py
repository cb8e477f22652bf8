"""A stand-in for vLLM's server module, for tests of how processes are started and ended: it serves
/health and has a child process and an engine's core of its own, as vLLM has. What it answers is not under test."""

import argparse
import importlib.util
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
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


class Everywhere(HTTPServer):
    """On every address of IPv6, and of IPv4 too."""

    address_family = socket.AF_INET6


def store(listener):
    """Answer as torch's store does: a ping's four bytes come back."""
    while True:
        connection = listener.accept()[0]
        with connection:
            connection.sendall(connection.recv(10, socket.MSG_WAITALL)[6:])


def mode():
    return os.environ.get("FAKE_VLLM", "")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--host")
    known, rest = parser.parse_known_args()
    print("flags", rest, flush=True)
    if mode() == "dies":
        sys.exit("ValueError: the model cannot be loaded")
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print("child", child.pid, flush=True)
    if importlib.util.find_spec("vllm.v1"):
        for _ in range(2):
            multiprocessing.get_context("spawn").Process(target=core).start()
    if mode() == "hangs":
        time.sleep(600)
    if mode() == "store":
        threading.Thread(target=store, args=(socket.create_server(("0.0.0.0", 0)),), daemon=True).start()
    if mode() == "child elsewhere":
        code = (
            "import socket, time; s = socket.create_server(('0.0.0.0', 0)); print('open', flush=True); time.sleep(600)"
        )
        other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
        other.stdout.readline()
    if mode() == "everywhere":
        Everywhere(("::", known.port), Handler).serve_forever()
    HTTPServer(("0.0.0.0" if mode() == "elsewhere" else known.host, known.port), Handler).serve_forever()


if __name__ == "__main__":
    main()

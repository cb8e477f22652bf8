"""A stand-in for vLLM's server module, for tests of how processes are started and ended: it serves
/health and has a child process of its own, as vLLM has. What it answers is not under test."""

import argparse
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

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
if mode == "hangs":
    time.sleep(600)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


HTTPServer((known.host, known.port), Handler).serve_forever()

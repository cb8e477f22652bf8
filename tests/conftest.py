"""Shared fixtures: live servers for the whole session, and the command line as a user runs it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import settings

from k2lab import chat, cli, engine, paths
from k2lab.chat import Request

settings.register_profile("k2lab", deadline=None)  # two cores, shared with live servers
settings.load_profile("k2lab")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
STARTING = pytest.StashKey[subprocess.Popen[str]]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need the live servers run last, after the servers had time to come up."""
    items.sort(key=needs_servers)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the servers as soon as it is known that a test needs them."""
    if sys.platform == "linux" and not session.config.option.collectonly and any(map(needs_servers, session.items)):
        command = [sys.executable, "-m", "tests.helpers.live_servers"]
        session.config.stash[STARTING] = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )


def needs_servers(item: pytest.Item) -> bool:
    return "servers" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Iterator[dict[str, str]]:
    """Both engines serving k2-nano: base URL by ``ENGINE VARIANT``."""
    if STARTING not in pytestconfig.stash:
        pytest.skip("vLLM's local engines run on Linux")
    process = pytestconfig.stash[STARTING]
    line = process.stdout.readline()
    if not line:
        pytest.fail(f"the live servers did not start: {process.stderr.read()[-3000:]}")
    yield json.loads(line)
    process.stdin.close()
    process.wait(60)


@pytest.fixture
def talk() -> Request:
    """The smallest conversation that should call a tool."""
    return chat.load(paths.data_dir() / "conversations" / "get_weather.json")


@pytest.fixture
def shared() -> Path:
    """Material that lies beside the checkout and is no part of it."""
    if not SHARED.is_dir():
        pytest.skip("no shared data beside this checkout")
    return SHARED


@dataclass
class PlainServer:
    """``answers`` maps a path to (status, body), ``received`` holds the bodies that came."""

    url: str = ""
    answers: dict[str, tuple[int, object]] = field(default_factory=dict)
    received: list[object] = field(default_factory=list)


@pytest.fixture
def plain_server() -> Iterator[PlainServer]:
    """A server with the OpenAI API and nothing of vLLM's."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}
    made = PlainServer()
    made.answers["/v1/chat/completions"] = (200, {"choices": [choice], "usage": {"completion_tokens": 1}})
    made.answers["/v1/models"] = (200, {"object": "list", "data": [{"id": "m"}]})

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers.get("content-length", 0)))
            if sent:
                made.received.append(json.loads(sent))
            status, body = made.answers.get(self.path, (404, {"error": {"message": "Not Found"}}))
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
    made.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def k2lab() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line, its entry point called in this process; an exception that it lets out fails the test."""

    def run(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        words = ["k2lab", *map(str, arguments)]
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", words)
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                cli.main()
        return subprocess.CompletedProcess(words, int(ended.value.code or 0), out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def k2lab_stdin() -> Callable[..., str]:
    """Run the command line on a text; returns what it prints."""

    def run(text: str, *arguments: object) -> str:
        command = [sys.executable, "-m", "k2lab", *map(str, arguments)]
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=60, check=True)
        return done.stdout.decode()

    return run


@pytest.fixture(scope="session")
def accepted() -> Iterator[Callable[[object, list[str]], list[bool]]]:
    """Which texts the grammar of a tag takes as whole answers; one engine's interpreter answers for all tests."""
    worker = [str(engine.resolve("0.32.0").python), str(ROOT / "tests" / "helpers" / "grammar_worker.py")]
    with subprocess.Popen(worker, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(tag: object, texts: list[str]) -> list[bool]:
            process.stdin.write(json.dumps({"tag": tag, "texts": texts}) + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            assert "error" not in answer, answer
            return answer["accepted"]

        yield ask
        process.stdin.close()

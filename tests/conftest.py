"""What all tests share: settings, the smallest conversation, a plain server, and the command line as a user runs it."""

from __future__ import annotations

import gc
import io
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings

from k2lab import chat, cli, paths
from k2lab.chat import Request
from tests.helpers import slowness
from tests.helpers.counting import answering
from tests.helpers.shared_servers import SharedServers

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
TALK = paths.data_dir() / "conversations" / "get_weather.json"

settings.register_profile("quick", deadline=None, max_examples=25)  # two cores, shared with live servers
settings.register_profile("thorough", deadline=None)
settings.register_profile("long", deadline=None, max_examples=2000)
sys.modules["rfc3987_syntax"] = None  # jsonschema's judge of IRIs, which no test asks: a second in each process
gc.set_threshold(100_000, 50, 100)  # a suite holds thousands of objects for good, which need no looking for
settings.load_profile("quick")  # `make test-long` loads the other: pytest --hypothesis-profile=thorough


def take_signals_as_usual() -> None:
    """A job in the background inherits them ignored, and a command that a test runs in this process takes them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        slowness.OPTION, action="store_true", help=f"write {slowness.KEPT.name}: what make quick leaves out"
    )


def pytest_configure(config: pytest.Config) -> None:
    take_signals_as_usual()
    config.pluginmanager.register(slowness.Slowness(config), "slowness")
    config.pluginmanager.register(SharedServers(config), "shared-servers")


def pytest_collection_finish() -> None:
    gc.freeze()
    take_signals_as_usual()


def pytest_runtest_teardown() -> None:
    take_signals_as_usual()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """A long value is no name, nor is its length: a gzip differs by its time from process to process."""
    return f"long {argname}" if isinstance(val, str | bytes) and len(val) > 200 else None


@pytest.fixture
def talk() -> Request:
    """The smallest conversation that should call a tool."""
    return chat.load(TALK)


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

    def answer(path: str, sent: Mapping[str, object]) -> object:
        if sent:
            made.received.append(sent)
        return made.answers.get(path)

    with answering(answer) as made.url:
        yield made


@pytest.fixture(scope="session")
def k2lab() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line, its entry point called in this process; an exception that it lets out fails the test."""

    def run(*arguments: object, env: dict[str, str] | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
        words = ["k2lab", *map(str, arguments)]
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", words)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                cli.main()
        return subprocess.CompletedProcess(words, int(ended.value.code or 0), out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def current(k2lab: Callable[..., subprocess.CompletedProcess[str]]) -> str:
    """The folder of k2-nano with the template of today."""
    return k2lab("model", "current").stdout.strip()

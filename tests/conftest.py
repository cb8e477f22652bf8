"""Shared fixtures: live servers for the whole session, and the command line as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from k2lab import chat, paths
from k2lab.chat import Conversation

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
        command = [sys.executable, "-m", "tests.live_servers"]
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
def talk() -> Conversation:
    """The smallest conversation that should call a tool."""
    return chat.load(paths.data_dir() / "conversations" / "get_weather.json")


@pytest.fixture
def shared() -> Path:
    """Material that lies beside the checkout and is no part of it."""
    if not SHARED.is_dir():
        pytest.skip("no shared data beside this checkout")
    return SHARED


@pytest.fixture(scope="session")
def k2lab() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in a process of its own."""

    def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "k2lab.cli", *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=300, env={**os.environ, **(env or {})}, check=False
        )

    return run


@pytest.fixture
def conversation_file(tmp_path: Path) -> Callable[[object], Path]:
    """Write a conversation, or anything else, to a file."""

    def write(data: object) -> Path:
        path = tmp_path / "conversation.json"
        path.write_text(data if isinstance(data, str) else json.dumps(data))
        return path

    return write


@pytest.fixture(scope="session")
def k2lab_stdin() -> Callable[..., str]:
    """Run the command line on a text; returns what it prints."""

    def run(text: str, *arguments: object) -> str:
        command = [sys.executable, "-m", "k2lab.cli", *map(str, arguments)]
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=60, check=True)
        return done.stdout.decode()

    return run

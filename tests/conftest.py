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

from k2lab import chat, engine, lab, paths
from k2lab.chat import Conversation

settings.register_profile("k2lab", deadline=None)  # two cores, shared with live servers
settings.load_profile("k2lab")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
SERVERS = ("0.11.0 legacy", "0.11.0 declared", "0.32.0 legacy", "0.32.0 declared", "0.32.0 current")


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, str]]:
    """Both engines serving k2-nano: base URL by ``ENGINE VARIANT``."""
    if sys.platform != "linux":
        pytest.skip("vLLM's local engines run on Linux")
    missing = [name for name, state in engine.available() if state == "not installed"]
    assert not missing, f"engines are missing: k2lab engine install {' '.join(missing)}"
    with lab.serving(SERVERS) as urls:
        yield urls


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

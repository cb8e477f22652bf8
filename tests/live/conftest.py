"""What needs an engine: live servers, and the engine's own grammar compiler."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from k2lab import engine
from tests.conftest import ROOT

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests here run last, those that need the servers at the very end: until then the servers come up."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.live)
    items.sort(key=lambda item: (HERE in item.path.parents, "servers" in getattr(item, "fixturenames", ())))


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> dict[str, str]:
    """Both engines serving k2-nano: base URL by ``ENGINE VARIANT``."""
    if sys.platform != "linux":
        pytest.skip("vLLM's local engines run on Linux")
    return pytestconfig.pluginmanager.get_plugin("shared-servers").urls()


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

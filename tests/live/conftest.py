"""What needs an engine: live servers, and the engines' own grammar compilers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO

import pytest

from k2lab import engine
from k2lab.engine import warm
from k2lab.engine.variables import environment
from tests.conftest import ROOT
from tests.helpers.effort import THOROUGH

WORKER = ROOT / "tests" / "helpers" / "grammar_worker.py"
SHARED_BY = {"compiler": "grammars", "older_compiler": "grammars", "engines_answers": "parsers", "found": "sweep",
             "xtml_answers": "xtml"}  # fmt: skip
"""Fixtures that take seconds to make, and the group of tests that one process does for that."""

Ask = Callable[[Mapping[str, object]], Mapping[str, object]]
Accepted = Callable[[object, list[str]], list[bool]]


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests here run last, those that need servers at the very end and notebooks behind them: servers come up."""
    here = {item for item in items if item.nodeid.startswith("tests/live/")}
    for item in items:
        if item in here:
            item.add_marker(pytest.mark.live)
            for name in {SHARED_BY[name] for name in fixtures(item) & set(SHARED_BY)}:
                item.add_marker(pytest.mark.xdist_group(name))
    items.sort(key=lambda item: (item in here, "servers" in fixtures(item), "notebook" in item.path.name))


def fixtures(item: pytest.Item) -> set[str]:
    return set(getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Mapping[str, str]:
    """Both engines serving k2-nano: base URL by ``ENGINE VARIANT``."""
    if sys.platform != "linux":
        pytest.skip("vLLM's local engines run on Linux")
    return pytestconfig.pluginmanager.get_plugin("shared-servers").servers


@contextmanager
def compiling(version: str) -> Iterator[Ask]:
    """The grammar compiler of an engine; its interpreter answers for all tests."""
    (given, to_it), (from_it, out) = os.pipe(), os.pipe()
    with open(to_it, "w") as questions, open(from_it) as answers:
        with open(given) as stdin, open(out, "w") as stdout, open(os.devnull, "w") as stderr:
            process = start(version, stdin, stdout, stderr)

        def ask(asked: Mapping[str, object]) -> Mapping[str, object]:
            print(json.dumps(asked), file=questions, flush=True)
            line = answers.readline()
            assert line, f"vLLM {version}'s grammar compiler ended at {json.dumps(asked)[:500]}"
            return json.loads(line)

        with process:
            yield ask
            questions.close()


def start(version: str, *files: IO[str]) -> socket.socket | subprocess.Popen[bytes]:
    """The worker, which ends with what is given back: forked where the servers are, as its imports take longer than
    all that is asked of it."""
    python = engine.resolve(version).python
    try:
        fork = warm.fork(python, [str(WORKER)], environment(version))
    except warm.Refused:
        stdin, stdout, stderr = files
        return subprocess.Popen([str(python), str(WORKER)], stdin=stdin, stdout=stdout, stderr=stderr)
    fork.begin(files)
    return fork.connection


@pytest.fixture(scope="session")
def compiler() -> Iterator[Ask]:
    with compiling("0.32.0") as ask:
        yield ask


@pytest.fixture(scope="session")
def older_compiler() -> Iterator[Ask]:
    with compiling("0.11.0") as ask:
        yield ask


def judge(ask: Ask) -> Accepted:
    def accepted(tag: object, texts: list[str]) -> list[bool]:
        answer = ask({"tag": tag, "texts": texts})
        assert "error" not in answer, answer
        return answer["accepted"]

    return accepted


@pytest.fixture(scope="session")
def accepted(compiler: Ask) -> Accepted:
    """Which texts the grammar of a tag takes as whole answers."""
    return judge(compiler)


@pytest.fixture(scope="session")
def accepted_by_older(older_compiler: Ask) -> Accepted:
    """As ``accepted``, by the xgrammar 0.1.25 of vLLM 0.11.0."""
    return judge(older_compiler)


HINTS = (
    "<|close|>",
    "argument<|sep|>",
    "tools<|sep|>",
    "<|close|>argument<|sep|>",
    '"',
    "}",
    "]",
    "a",
    "1",
    "<",
    "é",
    ".png",
    ",a,",
)
"""What ends a channel, an argument or a value, so that a random text of K3's grammar comes to an end."""


@pytest.fixture(scope="session")
def walk(compiler: Ask) -> Callable[[object], list[Mapping[str, object]]]:
    """Texts that the grammar of a tag writes by itself, as vLLM's parser for Kimi K3 reads them."""
    walks = 40 if THOROUGH else 6

    def walked(tag: object) -> list[Mapping[str, object]]:
        return compiler({"tag": tag, "walks": walks, "seed": 1, "hints": HINTS})["walked"]

    return walked

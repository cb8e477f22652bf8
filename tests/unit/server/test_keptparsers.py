"""A parser that stays up, with a stand-in for vLLM."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from k2lab.engine import warm
from k2lab.errors import EngineError
from k2lab.families import K2_THINKING
from k2lab.server.keptparsers import KeptParser
from tests.helpers import fake_parser
from tests.helpers.processes import gone, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="engines run on Linux")


@pytest.fixture
def parser(tmp_path, monkeypatch):
    fake_parser.write(tmp_path / "path")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    monkeypatch.setenv("K2LAB_CACHE", str(tmp_path / "cache"))
    made = KeptParser(sys.executable, Path(tmp_path))
    yield made
    made.close()
    warm.end_all()


def test_it_answers_whole_and_in_chunks_with_each_step_and_stays_up(parser):
    whole, pid = parser.ask("Hi! CALL{}", []), parser.pid
    assert (whole.content, [(call.name, call.arguments) for call in whole.calls]) == ("Hi! ", [("f", "{}")])
    fed = parser.ask("Hi! x", [], 2)
    assert (fed.content, fed.calls) == ("Hi x", ())
    assert [(step.tokens, step.end, step.content) for step in fed.steps] == [(2, 2, "Hi"), (4, 4, " "), (5, 5, "x")]
    assert parser.pid == pid and not fed.same_as(parser.ask("Hi! x", []))
    assert parser.ask("FAIL", []).error == "ValueError: no such output"
    parser.close()
    assert parser.pid is None and gone(pid)


def test_a_parser_that_a_release_has_not_is_named_and_its_process_stays_up(parser):
    parser.ask("x", [])
    pid = parser.pid
    with pytest.raises(EngineError, match=r"^not asked: it has no reasoning parser kimi_k2$"):
        parser.ask("x", [], family=K2_THINKING)
    assert parser.pid == pid


def test_a_process_that_ends_is_one_line_and_begins_anew(parser):
    parser.ask("x", [])
    with pytest.raises(EngineError, match=r"gave no answer: its process ended") as told:
        parser.ask("DIE", [])
    assert len(str(told.value).splitlines()) == 1
    assert parser.ask("y", []).content == "y"
    os.kill(parser.pid, signal.SIGKILL)
    assert gone(parser.pid)
    with pytest.raises(EngineError, match="gave no answer"):
        parser.ask("z", [])
    assert parser.ask("z", []).content == "z"


def test_a_question_is_cancelled_and_its_process_ended(parser):
    parser.ask("x", [])
    pid, cancel = parser.pid, threading.Event()
    threading.Timer(0.05, cancel.set).start()
    start = time.monotonic()
    with pytest.raises(EngineError, match="it was stopped"):
        parser.ask("SLEEP", [], cancel=cancel)
    assert time.monotonic() - start < 5 and gone(pid) and parser.pid is None


def test_an_import_that_is_under_way_is_stopped(parser, tmp_path):
    package = tmp_path / "path" / "vllm" / "entrypoints" / "openai" / "api_server.py"
    package.write_text("import time; time.sleep(600)")
    cancel = threading.Event()
    said = []

    def ask():
        with pytest.raises(EngineError) as told:
            parser.ask("x", [], cancel=cancel)
        said.append(str(told.value))

    asking = threading.Thread(target=ask)
    asking.start()
    address = warm.address_of(Path(sys.executable))
    assert until(lambda: address in warm._mine and warm.is_there(address))
    pid = warm._mine[address].pid
    cancel.set()
    asking.join(10)
    assert "it was stopped" in said[0] and gone(pid) and not warm._mine


def test_what_is_not_installed_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("K2LAB_CACHE", str(tmp_path))
    with pytest.raises(EngineError, match=r"k2lab engine install 0\.32\.0"):
        KeptParser("0.32.0", tmp_path).ask("x", [])
